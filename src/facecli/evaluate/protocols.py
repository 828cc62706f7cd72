"""Which comparisons are made: labelled pairs, folders of people, and scores from anywhere.

Whose a photograph is matters beyond mated and non-mated: trials that share a person are not independent, and intervals
must know. Where a list of pairs names nobody, photographs that mated pairs tie together are taken as one person's, and
all others as strangers to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facecli.bulk import items_in
from facecli.errors import UsageError
from facecli.evaluate.tables import as_bool, as_float, as_int, called, json_rows, opened, table_rows
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Image:
    """A photograph, and whose it is."""

    source: str
    person: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of a protocol.

    Attributes
    ----------
    first, second
        Indices into the protocol's images.
    mated
        Whether both are the same person's.
    fold
        Which part of a cross-validation it belongs to; 0 where there is none.
    """

    first: int
    second: int
    mated: bool
    fold: int = 0


@dataclass(frozen=True, slots=True)
class Protocol:
    """Photographs, and which of them are compared.

    Attributes
    ----------
    images
        Each photograph once.
    pairs
        The comparisons; None stands for all pairs.
    told
        What it is, in a few words.
    """

    images: tuple[Image, ...]
    pairs: tuple[Pair, ...] | None
    told: str


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Comparisons that were made already, here or by another system.

    Attributes
    ----------
    score
        ``(n,)``, finite, higher is closer.
    mated
        ``(n,)``, bool.
    first_person, second_person
        Whose the two samples of each are, ``(n,)`` of names; None where nobody is named.
    first, second
        What the two samples are called, ``(n,)``; None where they have no names.
    fold
        ``(n,)``; None where there are no folds.
    distance
        Whether they were distances: ``score`` is their negative.
    lost
        Comparisons that the file names, but that could not be made.
    """

    score: Floats
    mated: NDArray[np.bool_]
    first_person: NDArray[np.str_] | None = None
    second_person: NDArray[np.str_] | None = None
    first: NDArray[np.str_] | None = None
    second: NDArray[np.str_] | None = None
    fold: NDArray[np.int64] | None = None
    distance: bool = False
    lost: int = 0


def read_lfw_pairs(path: Path, images: Path) -> Protocol:
    """Read pairs in LFW's format: ``pairs.txt`` with folds, or a View 1 list without.

    Parameters
    ----------
    path
        The list. Its first line holds the number of folds and of mated pairs in each (as many non-mated ones follow);
        in View 1 only the latter.
    images
        The folder of ``NAME/NAME_0001.jpg``.

    Raises
    ------
    UsageError
        It can't be read, or a line is not as the format has it.
    """
    with opened(path) as stream:
        lines = [line.split() for line in stream if line.strip()]
    try:
        folds, each = ([1, *map(int, lines[0])])[-2:]
    except (IndexError, ValueError) as error:
        raise UsageError(
            f"{called(path)} is no list of pairs as LFW has them: its first line holds no counts"
        ) from error
    if len(lines) - 1 != folds * each * 2:
        raise UsageError(
            f"{called(path)} announces {folds} x 2 x {each} pairs = {folds * each * 2:,}, but holds {len(lines) - 1:,}"
        )
    collected = _Collector()
    for number, cells in enumerate(lines[1:]):
        sides = _lfw_sides(cells, f"{called(path)}, line {number + 2}")
        found = [Image(str(images / name / f"{name}_{count:04d}.jpg"), name) for name, count in sides]
        collected.add(*found, mated=len(cells) == 3, fold=number // (2 * each) if folds > 1 else 0)
    told = f"{len(lines) - 1:,} listed pairs" + (f" in {folds} folds" if folds > 1 else "")
    return collected.protocol(told)


def _lfw_sides(cells: Sequence[str], where: str) -> list[tuple[str, int]]:
    """Return the two (name, number) of a line: ``NAME N1 N2`` or ``NAME N NAME N``."""
    try:
        if len(cells) == 3:
            return [(cells[0], int(cells[1])), (cells[0], int(cells[2]))]
        if len(cells) == 4:
            return [(cells[0], int(cells[1])), (cells[2], int(cells[3]))]
    except ValueError as error:
        raise UsageError(f"{where}: a photograph's number is no number") from error
    raise UsageError(f"{where}: a pair is NAME N1 N2 or NAME1 N1 NAME2 N2")


def read_csv_pairs(path: Path, images: Path | None = None) -> Protocol:
    """Read pairs from a CSV file with the columns first, second and same.

    ``same`` is 1 or 0, true or false, yes or no, same or different, mated or non-mated. The columns first_person and
    second_person (names) and fold (a number) may be there as well. Relative paths start at ``images``, by default the
    file's own folder.

    Raises
    ------
    UsageError
        It can't be read, lacks a column, or a cell makes no sense.
    """
    folder = images or path.parent
    rows = list(table_rows(path, {"first", "second", "same"}))
    collected = _Collector()
    named = bool(rows) and {"first_person", "second_person"} <= set(rows[0])
    sources = [(str(folder / row["first"]), str(folder / row["second"])) for row in rows]
    same = [as_bool(row["same"], f"{called(path)}, row {number}") for number, row in enumerate(rows, 2)]
    people = {} if named else tied([pair for pair, mated in zip(sources, same, strict=True) if mated])
    for row, (first, second), mated in zip(rows, sources, same, strict=True):
        owners = (
            (row["first_person"], row["second_person"])
            if named
            else (people.get(first, first), people.get(second, second))
        )
        if mated != (owners[0] == owners[1]):
            raise UsageError(
                f"{called(path)}: {visible(first)} and {visible(second)} are said to be both one person's and not"
            )
        fold = as_int(row.get("fold", "0"), called(path))
        collected.add(Image(first, owners[0]), Image(second, owners[1]), mated=mated, fold=fold)
    return collected.protocol(f"{len(rows):,} listed pairs")


def read_folder(folder: Path) -> Protocol:
    """Take all pairs of a folder's photographs, one sub-folder a person.

    Raises
    ------
    UsageError
        There are none.
    """
    items = items_in(folder)
    return Protocol(tuple(Image(item.photo, item.name) for item in items), None, "all pairs of photographs")


def sampled(protocol: Protocol, non_mated: int, *, seed: int) -> Protocol:
    """Return all mated pairs, and so many non-mated ones drawn at random, of a protocol of all pairs.

    Each non-mated pair is as likely as any other, and none comes twice. Where there are no more, all are taken.
    """
    import numpy as np

    person = np.unique([image.person for image in protocol.images], return_inverse=True)[1]
    count = len(person)
    where = {name: np.flatnonzero(person == name) for name in np.unique(person)}
    mated = [(int(a), int(b)) for own in where.values() for i, a in enumerate(own) for b in own[i + 1 :]]
    possible = count * (count - 1) // 2 - len(mated)
    chosen: dict[tuple[int, int], None] = {}
    generator = np.random.default_rng(seed)
    while len(chosen) < min(non_mated, possible):
        drawn = np.sort(generator.integers(count, size=(2 * non_mated + 100, 2)), axis=1)
        fitting = drawn[person[drawn[:, 0]] != person[drawn[:, 1]]]
        chosen.update(dict.fromkeys(map(tuple, fitting.tolist())))
    pairs = [Pair(a, b, mated=True) for a, b in mated]
    pairs += [Pair(a, b, mated=False) for a, b in list(chosen)[:non_mated]]
    told = f"all mated pairs, {min(non_mated, possible):,} non-mated ones drawn at random (seed {seed})"
    return Protocol(protocol.images, tuple(pairs), told)


def read_scores(path: Path, *, distance: bool = False) -> Scores:
    """Read scores of any system, from a format told by the file's ending.

    CSV (or TSV), NDJSON or npz with the columns score and mated; first_person and second_person, first and second (what
    was compared) and fold may be there as well. bob's text (``.txt`` or no ending) and CSV, and openbr's ``.mtx`` are
    read as :mod:`facecli.evaluate.foreign` has it.

    Parameters
    ----------
    path
        The file.
    distance
        The scores are distances: lower is closer. They are negated.

    Raises
    ------
    UsageError
        It can't be read, lacks a column, or a score is not finite.
    """
    from facecli.evaluate import foreign

    if path.suffix in {".txt", ""}:
        scores = foreign.read_bob_text(path)
    elif path.suffix == ".mtx":
        scores = foreign.read_openbr(path)
    elif path.suffix == ".csv" and foreign.is_bob_csv(path):
        scores = foreign.read_bob_csv(path)
    else:
        scores = _own_scores(path)
    return replace(scores, score=-scores.score, distance=True) if distance else scores


def _own_scores(path: Path) -> Scores:
    """Read the columns that facecli names."""
    import numpy as np

    columns = _npz(path) if path.suffix == ".npz" else _table(path)
    score = np.asarray(columns["score"], np.float64)
    if not np.isfinite(score).all():
        raise UsageError(f"{called(path)}: a score is not finite")
    people, samples = (
        [np.asarray(columns[name], np.str_) if name in columns else None for name in names]
        for names in (("first_person", "second_person"), ("first", "second"))
    )
    if sum(column is None for column in people) == 1:
        raise UsageError(f"{called(path)}: first_person and second_person must come together")
    fold = np.asarray(columns["fold"], np.int64) if "fold" in columns else None
    return Scores(score, np.asarray(columns["mated"], bool), people[0], people[1], samples[0], samples[1], fold)


def _table(path: Path) -> dict[str, list[object]]:
    """Read the columns of a CSV or NDJSON file."""
    rows: Iterable[Mapping[str, object]]
    rows = json_rows(path) if path.suffix in {".ndjson", ".jsonl", ".json"} else table_rows(path, {"score", "mated"})
    columns: dict[str, list[object]] = {}
    for number, row in enumerate(rows, 1):
        where = f"{called(path)}, row {number}"
        if not {"score", "mated"} <= row.keys():
            raise UsageError(f"{where}: score and mated are needed")
        known = {"score", "mated", "first_person", "second_person", "first", "second", "fold"} & row.keys()
        if number > 1 and known != columns.keys():
            raise UsageError(f"{where}: its columns are not those of the first row")
        for name in known:
            columns.setdefault(name, []).append(_cell(name, row[name], where))
    if not columns:
        raise UsageError(f"{called(path)} holds no scores")
    return columns


def _cell(name: str, value: object, where: str) -> object:
    """Bring one cell to its column's type."""
    if name == "mated":
        return as_bool(str(value), where)
    if name == "fold":
        return as_int(str(value), where)
    return as_float(value, where) if name == "score" else str(value)


def _npz(path: Path) -> Mapping[str, object]:
    """Read the arrays of an npz file; pickled objects are refused."""
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(f"can't read {called(path)}: {error}") from error
    if not {"score", "mated"} <= columns.keys():
        raise UsageError(f"{called(path)} needs the arrays score and mated")
    lengths = {columns[name].shape for name in columns}
    if len(lengths) != 1 or columns["score"].ndim != 1:
        raise UsageError(f"{called(path)}: its arrays must be one-dimensional and of one length")
    return columns


def read_groups(path: Path, columns: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Read what groups photographs belong to, from a CSV file with a column image and one for each attribute.

    Parameters
    ----------
    path
        The file.
    columns
        The attributes wanted; by default all.

    Returns
    -------
    dict
        From the image, as the file names it, to its attributes; an empty cell is left out.

    Raises
    ------
    UsageError
        It can't be read, or lacks a column.
    """
    return {
        row["image"]: {
            name: text for name, text in row.items() if text and name in (columns or row) and name != "image"
        }
        for row in table_rows(path, {"image", *columns})
    }


class _Collector:
    """Photographs and pairs as they are read; each photograph is kept once."""

    def __init__(self) -> None:
        self._index: dict[Image, int] = {}
        self._pairs: list[Pair] = []

    def add(self, first: Image, second: Image, *, mated: bool, fold: int) -> None:
        """Add one pair."""
        left, right = (self._index.setdefault(image, len(self._index)) for image in (first, second))
        self._pairs.append(Pair(left, right, mated, fold))

    def protocol(self, told: str) -> Protocol:
        """Return what was added."""
        if not self._pairs:
            raise UsageError("the list holds no pairs")
        return Protocol(tuple(self._index), tuple(self._pairs), told)


def tied(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give photographs that mated pairs tie together, directly or through others, one name."""
    parent: dict[str, str] = {}

    def root(source: str) -> str:
        while parent.setdefault(source, source) != source:
            parent[source] = parent[parent[source]]
            source = parent[source]
        return source

    for first, second in pairs:
        parent[root(first)] = root(second)
    return {source: root(source) for source in parent}

"""Score files of other systems: bob's two text formats and its CSV, and openbr's matrices.

As they are documented:

* bob.bio.base, text: four columns ``claimed_id real_id test_label score``, or five with ``model_label`` as the second;
  a comparison is mated where the two ids are the same.
* bob.bio.base since its 2021 pipelines, CSV: columns ``bio_ref_subject_id``, ``probe_subject_id`` and ``score``, and
  the names of the samples in ``..._template_id`` (``..._reference_id`` in older files).
* openbr, after NIST's biometric evaluation environment: ``NAME.mtx`` holds a line ``S2`` (similarities) or ``D2``
  (distances), the names of the target and the query set, a line ``MF ROWS COLUMNS`` with the four bytes of 0x12345678
  as the writer's machine orders them, and the values as 32-bit floats, a row for each query. ``NAME.mask`` is alike
  with ``MB`` and bytes: 0xFF mated, 0x7F non-mated, 0 not to be used.

A score that is NaN stands for a comparison that could not be made, in all of them; it is left out, and counted.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evaluate.protocols import Scores, tied
from facecli.evaluate.tables import called, opened, table_rows
from facecli.names import visible

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOB_SUBJECTS = ("bio_ref_subject_id", "probe_subject_id")
_BOB_SAMPLES = ("template_id", "reference_id")
MATED, NON_MATED = 0xFF, 0x7F
_MOST_CELLS = 10_000_000
"""Names are kept for every comparison, so a larger matrix would take gigabytes."""
_LONGEST_LINE = 4096
_ORDERS = {struct.pack("<I", 0x12345678): True, struct.pack(">I", 0x12345678): False}


def read_bob_text(path: Path) -> Scores:
    """Read bob's four or five columns of text; which of them, its first line says.

    Raises
    ------
    UsageError
        It can't be read, or a line has another number of columns.
    """
    rows = []
    width = 0
    with opened(path) as stream:
        for number, line in enumerate(stream, 1):
            cells = line.split()
            if not cells:
                continue
            width = width or len(cells)
            if len(cells) != width or width not in {4, 5}:
                raise UsageError(
                    f"{called(path)}, line {number}: {len(cells)} columns",
                    hint="bob's text has CLAIMED_ID [MODEL_LABEL] REAL_ID TEST_LABEL SCORE on each line",
                )
            claimed, model, real, probe = cells[0], cells[width - 4], cells[-3], cells[-2]
            rows.append((claimed, real, model, probe, _score(cells[-1], f"{called(path)}, line {number}")))
    return _scores(path, rows)


def read_bob_csv(path: Path) -> Scores:
    """Read bob's CSV.

    Raises
    ------
    UsageError
        It can't be read, or lacks a column.
    """
    rows = []
    for number, row in enumerate(table_rows(path, {*BOB_SUBJECTS, "score"}), 2):
        first, second = (row[name] for name in BOB_SUBJECTS)
        one, other = (_bob_sample(row, side) for side in ("bio_ref", "probe"))
        rows.append((first, second, one, other, _score(row["score"], f"{called(path)}, row {number}")))
    return _scores(path, rows)


def is_bob_csv(path: Path) -> bool:
    """Say whether a table has the columns that bob gives it."""
    with opened(path) as stream:
        return set(BOB_SUBJECTS) <= set(stream.readline(_LONGEST_LINE).strip().split(","))


def read_openbr(path: Path) -> Scores:
    """Read an openbr matrix; its mask lies beside it, under the same name with the ending ``.mask``.

    The files name no person, so samples that mated comparisons tie together are taken as one person's. Where both sets
    are the same and the matrix is symmetric, each comparison counts once.

    Raises
    ------
    UsageError
        A file is missing, damaged, of another format, or too large.
    """
    import numpy as np

    matrix, mask = _opened_matrix(path, "MF"), _opened_matrix(path.with_suffix(".mask"), "MB")
    if matrix.shape != mask.shape:
        raise UsageError(f"{called(path)} and its mask are not of one size: {matrix.shape}, {mask.shape}")
    kinds = np.frombuffer(mask.content, np.uint8).reshape(mask.shape)
    unknown = set(np.unique(kinds).tolist()) - {0, MATED, NON_MATED}
    if unknown:
        raise UsageError(f"the mask of {called(path)} holds a byte that means nothing: 0x{unknown.pop():02x}")
    cells = np.frombuffer(matrix.content, "<f4" if matrix.little else ">f4").reshape(matrix.shape).astype(np.float64)
    cells = -cells if matrix.distance else cells
    used = kinds != 0
    if matrix.same_sets and np.array_equal(kinds, kinds.T) and np.array_equal(cells, cells.T, equal_nan=True):
        used = np.triu(used)
    query, target = np.nonzero(used)
    mated = kinds[query, target] == MATED
    names = _sample_names(matrix, query, target)
    people = tied(zip(names[0][mated].tolist(), names[1][mated].tolist(), strict=True))
    first, second = (np.array([people.get(name, name) for name in side.tolist()], np.str_) for side in names)
    found = Scores(cells[query, target], mated, first, second, *names, distance=matrix.distance)
    return _kept(path, found)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A matrix file: rows and columns, byte order, what the values are, the two sets' names, and the bytes."""

    shape: tuple[int, int]
    little: bool
    distance: bool
    target: bytes
    query: bytes
    content: bytes

    @property
    def same_sets(self) -> bool:
        """Whether every sample is compared with those of its own set."""
        return self.target == self.query and self.shape[0] == self.shape[1]


def _opened_matrix(path: Path, kind: str) -> _Matrix:
    """Read one file of either kind: ``MF`` for scores, ``MB`` for a mask."""
    try:
        if not path.is_file():
            raise UsageError(f"{called(path)} is no file", hint="a matrix NAME.mtx needs its mask NAME.mask beside it")
        with path.open("rb") as stream:
            return _matrix(stream, path, kind)
    except OSError as error:
        raise UsageError(f"can't read {called(path)}: {error}") from error


def _matrix(stream: BinaryIO, path: Path, kind: str) -> _Matrix:
    """Read the four lines and the values, of which there must be as many as announced."""
    meaning, target, query, size = (stream.readline(_LONGEST_LINE) for _ in range(4))
    if meaning.strip() not in {b"S2", b"D2"}:
        raise UsageError(f"{called(path)} is no matrix of openbr: its first line is neither S2 nor D2")
    shape, little = _size(size, path, kind)
    expected = shape[0] * shape[1] * (4 if kind == "MF" else 1)
    left = path.stat().st_size - stream.tell()
    if left != expected:
        raise UsageError(
            f"{called(path)} is damaged: {expected:,} bytes of values are announced, and {left:,} are there"
        )
    names = (target.strip(), query.strip())
    return _Matrix(shape, little, meaning.startswith(b"D"), names[0], names[1], stream.read(expected))


def _size(line: bytes, path: Path, kind: str) -> tuple[tuple[int, int], bool]:
    """Read ``M? ROWS COLUMNS`` and whether the byte order behind it is little-endian."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    try:
        rows, columns, little = int(parts[1]), int(parts[2]), _ORDERS[parts[3]]
    except (IndexError, ValueError, KeyError) as error:
        raise UsageError(
            f"{called(path)} is no matrix of openbr: its fourth line gives no size and byte order"
        ) from error
    if parts[0] != kind.encode():
        raise UsageError(f"{called(path)} holds other values than its ending says: {visible(repr(parts[0]))}")
    if rows < 1 or columns < 1 or rows * columns > _MOST_CELLS:
        raise UsageError(
            f"{called(path)}: a matrix of {rows} x {columns} can't be read; {_MOST_CELLS:,} cells are the most"
        )
    return (rows, columns), little


def _sample_names(
    matrix: _Matrix, query: NDArray[np.intp], target: NDArray[np.intp]
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Name the samples of each comparison after their place; in two different sets no name is the same."""
    import numpy as np

    prefixes = ("", "") if matrix.same_sets else ("query ", "target ")
    rows, columns = (
        np.array([f"{prefix}{place + 1}" for place in range(count)], np.str_)
        for prefix, count in zip(prefixes, matrix.shape, strict=True)
    )
    return rows[query], columns[target]


def _bob_sample(row: dict[str, str], side: str) -> str:
    """Name a sample as bob's CSV does; empty where it does not."""
    return next((row[f"{side}_{name}"] for name in _BOB_SAMPLES if row.get(f"{side}_{name}")), "")


def _score(text: str, where: str) -> float:
    """Read a score, which may be NaN but nothing else that is no number."""
    try:
        score = float(text)
    except ValueError as error:
        raise UsageError(f"{where}: {visible(text)!r} is no score") from error
    if math.isinf(score):
        raise UsageError(f"{where}: a score is infinite")
    return score


def _scores(path: Path, rows: list[tuple[str, str, str, str, float]]) -> Scores:
    """Put (person, person, sample, sample, score) into columns."""
    import numpy as np

    if not rows:
        raise UsageError(f"{called(path)} holds no scores")
    first, second, one, other, score = zip(*rows, strict=True)
    people = np.array(first, np.str_), np.array(second, np.str_)
    samples = (np.array(one, np.str_), np.array(other, np.str_)) if all(one) and all(other) else (None, None)
    return _kept(path, Scores(np.array(score, np.float64), people[0] == people[1], *people, *samples))


def _kept(path: Path, scores: Scores) -> Scores:
    """Leave out the comparisons that could not be made, and count them."""
    import numpy as np

    made = ~np.isnan(scores.score)
    if not made.any():
        raise UsageError(f"{called(path)} holds no scores")
    if not np.isfinite(scores.score[made]).all():
        raise UsageError(f"{called(path)}: a score is infinite")

    def part(column: NDArray[np.str_] | None) -> NDArray[np.str_] | None:
        return None if column is None else column[made]

    people = (part(scores.first_person), part(scores.second_person))
    samples = (part(scores.first), part(scores.second))
    kept = Scores(scores.score[made], scores.mated[made], *people, *samples, distance=scores.distance)
    return replace(kept, lost=int((~made).sum()))

"""Presentation attack detection, evaluated from scores (ISO/IEC 30107-3): what is read, and what is found.

The scores may come from any detector. Folders of photographs will be scored by a liveness model once facecli has one;
:func:`read_pad_scores` is where they will come in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import SetupError, UsageError
from facecli.evaluate.running import versions
from facecli.evaluate.tables import as_float, called, json_rows, table_rows
from facecli.metrics.intervals import rate
from facecli.metrics.pad import PadScores, pad_curve, point_at, points_at
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from facecli.metrics.intervals import Rate
    from facecli.metrics.pad import PadCurve, PadPoint

    Floats = NDArray[np.float64]

BONA_FIDE = frozenset({"bona-fide", "bona fide", "bona_fide", "bonafide", "genuine", "live", "real", "1"})
ATTACK = frozenset({"attack", "pa", "spoof", "fake", "0"})
"""How tables say what a presentation was."""
UNNAMED = "attack"
"""The species of attacks of which none is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Presentations:
    """A table of scored presentations.

    Attributes
    ----------
    scores
        Of those that the detector answered.
    silent
        How often it gave no answer: of each species (APNRR); of bona fide presentations (BPNRR) under the key ``""``.
    """

    scores: PadScores
    silent: Mapping[str, Rate]


@dataclass(frozen=True, slots=True, eq=False)
class PadReport:
    """Everything that an evaluation of presentation attack detection found.

    Attributes
    ----------
    system
        What was tested.
    data
        Its scores, as the user named them.
    date
        ISO 8601.
    versions
        (library, version) of what takes part in the numbers.
    scores
        The presentations.
    silent
        See :class:`Presentations`.
    curve
        Error rates at every threshold.
    points
        At the thresholds that keep APCER at 10, 5 and 1 %.
    deployed
        At the threshold that was given; None where none was.
    match_threshold
        From which comparison score on two faces are taken for one person's; None where no comparison was made.
    """

    system: str
    data: str
    date: str
    versions: tuple[tuple[str, str], ...]
    scores: PadScores
    silent: Mapping[str, Rate]
    curve: PadCurve
    points: tuple[PadPoint, ...]
    deployed: PadPoint | None
    match_threshold: float | None


def pad_report(
    path: Path, presentations: Presentations, *, threshold: float | None = None, match_threshold: float | None = None
) -> PadReport:
    """Measure scored presentations.

    Parameters
    ----------
    path
        Where they were read from.
    presentations
        What was read.
    threshold
        The one that is deployed: bona fide is ``score >= threshold``.
    match_threshold
        The comparison's; needs comparison scores, and gives IAPAR and RIAPAR.

    Raises
    ------
    UsageError
        There are no bona fide presentations or no attacks, or a match threshold without comparison scores.
    """
    scores = presentations.scores
    if match_threshold is not None and scores.attacks_match is None:
        raise UsageError(
            f"{called(path)} has no comparison scores, so IAPAR can't be told",
            hint="put them into a column match_score, or leave --match-threshold out",
        )
    deployed = None if threshold is None else point_at(scores, threshold, match_threshold=match_threshold)
    return PadReport(
        system=path.stem,
        data=str(path),
        date=time.strftime("%Y-%m-%d"),
        versions=versions(),
        scores=scores,
        silent=presentations.silent,
        curve=pad_curve(scores.bona_fide, scores.attacks),
        points=points_at(scores, match_threshold=match_threshold),
        deployed=deployed,
        match_threshold=match_threshold,
    )


def read_pad_scores(path: Path) -> Presentations:
    """Read scored presentations from CSV (or TSV) or NDJSON.

    The columns are score (higher is more bona fide; empty where the detector gave no answer), label (bona-fide or
    attack), species (of an attack) and, of a whole system, match_score: the comparison of the same presentation with
    the template of the person claimed.

    Raises
    ------
    SetupError
        It is a folder: there is no liveness model to score its photographs.
    UsageError
        It can't be read, lacks a column, or a cell makes no sense.
    """
    if path.is_dir():
        raise SetupError(
            f"{called(path)} is a folder of photographs, and no liveness model is installed that could score them",
            hint="score them with your detector, and give the scores: CSV with the columns score, label, species",
        )
    bona_fide = _Kind()
    attacks: dict[str, _Kind] = {}
    matched: bool | None = None
    for number, row in enumerate(_rows(path), 1):
        where = f"{called(path)}, row {number}"
        has_match = bool(row.get("match_score", ""))
        if matched not in {None, has_match}:
            raise UsageError(f"{where}: a match_score is there in some rows and missing in others")
        matched = has_match
        kind = bona_fide if _is_bona_fide(row["label"], where) else attacks.setdefault(_species(row), _Kind())
        kind.add(row, where)
    return Presentations(
        PadScores(
            bona_fide.array(),
            {name: kind.array() for name, kind in attacks.items() if kind.scores},
            bona_fide.match_array() if matched else None,
            {name: kind.match_array() for name, kind in attacks.items() if kind.scores} if matched else None,
        ),
        {"": bona_fide.silence(), **{name: kind.silence() for name, kind in attacks.items()}},
    )


class _Kind:
    """The scores of one kind of presentation as they are read."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self._matches: list[float] = []
        self._silent = 0

    def add(self, row: Mapping[str, str], where: str) -> None:
        """Keep one presentation's scores, or count that it has none."""
        if not row["score"].strip():
            self._silent += 1
            return
        self.scores.append(as_float(row["score"], where))
        if row.get("match_score", ""):
            self._matches.append(as_float(row["match_score"], where))

    def array(self) -> Floats:
        """Return the detector's scores."""
        import numpy as np

        return np.array(self.scores, np.float64)

    def match_array(self) -> Floats:
        """Return the comparison's scores."""
        import numpy as np

        return np.array(self._matches, np.float64)

    def silence(self) -> Rate:
        """Return how often the detector gave no answer."""
        return rate(self._silent, self._silent + len(self.scores))


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows of either kind of file as text."""
    if path.suffix not in {".ndjson", ".jsonl", ".json"}:
        yield from table_rows(path, {"score", "label"})
        return
    for number, row in enumerate(json_rows(path), 1):
        told = {name: "" if value is None else str(value) for name, value in row.items()}
        if not {"score", "label"} <= told.keys():
            raise UsageError(f"{called(path)}, row {number}: score and label are needed")
        yield told


def _is_bona_fide(label: str, where: str) -> bool:
    """Read what a presentation was."""
    word = label.strip().lower()
    if word in BONA_FIDE:
        return True
    if word in ATTACK:
        return False
    raise UsageError(f"{where}: {visible(label)!r} is no label", hint="write bona-fide or attack")


def _species(row: Mapping[str, str]) -> str:
    """Read the species of an attack."""
    return row.get("species", "").strip() or UNNAMED

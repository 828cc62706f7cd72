"""How often a search errs (ISO/IEC 19795-1): rank-k rates of a closed set, FPIR and FNIR of an open one.

A *mated* probe shows somebody who is enrolled, a *non-mated* one a stranger. A search answers with the people whose
score is at least the threshold, the most similar first.

* Rank-k identification rate, drawn over k as the CMC: the part of the mated probes whose own person is among the k most
  similar people, whatever the score.
* False positive identification rate (FPIR): the part of the non-mated probes to which anybody is returned.
* False negative identification rate (FNIR) at rank R: the part of the mated probes whose own person is not returned
  among the first R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FPIR_TARGETS = (1e-1, 1e-2, 1e-3)
"""The false positive identification rates at which reports state FNIR, loosest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """What searching a gallery gave, probe by probe.

    Attributes
    ----------
    own
        The score of each mated probe's own person, ``(mated,)``.
    rank
        The place of that person, 1 for the most similar, ``(mated,)``. People who score alike stand before him.
    best
        The score of the person most similar to each non-mated probe, ``(non_mated,)``.
    people
        How many people are enrolled.
    """

    own: Floats
    rank: Integers
    best: Floats
    people: int


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationCurve:
    """Error rates of a search at every threshold where one of them changes.

    Attributes
    ----------
    thresholds
        ``(k,)``, rising: the distinct scores, and last a threshold just above them all.
    fpir, fnir
        The rates at each, ``(k,)``. FNIR starts at the part of the mated probes whose person is not among the first.
    rank
        How many people a search returns at most.
    mated, non_mated
        How many probes stand behind them.
    """

    thresholds: Floats
    fpir: Floats
    fnir: Floats
    rank: int
    mated: int
    non_mated: int

    def at(self, threshold: float) -> tuple[float, float]:
        """Return FPIR and FNIR at any threshold."""
        import numpy as np

        index = int(np.searchsorted(self.thresholds, threshold, side="left"))
        return (0.0, 1.0) if index == len(self.thresholds) else (float(self.fpir[index]), float(self.fnir[index]))


def searches(scores: ArrayLike, own: ArrayLike) -> Searches:
    """Read off a matrix of scores how each search went.

    Parameters
    ----------
    scores
        Probes against enrolled people, ``(probes, people)``, higher is closer.
    own
        The index of each probe's own person, ``(probes,)``; -1 for a non-mated probe.
    """
    import numpy as np

    matrix, column = np.asarray(scores, np.float64), np.asarray(own, np.int64)
    mated = np.flatnonzero(column >= 0)
    mine = matrix[mated, column[mated]]
    return Searches(
        own=mine,
        rank=(matrix[mated] >= mine[:, None]).sum(axis=1).astype(np.int64),
        best=matrix[column < 0].max(axis=1, initial=-np.inf),
        people=matrix.shape[1],
    )


def joined(parts: list[Searches]) -> Searches:
    """Put the searches of several blocks of probes together.

    Raises
    ------
    UsageError
        There are none.
    """
    import numpy as np

    if not parts:
        raise UsageError("there is no search")
    return Searches(
        own=np.concatenate([part.own for part in parts]),
        rank=np.concatenate([part.rank for part in parts]),
        best=np.concatenate([part.best for part in parts]),
        people=parts[0].people,
    )


def cmc(found: Searches) -> Floats:
    """Return the rank-k identification rate for k = 1 to the number of people enrolled.

    Raises
    ------
    UsageError
        No probe is mated.
    """
    import numpy as np

    if not len(found.rank):
        raise UsageError("no probe shows anybody who is enrolled")
    rates: Floats = np.cumsum(np.bincount(found.rank, minlength=found.people + 1)[1:]) / len(found.rank)
    return rates


def identification_curve(found: Searches, *, rank: int = 1) -> IdentificationCurve:
    """Return FPIR and FNIR at every distinct score.

    Raises
    ------
    UsageError
        There are no mated or no non-mated probes.
    """
    import numpy as np

    if not len(found.own) or not len(found.best):
        raise UsageError("FPIR and FNIR need probes of enrolled people and of strangers")
    hits, others = np.sort(found.own[found.rank <= rank]), np.sort(found.best)
    distinct = np.union1d(hits, others)
    thresholds = np.append(distinct, np.nextafter(distinct[-1], np.inf))
    missed = len(found.own) - len(hits) + np.searchsorted(hits, thresholds, side="left")
    return IdentificationCurve(
        thresholds=thresholds,
        fpir=(len(others) - np.searchsorted(others, thresholds, side="left")) / len(others),
        fnir=missed / len(found.own),
        rank=rank,
        mated=len(found.own),
        non_mated=len(found.best),
    )


def fnir_at_fpir(curve: IdentificationCurve, fpir: float) -> tuple[float, float]:
    """Return FNIR where FPIR is at most ``fpir``, and the lowest threshold that keeps it."""
    import numpy as np

    index = int(np.argmax(curve.fpir <= fpir))
    return float(curve.fnir[index]), float(curve.thresholds[index])

"""How often a system errs at each threshold: DET and ROC, and what is read off them (ISO/IEC 19795-1).

A *mated* comparison is one of two samples of the same person, a *non-mated* one of two people's. Accept is
``score >= threshold``. The false match rate (FMR) is the part of the non-mated comparisons that are accepted, the false
non-match rate (FNMR) the part of the mated ones that are not; the true accept rate (TAR) of the machine learning
literature is 1 - FNMR. FMR falls and FNMR rises as the threshold rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""The false match rates at which reports state FNMR, loosest first."""
STEPS = 2**14
"""Bins of a summary for each unit of score. A power of two, so that every edge is an exact float, and the count of
scores that reach it is exact, too."""
REACH = 1.0
"""Scores of a summary lie in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """Error rates at every threshold where one of them changes.

    Attributes
    ----------
    thresholds
        ``(k,)``, rising: the distinct scores, and last a threshold just above them all.
    fmr, fnmr
        The rates at each, ``(k,)``. The first are 1 and 0, the last 0 and 1.
    mated, non_mated
        How many comparisons stand behind them.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats
    mated: int
    non_mated: int

    def at(self, threshold: float) -> tuple[float, float]:
        """Return FMR and FNMR at any threshold.

        Between two thresholds of the curve no rate changes, so those of the higher one hold.
        """
        import numpy as np

        index = int(np.searchsorted(self.thresholds, threshold, side="left"))
        return (0.0, 1.0) if index == len(self.thresholds) else (float(self.fmr[index]), float(self.fnmr[index]))


def det_curve(mated: ArrayLike, non_mated: ArrayLike) -> DetCurve:
    """Return the error rates at every distinct score.

    Parameters
    ----------
    mated, non_mated
        Scores, higher is closer; at least one of each, finite.

    Raises
    ------
    UsageError
        There are none of a kind, or one is not finite.
    """
    import numpy as np

    same, other = (np.sort(_scores(scores, kind)) for scores, kind in ((mated, "mated"), (non_mated, "non-mated")))
    distinct = np.union1d(same, other)
    thresholds = np.append(distinct, np.nextafter(distinct[-1], np.inf))
    return DetCurve(
        thresholds=thresholds,
        fmr=(len(other) - np.searchsorted(other, thresholds, side="left")) / len(other),
        fnmr=np.searchsorted(same, thresholds, side="left") / len(same),
        mated=len(same),
        non_mated=len(other),
    )


def thinned(curve: DetCurve, *, points: int = 1000) -> DetCurve:
    """Return a curve with about so many points: enough to draw it, also on logarithmic and on normal-deviate axes.

    Points are kept evenly along the logarithms of both rates; each that is kept is as exact as before.
    """
    import numpy as np

    if len(curve.thresholds) <= points:
        return curve
    smallest = 0.5 / max(curve.mated, curve.non_mated)
    last = len(curve.thresholds) - 1
    falling, rising = (np.log(np.maximum(rates, smallest)) for rates in (curve.fmr, curve.fnmr))
    kept = np.unique(
        np.concatenate([[0, last], last - _spaced(falling[::-1], points // 2), _spaced(rising, points // 2)])
    )
    return DetCurve(curve.thresholds[kept], curve.fmr[kept], curve.fnmr[kept], curve.mated, curve.non_mated)


def eer(curve: DetCurve) -> tuple[float, float]:
    """Return the equal error rate and a threshold there.

    The rate is where the straight lines between the curve's points cross FMR = FNMR; the threshold is the lowest of the
    curve's with FNMR >= FMR.
    """
    import numpy as np

    gap = curve.fnmr - curve.fmr
    index = int(np.argmax(gap >= 0))
    before, after = gap[index - 1], gap[index]
    part = before / (before - after)
    rate = curve.fnmr[index - 1] + part * (curve.fnmr[index] - curve.fnmr[index - 1])
    return float(rate), float(curve.thresholds[index])


def fnmr_at_fmr(curve: DetCurve, fmr: float) -> tuple[float, float]:
    """Return FNMR where FMR is at most ``fmr``, and the lowest threshold that keeps it.

    No interpolation: the threshold exists, and the rate was observed there.
    """
    import numpy as np

    index = int(np.argmax(curve.fmr <= fmr))
    return float(curve.fnmr[index]), float(curve.thresholds[index])


def d_prime(mated: ArrayLike, non_mated: ArrayLike) -> float:
    """Return the distance of the means in units of their common spread (decidability; Daugman 2000).

    ``(mean_mated - mean_non_mated) / sqrt((var_mated + var_non_mated) / 2)``, with variances over n. NaN where neither
    kind varies.
    """
    import numpy as np

    same, other = _scores(mated, "mated"), _scores(non_mated, "non-mated")
    return _d_prime(float(np.mean(same)), float(np.var(same)), float(np.mean(other)), float(np.var(other)))


@dataclass(frozen=True, slots=True)
class Folds:
    """Accuracy by cross-validation: each fold is judged at the threshold that was best on all others.

    Attributes
    ----------
    accuracies, thresholds
        Of each fold, in order.
    correct, trials
        Comparisons decided rightly, over all folds.
    """

    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    correct: int
    trials: int

    @property
    def mean(self) -> float:
        """The mean over folds, as LFW reports it."""
        return math.fsum(self.accuracies) / len(self.accuracies)

    @property
    def standard_error(self) -> float:
        """Of that mean: the folds' standard deviation over the root of their number. Two folds say little about it."""
        spread = math.fsum((a - self.mean) ** 2 for a in self.accuracies) / (len(self.accuracies) - 1)
        return math.sqrt(spread / len(self.accuracies))


def accuracy_10_fold(scores: ArrayLike, labels: ArrayLike, folds: Sequence[int] | Integers) -> Folds:
    """Return the accuracy as LFW's View 2 has it, whatever the number of folds (Huang et al. 2007).

    Parameters
    ----------
    scores
        ``(n,)``, higher is closer.
    labels
        ``(n,)``, true for mated.
    folds
        ``(n,)``, which fold each comparison belongs to; at least two.

    Raises
    ------
    UsageError
        Fewer than two folds.
    """
    import numpy as np

    values, same, fold = np.asarray(scores, np.float64), np.asarray(labels, bool), np.asarray(folds, np.int64)
    names = np.unique(fold)
    if len(names) < 2:
        raise UsageError(f"accuracy by folds needs at least two folds, not {len(names)}")
    thresholds = [best_threshold(values[fold != name], same[fold != name]) for name in names]
    right = [
        (values[fold == name] >= threshold) == same[fold == name]
        for name, threshold in zip(names, thresholds, strict=True)
    ]
    return Folds(
        accuracies=tuple(float(one.mean()) for one in right),
        thresholds=tuple(thresholds),
        correct=int(sum(one.sum() for one in right)),
        trials=len(values),
    )


def best_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the threshold that decides most comparisons rightly.

    It lies half-way between two neighbouring scores; of several that are equally good, the one in the middle.
    """
    import numpy as np

    values, same = np.asarray(scores, np.float64), np.asarray(labels, bool)
    distinct, place = np.unique(values, return_inverse=True)
    mated = np.bincount(place, weights=same, minlength=len(distinct))
    other = np.bincount(place, weights=~same, minlength=len(distinct))
    right = np.append(0, np.cumsum(other)) + np.append(np.cumsum(mated[::-1])[::-1], 0)
    middles = (distinct[:-1] + distinct[1:]) / 2
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])  # neighbouring floats have no middle
    between = np.concatenate([distinct[:1] - 1, middles, distinct[-1:] + 1])
    best = np.flatnonzero(right == right.max())
    return float(between[best[len(best) // 2]])


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Scores counted in bins of one width.

    Attributes
    ----------
    edges
        ``(bins + 1,)``, rising; a bin holds its lower edge, and the last one both.
    mated, non_mated
        ``(bins,)``.
    """

    edges: Floats
    mated: Integers
    non_mated: Integers


def histogram(mated: ArrayLike, non_mated: ArrayLike, *, bins: int = 100) -> Histogram:
    """Count scores in bins over their common range."""
    import numpy as np

    same, other = _scores(mated, "mated"), _scores(non_mated, "non-mated")
    edges = np.histogram_bin_edges(np.concatenate([same, other]), bins=bins)
    counts = (np.histogram(scores, edges)[0].astype(np.int64) for scores in (same, other))
    return Histogram(edges, *counts)


class ScoreSummary:
    """Millions of cosines, of which only counts in 32,768 bins are kept: rates at the edges are exact nevertheless.

    >>> summary = ScoreSummary()
    >>> summary.add([0.7, 0.8], mated=True)
    >>> summary.add([0.1, 0.2, 0.3], mated=False)
    >>> summary.curve().at(0.5)
    (0.0, 0.0)
    """

    __slots__ = ("_counts", "_squares", "_sums")

    def __init__(self) -> None:
        import numpy as np

        self._counts = np.zeros((2, int(2 * REACH * STEPS) + 1), np.int64)
        self._sums = np.zeros(2)
        self._squares = np.zeros(2)

    @property
    def mated(self) -> int:
        """How many mated scores were added."""
        return int(self._counts[1].sum())

    @property
    def non_mated(self) -> int:
        """How many non-mated scores were added."""
        return int(self._counts[0].sum())

    def add(self, scores: ArrayLike, *, mated: bool) -> None:
        """Count scores of one kind; those that rounding carried past -1 or 1 count as -1 or 1."""
        import numpy as np

        values = np.asarray(scores, np.float64).ravel()
        if not len(values):
            return
        if not np.isfinite(values).all():
            raise UsageError("a score is not finite")
        bins = np.floor(np.clip(values, -REACH, REACH) * STEPS).astype(np.int64) + int(REACH * STEPS)
        kind = int(mated)
        self._counts[kind] += np.bincount(bins, minlength=self._counts.shape[1])
        self._sums[kind] += values.sum()
        self._squares[kind] += values @ values

    def curve(self) -> DetCurve:
        """Return the rates at every edge where one of them changes, each exact.

        Raises
        ------
        UsageError
            No score of a kind was added.
        """
        import numpy as np

        for kind, count in (("mated", self.mated), ("non-mated", self.non_mated)):
            if not count:
                raise UsageError(f"there is no {kind} comparison")
        used = np.flatnonzero(self._counts.any(axis=0))
        edges = np.append(used, used[-1] + 1)
        below = np.concatenate([np.zeros((2, 1), np.int64), np.cumsum(self._counts, axis=1)], axis=1)[:, edges]
        return DetCurve(
            thresholds=edges / STEPS - REACH,
            fmr=(self.non_mated - below[0]) / self.non_mated,
            fnmr=below[1] / self.mated,
            mated=self.mated,
            non_mated=self.non_mated,
        )

    def d_prime(self) -> float:
        """Return what :func:`d_prime` gives for all scores."""
        totals = self._counts.sum(axis=1)
        means = self._sums / totals
        variances = (self._squares / totals - means**2).clip(0)
        return _d_prime(float(means[1]), float(variances[1]), float(means[0]), float(variances[0]))

    def histogram(self, *, bins: int = 128) -> Histogram:
        """Return the counts in about so many coarser bins over the range that was used."""
        import numpy as np

        used = np.flatnonzero(self._counts.any(axis=0))
        width = max(1, math.ceil((used[-1] + 1 - used[0]) / bins))
        starts = np.arange(used[0], used[-1] + 1, width)
        coarse = np.add.reduceat(self._counts[:, : used[-1] + 1], starts, axis=1)
        edges = np.append(starts, starts[-1] + width) / STEPS - REACH
        return Histogram(edges, coarse[1], coarse[0])


def _spaced(rising: Floats, count: int) -> Integers:
    """Return indices at which values that rise are about evenly spaced."""
    import numpy as np

    places = np.searchsorted(rising, np.linspace(rising[0], rising[-1], count))
    spaced: Integers = np.minimum(places, len(rising) - 1).astype(np.int64)
    return spaced


def _d_prime(mean: float, variance: float, other_mean: float, other_variance: float) -> float:
    """Return the distance of two means in units of the root mean square of their standard deviations."""
    spread = math.sqrt((variance + other_variance) / 2)
    return (mean - other_mean) / spread if spread > 0 else math.nan


def _scores(scores: ArrayLike, kind: str) -> Floats:
    """Return scores as an array, once they are shown to be some."""
    import numpy as np

    values = np.asarray(scores, np.float64).ravel()
    if not len(values):
        raise UsageError(f"there is no {kind} comparison")
    if not np.isfinite(values).all():
        raise UsageError(f"a {kind} score is not finite")
    return values

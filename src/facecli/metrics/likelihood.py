"""How much a score weighs as evidence: calibrated likelihood ratios, and what they cost (Cllr).

The likelihood ratio (LR) of a score is how many times likelier it is of one person than of two. It weighs one
comparison whatever one believed before; a decision threshold, by contrast, has a belief and costs built in. Two ways to
calibrate:

- a straight line in the score, fitted by logistic regression with both kinds of comparison weighing the same (Brümmer
  and du Preez 2006): few parameters, so few people suffice;
- PAV, the best rising step function (Zadrozny and Elkan 2002): what no calibration of the same scores can beat, and
  therefore the yardstick (``min Cllr``), but overfitted to its own data.

All LRs here are log10. A line can be read beyond the data; what it says there is held within what so many people can
show (:func:`bounds`). Normalising scores by a cohort (Z-, T- and S-norm) is here, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evidence import EvidenceWeight

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from facecli.types import Vectors

    Floats = NDArray[np.float64]

STEPS = 100
"""Newton steps at most; a dozen are usual."""
RIDGE = 1e-6
"""A trace of a penalty on the slope, so that scores that two kinds never share have a finite line."""


# --- likelihood ratios -----------------------------------------------------------------------------------------------


def cllr(mated: ArrayLike, non_mated: ArrayLike, *, weights: tuple[ArrayLike, ArrayLike] | None = None) -> float:
    """Return the cost of log-likelihood ratios, in bits (Brümmer and du Preez 2006).

    ``(mean log2(1 + 1/LR) over mated + mean log2(1 + LR) over non-mated) / 2``: 0 is perfect, 1 knows nothing, more
    than 1 misleads.

    Parameters
    ----------
    mated, non_mated
        log10 LRs; at least one of each. Infinite ones are allowed where they are right.
    weights
        What each comparison counts; by default all the same.
    """
    import numpy as np

    same, other = (np.asarray(values, np.float64) * math.log(10) for values in (mated, non_mated))
    costs = np.logaddexp(0, -same), np.logaddexp(0, other)
    own = (None, None) if weights is None else tuple(np.asarray(w, np.float64) for w in weights)
    means = [np.average(cost, weights=weight) for cost, weight in zip(costs, own, strict=True)]
    return float(sum(means)) / 2 / math.log(2)


def min_cllr(mated: ArrayLike, non_mated: ArrayLike) -> float:
    """Return the Cllr that scores would have if they were calibrated as well as can be: by PAV, on themselves."""
    same, other = pav(mated, non_mated)
    return cllr(same, other)


def pav(mated: ArrayLike, non_mated: ArrayLike) -> tuple[Floats, Floats]:
    """Return the log10 LR of each score by the pool-adjacent-violators algorithm; -inf and inf at the ends are usual.

    Both kinds weigh the same in all, whatever their numbers.
    """
    import numpy as np

    same, other = np.asarray(mated, np.float64), np.asarray(non_mated, np.float64)
    scores = np.concatenate([same, other])
    distinct, place = np.unique(scores, return_inverse=True)
    shares = [
        np.bincount(where, minlength=len(distinct)) / len(where) for where in (place[: len(same)], place[len(same) :])
    ]
    total = shares[0] + shares[1]
    posterior = _isotonic(shares[0] / total, total)
    with np.errstate(divide="ignore"):
        ratios = np.log10(posterior) - np.log10(1 - posterior)
    return ratios[place[: len(same)]], ratios[place[len(same) :]]


def _isotonic(values: Floats, weights: Floats) -> Floats:
    """Return the closest values that never fall, by weighted squares: pool neighbours that do until none does."""
    import numpy as np

    means: list[float] = []
    masses: list[float] = []
    counts: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        means.append(value)
        masses.append(weight)
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mass = masses[-2] + masses[-1]
            means[-2:] = [(means[-2] * masses[-2] + means[-1] * masses[-1]) / mass]
            masses[-2:] = [mass]
            counts[-2:] = [counts[-2] + counts[-1]]
    return np.repeat(np.clip(means, 0, 1), counts)


@dataclass(frozen=True, slots=True, eq=False)
class WeightedScores:
    """Scores, each with what it counts: so that the most photographed people don't rule.

    Attributes
    ----------
    score, weight
        ``(n,)``; weights positive.
    """

    score: Floats
    weight: Floats


def fit_line(mated: WeightedScores, non_mated: WeightedScores) -> tuple[float, float]:
    """Return slope and intercept of ``log10 LR`` as a straight line in the score, by logistic regression.

    Each kind weighs one half in all, so that the odds are the likelihood ratio. The slope is never negative: then the
    scores say nothing, and the line is flat.

    Raises
    ------
    UsageError
        A kind is missing, or all scores are one.
    """
    import numpy as np

    if not len(mated.score) or not len(non_mated.score):
        raise UsageError("likelihood ratios need mated and non-mated comparisons")
    score = np.concatenate([mated.score, non_mated.score])
    weight = np.concatenate([kind.weight / kind.weight.sum() / 2 for kind in (mated, non_mated)])
    label = np.repeat([1.0, 0.0], [len(mated.score), len(non_mated.score)])
    centre, spread = float(weight @ score), float(np.sqrt(weight @ (score - weight @ score) ** 2))
    if not spread > 0:
        raise UsageError("likelihood ratios need scores that differ")
    slope, intercept = _logistic((score - centre) / spread, label, weight)
    if slope <= 0:
        return 0.0, 0.0
    return slope / spread / math.log(10), (intercept - slope * centre / spread) / math.log(10)


def _logistic(score: Floats, label: Floats, weight: Floats) -> tuple[float, float]:
    """Minimise the weighted logistic loss by Newton's method with step halving; return slope and intercept."""
    import numpy as np

    design = np.stack([score, np.ones_like(score)], axis=1)
    penalty = np.array([RIDGE, 0.0])

    def loss(line: Floats) -> float:
        margin = design @ line * (2 * label - 1)
        return float(weight @ np.logaddexp(0, -margin) + penalty @ line**2 / 2)

    line = np.zeros(2)
    for _ in range(STEPS):
        odds = 0.5 * (1 + np.tanh(design @ line / 2))
        gradient = design.T @ (weight * (odds - label)) + penalty * line
        curvature = (design * (weight * odds * (1 - odds))[:, None]).T @ design + np.diag(penalty)
        step, size = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient), 1.0
        while size > 1e-8 and loss(line - size * step) > loss(line):
            size /= 2
        line = line - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])


def bounds(mated_people: int, pairs_of_people: int) -> tuple[float, float]:
    """Return the least and greatest log10 LR that so many people can show.

    By the rule of 3, no error in n independent trials leaves a rate of up to 3/n. So of a score that no two people ever
    reached, their rate may still be 3 over the pairs of people: the LR is at most their number over 3; and it is at
    least 3 over the number of people with mated comparisons. (In the spirit of empirical bounds: Vergeer et al. 2016.)
    """
    return -math.log10(max(mated_people, 3) / 3), math.log10(max(pairs_of_people, 3) / 3)


def evidence_weight(
    mated: WeightedScores, non_mated: WeightedScores, *, mated_people: int, pairs_of_people: int
) -> EvidenceWeight:
    """Fit the line, and hold it within what the people can show.

    Raises
    ------
    UsageError
        As :func:`fit_line`.
    """
    return EvidenceWeight(*fit_line(mated, non_mated), *bounds(mated_people, pairs_of_people))


# --- normalisation by a cohort ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class CohortNorm:
    """Scores measured in standard deviations from what each template scores against strangers.

    Attributes
    ----------
    mean, spread
        Of each template's scores against its cohort, ``(n,)``.
    """

    mean: Floats
    spread: Floats

    def z(self, score: ArrayLike, reference: ArrayLike) -> Floats:
        """Normalise by the enrolled side (Z-norm: Reynolds 1997); ``reference`` are indices of templates."""
        return self._against(score, reference)

    def t(self, score: ArrayLike, probe: ArrayLike) -> Floats:
        """Normalise by the probe's side (T-norm: Auckenthaler, Carey and Lloyd-Thomas 2000)."""
        return self._against(score, probe)

    def s(self, score: ArrayLike, one: ArrayLike, other: ArrayLike) -> Floats:
        """Normalise by both sides, symmetrically (S-norm: Kenny 2010): the mean of Z- and T-norm."""
        return (self._against(score, one) + self._against(score, other)) / 2

    def _against(self, score: ArrayLike, side: ArrayLike) -> Floats:
        import numpy as np

        index = np.asarray(side, np.int64)
        result: Floats = (np.asarray(score, np.float64) - self.mean[index]) / self.spread[index]
        return result


def cohort_norm(vectors: Vectors, cohort: Vectors, *, top: int | None = None) -> CohortNorm:
    """Score templates against a cohort of other people.

    Parameters
    ----------
    vectors, cohort
        Templates of unit length, ``(n, dimension)`` and ``(m, dimension)``; m at least 2. The cohort must hold none of
        the people who are compared.
    top
        Use only so many of the cohort, those most similar to each template (adaptive S-norm: Matějka et al. 2017).

    Raises
    ------
    UsageError
        The cohort is too small, or of one face only.
    """
    import numpy as np

    kept = len(cohort) if top is None else min(top, len(cohort))
    if kept < 2:
        raise UsageError("score normalisation needs a cohort of at least two people")
    scores = vectors.astype(np.float64) @ cohort.astype(np.float64).T
    if kept < len(cohort):
        scores = np.partition(scores, len(cohort) - kept, axis=1)[:, -kept:]
    mean, spread = scores.mean(axis=1), scores.std(axis=1)
    if not (spread > 0).all():
        raise UsageError("score normalisation needs a cohort of different faces")
    return CohortNorm(mean, spread)

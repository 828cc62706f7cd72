"""Choosing thresholds from labelled faces so that they keep their promise on people nobody has seen.

A quantile of all non-mated scores does not: the pairs are no independent trials (one person stands in thousands of
them), and somebody with a hundred photographs counts a hundred times. So a threshold is chosen here as follows.

1. Every pair of *people* weighs the same. With ``w_ij(t)`` the fraction of the image pairs of persons i and j whose
   score is >= t, ``FMR(t) = sum_{i<j} w_ij(t) / (number of pairs of people)``.
2. People, not pairs, are drawn again (bootstrap): round b draws as many people as there are, with replacement; person
   i is drawn ``c_i`` times, and ``FMR_b(t) = sum_{i<j} c_i c_j w_ij(t) / sum_{i<j} c_i c_j``. A person is never paired
   with a copy of himself: such a pair would be mated (the subsets bootstrap: Bolle, Ratha and Pankanti 2004).
3. The threshold for a target is the smallest t that keeps ``FMR_b(t) <= safety * target`` in 95 % of the rounds, and
   this by every unit asked for: by pairs of people, and where ``units`` says so by pairs of images too. It is the 95th
   percentile of the rounds' own smallest thresholds, because FMR_b falls as t rises.

The computation is exact over all pairs of images above a low floor; below it no pair can matter, and were the floor
too high the threshold would be too strict, never too loose. It needs numpy alone, reads nothing and prints nothing.

A target is refused where the data are too few for it: at half the target at least 30 errors must be expected among the
pairs of people (the rule of 30: Doddington et al. 2000). 1,156 people reach 1e-4 (33 pairs) and not 1e-5 (3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.errors import UnsupportedPointError, UsageError
from facecli.manifest import MeasuredPoint
from facecli.metrics.intervals import (
    BLOCK_CELLS,
    RULE_OF_30,
    Resampling,
    of_all_pairs,
    of_people,
    people_bootstrap,
    quotient,
    resampled,
)
from facecli.metrics.pairs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.types import Vectors

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

DECIMALS = 4
"""Thresholds are rounded up to so many: a manifest is read by people."""
FLOOR_SAMPLE = 400_000


class Unit(StrEnum):
    """What counts once in an error rate."""

    PEOPLE = "people"
    """A pair of people, however many photographs they have."""
    IMAGES = "images"
    """A pair of photographs; the most photographed people rule."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """How thresholds are chosen.

    Attributes
    ----------
    rounds
        Bootstrap rounds, at least 1.
    confidence
        Fraction of the rounds that must keep the target, in (0, 1).
    safety
        Part of the target that the rounds must keep, in (0, 1].
    units
        The threshold is the strictest over these.
    seed
        Of the random draws; the same seed and data give the same thresholds.
    """

    rounds: int = 2000
    confidence: float = 0.95
    safety: float = 0.5
    units: tuple[Unit, ...] = (Unit.PEOPLE,)
    seed: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 < self.confidence < 1 or not 0 < self.safety <= 1 or not self.units:
            raise UsageError(f"{self} is no procedure: rounds >= 1, 0 < confidence < 1, 0 < safety <= 1, a unit")


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Every mated comparison of a set of faces, and every non-mated one whose score reaches ``floor``.

    Attributes
    ----------
    images
        Photographs of each person, ``(people,)``.
    mated, mated_person
        Scores of all pairs of photographs of one person, and whose they are.
    scores
        Non-mated scores >= ``floor``, highest first.
    first, second
        The two people of each of these scores, as indices into ``images``.
    floor
        The score below which non-mated comparisons were not kept.
    """

    images: Integers
    mated: Floats
    mated_person: Integers
    scores: Floats
    first: Integers
    second: Integers
    floor: float

    @property
    def people(self) -> int:
        """How many people."""
        return len(self.images)

    def sizes(self, unit: Unit) -> Floats:
        """Return how often each person counts when the unit's pairs are formed, ``(people,)``."""
        import numpy as np

        return np.ones(self.people) if unit is Unit.PEOPLE else self.images.astype(np.float64)

    def pairs(self, unit: Unit) -> int:
        """Return how many non-mated pairs there are, those below the floor included."""
        sizes = self.sizes(unit)
        return int((sizes.sum() ** 2 - (sizes**2).sum()) / 2)

    def fmr(self, threshold: float, unit: Unit) -> float:
        """Return the false match rate at a threshold: the part of the unit's non-mated pairs whose score reaches it.

        Raises
        ------
        UsageError
            The threshold lies below the floor.
        """
        if threshold < self.floor:
            raise UsageError(f"no rate is known at {threshold}: comparisons below {self.floor} were not kept")
        return float(self.weights(unit)[: self._reaching(threshold)].sum()) / self.pairs(unit)

    def fnmr(self, threshold: float, unit: Unit = Unit.IMAGES) -> float:
        """Return the false non-match rate at a threshold: the part of the mated comparisons that stay below it.

        By people it is the mean of the people's own rates, over those with several photographs. NaN where nobody has.
        """
        if not len(self.mated):
            return math.nan
        missed, pairs = self.mated_counts(threshold)
        seen = pairs > 0
        return float(missed.sum() / pairs.sum() if unit is Unit.IMAGES else (missed[seen] / pairs[seen]).mean())

    def mated_counts(self, threshold: float) -> tuple[Floats, Floats]:
        """Return how many of each person's mated comparisons stay below a threshold, and how many there are."""
        import numpy as np

        below = self.mated_person[self.mated < threshold]
        missed, pairs = (
            np.bincount(who, minlength=self.people).astype(np.float64) for who in (below, self.mated_person)
        )
        return missed, pairs

    def weights(self, unit: Unit) -> Floats:
        """Return what each kept non-mated score counts; over all scores of two people it is 1 by people."""
        per_image = self.sizes(unit) / self.images
        weights: Floats = per_image[self.first] * per_image[self.second]
        return weights

    def only(self, chosen: NDArray[np.bool_]) -> Comparisons:
        """Return the comparisons among some of the people, ``(people,)`` true for each who stays."""
        import numpy as np

        index = np.cumsum(chosen) - 1
        mated, other = chosen[self.mated_person], chosen[self.first] & chosen[self.second]
        return Comparisons(
            images=self.images[chosen],
            mated=self.mated[mated],
            mated_person=index[self.mated_person[mated]],
            scores=self.scores[other],
            first=index[self.first[other]],
            second=index[self.second[other]],
            floor=self.floor,
        )

    def _reaching(self, threshold: float) -> int:
        """Return how many kept non-mated scores reach a threshold."""
        import numpy as np

        return int(np.searchsorted(-self.scores, -threshold, side="right"))


def compare_all(vectors: Vectors, people: Sequence[str], *, loosest: float = 0.01, seed: int = 1) -> Comparisons:
    """Compare every photograph with every other one.

    Parameters
    ----------
    vectors
        Templates of unit length, ``(images, dimension)``, finite.
    people
        Whose each one is, ``(images,)``.
    loosest
        The loosest FMR that will be asked for; non-mated scores are kept down to about three times that rate.
    seed
        Of the sample of pairs that the floor is estimated on.

    Raises
    ------
    UsageError
        Fewer than two people, or vectors that are not finite or don't fit the names.
    """
    import numpy as np

    if len(vectors) != len(people) or not np.isfinite(vectors).all():
        raise UsageError(f"{len(vectors)} templates of {len(people)} names: each needs one finite template")
    names, person, images = np.unique(np.asarray(people), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise UsageError("non-mated comparisons need at least two people")
    order = np.argsort(person, kind="stable")
    exact, owner = vectors[order].astype(np.float64), person[order]
    floor = _floor(exact, images, loosest=loosest, seed=seed)
    mated, other = _collect(exact, owner, floor)
    other = other[np.argsort(-other["score"], kind="stable")]
    return Comparisons(
        images=images,
        mated=mated["score"],
        mated_person=mated["first"],
        scores=other["score"],
        first=other["first"],
        second=other["second"],
        floor=floor,
    )


def choose(comparisons: Comparisons, targets: Sequence[float], procedure: Procedure) -> list[float]:
    """Return the threshold for each target FMR, rounded up to ``DECIMALS``; see the module's docstring.

    Raises
    ------
    UsageError
        A target is no rate.
    UnsupportedPointError
        The people are too few for a target.
    """
    for target in targets:
        require_support(comparisons, target, procedure)
    return choose_unchecked(comparisons, targets, procedure)


def choose_unchecked(comparisons: Comparisons, targets: Sequence[float], procedure: Procedure) -> list[float]:
    """Do what :func:`choose` does, on however few people: for studies of the procedure itself."""
    import numpy as np

    budgets = procedure.safety * np.asarray(targets, dtype=np.float64)
    rank = math.ceil(procedure.confidence * procedure.rounds) - 1
    strictest = np.max(
        [np.sort(_round_thresholds(comparisons, budgets, unit, procedure), axis=0)[rank] for unit in procedure.units],
        axis=0,
    )
    return [_rounded_up(threshold) for threshold in strictest.tolist()]


def measure(comparisons: Comparisons, targets: Sequence[float], procedure: Procedure) -> tuple[MeasuredPoint, ...]:
    """Choose a threshold for each target and state what the data show there, loosest target first.

    Raises
    ------
    UsageError, UnsupportedPointError
        As :func:`choose`.
    """
    targets = sorted(targets, reverse=True)
    return tuple(
        MeasuredPoint(
            fmr=target,
            threshold=threshold,
            fmr_bound=fmr_bound(comparisons, threshold, Unit.PEOPLE, procedure),
            fmr_people_pairs=comparisons.fmr(threshold, Unit.PEOPLE),
            fmr_image_pairs=comparisons.fmr(threshold, Unit.IMAGES),
            fnmr=comparisons.fnmr(threshold),
        )
        for target, threshold in zip(targets, choose(comparisons, targets, procedure), strict=True)
    )


def fmr_bound(comparisons: Comparisons, threshold: float, unit: Unit, procedure: Procedure) -> float:
    """Return the one-sided upper bound of the FMR at a threshold, by the bootstrap over people."""
    import numpy as np

    kept = comparisons.scores >= threshold
    weights = comparisons.weights(unit)[kept]
    first, second = comparisons.first[kept], comparisons.second[kept]
    pairs = of_all_pairs(comparisons.sizes(unit))
    rates = np.empty(procedure.rounds)
    for rows, counts in _draws(comparisons, procedure):
        drawn = pairs(counts)
        errors = (counts[:, first] * counts[:, second]) @ weights
        rates[rows] = np.divide(errors, drawn, out=np.zeros(len(drawn)), where=drawn > 0)
    return float(np.quantile(rates, procedure.confidence, method="higher"))


def fnmr_interval(comparisons: Comparisons, threshold: float, procedure: Procedure) -> tuple[float, float]:
    """Return the two-sided interval (same confidence) of the FNMR by images, by the bootstrap over people."""
    missed, pairs = comparisons.mated_counts(threshold)
    resampling = Resampling(procedure.rounds, procedure.confidence, procedure.seed)
    return people_bootstrap(quotient(of_people(missed), of_people(pairs)), comparisons.people, resampling)


def halves(people: int, splits: int, *, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield random halves of the people, ``(people,)`` true for one half: identity-disjoint splits."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for _ in range(splits):
        chosen = np.zeros(people, dtype=bool)
        chosen[generator.permutation(people)[: people // 2]] = True
        yield chosen


def require_support(comparisons: Comparisons, target: float, procedure: Procedure) -> None:
    """Refuse a target that these people can't support.

    Raises
    ------
    UsageError
        It is no rate.
    UnsupportedPointError
        The people are too few for it; the hint says how many it takes, and what these support.
    """
    if not 0 < target < 1:
        raise UsageError(f"{target:g} is no error rate: it must lie between 0 and 1, both excluded")
    expected = procedure.safety * target * comparisons.pairs(Unit.PEOPLE)
    if expected < RULE_OF_30:
        raise UnsupportedPointError(
            f"{comparisons.people:,} people can't support FMR {target:g}: at {procedure.safety:g} of it only "
            f"{expected:.2g} of their {comparisons.pairs(Unit.PEOPLE):,} pairs would be errors, and a rate worth "
            f"stating needs {RULE_OF_30}",
            hint=f"measure on {people_for(target, procedure):,} people or more, or ask for FMR "
            f"{_loosest(expected, target)} or looser",
        )


def people_for(target: float, procedure: Procedure) -> int:
    """Return how many people a target takes: 30 errors expected among their pairs at the part that must be kept."""
    pairs = RULE_OF_30 / (procedure.safety * target)
    return math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2)


def _loosest(expected: float, target: float) -> str:
    """Return the strictest rate that the people do support, rounded up to two digits."""
    rate = target * RULE_OF_30 / expected if expected else math.inf
    if rate >= 1:
        return "of nothing at all"
    scale = 10.0 ** (1 - math.floor(math.log10(rate)))
    return f"{math.ceil(rate * scale) / scale:g}"


def _rounded_up(threshold: float) -> float:
    """Round to ``DECIMALS``, never below the threshold itself."""
    scale = 10.0**DECIMALS
    rounded = math.ceil(threshold * scale) / scale
    return rounded if rounded >= threshold else (math.ceil(threshold * scale) + 1) / scale


def _floor(vectors: Floats, images: Integers, *, loosest: float, seed: int) -> float:
    """Estimate the score that about three times the loosest rate of pairs of people reach; vectors lie by person."""
    import numpy as np

    generator = np.random.default_rng(seed)
    start = np.cumsum(images) - images
    first = generator.integers(len(images), size=FLOOR_SAMPLE)
    second = (first + generator.integers(1, len(images), size=FLOOR_SAMPLE)) % len(images)
    left, right = (start[who] + generator.integers(images[who]) for who in (first, second))
    scores = np.concatenate(
        [np.einsum("ij,ij->i", vectors[i], vectors[j]) for i, j in zip(_parts(left), _parts(right), strict=True)]
    )
    return float(np.quantile(scores, max(0.0, 1 - 3 * loosest)))


def _parts(indices: Integers) -> list[Integers]:
    """Cut indices so that the vectors they fetch stay small."""
    import numpy as np

    return np.array_split(indices, 20)


def _collect(vectors: Floats, owner: Integers, floor: float) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return (mated, non-mated from ``floor``) comparisons as records of score, first and second person."""
    import numpy as np

    kind = np.dtype([("score", np.float64), ("first", np.int64), ("second", np.int64)])
    mated: list[NDArray[np.void]] = []
    other: list[NDArray[np.void]] = []
    for piece in blocks(vectors, cells=BLOCK_CELLS):
        top, scores, upper = piece.top, piece.scores, piece.upper
        same = owner[top : top + len(scores), None] == owner[None, top:]
        for kept, records in ((same & upper, mated), (~same & upper & (scores >= floor), other)):
            row, column = np.nonzero(kept)
            block = np.empty(len(row), dtype=kind)
            block["score"], block["first"], block["second"] = scores[kept], owner[top + row], owner[top + column]
            records.append(block)
    return np.concatenate(mated), np.concatenate(other)


def _round_thresholds(comparisons: Comparisons, budgets: Floats, unit: Unit, procedure: Procedure) -> Floats:
    """Return each round's smallest threshold for each budget, ``(rounds, budgets)``: just above the score too many."""
    import numpy as np

    weights, pairs = comparisons.weights(unit), of_all_pairs(comparisons.sizes(unit))
    just_above = np.append(np.nextafter(comparisons.scores, np.inf), comparisons.floor)
    thresholds = np.empty((procedure.rounds, len(budgets)))
    for rows, counts in _draws(comparisons, procedure):
        errors = counts[:, comparisons.first]
        errors *= counts[:, comparisons.second]
        errors *= weights
        np.cumsum(errors, axis=1, out=errors)
        allowed = pairs(counts)[:, None] * budgets
        for row, line, limits in zip(rows, errors, allowed, strict=True):
            thresholds[row] = just_above[np.searchsorted(line, limits, side="right")]
    return thresholds


def _draws(comparisons: Comparisons, procedure: Procedure) -> Iterator[tuple[range, Floats]]:
    """Draw people again, in so many rounds at a time that a cell for each kept score fits in memory."""
    return resampled(comparisons.people, procedure.rounds, seed=procedure.seed, cells=len(comparisons.scores))

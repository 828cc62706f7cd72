"""Whether a system errs equally often for everyone: error rates by group at *one* threshold (ISO/IEC 19795-10).

A group is any label of a photograph: a gender, an age band, a camera, a skin tone; several labels make one group. The
false match rate (FMR) of a group counts comparisons of two of *its* people; those of two groups' people are counted
apart, since impostors need not be of one's own group. The false non-match rate (FNMR) counts a person's comparisons of
two photographs of one group. All rates are taken at the threshold that is deployed: a threshold for each group would
hide the difference that its people meet.

Differences are summed up in four figures, none of which says all:

- max/min and max/geometric mean of the rates (Grother, NISTIR 8429, 2022). The geometric mean, unlike the minimum, does
  not hang on the luckiest group.
- GARBE, the Gini aggregation rate for biometric equitability (Howard, Laird, Rubin, Sirotin, Tipton and Vemury 2022,
  arXiv:2203.05051): 0 is equal.
- FDR, the fairness discrepancy rate (de Freitas Pereira and Marcel 2021, IEEE T-BIOM 4(1)): 1 is equal. It adds
  differences of rates, not their ratios, so at a strict threshold it speaks of FNMR alone.

People are drawn again for every interval. Few errors make large ratios by themselves, so each spread is also compared
with what it would be if the labels were dealt to the people at random (a permutation test).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.metrics import inequity
from facecli.metrics.grouped import pairs_of_groups
from facecli.metrics.intervals import (
    BLOCK_CELLS,
    RULE_OF_30,
    Rate,
    Resampling,
    of_pairs,
    of_people,
    rate,
    resampled,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from facecli.metrics.grouped import Cell, GroupedComparisons
    from facecli.metrics.intervals import Total

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

LEAST_PEOPLE = 10
"""Of a smaller group only counts are told; our own choice: ten people are 45 pairs, and no rate."""


@dataclass(frozen=True, slots=True)
class GroupRates:
    """One group at the deployed threshold.

    Attributes
    ----------
    name
        Of the group.
    people, images
        With a template.
    fmr, fnmr
        Of comparisons within the group.
    mated_shift, non_mated_shift
        Mean score within the group less the mean over all groups' comparisons of that kind (each comparison counts
        once); None where there are none. A positive shift of non-mated scores makes false matches likelier.
    threshold, threshold_bound
        The lowest threshold at which the group's own FMR meets the target, and its one-sided 95 % upper bound by the
        bootstrap over people. None where not even one false match would be
        expected among its pairs of people at the target: then the data say nothing of that threshold.
    supported
        Whether the group's people could show the target at all: 30 false matches expected among its pairs of people.
    counted
        Whether it has enough people (``LEAST_PEOPLE``) to take part in the figures that compare groups.
    """

    name: str
    people: int
    images: int
    fmr: Rate
    fnmr: Rate
    mated_shift: float | None
    non_mated_shift: float | None
    threshold: float | None
    threshold_bound: float | None
    supported: bool
    counted: bool


@dataclass(frozen=True, slots=True)
class CrossRate:
    """Impostors of one group against people of another: the false match rate at the deployed threshold."""

    first: str
    second: str
    fmr: Rate


@dataclass(frozen=True, slots=True)
class Figure:
    """One number for the differences between groups.

    Attributes
    ----------
    value
        None where it is undefined: a ratio to a group without errors.
    low, high
        95 % interval by the bootstrap over people, of the rounds in which it is defined; None where none is.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the groups' rates of one kind lie apart.

    Attributes
    ----------
    max_min, max_geomean
        Ratios; 1 is equal.
    gini
        Gini coefficient with the correction for few groups, 0 (equal) to 1.
    by_chance
        How often labels dealt to people at random differ as much (max - min); None where a person has several groups.
    """

    max_min: Figure
    max_geomean: Figure
    gini: Figure
    by_chance: float | None


@dataclass(frozen=True, slots=True)
class Differentials:
    """Everything that one threshold does to the groups.

    Attributes
    ----------
    threshold, target
        The deployed threshold, and the FMR that it stands for.
    groups
        In the order of their names.
    cross
        Every pair of different groups.
    compared
        Names of the groups that the figures below compare.
    fmr, fnmr
        How far they differ.
    garbe, fdr
        See the module's docstring; ``alpha`` is 0.5 in both.
    """

    threshold: float
    target: float
    groups: tuple[GroupRates, ...]
    cross: tuple[CrossRate, ...]
    compared: tuple[str, ...]
    fmr: Spread
    fnmr: Spread
    garbe: Figure
    fdr: Figure

    @property
    def worst(self) -> GroupRates | None:
        """The group, of those compared, whose own threshold for the target is the highest; None where none has one."""
        known = [group for group in self.groups if group.counted and group.threshold is not None]
        return max(known, key=lambda group: group.threshold or 0.0, default=None)


def differentials(
    comparisons: GroupedComparisons, threshold: float, *, target: float, resampling: Resampling | None = None
) -> Differentials:
    """Return every group's rates at one threshold, those between groups, and how far they differ.

    Parameters
    ----------
    comparisons
        With their groups.
    threshold
        The one that is deployed.
    target
        The FMR that it stands for, in (0, 1).
    resampling
        How people are drawn again.

    Raises
    ------
    UsageError
        The threshold lies below the floor, or the target is no rate.
    """
    if threshold < comparisons.floor:
        raise UsageError(f"no rate is known at {threshold}: comparisons below {comparisons.floor} were not kept")
    if not 0 < target < 1:
        raise UsageError(f"{target:g} is no error rate: it must lie between 0 and 1, both excluded")
    rounds = _Rounds.drawn(comparisons, threshold, resampling or Resampling())
    groups = tuple(_group(comparisons, rounds, number, target) for number in range(len(comparisons.groups)))
    cross = tuple(
        CrossRate(comparisons.groups[i], comparisons.groups[j], _fmr(comparisons, rounds, (i, j)))
        for i, j in comparisons.cells()
        if i != j
    )
    chosen = [i for i, group in enumerate(groups) if group.counted and group.fmr.trials and group.fnmr.trials]
    fmr, fnmr = (table[:, chosen] for table in (rounds.fmr(), rounds.fnmr()))
    chance = _by_chance(comparisons, threshold, chosen, resampling or Resampling())
    return Differentials(
        threshold=threshold,
        target=target,
        groups=groups,
        cross=cross,
        compared=tuple(comparisons.groups[i] for i in chosen),
        fmr=_spread(fmr, chance[0]),
        fnmr=_spread(fnmr, chance[1]),
        garbe=_figure(inequity.garbe(fmr, fnmr), enough=len(chosen) > 1),
        fdr=_figure(inequity.fairness_discrepancy_rate(fmr, fnmr), enough=len(chosen) > 1),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rounds:
    """Counts as observed (row 0) and in each bootstrap round (the others).

    ``matches`` and ``trials`` are by cell, ``misses`` and ``mated`` by group.
    """

    threshold: float
    resampling: Resampling
    matches: dict[Cell, Floats]
    trials: dict[Cell, Floats]
    misses: Floats
    mated: Floats

    @classmethod
    def drawn(cls, comparisons: GroupedComparisons, threshold: float, resampling: Resampling) -> _Rounds:
        """Count everything once as it is, then in every round."""
        import numpy as np

        matches = {cell: _matches(comparisons, cell, threshold) for cell in comparisons.cells()}
        trials = {cell: _trials(comparisons, cell) for cell in comparisons.cells()}
        below = comparisons.mated < threshold
        groups = range(len(comparisons.groups))
        misses = [of_people(_of_each(comparisons, g, below)) for g in groups]
        mated = [of_people(_of_each(comparisons, g, np.ones_like(below))) for g in groups]
        times = list(_once_and_again(comparisons.people, resampling))

        def counted(total: Total) -> Floats:
            return np.concatenate([total(block) for block in times])

        return cls(
            threshold=threshold,
            resampling=resampling,
            matches={cell: counted(total) for cell, total in matches.items()},
            trials={cell: counted(total) for cell, total in trials.items()},
            misses=np.stack([counted(total) for total in misses], axis=1),
            mated=np.stack([counted(total) for total in mated], axis=1),
        )

    def fmr(self) -> Floats:
        """Return the FMR within each group, ``(1 + rounds, groups)``; NaN without trials."""
        import numpy as np

        groups = range(self.mated.shape[1])
        return np.stack([_ratio(self.matches[g, g], self.trials[g, g]) for g in groups], axis=1)

    def fnmr(self) -> Floats:
        """Return the FNMR within each group, ``(1 + rounds, groups)``; NaN without trials."""
        return _ratio(self.misses, self.mated)


def _once_and_again(people: int, resampling: Resampling) -> Iterator[Floats]:
    """Yield everybody once, then how often each round drew each person."""
    import numpy as np

    yield np.ones((1, people))
    for _, times in resampled(people, resampling.rounds, seed=resampling.seed, cells=people):
        yield times


def _matches(comparisons: GroupedComparisons, cell: Cell, threshold: float) -> Total:
    """Count a cell's false matches."""
    kept = comparisons.within(cell) & (comparisons.scores >= threshold)
    return of_pairs(comparisons.first[kept], comparisons.second[kept], comparisons.people)


def _trials(comparisons: GroupedComparisons, cell: Cell) -> Total:
    """Count a cell's non-mated comparisons."""
    if comparisons.exhaustive:
        return pairs_of_groups(comparisons.sizes, cell)
    kept = comparisons.within(cell)
    return of_pairs(comparisons.first[kept], comparisons.second[kept], comparisons.people)


def _of_each(comparisons: GroupedComparisons, group: int, counted: NDArray[np.bool_]) -> Floats:
    """Return how many of each person's mated comparisons in a group are counted, ``(people,)``."""
    import numpy as np

    mine = comparisons.mated_person[counted & (comparisons.mated_group == group)]
    counts: Floats = np.bincount(mine, minlength=comparisons.people).astype(np.float64)
    return counts


def _group(comparisons: GroupedComparisons, rounds: _Rounds, number: int, target: float) -> GroupRates:
    """Gather what is known of one group."""
    import numpy as np

    mine = comparisons.mated_group == number
    mean = comparisons.mated[mine].mean() - comparisons.mated.mean() if mine.any() else None
    expected = target * comparisons.people_pairs((number, number))
    low, bound = _own_threshold(comparisons, number, target, rounds.resampling) if expected >= 1 else (None, None)
    people = int((comparisons.sizes[:, number] > 0).sum())
    return GroupRates(
        name=comparisons.groups[number],
        people=people,
        images=int(comparisons.sizes[:, number].sum()),
        fmr=_fmr(comparisons, rounds, (number, number)),
        fnmr=_rate(
            rounds.misses[:, number], rounds.mated[:, number], units=len(np.unique(comparisons.mated_person[mine]))
        ),
        mated_shift=None if mean is None else float(mean),
        non_mated_shift=_non_mated_shift(comparisons, rounds, number),
        threshold=low,
        threshold_bound=bound,
        supported=expected >= RULE_OF_30,
        counted=people >= LEAST_PEOPLE,
    )


def _non_mated_shift(comparisons: GroupedComparisons, rounds: _Rounds, number: int) -> float | None:
    """Return the group's mean non-mated score less that of all comparisons within a group."""
    import numpy as np

    means = comparisons.non_mated_mean
    trials = np.array([rounds.trials[g, g][0] for g in range(len(means))])
    known = ~np.isnan(means)
    if not known[number]:
        return None
    return float(means[number] - (means[known] * trials[known]).sum() / trials[known].sum())


def _fmr(comparisons: GroupedComparisons, rounds: _Rounds, cell: Cell) -> Rate:
    return _rate(rounds.matches[cell], rounds.trials[cell], units=comparisons.people_pairs(cell))


def _rate(errors: Floats, trials: Floats, *, units: int) -> Rate:
    """Return a rate from its counts, observed and in each round."""
    import numpy as np

    again = _ratio(errors[1:], trials[1:])
    again = again[~np.isnan(again)]
    interval = tuple(np.quantile(again, [0.025, 0.975]).tolist()) if len(again) else (0.0, 1.0)
    return rate(round(errors[0]), round(trials[0]), over_people=(interval[0], interval[1]), units=units)


def _ratio(errors: Floats, trials: Floats) -> Floats:
    """Divide; NaN without trials."""
    import numpy as np

    rates: Floats = np.divide(errors, trials, out=np.full(trials.shape, np.nan), where=trials > 0)
    return rates


def _own_threshold(
    comparisons: GroupedComparisons, number: int, target: float, resampling: Resampling
) -> tuple[float, float]:
    """Return the lowest threshold that holds the target within a group, and its 95th percentile over the rounds.

    Like :func:`facecli.calibration.choose`: just above the score that is one too many. Where all kept scores are
    allowed, the floor: the group's threshold lies there or lower.
    """
    import numpy as np

    kept = comparisons.within((number, number))
    pairs = _trials(comparisons, (number, number))
    scores = comparisons.scores[kept]
    first, second = comparisons.first[kept], comparisons.second[kept]
    lowest = comparisons.floor if np.isfinite(comparisons.floor) else -1.0
    just_above = np.append(np.nextafter(scores, np.inf), lowest)
    found = []
    for block in _once_and_again(comparisons.people, resampling):
        for times in np.array_split(block, max(1, len(block) * len(scores) // BLOCK_CELLS)):
            line = np.cumsum(times[:, first] * times[:, second], axis=1)
            allowed = target * pairs(times)
            found += [
                just_above[np.searchsorted(row, limit, "right")] for row, limit in zip(line, allowed, strict=True)
            ]
    return float(found[0]), float(np.quantile(found[1:], 0.95, method="higher"))


def _figure(values: Floats, *, enough: bool = True) -> Figure:
    """Return a figure from its value as observed and in each round; rounds in which it is undefined are left out."""
    import numpy as np

    defined = values[1:][~np.isnan(values[1:])]
    if not enough or not len(defined):
        return Figure(None, None, None)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Figure(None if np.isnan(values[0]) else float(values[0]), float(low), float(high))


def _spread(rates: Floats, by_chance: float | None) -> Spread:
    """Sum up how far rates ``(1 + rounds, groups)`` differ; rounds in which a group has no trial are left out."""
    import numpy as np

    if rates.shape[1] < 2:
        none = Figure(None, None, None)
        return Spread(none, none, none, by_chance)
    whole = rates[~np.isnan(rates).any(axis=1) | (np.arange(len(rates)) == 0)]
    ratio, over_mean = _figure(inequity.max_min(whole)), _figure(inequity.max_geomean(whole))
    return Spread(ratio, over_mean, _figure(inequity.gini(whole)), by_chance)


def _by_chance(
    comparisons: GroupedComparisons, threshold: float, chosen: list[int], resampling: Resampling
) -> tuple[float | None, float | None]:
    """Deal the groups to the people at random, and say how often FMR and FNMR then differ at least as much."""
    import numpy as np

    if len(chosen) < 2 or ((comparisons.sizes > 0).sum(axis=1) != 1).any():
        return None, None
    own = comparisons.sizes.argmax(axis=1)
    images = comparisons.sizes.sum(axis=1)
    kept = comparisons.scores >= threshold
    ends = comparisons.first[kept], comparisons.second[kept]
    every = comparisons.first, comparisons.second
    misses, mated = (
        np.bincount(comparisons.mated_person[which], minlength=comparisons.people)
        for which in (comparisons.mated < threshold, np.ones(len(comparisons.mated), bool))
    )

    def spreads(group: Integers) -> tuple[float, float]:
        count = len(comparisons.groups)
        matches = _inner(group, *ends, count)
        if comparisons.exhaustive:
            total, squares = (np.bincount(group, images**power, count) for power in (1, 2))
            trials = (total**2 - squares) / 2
        else:
            trials = _inner(group, *every, count)
        missed, tried = (np.bincount(group, counts, count).astype(np.float64) for counts in (misses, mated))
        fnmr = _ratio(missed, tried)
        return _apart(_ratio(matches, trials)[chosen]), _apart(fnmr[chosen])

    generator = np.random.default_rng(resampling.seed)
    seen = spreads(own)
    dealt = np.array([spreads(generator.permutation(own)) for _ in range(resampling.rounds)])
    # The deal that was observed is one of them: a rate of chance is never 0 (Phipson and Smyth 2010).
    more = (np.sum(dealt >= np.array(seen) - 1e-15, axis=0) + 1) / (resampling.rounds + 1)
    return float(more[0]), float(more[1])


def _inner(group: Integers, first: Integers, second: Integers, count: int) -> Floats:
    """Count comparisons within each group."""
    import numpy as np

    inner = group[first] == group[second]
    counts: Floats = np.bincount(group[first[inner]], minlength=count).astype(np.float64)
    return counts


def _apart(rates: Floats) -> float:
    """Return the highest less the lowest rate of the groups that have one; 0 where fewer than two have."""
    known = rates[rates == rates]  # noqa: PLR0124 (NaN is the one value that differs from itself)
    return float(inequity.apart(known)) if len(known) > 1 else 0.0

"""The report of a 1:1 evaluation: what was compared, how often the system erred, and what that is worth.

Terms and figures follow ISO/IEC 19795-1: failure to acquire (FTA), false match rate (FMR), false non-match rate (FNMR),
their trade-off (DET), and how many trials stand behind each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.metrics.curves import FMR_TARGETS, eer, fnmr_at_fmr
from facecli.metrics.intervals import (
    CONFIDENCE,
    Method,
    Resampling,
    claimable,
    clopper_pearson,
    percentiles,
    rate,
    resampled,
    rule_of_3,
    supported,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from facecli.evaluate.groups import BiasReport
    from facecli.evaluate.trials import Trials
    from facecli.metrics.curves import DetCurve, Folds, Histogram
    from facecli.metrics.intervals import Rate, Total
    from facecli.types import ModelPin

    Floats = NDArray[np.float64]
    _Target: TypeAlias = "tuple[float, Support, float | None]"

KEPT = 100
"""Worst comparisons of each kind that are kept; a report shows the first ``SHOWN``."""
SHOWN = 20
GRID = 48
"""Thresholds around the equal error rate at which the bootstrap looks for it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report's figures come from.

    Attributes
    ----------
    model
        The embedder's name; of scores from elsewhere, what they are called.
    pin
        Exactly which embedder; None where the scores come from elsewhere.
    device
        Where networks ran; empty where none did.
    versions
        (library, version) of all that takes part in the numbers.
    settings
        (name, value) of the settings that change a score: face policy, detector, floors.
    data
        What was evaluated, as the user named it.
    protocol
        Which comparisons were made, in a few words.
    people, images
        How many; people None where nobody was named.
    date
        ISO 8601.
    """

    model: str
    pin: ModelPin | None
    device: str
    versions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    data: str
    protocol: str
    people: int | None
    images: int
    date: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A photograph of which no template could be made: a failure to acquire.

    Attributes
    ----------
    source
        The photograph.
    kind
        The error's class, such as ``NoFaceError``.
    message
        What went wrong, in a sentence.
    """

    source: str
    kind: str
    message: str


class Support(StrEnum):
    """What the data can show at a target FMR."""

    NUMBER = "number"
    """At least 30 false matches are expected there (the rule of 30)."""
    BOUND = "bound"
    """Too few are expected to measure it, but a stricter threshold shows at 95 % confidence that the target is met, and
    FNMR there is an upper bound of FNMR at the target."""
    NOTHING = "nothing"
    """Not even that: the comparisons are too few to tell whether the target is met."""


@dataclass(frozen=True, slots=True)
class Point:
    """Error rates at one target FMR.

    Attributes
    ----------
    target
        The FMR asked for.
    support
        What the data can show there.
    threshold
        The lowest that keeps the target; of a bound, the lowest that shows it to be met, counting false matches by
        pairs of people (Clopper and Pearson, one-sided; without any the rule of 3). None where nothing can be shown.
    fmr, fnmr
        Observed at the threshold. Of a bound, the upper end of FNMR is what can be said. None as the threshold.
    """

    target: float
    support: Support
    threshold: float | None
    fmr: Rate | None
    fnmr: Rate | None


@dataclass(frozen=True, slots=True)
class EqualError:
    """The equal error rate.

    Attributes
    ----------
    value
        The rate; None where there was no error, and ``high`` is all that can be said.
    low, high, method
        Its interval, as of :class:`facecli.metrics.intervals.Rate`.
    threshold
        Where it lies.
    """

    value: float | None
    low: float
    high: float
    method: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy by folds, as LFW reports it.

    Attributes
    ----------
    folds
        Each fold at the threshold that was best on the others.
    rate
        Of right decisions over all folds, with its interval.
    best, best_threshold
        The accuracy at the one threshold that is best for all comparisons: optimistic, since it was chosen on them.
    """

    folds: Folds
    rate: Rate
    best: float
    best_threshold: float


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """One comparison.

    Attributes
    ----------
    first, second
        The photographs; empty where scores came without them.
    first_person, second_person
        Whose they are; empty where nobody was named.
    score
        Higher is closer.
    """

    first: str
    second: str
    first_person: str
    second_person: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class VerificationReport:
    """Everything that a 1:1 evaluation found.

    Attributes
    ----------
    title
        One line.
    provenance
        Where the figures come from.
    fta
        Photographs of which no template could be made. Their comparisons were not made.
    fte
        People of whom no photograph gave a template, so that they can't be enrolled; None where nobody was named.
    failures
        Each of those photographs.
    lost
        Comparisons of the protocol that were not made for that reason.
    curve
        Error rates at every threshold.
    histogram
        Scores of mated and non-mated comparisons.
    points
        Error rates at FMR 1e-1 to 1e-6.
    eer, d_prime
        The equal error rate, and how far apart the two kinds of scores lie.
    accuracy
        By folds; None where the protocol has none.
    false_matches, false_non_matches
        The worst comparisons: the highest non-mated and the lowest mated scores, the worst first.
    used
        Error rates at the threshold that is in use, whose promise is its target; None where none is.
    groups
        The same by groups of people; None where no groups were given.
    """

    title: str
    provenance: Provenance
    fta: Rate
    fte: Rate | None
    failures: tuple[Failure, ...]
    lost: int
    curve: DetCurve
    histogram: Histogram
    points: tuple[Point, ...]
    eer: EqualError
    d_prime: float
    accuracy: Accuracy | None
    false_matches: tuple[ScoredPair, ...]
    false_non_matches: tuple[ScoredPair, ...]
    used: Point | None = None
    groups: BiasReport | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and what of it could not be; the fields are those of :class:`VerificationReport`.

    ``used`` is the target and the threshold that are in use.
    """

    provenance: Provenance
    fta: Rate
    fte: Rate | None = None
    failures: tuple[Failure, ...] = ()
    lost: int = 0
    used: tuple[float, float] | None = None


def verification_report(
    trials: Trials,
    subject: Subject,
    *,
    accuracy: Accuracy | None = None,
    resampling: Resampling | None = None,
    step: Callable[[int], None] | None = None,
) -> VerificationReport:
    """Measure comparisons that were made.

    Parameters
    ----------
    trials
        The comparisons.
    subject
        Where they come from, and what could not be compared.
    accuracy
        By folds, where the protocol has some.
    resampling
        Of the bootstrap.
    step
        Told how many of its rounds are done.
    """
    chosen = resampling or Resampling()
    targets = [_target(trials, target) for target in FMR_TARGETS]
    in_use = [(subject.used[0], Support.NUMBER, subject.used[1])] if subject.used else []
    thresholds = _thresholds(trials.curve, [threshold for _, _, threshold in targets + in_use])
    rounds = (
        _trial_rounds(trials, thresholds, chosen) if trials.independent else _rounds(trials, thresholds, chosen, step)
    )
    false_matches, false_non_matches = trials.worst(SHOWN)
    return VerificationReport(
        title=f"{subject.provenance.data}: {subject.provenance.model}",
        provenance=subject.provenance,
        fta=subject.fta,
        fte=subject.fte,
        failures=subject.failures,
        lost=subject.lost,
        curve=trials.curve,
        histogram=trials.histogram,
        points=tuple(_point(trials, target, rounds, chosen) for target in targets),
        eer=_equal_error(trials, rounds, chosen),
        d_prime=trials.d_prime,
        accuracy=accuracy,
        false_matches=tuple(false_matches),
        false_non_matches=tuple(false_non_matches),
        used=next((_point(trials, one, rounds, chosen) for one in in_use), None),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rounds:
    """Error rates of each bootstrap round at some thresholds, ``(rounds, k)``."""

    thresholds: Floats
    fmr: Floats
    fnmr: Floats


def _target(trials: Trials, target: float) -> _Target:
    """Return a target, what the data can show there, and the threshold for it."""
    units, curve = trials.units[1], trials.curve
    if supported(target, units):
        return target, Support.NUMBER, fnmr_at_fmr(curve, target)[1]
    if claimable(target, units):
        return target, Support.BOUND, _showing_threshold(trials, target)
    return target, Support.NOTHING, None


def _showing_threshold(trials: Trials, target: float) -> float:
    """Return the lowest threshold known to show that a target is met, by the pairs of people that match there."""
    import numpy as np

    confidence = 2 * CONFIDENCE - 1  # the upper end of a two-sided interval of 90 % is a one-sided bound of 95 %
    falsely: set[frozenset[str]] = set()
    for pair in trials.worst(KEPT)[0]:
        known = falsely | {
            frozenset((pair.first_person, pair.second_person) if pair.first_person else (str(len(falsely)),))
        }
        if clopper_pearson(len(known), trials.units[1], confidence)[1] > target:
            break
        falsely = known
    thresholds = trials.curve.thresholds
    return float(thresholds[np.searchsorted(thresholds, pair.score, side="right")])


def _thresholds(curve: DetCurve, wanted: list[float | None]) -> Floats:
    """Return those wanted, and a grid around the equal error rate, rising."""
    import numpy as np

    limit = 4 * eer(curve)[0]
    near = np.flatnonzero((curve.fmr <= limit) & (curve.fnmr <= limit))
    grid = near[np.unique(np.linspace(0, len(near) - 1, min(GRID, len(near))).astype(np.int64))] if len(near) else near
    return np.unique(np.concatenate([curve.thresholds[grid], [t for t in wanted if t is not None]]))


def _rounds(trials: Trials, thresholds: Floats, resampling: Resampling, step: Callable[[int], None] | None) -> _Rounds:
    """Draw people again, and count their comparisons at each threshold; independent ones are drawn themselves."""
    import numpy as np

    if trials.independent:
        return _trial_rounds(trials, thresholds, resampling)
    counts = trials.by_people(thresholds)
    fmr, fnmr = (np.empty((resampling.rounds, len(thresholds))) for _ in range(2))
    for rows, times in resampled(counts.people, resampling.rounds, seed=resampling.seed, cells=8 * counts.people):
        fmr[rows] = _reached(counts.non_mated_levels, counts.non_mated, times)
        fnmr[rows] = 1 - _reached(counts.mated_levels, counts.mated, times)
        if step is not None:
            step(rows.stop)
    return _Rounds(thresholds, fmr, fnmr)


def _reached(levels: tuple[Total, ...], everything: Total, times: Floats) -> Floats:
    """Return the part of the comparisons that reach each threshold in each round; NaN where none was drawn."""
    import numpy as np

    counted = np.stack([level(times) for level in levels], axis=1)
    reached = np.cumsum(counted[:, ::-1], axis=1)[:, ::-1]
    drawn = everything(times)[:, None]
    rates: Floats = np.divide(reached, drawn, out=np.full(reached.shape, np.nan), where=drawn > 0)
    return rates


def _trial_rounds(trials: Trials, thresholds: Floats, resampling: Resampling) -> _Rounds:
    """Draw independent comparisons again: how many fall between two thresholds is multinomial."""
    import numpy as np

    generator = np.random.default_rng(resampling.seed)
    curve = trials.curve
    at = np.array([curve.at(threshold) for threshold in thresholds])
    rates = []
    for count, reached in ((curve.non_mated, at[:, 0]), (curve.mated, 1 - at[:, 1])):
        parts = np.clip(-np.diff(np.concatenate([[1.0], reached, [0.0]])), 0, 1)
        drawn = generator.multinomial(count, parts / parts.sum(), size=resampling.rounds)
        rates.append(1 - np.cumsum(drawn, axis=1)[:, :-1] / count)
    return _Rounds(thresholds, rates[0], 1 - rates[1])


def _point(trials: Trials, wanted: _Target, rounds: _Rounds, resampling: Resampling) -> Point:
    """Measure one operating point."""
    import numpy as np

    target, support, threshold = wanted
    if threshold is None:
        return Point(target, support, None, None, None)
    curve, column = trials.curve, int(np.searchsorted(rounds.thresholds, threshold))
    counted = []
    for value, trial_count, units, drawn in zip(
        curve.at(threshold),
        (curve.non_mated, curve.mated),
        trials.units[::-1],
        (rounds.fmr[:, column], rounds.fnmr[:, column]),
        strict=True,
    ):
        over_people = None if trials.independent else percentiles(drawn, resampling.confidence)
        counted.append(rate(round(value * trial_count), trial_count, over_people=over_people, units=units))
    return Point(target, support, threshold, *counted)


def _equal_error(trials: Trials, rounds: _Rounds, resampling: Resampling) -> EqualError:
    """Return the equal error rate; each round's is where its own rates cross."""
    import numpy as np

    value, threshold = eer(trials.curve)
    if value == 0:
        bound = max(rule_of_3(units) for units in trials.units)
        return EqualError(None, 0.0, bound, Method.RULE_OF_3, threshold)
    ends = np.ones((len(rounds.fmr), 1))
    fmr = np.hstack([ends, rounds.fmr, 0 * ends])
    fnmr = np.hstack([0 * ends, rounds.fnmr, ends])
    row, crossed = np.arange(len(fmr)), np.argmax(fnmr >= fmr, axis=1)
    crossed = np.maximum(crossed, 1)  # a round with NaN has no crossing, and stays NaN
    before, after = ((fnmr - fmr)[row, crossed - shift] for shift in (1, 0))
    part = np.divide(before, before - after, out=np.zeros(len(row)), where=before != after)
    crossing = fnmr[row, crossed - 1] + part * (fnmr[row, crossed] - fnmr[row, crossed - 1])
    low, high = percentiles(crossing, resampling.confidence)
    method = Method.TRIALS if trials.independent else Method.PEOPLE
    return EqualError(value, min(low, value), max(high, value), method, threshold)

"""How well presentation attacks are told from bona fide presentations (ISO/IEC 30107-3:2023).

A *presentation attack instrument species* is one way of making instruments: prints on matt paper, replays on a certain
tablet. A species that always gets through is not made good by another that never does, so rates are per species, and a
system's APCER is that of its *worst* species. There is no average over species, and none of APCER and BPCER (ACER):
both hide the attack that works.

Score: higher is more bona fide. A presentation is taken for bona fide where ``score >= threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.metrics.intervals import rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from facecli.metrics.intervals import Rate

    Floats = NDArray[np.float64]

APCER_TARGETS = (0.10, 0.05, 0.01)
"""Where BPCER is reported: what the literature calls BPCER10, BPCER20 and BPCER100."""


@dataclass(frozen=True, slots=True, eq=False)
class PadScores:
    """Presentations as a detector (and, of a whole system, the comparison after it) scored them.

    Attributes
    ----------
    bona_fide
        ``(n,)``, higher is more bona fide.
    attacks
        Of each species, ``(m,)``.
    bona_fide_match
        Comparison scores of the same bona fide presentations against their own person's template, ``(n,)``; None where
        only the detector was tested.
    attacks_match
        Comparison scores of the same attacks against the template of the person attacked, ``(m,)`` of each species.
    """

    bona_fide: Floats
    attacks: Mapping[str, Floats]
    bona_fide_match: Floats | None = None
    attacks_match: Mapping[str, Floats] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PadCurve:
    """Error rates at every threshold where one of them changes.

    Attributes
    ----------
    thresholds
        ``(k,)``, rising: the distinct scores, and last a threshold just above them all.
    species
        Names, sorted.
    apcer
        ``(species, k)``: the part of each species' attacks that are taken for bona fide. 1 at first, 0 at last.
    bpcer
        ``(k,)``: the part of the bona fide presentations that are taken for attacks. 0 at first, 1 at last.
    attacks
        How many attacks of each species stand behind them.
    bona_fide
        How many bona fide presentations do.
    """

    thresholds: Floats
    species: tuple[str, ...]
    apcer: Floats
    bpcer: Floats
    attacks: tuple[int, ...]
    bona_fide: int

    @property
    def worst_apcer(self) -> Floats:
        """APCER of the worst species at each threshold, ``(k,)`` (the standard's APCER of an attack potential)."""
        worst: Floats = self.apcer.max(axis=0)
        return worst


@dataclass(frozen=True, slots=True)
class SpeciesRates:
    """What one species does at a threshold.

    Attributes
    ----------
    name
        The species.
    apcer
        Attacks taken for bona fide.
    iapar
        Impostor attack presentation accept rate: attacks that pass the detector *and* match the person attacked. None
        where no comparison was made.
    riapar
        IAPAR + FRR (relative impostor attack presentation accept rate): what security costs in convenience is in it. A
        sum, not a rate of trials, so it has no interval of its own; None as ``iapar``.
    """

    name: str
    apcer: Rate
    iapar: Rate | None = None
    riapar: float | None = None


@dataclass(frozen=True, slots=True)
class PadPoint:
    """Error rates at one threshold.

    Attributes
    ----------
    target
        The APCER asked for, of the worst species; None where the threshold was given.
    threshold
        Accept is ``score >= threshold``. The lowest that keeps the target.
    shown
        Whether the attacks of every species are so many that the target could be shown at all (the rule of 3); true
        where there is no target.
    bpcer
        Bona fide presentations taken for attacks.
    species
        Of each species, the worst first.
    frr
        False rejections of the whole system: bona fide attempts that the detector or the comparison refused. None where
        no comparison was made.
    """

    target: float | None
    threshold: float
    shown: bool
    bpcer: Rate
    species: tuple[SpeciesRates, ...]
    frr: Rate | None = None

    @property
    def worst(self) -> SpeciesRates:
        """The species with the highest APCER: the system's APCER is its."""
        return self.species[0]


def pad_curve(bona_fide: ArrayLike, attacks: Mapping[str, ArrayLike]) -> PadCurve:
    """Return the error rates at every distinct score.

    Parameters
    ----------
    bona_fide
        Scores, higher is more bona fide; at least one, finite.
    attacks
        Those of each species; at least one species with one score each.

    Raises
    ------
    UsageError
        There are none of a kind, or one is not finite.

    Source: ISO/IEC 30107-3:2023, APCER and BPCER.
    """
    import numpy as np

    if not attacks:
        raise UsageError("there is no attack presentation")
    good = np.sort(_scores(bona_fide, "bona fide"))
    bad = {name: np.sort(_scores(scores, f"attack ({name})")) for name, scores in sorted(attacks.items())}
    distinct = np.unique(np.concatenate([good, *bad.values()]))
    thresholds = np.append(distinct, np.nextafter(distinct[-1], np.inf))
    return PadCurve(
        thresholds=thresholds,
        species=tuple(bad),
        apcer=np.stack([(len(s) - np.searchsorted(s, thresholds, side="left")) / len(s) for s in bad.values()]),
        bpcer=np.searchsorted(good, thresholds, side="left") / len(good),
        attacks=tuple(len(scores) for scores in bad.values()),
        bona_fide=len(good),
    )


def thinned(curve: PadCurve, *, most: int = 2000) -> PadCurve:
    """Return a curve with at most so many of its thresholds, evenly chosen; each rate that is kept is exact."""
    import numpy as np

    kept = np.unique(np.linspace(0, len(curve.thresholds) - 1, most).round().astype(np.int64))
    return replace(curve, thresholds=curve.thresholds[kept], apcer=curve.apcer[:, kept], bpcer=curve.bpcer[kept])


def bpcer_at_apcer(curve: PadCurve, apcer: float) -> tuple[float, float]:
    """Return BPCER where no species' APCER is above ``apcer``, and the lowest threshold that keeps it.

    No interpolation: the threshold exists, and the rate was observed there.
    """
    import numpy as np

    index = int(np.argmax(curve.worst_apcer <= apcer))
    return float(curve.bpcer[index]), float(curve.thresholds[index])


def points_at(
    scores: PadScores, targets: Sequence[float] = APCER_TARGETS, *, match_threshold: float | None = None
) -> tuple[PadPoint, ...]:
    """Return the error rates at the lowest thresholds that keep each target APCER.

    Parameters
    ----------
    scores
        The presentations.
    targets
        APCER of the worst species.
    match_threshold
        From which comparison score on the system takes two faces for one person's; needed for IAPAR and RIAPAR.
    """
    curve = pad_curve(scores.bona_fide, scores.attacks)
    found = [(target, bpcer_at_apcer(curve, target)[1]) for target in targets]
    return tuple(point_at(scores, cut, target=target, match_threshold=match_threshold) for target, cut in found)


def point_at(
    scores: PadScores, threshold: float, *, target: float | None = None, match_threshold: float | None = None
) -> PadPoint:
    """Return the error rates at one threshold, with Clopper and Pearson's intervals.

    Presentations are taken as independent trials, as the standard does. Where one person or one instrument was
    presented many times, the truth may lie further off than the interval says.
    """
    from facecli.metrics.intervals import claimable

    taken = scores.bona_fide >= threshold
    frr = _false_rejections(scores, taken, match_threshold)
    species = [
        _species_rates(scores, name, threshold, match_threshold, false_rejections=frr) for name in scores.attacks
    ]
    return PadPoint(
        target=target,
        threshold=threshold,
        shown=target is None or all(claimable(target, len(attacks)) for attacks in scores.attacks.values()),
        bpcer=rate(int((~taken).sum()), len(taken)),
        species=tuple(sorted(species, key=lambda one: (-one.apcer.errors / one.apcer.trials, one.name))),
        frr=frr,
    )


def _false_rejections(scores: PadScores, taken: NDArray[np.bool_], match_threshold: float | None) -> Rate | None:
    """Return how often the whole system refuses a bona fide attempt; None where no comparison was made."""
    if match_threshold is None or scores.bona_fide_match is None:
        return None
    accepted = taken & (scores.bona_fide_match >= match_threshold)
    return rate(int((~accepted).sum()), len(accepted))


def _species_rates(
    scores: PadScores, name: str, threshold: float, match_threshold: float | None, *, false_rejections: Rate | None
) -> SpeciesRates:
    """Return what one species does."""
    passed = scores.attacks[name] >= threshold
    apcer = rate(int(passed.sum()), len(passed))
    if match_threshold is None or scores.attacks_match is None:
        return SpeciesRates(name, apcer)
    accepted = passed & (scores.attacks_match[name] >= match_threshold)
    iapar = rate(int(accepted.sum()), len(accepted))
    if false_rejections is None:
        return SpeciesRates(name, apcer, iapar)
    riapar = iapar.errors / iapar.trials + false_rejections.errors / false_rejections.trials
    return SpeciesRates(name, apcer, iapar, riapar)


def _scores(scores: ArrayLike, kind: str) -> Floats:
    """Return scores as an array, once they are shown to be some."""
    import numpy as np

    values = np.asarray(scores, np.float64).ravel()
    if not len(values):
        raise UsageError(f"there is no {kind} presentation")
    if not np.isfinite(values).all():
        raise UsageError(f"the score of an {kind} presentation is not finite")
    return values

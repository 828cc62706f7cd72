"""Operating points from a deployment's own people: measured, tried on people who did not set them, and enforced.

The procedure is :mod:`facecli.calibration`'s. What is measured goes where it is enforced: into the gallery, whose every
decision then stands on it and can't be looser, or into a manifest of the user's. Before that, the same procedure sets
points on random halves of the people and the other halves are observed (:func:`validate`): what was promised, and what
came of it, for 1:1 decisions and for searches in galleries of people whom the points have never seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from facecli import thresholds
from facecli.calibration import (
    Comparisons,
    Procedure,
    Unit,
    choose_unchecked,
    compare_all,
    halves,
    measure,
    require_support,
)
from facecli.config import Configuration
from facecli.errors import UsageError
from facecli.evidence import Calibration, EvidenceWeight
from facecli.manifest import MeasuredPoint, Measurement
from facecli.metrics.intervals import supported
from facecli.metrics.likelihood import WeightedScores, cllr, evidence_weight, min_cllr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.engine import Engine
    from facecli.evaluate.embedding import Templates
    from facecli.gallery import Gallery
    from facecli.types import Vectors

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

DECADES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
SPLIT_ROUNDS = 300
"""Bootstrap rounds of each split of the validation."""
DRAWN = 200_000
"""Pairs of people drawn for what non-mated scores look like as a whole."""
METHOD = (
    "Smallest threshold at which the one-sided {confidence:.0%} bound of a bootstrap over people ({rounds} rounds, "
    "every pair of people weighted once, nobody paired with his own copy) meets {safety:.0%} of the target."
)
FLOORS_OFF = {"min_detection": 0.0, "min_eye_distance": 0.0, "max_cut": 1.0, "min_sharpness": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Templates, and whose each is.

    Attributes
    ----------
    vectors
        ``(n, dimension)``, of unit length.
    people
        Names, ``n`` of them.
    """

    vectors: Vectors
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be promised.

    Attributes
    ----------
    fmr, fpir
        Targets of a 1:1 decision and of a search.
    data
        What the people and photographs are, for the evidence of every decision.
    date
        ISO 8601.
    splits
        How often the promise is tried on people who did not set it.
    procedure
        How thresholds are chosen.
    """

    fmr: float
    fpir: float
    data: str
    date: str
    splits: int = 50
    procedure: Procedure = field(default_factory=Procedure)


@dataclass(frozen=True, slots=True)
class Kept:
    """One promise, and what came of it on people who did not set it.

    Attributes
    ----------
    what
        The rate, such as ``"FMR by pair of people"``.
    promised
        The target.
    observed
        The mean over the splits.
    low, high
        Where 95 % of the splits lie.
    kept
        The part of the splits in which the observed rate was at most the target.
    """

    what: str
    promised: float
    observed: float
    low: float
    high: float
    kept: float


@dataclass(frozen=True, slots=True)
class Validation:
    """How points that half of the people set did on the other half.

    Attributes
    ----------
    splits
        Random halvings of the people.
    set_on, observed_on
        How many people each half has.
    searched
        How many people the simulated galleries hold; strangers are as many, and neither set the points.
    promises
        FMR by pair of people and of images, and FPIR.
    fnmr, fnir
        What that costs, the means over the splits: refused true claims and unrecognised people. None where nobody had
        a second photograph.
    cllr, min_cllr
        The cost of the likelihood ratios on the other half, and the least that any calibration of its scores could
        have.
    """

    splits: int
    set_on: int
    observed_on: int
    searched: int
    promises: tuple[Kept, ...]
    fnmr: float | None
    fnir: float | None
    cllr: float | None
    min_cllr: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A calibration, and what vouches for it."""

    calibration: Calibration
    validation: Validation


def without_floors(engine: Engine) -> Engine:
    """Return the engine with its quality floors off: whoever overrides them later is held to these points, too."""
    configuration = engine.configuration
    settings = replace(configuration.settings, **FLOORS_OFF)  # type: ignore[arg-type]
    return engine.configured(Configuration(settings, configuration.origins))


def faces_of(templates: Templates) -> Faces:
    """Take the photographs that gave a template."""
    people = [image.person for image, row in zip(templates.images, templates.row, strict=True) if row >= 0]
    return Faces(templates.vectors, tuple(people))


def enrolled(gallery: Gallery) -> Faces:
    """Take what is enrolled.

    Raises
    ------
    UsageError
        Nobody is.
    """
    import numpy as np

    with gallery.snapshot():
        found = [(person.name, t.vector) for person in gallery.people() for t in gallery.templates(person.name)]
    if not found:
        raise UsageError("nobody is enrolled in this gallery, so it has nothing to be calibrated on")
    return Faces(np.stack([vector for _, vector in found]), tuple(name for name, _ in found))


def calibrate(faces: Faces, order: Order, *, step: Callable[[int], None] | None = None) -> Outcome:
    """Measure operating points on these people, and try the procedure on halves of them.

    Parameters
    ----------
    faces
        At least two people.
    order
        What is to be promised.
    step
        Told how many splits are done.

    Raises
    ------
    UsageError
        Nobody has a second photograph, or a target is no rate.
    UnsupportedPointError
        The people are too few for the target FMR.
    """
    comparisons = compare_all(faces.vectors, faces.people, loosest=min(max(10 * order.fmr, 1e-3), 0.3))
    if not len(comparisons.mated):
        raise UsageError(
            "nobody has two photographs here, so nobody could say how often the right person would be refused",
            hint="give at least some people a second photograph",
        )
    require_support(comparisons, order.fmr, order.procedure)
    points = measure(comparisons, targets(comparisons, order), order.procedure)
    measurement = Measurement(
        data=order.data,
        people=comparisons.people,
        images=int(comparisons.images.sum()),
        people_pairs=comparisons.pairs(Unit.PEOPLE),
        image_pairs=comparisons.pairs(Unit.IMAGES),
        date=order.date,
        status="calibrated",
        method=METHOD.format(
            confidence=order.procedure.confidence, rounds=order.procedure.rounds, safety=order.procedure.safety
        ),
        points=points,
    )
    thresholds.for_identification(measurement, order.fpir, templates=1, fmr=order.fmr)  # refuses what is no rate
    weight = _weight(_Crowd.of(faces), comparisons)
    return Outcome(Calibration(measurement, order.fmr, order.fpir, weight), validate(faces, comparisons, order, step))


def targets(comparisons: Comparisons, order: Order) -> list[float]:
    """Return the rates to measure: the target, a looser one (for the slope beyond), and all stricter ones that hold."""
    budget, pairs = order.procedure.safety, comparisons.pairs(Unit.PEOPLE)
    stricter = [rate for rate in DECADES if rate < order.fmr * (1 - 1e-9) and supported(budget * rate, pairs)]
    return sorted({order.fmr, min(10 * order.fmr, math.sqrt(order.fmr)), *stricter}, reverse=True)


# --- trying it on others ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Crowd:
    """All photographs, by person."""

    vectors: Floats
    person: Integers

    @classmethod
    def of(cls, faces: Faces) -> _Crowd:
        import numpy as np

        _, person = np.unique(np.asarray(faces.people), return_inverse=True)
        return cls(faces.vectors.astype(np.float64), person)

    def only(self, chosen: NDArray[np.bool_]) -> _Crowd:
        """Return the photographs of some of the people, who are numbered anew."""
        import numpy as np

        kept = chosen[self.person]
        return _Crowd(self.vectors[kept], (np.cumsum(chosen) - 1)[self.person[kept]])


def validate(
    faces: Faces, comparisons: Comparisons, order: Order, step: Callable[[int], None] | None = None
) -> Validation:
    """Set points on random halves of the people and observe the other halves.

    The halves have a quarter of the pairs, so their own points may lie beyond what they support; they are tried all the
    same, because this tries the procedure.
    """
    import numpy as np

    crowd = _Crowd.of(faces)
    seen = []
    for number, half in enumerate(halves(comparisons.people, order.splits, seed=order.procedure.seed + 1)):
        seen.append(_split(crowd, comparisons, half, order, number))
        if step is not None:
            step(number + 1)
    table = np.array([[one.by_people, one.by_images, one.fpir] for one in seen])
    named = zip(
        ("FMR by pair of people", "FMR by pair of images", "FPIR"), (order.fmr, order.fmr, order.fpir), strict=True
    )
    promises = tuple(_kept(what, target, table[:, column]) for column, (what, target) in enumerate(named))
    return Validation(
        splits=order.splits,
        set_on=comparisons.people // 2,
        observed_on=comparisons.people - comparisons.people // 2,
        searched=seen[0].searched if seen else 0,
        promises=promises,
        fnmr=_mean([one.fnmr for one in seen]),
        fnir=_mean([one.fnir for one in seen]),
        cllr=_mean([one.cllr for one in seen]),
        min_cllr=_mean([one.min_cllr for one in seen]),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one split observed; NaN where it had no trial."""

    by_people: float
    by_images: float
    fnmr: float
    fpir: float
    fnir: float
    searched: int
    cllr: float
    min_cllr: float


def _kept(what: str, promised: float, observed: Floats) -> Kept:
    """Sum up one promise over the splits."""
    import numpy as np

    low, high = np.quantile(observed, [0.025, 0.975])
    return Kept(what, promised, float(observed.mean()), float(low), float(high), float((observed <= promised).mean()))


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else None


def _split(crowd: _Crowd, comparisons: Comparisons, half: NDArray[np.bool_], order: Order, number: int) -> _Seen:
    """Set points on one half and observe the other."""
    procedure = replace(order.procedure, rounds=min(order.procedure.rounds, SPLIT_ROUNDS), seed=number)
    rates = targets(comparisons, order)
    own, unseen = comparisons.only(half), comparisons.only(~half)
    found = choose_unchecked(own, rates, procedure)
    points = tuple(MeasuredPoint(rate, t, rate, rate, rate, 0.0) for rate, t in zip(rates, found, strict=True))
    measurement = Measurement("half of the people", own.people, 0, 0, 0, order.date, "calibrated", "", points)
    threshold = thresholds.for_verification(measurement, order.fmr).threshold
    fpir, fnir, searched = _searched(crowd.only(~half), measurement, order, number)
    weight = _weight(crowd.only(half), own)
    costs = (math.nan, math.nan) if weight is None else _costs(crowd.only(~half), unseen, weight)
    return _Seen(
        unseen.fmr(threshold, Unit.PEOPLE),
        unseen.fmr(threshold, Unit.IMAGES),
        unseen.fnmr(threshold),
        fpir,
        fnir,
        searched,
        *costs,
    )


def _searched(crowd: _Crowd, measurement: Measurement, order: Order, number: int) -> tuple[float, float, int]:
    """Enrol half of these people with one photograph each, and search everyone else's and their own others."""
    import numpy as np

    people = int(crowd.person.max()) + 1
    chosen = np.zeros(people, bool)
    chosen[np.random.default_rng(number).permutation(people)[: people // 2]] = True
    first = np.unique(crowd.person, return_index=True)[1]
    templates = first[chosen]
    point = thresholds.for_identification(measurement, order.fpir, templates=len(templates), fmr=order.fmr)
    others = np.setdiff1d(np.arange(len(crowd.person)), templates)
    scores = crowd.vectors[others] @ crowd.vectors[templates].T
    best, named = scores.max(axis=1), crowd.person[templates[scores.argmax(axis=1)]]
    strangers = ~chosen[crowd.person[others]]
    accepted = best >= point.threshold
    right = accepted & (named == crowd.person[others])
    mated = right[~strangers]
    return (
        float(accepted[strangers].mean()) if strangers.any() else math.nan,
        1 - float(mated.mean()) if len(mated) else math.nan,
        len(templates),
    )


# --- what a score weighs ---------------------------------------------------------------------------------------------


def _weight(crowd: _Crowd, comparisons: Comparisons) -> EvidenceWeight | None:
    """Fit what a score weighs; None where nobody has a second photograph."""
    import numpy as np

    if not len(comparisons.mated):
        return None
    return evidence_weight(
        _mated(comparisons),
        _drawn(crowd),
        mated_people=len(np.unique(comparisons.mated_person)),
        pairs_of_people=comparisons.pairs(Unit.PEOPLE),
    )


def _costs(crowd: _Crowd, comparisons: Comparisons, weight: EvidenceWeight) -> tuple[float, float]:
    """Return Cllr and min Cllr of these people's comparisons; NaN where nobody has a second photograph."""
    import numpy as np

    if not len(comparisons.mated):
        return math.nan, math.nan
    mated, other = _mated(comparisons), _drawn(crowd)
    ratios = [
        np.clip(weight.slope * kind.score + weight.intercept, weight.lowest, weight.highest) for kind in (mated, other)
    ]
    # min Cllr weighs comparisons alike, so the cost beside it does, too.
    return cllr(*ratios), min_cllr(mated.score, other.score)


def _mated(comparisons: Comparisons) -> WeightedScores:
    """Weigh every person's mated comparisons the same in all."""
    import numpy as np

    counts = np.bincount(comparisons.mated_person, minlength=comparisons.people)
    return WeightedScores(comparisons.mated, 1 / counts[comparisons.mated_person])


def _drawn(crowd: _Crowd) -> WeightedScores:
    """Draw pairs of people, and of each a photograph: every pair of people as likely as any other."""
    import numpy as np

    generator = np.random.default_rng(0)
    order = np.argsort(crowd.person, kind="stable")
    counts = np.bincount(crowd.person)
    start = np.cumsum(counts) - counts
    drawn = min(DRAWN, 20 * len(counts) * (len(counts) - 1))
    first = generator.integers(len(counts), size=drawn)
    second = (first + generator.integers(1, len(counts), size=drawn)) % len(counts)
    left, right = (order[start[who] + generator.integers(counts[who])] for who in (first, second))
    scores = np.concatenate(
        [
            np.einsum("ij,ij->i", crowd.vectors[i], crowd.vectors[j])
            for i, j in zip(np.array_split(left, 20), np.array_split(right, 20), strict=True)
        ]
    )
    return WeightedScores(scores, np.ones(drawn))

"""The report of a 1:1 evaluation: what was compared, how often the system erred, and what that is worth.

Terms and figures follow ISO/IEC 19795-1: failure to acquire (FTA), false match rate (FMR), false non-match rate (FNMR),
their trade-off (DET), and how many trials stand behind each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facecli.metrics.curves import DetCurve, Folds, Histogram
    from facecli.metrics.intervals import Rate
    from facecli.types import ModelPin


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
    """Too few are expected to measure it; that the target is met can be shown by a threshold that no comparison passes
    (the rule of 3), and FNMR there is an upper bound of FNMR at the target."""
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
        The lowest that keeps the target; of a bound, just above every non-mated score. None where nothing can be shown.
    fmr, fnmr
        Observed at the threshold. Of a bound, the upper ends of both are what can be said. None as the threshold.
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
    """

    folds: Folds
    rate: Rate


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
    """

    title: str
    provenance: Provenance
    fta: Rate
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

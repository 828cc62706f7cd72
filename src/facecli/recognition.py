"""Decisions: one probe against a photograph, against a claimed person, or against everyone enrolled.

Everything here fails closed: a decision is accepted only when a finite score reaches the threshold of an operating
point that was chosen before the score was known. Each carries its evidence, so that a log line can answer "why" later.

A gallery that was calibrated (``facecli calibrate``) decides by its own operating points. Its targets are a floor: what
the environment, the TOML file or a default says more loosely does not count, and a looser flag is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facecli import thresholds
from facecli.errors import UsageError
from facecli.match import score
from facecli.types import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.evidence import Calibration
    from facecli.gallery import Candidate, Gallery
    from facecli.manifest import Measurement
    from facecli.thresholds import OperatingPoint
    from facecli.types import ModelPin, Sample


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a decision is taken.

    Attributes
    ----------
    measurement
        The embedder's measured points; none where it has not been measured.
    fmr, fpir
        Targets of a 1:1 decision and of a search.
    strict
        Refuse operating points beyond the data.
    fusion
        How the scores against a person's several templates become one.
    threshold
        A cosine given by hand instead of a target; it promises nothing.
    given, flags
        Which of ``"fmr"`` and ``"fpir"`` were set at all, and which of these on the command line.
    floor
        The gallery's calibration, once :meth:`against` has taken it in: no decision is looser.
    """

    measurement: Measurement | None
    fmr: float = 1e-4
    fpir: float = 0.01
    strict: bool = False
    fusion: Fusion = Fusion.MAX
    threshold: float | None = None
    given: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    floor: Calibration | None = None

    def against(self, calibration: Calibration | None) -> Rules:
        """Return the rules for a gallery that was calibrated; None is one that was not.

        Its points take the place of the model's. A target that nobody set is the gallery's; one that the environment or
        the TOML file sets counts if it is stricter.

        Raises
        ------
        UsageError
            A flag asks for a looser target than the gallery's.
        """
        if calibration is None:
            return self
        return replace(
            self,
            measurement=calibration.measurement,
            fmr=self._held("fmr", self.fmr, calibration.fmr),
            fpir=self._held("fpir", self.fpir, calibration.fpir),
            floor=calibration,
        )

    def _held(self, name: str, asked: float, floor: float) -> float:
        """Return the target that counts."""
        if name not in self.given:
            return floor
        if asked > floor and name in self.flags:
            raise UsageError(
                f"--{name} {asked:g} is looser than this gallery allows: it was calibrated for {floor:g}",
                hint=f"leave --{name} out, or calibrate the gallery anew: facecli calibrate",
            )
        return min(asked, floor)

    def for_pair(self, *, templates: int = 1) -> OperatingPoint:
        """Return the operating point at which one probe meets one person of so many templates.

        Raises
        ------
        UsageError
            The rules name no possible point, or a threshold by hand that is looser than the gallery's.
        """
        if self.threshold is None or self.floor is not None:
            strict = self.strict and self.threshold is None
            sourced = thresholds.for_verification(self.measurement, self.fmr, templates=templates, strict=strict)
            return self._or_by_hand(sourced)
        return thresholds.by_hand(self.threshold, searched=templates)

    def for_search(self, *, templates: int) -> OperatingPoint:
        """Return the operating point at which one probe is searched among so many templates.

        Raises
        ------
        UsageError
            As :meth:`for_pair`.
        """
        if self.threshold is None or self.floor is not None:
            strict = self.strict and self.threshold is None
            return self._or_by_hand(
                thresholds.for_identification(
                    self.measurement, self.fpir, templates=templates, fmr=self.fmr, strict=strict
                )
            )
        return thresholds.by_hand(self.threshold, searched=templates)

    def _or_by_hand(self, sourced: OperatingPoint) -> OperatingPoint:
        """Return the point of the data, or a stricter one by hand."""
        if self.threshold is None:
            return sourced
        if self.threshold < sourced.threshold:
            raise UsageError(
                f"a threshold of {self.threshold:g} is looser than this gallery allows: its calibration needs "
                f"{sourced.threshold:.4f} here",
                hint="leave --threshold out, or calibrate the gallery anew: facecli calibrate",
            )
        return thresholds.by_hand(self.threshold, searched=sourced.searched)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The answer to "is this the same person?", with its evidence.

    Attributes
    ----------
    accepted
        ``bool(decision)`` says the same: a plain dataclass would always be true, and ``if verify(...)`` always let in.
    score
        Cosine, -1 to 1.
    point
        The operating point; ``point.threshold`` is what the score was compared with.
    probe
        The face that asked.
    reference
        The face it was compared with, or the person claimed.
    pin
        The model that made both templates.
    log10_lr
        How much the score weighs as evidence: log10 of how much likelier it is for one person than for two. None where
        the gallery was not calibrated, or the person has several templates (it holds for one comparison).
    """

    accepted: bool
    score: float
    point: OperatingPoint
    probe: Sample
    reference: Sample | Candidate
    pin: ModelPin
    log10_lr: float | None = None

    def __bool__(self) -> bool:
        return self.accepted


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """The answer to "who is this?", with its evidence.

    Attributes
    ----------
    accepted
        Whether the best candidate reaches the threshold; ``bool(identification)`` says the same.
    candidates
        The most similar people, best first, whether or not they reach the threshold.
    margin
        Best score less the second person's; none where there is no second.
    point, probe, pin
        As in :class:`Decision`.
    """

    accepted: bool
    candidates: tuple[Candidate, ...]
    margin: float | None
    point: OperatingPoint
    probe: Sample
    pin: ModelPin

    def __bool__(self) -> bool:
        return self.accepted


def compare(probe: Sample, reference: Sample, rules: Rules, pin: ModelPin) -> Decision:
    """Decide whether two faces are the same person's.

    Raises
    ------
    UsageError
        The rules name no possible operating point.
    """
    point = rules.for_pair()
    value = score(probe.vector, reference.vector)
    return Decision(value >= point.threshold, value, point, probe, reference, pin)


def compare_with_person(probe: Sample, name: str, gallery: Gallery, rules: Rules) -> Decision:
    """Decide whether a face is the claimed person's.

    Raises
    ------
    NotEnrolledError
        Nobody of that name is enrolled.
    UsageError
        The rules are looser than the gallery's calibration.
    GalleryError
        One of the person's templates is damaged.
    """
    with gallery.snapshot():
        rules = rules.against(gallery.calibration())
        candidate = gallery.score_person(name, probe.vector, rules.fusion)
    templates = candidate.person.templates
    point = rules.for_pair(templates=templates)
    weight = rules.floor.weight if rules.floor is not None and templates == 1 else None
    return Decision(
        accepted=candidate.score >= point.threshold,
        score=candidate.score,
        point=point,
        probe=probe,
        reference=candidate,
        pin=gallery.pin,
        log10_lr=None if weight is None else weight.log10_lr(candidate.score),
    )


def identify(probes: Sequence[Sample], gallery: Gallery, rules: Rules, *, top: int = 5) -> list[Identification]:
    """Search the gallery for each face.

    Parameters
    ----------
    probes
        Faces to name; the answers come in their order.
    top
        How many candidates to return at the most; at least two are always looked at, for the margin.

    Raises
    ------
    UsageError
        The rules are looser than the gallery's calibration.
    GalleryError
        A template that would decide is damaged.
    """
    import numpy as np

    if not probes:
        return []
    with gallery.snapshot():
        _, templates = gallery.count()
        point = rules.against(gallery.calibration()).for_search(templates=templates)
        found = gallery.search(np.stack([probe.vector for probe in probes]), max(top, 2), rules.fusion)
    return [_named(probe, people, point, gallery.pin, top) for probe, people in zip(probes, found, strict=True)]


def _named(
    probe: Sample, people: Sequence[Candidate], point: OperatingPoint, pin: ModelPin, top: int
) -> Identification:
    """Judge one probe's candidates, which come best first."""
    return Identification(
        accepted=bool(people) and people[0].score >= point.threshold,
        candidates=tuple(people[:top]),
        margin=people[0].score - people[1].score if len(people) > 1 else None,
        point=point,
        probe=probe,
        pin=pin,
    )

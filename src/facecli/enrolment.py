"""Enrolment: who may enter the gallery, and under which name.

A gallery is only as good as what is let into it, so a face is refused that is another person's already, or that does
not match the person it is to belong to; each refusal has its own override. Judging and writing happen under the
gallery's write lock, so that two processes can't enrol one face under two names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli import thresholds
from facecli.errors import EnrolmentRefusedError, NotEnrolledError
from facecli.gallery import NewTemplate
from facecli.match import score
from facecli.names import person_name, visible
from facecli.types import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.gallery import Candidate, Gallery, Person, StoredTemplate
    from facecli.recognition import Rules
    from facecli.thresholds import OperatingPoint
    from facecli.types import Sample, Vector


class Duplicates(StrEnum):
    """What happens to a face that looks like another enrolled person's."""

    REFUSE = "refuse"
    REPORT = "report"
    """Enrol it, and list it for a human to review."""
    ALLOW = "allow"
    """Enrol it without looking."""


@dataclass(frozen=True, slots=True)
class EnrolmentRules:
    """What enrolment checks.

    Attributes
    ----------
    decisions
        The rules of 1:1 decisions: a further face must match the person's own at their operating point.
    duplicate_fpir
        The rate at which the duplicate check may take a stranger for an enrolled person; corrected for gallery size.
    duplicates
        What happens to a face that looks like another person's.
    force
        Enrol a face that does not match the person's own.
    """

    decisions: Rules
    duplicate_fpir: float = 0.001
    duplicates: Duplicates = Duplicates.REFUSE
    force: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A face that was enrolled although it looks like another person's: for a human to review."""

    photo: str
    other: Candidate
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an enrolment did.

    Attributes
    ----------
    person
        As enrolled; none where every face was refused and the person is new.
    added, known
        Templates added, and photographs left out because this person has them already.
    refused
        Photographs refused, each with its reason.
    suspects
        Faces enrolled that look like another person's.
    """

    person: Person | None
    added: int
    known: int
    refused: tuple[tuple[str, EnrolmentRefusedError], ...]
    suspects: tuple[Suspect, ...]


def enrol(gallery: Gallery, name: str, samples: Sequence[Sample], rules: EnrolmentRules) -> Enrolment:
    """Add faces to a person, or refuse them all.

    Parameters
    ----------
    gallery
        Open for writing.
    name
        The person; created when new.
    samples
        Faces of that person, at least one.

    Raises
    ------
    EnrolmentRefusedError
        A face is another enrolled person's, or not this person's own; nothing was changed.
    UnsupportedPointError
        The model has no measured points, and no threshold was given to judge by.
    """
    with gallery.exclusive():
        judged = _judge(gallery, person_name(name), samples, rules)
        if judged.refused:
            raise judged.refused[0][1]
        return judged.commit(gallery)


def enrol_what_fits(gallery: Gallery, name: str, samples: Sequence[Sample], rules: EnrolmentRules) -> Enrolment:
    """Add those faces that may be added, and list the others: for bulk runs. Otherwise as :func:`enrol`."""
    with gallery.exclusive():
        return _judge(gallery, person_name(name), samples, rules).commit(gallery)


@dataclass(slots=True)
class _Judged:
    """Faces of one person on their way into the gallery."""

    name: str
    known: int
    accepted: list[Sample]
    refused: list[tuple[str, EnrolmentRefusedError]]
    suspects: list[Suspect]

    def commit(self, gallery: Gallery) -> Enrolment:
        """Write what was accepted, in one transaction."""
        person = None
        if self.accepted:
            person = gallery.enrol(self.name, [_as_template(sample) for sample in self.accepted])
        elif self.known:
            person = gallery.person(self.name)
        return Enrolment(person, len(self.accepted), self.known, tuple(self.refused), tuple(self.suspects))


def _judge(gallery: Gallery, name: str, samples: Sequence[Sample], rules: EnrolmentRules) -> _Judged:
    """Sort faces into those that may be enrolled and those that may not."""
    rules = replace(rules, decisions=rules.decisions.against(gallery.calibration()))
    stored = _templates_of(gallery, name)
    known = {template.source_sha256 for template in stored}
    fresh = [sample for sample in samples if sample.photo_sha256 not in known]
    judged = _Judged(name, len(samples) - len(fresh), [], [], [])
    own = [template.vector for template in stored]
    others = _most_similar_others(gallery, name, fresh, rules)
    for sample, suspect in zip(fresh, others, strict=True):
        refusal = _refusal(name, sample, own, suspect, rules)
        if refusal is not None:
            judged.refused.append((sample.photo, refusal))
            continue
        own.append(sample.vector)
        judged.accepted.append(sample)
        if suspect is not None:
            judged.suspects.append(suspect)
    return judged


def _refusal(
    name: str, sample: Sample, own: Sequence[Vector], suspect: Suspect | None, rules: EnrolmentRules
) -> EnrolmentRefusedError | None:
    """Say why a face may not be enrolled as this person's; the first face of a new person sets the measure."""
    if suspect is not None and rules.duplicates is Duplicates.REFUSE:
        return _duplicate(suspect)
    if rules.force or not own:
        return None
    point = rules.decisions.for_pair()
    best = max(score(vector, sample.vector) for vector in own)
    return None if best >= point.threshold else _not_own(name, sample, best, point)


def _templates_of(gallery: Gallery, name: str) -> Sequence[StoredTemplate]:
    """Return a person's templates; a new person has none."""
    try:
        return gallery.templates(name)
    except NotEnrolledError:
        return ()


def _most_similar_others(
    gallery: Gallery, name: str, fresh: Sequence[Sample], rules: EnrolmentRules
) -> list[Suspect | None]:
    """Search each face among the other people; those below the duplicate check's threshold don't count."""
    people, templates = gallery.count()
    if rules.duplicates is Duplicates.ALLOW or not fresh or not people:
        return [None] * len(fresh)
    import numpy as np

    point = duplicate_point(rules, templates)
    found = gallery.search(np.stack([sample.vector for sample in fresh]), 2, Fusion.MAX)
    others = [next((c for c in candidates if c.person.name != name), None) for candidates in found]
    return [
        Suspect(sample.photo, other, point) if other is not None and other.score >= point.threshold else None
        for sample, other in zip(fresh, others, strict=True)
    ]


def duplicate_point(rules: EnrolmentRules, templates: int) -> OperatingPoint:
    """Choose the duplicate check's threshold for a gallery of so many templates."""
    decisions = rules.decisions
    if decisions.threshold is not None:
        return thresholds.by_hand(decisions.threshold, searched=templates)
    return thresholds.for_identification(
        decisions.measurement, rules.duplicate_fpir, templates=templates, fmr=decisions.fmr
    )


def _duplicate(suspect: Suspect) -> EnrolmentRefusedError:
    """Say whose face this already is."""
    other = suspect.other
    return EnrolmentRefusedError(
        f"{visible(suspect.photo)}: this face is enrolled already, as {visible(other.person.name)} "
        f"(score {other.score:.4f}, duplicate from {suspect.point.threshold:.4f})",
        hint=f"add it to {visible(other.person.name)}, or if they are two people enrol it with --allow-duplicate",
    )


def _not_own(name: str, sample: Sample, best: float, point: OperatingPoint) -> EnrolmentRefusedError:
    """Say that a face is not like the person's others."""
    return EnrolmentRefusedError(
        f"{visible(sample.photo)}: this face does not match {visible(name)}'s own "
        f"(score {best:.4f}, needed {point.threshold:.4f})",
        hint="check the photograph; if it is the right person, enrol it with --force",
    )


def _as_template(sample: Sample) -> NewTemplate:
    """Keep of a sample what the gallery holds: no pixels."""
    return NewTemplate(sample.vector, sample.photo, sample.photo_sha256, sample.quality)

"""Looking after a gallery: what is worth a look follows the rules by which decisions and enrolment are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli import quality
from facecli.enrolment import EnrolmentRules, duplicate_point
from facecli.errors import QualityError
from facecli.gallery.health import Limits, look_over

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.gallery.check import Step
    from facecli.gallery.health import Health
    from facecli.thresholds import OperatingPoint
    from facecli.types import Quality


@dataclass(frozen=True, slots=True)
class Checkup:
    """What is worth a look, and by which rules.

    Attributes
    ----------
    health
        What was found.
    duplicate
        The operating point of enrolment's duplicate check: two people at or above it may be one.
    own
        The operating point of 1:1 decisions: a template below it disagrees with its person.
    """

    health: Health
    duplicate: OperatingPoint
    own: OperatingPoint


def checkup(engine: Engine, *, threshold: float | None = None, step: Step | None = None) -> Checkup:
    """Look over the engine's gallery.

    Parameters
    ----------
    engine
        Settings and models; the gallery must be of its model.
    threshold
        A cosine instead of both operating points.
    step
        Told how many comparisons of all are done.

    Raises
    ------
    GalleryError
        The gallery is missing, locked or damaged.
    ModelMismatchError
        It was made with another model.
    UnsupportedPointError
        The model has no measured points, and no threshold was given.
    """
    settings = engine.settings
    with engine.gallery() as gallery:
        _, templates = gallery.count()
        decisions = engine.rules(threshold=threshold).against(gallery.calibration())
    own = decisions.for_pair()
    duplicate = duplicate_point(EnrolmentRules(decisions, settings.duplicate_fpir), max(templates, 1))
    limits = Limits(duplicate.threshold, own.threshold, lambda measured: _shortfall(engine, measured))
    health = look_over(settings.gallery, limits, wait_s=settings.wait, step=step)
    return Checkup(health, duplicate, own)


def _shortfall(engine: Engine, measured: Quality) -> str:
    """Say why a template's quality would be refused today; empty where it would not."""
    try:
        quality.check(measured, engine.quality_limits, "the photograph")
    except QualityError as error:
        return error.message.removeprefix("the photograph ")
    return ""

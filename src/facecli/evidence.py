"""What a deployment measured on its own people: operating points that bind, and what a score weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facecli.manifest import Measurement


@dataclass(frozen=True, slots=True)
class EvidenceWeight:
    """How much one comparison of two photographs weighs: the likelihood ratio of its score.

    ``log10 LR(score) = slope * score + intercept``, held between ``lowest`` and ``highest``: what the data can show.
    """

    slope: float
    intercept: float
    lowest: float
    highest: float

    def log10_lr(self, score: float) -> float:
        """Return log10 of how much likelier a score is if both are one person than if they are two."""
        return min(max(self.slope * score + self.intercept, self.lowest), self.highest)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Operating points measured on a deployment's own people, and the promises that go with them.

    Attributes
    ----------
    measurement
        The points; its status is ``"calibrated"``.
    fmr, fpir
        The loosest targets of a 1:1 decision and of a search: a floor that settings can tighten and not loosen.
    weight
        What a score says as evidence; None where the data could not tell.
    """

    measurement: Measurement
    fmr: float
    fpir: float
    weight: EvidenceWeight | None = None

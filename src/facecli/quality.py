"""Whether a face is good enough to decide on: four measures, each with a floor that was measured.

A refusal names what was measured, what is wanted, how to take a better photograph, and the option that overrides it.
The measurements behind the limits are in ``docs/pipeline.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from facecli.errors import QualityError
from facecli.opencv import load_cv2
from facecli.types import Quality

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.types import Box, Face, Image


CROP_SIZE: Final = (112, 112)
"""(width, height) of the crop that is judged."""
CROP_POINTS: Final = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where the face's points lie in the crop that is judged, whatever the embedder wants (ArcFace's template)."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What is asked of a face.

    Attributes
    ----------
    min_detection
        The detector's confidence, 0 to 1.
    min_eye_distance_px
        Between the eyes, in pixels of the photograph.
    max_cut
        The fraction of the face's box outside the frame, 0 to 1.
    min_sharpness
        See :func:`sharpness`.
    """

    min_detection: float = 0.8
    min_eye_distance_px: float = 10.0
    max_cut: float = 0.1
    min_sharpness: float = 0.008


def measure(image: Image, face: Face, crop: Image) -> Quality:
    """Measure a face.

    Parameters
    ----------
    image
        The photograph, BGR.
    face
        The detection, in pixels of ``image``.
    crop
        The face aligned to :data:`CROP_POINTS`, BGR: the same for every embedder, so that one limit fits all.
    """
    right, left = face.points[0], face.points[1]
    distance = float(((right - left) ** 2).sum() ** 0.5)
    height, width = image.shape[:2]
    return Quality(
        detection=face.score,
        eye_distance_px=distance,
        cut=_cut(face.box, width, height),
        sharpness=sharpness(crop),
    )


def check(quality: Quality, limits: QualityLimits, name: str) -> None:
    """Pass a face that meets every limit.

    Raises
    ------
    QualityError
        It misses one; the message names the measured value, the hint the remedy and the override.
    """
    for measured, wanted, complaint, hint in _shortfalls(quality, limits):
        raise QualityError(f"{name} {complaint} (measured {measured}, wanted {wanted})", hint=hint)


def _shortfalls(quality: Quality, limits: QualityLimits) -> Iterator[tuple[str, str, str, str]]:
    """Yield each missed limit: measured, wanted, complaint, remedy. A NaN misses every limit."""
    if not quality.detection >= limits.min_detection:
        yield (
            f"detection score {quality.detection:.3f}",
            f"at least {limits.min_detection:.3f}",
            "is hardly recognisable as a face",
            "show the whole face, from the front, well lit; or lower --min-detection",
        )
    if not quality.eye_distance_px >= limits.min_eye_distance_px:
        yield (
            f"{quality.eye_distance_px:.1f} px between the eyes",
            f"at least {limits.min_eye_distance_px:.1f} px",
            "shows the face too small",
            "come closer, or use the photograph in its original size; or lower --min-eye-distance",
        )
    if not quality.cut <= limits.max_cut:
        yield (
            f"{quality.cut:.1%} of the face outside the frame",
            f"at most {limits.max_cut:.1%}",
            "shows a face cut off by the frame",
            "take the photograph with room around the face; or raise --max-cut",
        )
    if not quality.sharpness > 0:  # two flat crops would match each other, whoever is meant
        yield ("no contrast at all", "a face", "shows nothing but one tone", "use another photograph")
    if not quality.sharpness >= limits.min_sharpness:
        yield (
            f"sharpness {quality.sharpness:.4f}",
            f"at least {limits.min_sharpness:.4f}",
            "is blurred",
            "hold still, focus, add light; or lower --min-sharpness",
        )


def sharpness(crop: Image) -> float:
    """Return how much fine detail the aligned face holds, compared with its contrast.

    The variance of the Laplacian of the grey crop (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy,
    ICPR 2000), over the grey values' own variance: so neither contrast nor brightness counts. It depends on the crop's
    scale; so the crop must be the one that :data:`CROP_POINTS` describes.
    """
    import numpy as np

    cv2 = load_cv2()
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float64)
    height, width = grey.shape
    face = grey[height // 5 : height - height // 8, width // 5 : width - width // 5]
    contrast = float(face.var())
    if contrast < 1.0:
        return 0.0
    return float(cv2.Laplacian(face, cv2.CV_64F)[1:-1, 1:-1].var()) / contrast


def _cut(box: Box, width: int, height: int) -> float:
    """Return the fraction of the box outside the frame."""
    shown_x = max(0.0, min(box.x + box.width, width) - max(box.x, 0.0))
    shown_y = max(0.0, min(box.y + box.height, height) - max(box.y, 0.0))
    return 1.0 - shown_x * shown_y / box.area if box.area > 0 else 1.0

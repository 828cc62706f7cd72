"""The values that travel between the parts: small, frozen, and free of behaviour that needs a library.

Conventions held everywhere: an image is BGR ``uint8`` of shape ``(height, width, 3)``; a template is a ``float32``
vector of unit length; a *score* is a cosine in ``[-1, 1]`` and higher is closer; accept is ``score >= threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image: TypeAlias = NDArray[np.uint8]
    """BGR pixels, ``(height, width, 3)``."""
    Points: TypeAlias = NDArray[np.float32]
    """Five landmarks ``(5, 2)`` in pixels as (x, y): right eye, left eye, nose tip, right, left corner of the mouth.

    Right and left are the subject's own; on an upright photograph the right eye has the smaller x."""
    Vector: TypeAlias = NDArray[np.float32]
    """A template, ``(dimension,)``, of unit length."""
    Vectors: TypeAlias = NDArray[np.float32]
    """Templates, ``(count, dimension)``, each of unit length."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photograph, upright.

    Attributes
    ----------
    pixels
        BGR, ``(height, width, 3)``, EXIF orientation applied.
    name
        Where it came from, as the user named it (``-`` for standard input). Not safe to print as it is.
    sha256
        Of the file's bytes, in hexadecimal.
    format
        ``"jpeg"``, ``"png"``, ... as its magic bytes say.
    """

    pixels: Image
    name: str
    sha256: str
    format: str


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels of the photograph; it may reach past the frame."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """The middle, as (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A detected face.

    Attributes
    ----------
    box
        In pixels of the upright photograph.
    points
        Five landmarks ``(5, 2)`` in pixels of the upright photograph.
    score
        The detector's confidence, 0 to 1.
    turned_deg
        How far the photograph had to be turned clockwise for the face to be found: 0, 90, 180 or 270.
    """

    box: Box
    points: Points
    score: float
    turned_deg: int = 0


class FacePolicy(StrEnum):
    """Which face of a photograph is meant."""

    ONE = "one"
    """Exactly one face, else it is an error."""
    LARGEST = "largest"
    CENTER = "center"
    ALL = "all"
    """Every face; only where several may be decided on."""


class Metric(StrEnum):
    """How a comparison is shown, and in which unit ``--threshold`` is given. Decisions are always by cosine."""

    COSINE = "cosine"
    """Similarity, -1 to 1."""
    ANGULAR = "angular"
    """Angle between the vectors in degrees, 180 to 0."""
    EUCLIDEAN = "euclidean"
    """Distance of the unit vectors, 2 to 0."""


class Fusion(StrEnum):
    """How the scores against a person's several templates become one."""

    MAX = "max"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Quality:
    """What the quality gate measured on one face (all of it before any threshold).

    Attributes
    ----------
    detection
        The detector's confidence, 0 to 1.
    eye_distance_px
        Inter-eye distance in pixels of the photograph (ISO/IEC 29794-5 asks for it).
    cut
        The fraction of the face box that lies outside the frame, 0 to 1.
    sharpness
        See :mod:`facecli.quality`; higher is sharper.
    """

    detection: float
    eye_distance_px: float
    cut: float
    sharpness: float


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A face of a photograph, made ready for comparison: the probe of a decision or the source of an enrolment.

    Attributes
    ----------
    photo, photo_sha256
        Where it came from.
    face
        The detection.
    crop
        The aligned face that the embedder saw, BGR; of a fused embedder's crops, the first.
    vector
        The template, float32 of unit length.
    quality
        What the quality gate measured.
    """

    photo: str
    photo_sha256: str
    face: Face
    crop: Image
    vector: Vector
    quality: Quality


@dataclass(frozen=True, slots=True)
class ModelPin:
    """Exactly which embedder made a template; templates of different pins must never be compared.

    The converted file is not in it: its bytes change with the converter's libraries while its outputs do not.

    Attributes
    ----------
    name
        The manifest's name.
    source_sha256
        Of the published weights.
    conversion
        Recipe and its version, such as ``"blockquant-1"``.
    preprocessing_sha256
        Of everything that happens to pixels before the network: size, colour order, scaling, alignment points.
    dimension
        Length of a template.
    """

    name: str
    source_sha256: str
    conversion: str
    preprocessing_sha256: str
    dimension: int

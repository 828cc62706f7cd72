"""Draw what was detected, for people who would rather look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.opencv import load_cv2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.types import Face, Image

_BOX = (60, 200, 60)
_INK = (0, 0, 0)
_FONT = 0
"""FONT_HERSHEY_SIMPLEX; OpenCV itself is loaded late."""
_POINTS = ((40, 40, 230), (230, 120, 40), (40, 200, 230), (40, 40, 230), (230, 120, 40))
"""BGR; the subject's right side red, left side blue, the nose yellow."""


def draw_faces(image: Image, faces: Sequence[Face]) -> Image:
    """Return a copy of ``image`` with each face's box, number, confidence and five points.

    Parameters
    ----------
    image
        BGR uint8 ``(height, width, 3)``.
    faces
        In pixels of that image; numbered from 1 in this order.
    """
    drawn: Image = image.copy()
    for number, face in enumerate(faces, 1):
        _outline(drawn, face)
        _label(drawn, face, f"{number} {face.score:.2f}")
    return drawn


def _outline(drawn: Image, face: Face) -> None:
    """Draw the box and the points, as thick as the face is large."""
    cv2 = load_cv2()
    box, stroke = face.box, max(1, round(face.box.width / 60))
    corner = (round(box.x + box.width), round(box.y + box.height))
    cv2.rectangle(drawn, (round(box.x), round(box.y)), corner, _BOX, stroke)
    for (x, y), colour in zip(face.points, _POINTS, strict=True):
        cv2.circle(drawn, (round(float(x)), round(float(y))), stroke, colour, cv2.FILLED, cv2.LINE_AA)


def _label(drawn: Image, face: Face, text: str) -> None:
    """Write above the box, no wider than it where that can be read, on a ground of the box's colour."""
    cv2 = load_cv2()
    (width, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(2.0, max(0.35, face.box.width / width))
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    x, y = max(round(face.box.x), 0), max(round(face.box.y) - below, height)
    cv2.rectangle(drawn, (x, y - height), (x + width, y + below), _BOX, cv2.FILLED)
    cv2.putText(drawn, text, (x, y), _FONT, scale, _INK, 1, cv2.LINE_AA)

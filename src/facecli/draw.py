"""Draw what was detected, for people who would rather look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.opencv import load_cv2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.types import Face, Image

_BOX = (60, 200, 60)
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
    cv2 = load_cv2()
    drawn: Image = image.copy()
    stroke = max(1, round(max(image.shape[:2]) / 500))
    for number, face in enumerate(faces, 1):
        x, y = round(face.box.x), round(face.box.y)
        corner = (round(face.box.x + face.box.width), round(face.box.y + face.box.height))
        cv2.rectangle(drawn, (x, y), corner, _BOX, stroke)
        for (px, py), colour in zip(face.points, _POINTS, strict=True):
            cv2.circle(drawn, (round(float(px)), round(float(py))), stroke + 1, colour, cv2.FILLED)
        label = f"{number}  {face.score:.2f}"
        place = (max(x, 0), max(y - 2 * stroke, 12 * stroke))
        for colour, width in (((0, 0, 0), 3 * stroke), ((255, 255, 255), stroke)):
            cv2.putText(drawn, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * stroke, colour, width, cv2.LINE_AA)
    return drawn

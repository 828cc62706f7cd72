"""Face to crop: the similarity transform that brings five points onto a model's template.

Closed-form least squares (Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns,
PAMI 1991), so the same points always give the same crop; a turned face is set upright by the transform itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import QualityError
from facecli.opencv import load_cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facecli.types import Image, Points

_SHRINK_BELOW = 0.5


def similarity(points: Points, template: Points) -> NDArray[np.float64]:
    """Return the ``(2, 3)`` similarity transform that maps ``points`` closest to ``template``, without reflection.

    Parameters
    ----------
    points, template
        ``(n, 2)``, n >= 2.

    Raises
    ------
    QualityError
        The points are not finite or coincide, so that no transform is defined.
    """
    import numpy as np

    source, target = np.asarray(points, np.float64), np.asarray(template, np.float64)
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    if not np.isfinite(centre).all():
        raise QualityError("the face's points are no numbers, so it can't be aligned", hint="use another photograph")
    a, b = source - centre, target - goal
    spread = float((a * a).sum())
    if spread < 1e-6:
        raise QualityError("the face's points coincide, so it can't be aligned", hint="use a larger photograph")
    # In two dimensions Umeyama's solution is one complex division: scale * rotation = sum(conj(a) b) / sum(|a|^2).
    cos = float((a * b).sum()) / spread
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, goal - linear @ centre])


def align(image: Image, points: Points, *, size: tuple[int, int], template: Points) -> Image:
    """Cut out a face so that its points lie on the template.

    Where the face must be made smaller than half, the surroundings of the face are averaged down first: sampling alone
    would skip pixels, and the crop would depend on the photograph's resolution. What lies outside the frame is black.

    Parameters
    ----------
    image
        BGR uint8 ``(height, width, 3)``.
    points
        The face's points ``(5, 2)`` in pixels.
    size
        (width, height) of the crop.
    template
        Where the points shall lie, ``(5, 2)`` in pixels of the crop.

    Returns
    -------
    Image
        BGR uint8 ``(size[1], size[0], 3)``.

    Raises
    ------
    QualityError
        The points coincide.
    """
    cv2 = load_cv2()
    matrix = similarity(points, template)
    scale = float((matrix[0, 0] ** 2 + matrix[1, 0] ** 2) ** 0.5)
    if scale < _SHRINK_BELOW:
        image, matrix = _shrunk(image, matrix, size)
    crop: Image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crop


def _shrunk(image: Image, matrix: NDArray[np.float64], size: tuple[int, int]) -> tuple[Image, NDArray[np.float64]]:
    """Average the part of the image that the crop shows down to the crop's scale, and adapt the transform."""
    import numpy as np

    cv2 = load_cv2()
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    left, top, right, bottom = _shown(image, matrix, size)
    if right <= left or bottom <= top:
        return image[:1, :1] * 0, matrix
    part = image[top:bottom, left:right]
    small_size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small: Image = cv2.resize(part, small_size, interpolation=cv2.INTER_AREA)
    # A pixel (u, v) of the small image is centred on ((u + 0.5) * ratio - 0.5 + left, ...) of the photograph.
    ratio = np.array([part.shape[1] / small_size[0], part.shape[0] / small_size[1]])
    shift = ratio / 2 - 0.5 + np.array([left, top])
    return small, np.column_stack([matrix[:, :2] * ratio, matrix[:, :2] @ shift + matrix[:, 2]])


def _shown(image: Image, matrix: NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the image's part that the crop shows, with a margin for averaging."""
    import numpy as np

    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], [size[0], size[1]]], np.float64)
    there = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    margin = 2 / np.hypot(matrix[0, 0], matrix[1, 0])
    low = np.floor(there.min(axis=0) - margin)
    high = np.ceil(there.max(axis=0) + margin)
    width, height = image.shape[1], image.shape[0]
    left, right = (int(v) for v in np.clip([low[0], high[0]], 0, width))
    top, bottom = (int(v) for v in np.clip([low[1], high[1]], 0, height))
    return left, top, right, bottom

"""Photograph to faces: YuNet's boxes and five points, in pixels of the upright photograph.

How large a photograph is made before it is searched, what counts as a face at all, and when a photograph is turned,
was decided by measurement: see ``docs/pipeline.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from facecli.errors import ModelIntegrityError
from facecli.opencv import load_cv2
from facecli.types import Box, Face

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.manifest import InputSpec
    from facecli.runtime import Device, Session
    from facecli.types import Image

    Rows: TypeAlias = NDArray[np.float32]
    """Detections: x, y, width, height, five points, score, and in column 15 the clockwise turn; best first."""

_STRIDES = (8, 16, 32)
_MULTIPLE = 32
_NMS_OVERLAP = 0.3
_LEAST_SIDE_PX = 160
"""A smaller photograph is enlarged to this, so that its faces are found and called too small, not absent."""
_LAST_SIDE_PX = 480
"""The halving stops at or below this side: a face as large as the frame is found there."""
_SURE = 0.9
"""Upright faces of lfw-dev score at least this, turned ones less (docs/pipeline.md)."""


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How faces are searched, and what counts as one.

    Attributes
    ----------
    max_side_px
        A photograph whose longer side exceeds this is searched at this size.
    min_score
        The least confidence of a face, 0 to 1.
    min_face_px
        The least side of a face's box, in pixels of the photograph.
    turn
        Whether a photograph without a face that surely stands upright is searched turned by 90, 180 and 270 degrees as
        well; each face is then taken as it is surest.
    """

    max_side_px: int = 1280
    min_score: float = 0.7
    min_face_px: float = 16.0
    turn: bool = True


class Detector(Protocol):
    """Finds faces."""

    @property
    def device(self) -> Device:
        """Where it runs."""

    def detect(self, image: Image, options: DetectOptions) -> list[Face]:
        """Return the faces of a BGR image ``(height, width, 3)``, most confident first; none is an empty list."""


class YuNet:
    """The YuNet detector (Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023).

    Parameters
    ----------
    session
        Runs the network: NCHW BGR 0..255, height and width multiples of 32, to ``cls``, ``obj``, ``bbox`` and ``kps``
        for the strides 8, 16 and 32.
    spec
        Mean, scale and colour order of the input.
    """

    def __init__(self, session: Session, spec: InputSpec) -> None:
        self._session = session
        self._spec = spec

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self._session.device

    def detect(self, image: Image, options: DetectOptions) -> list[Face]:
        """Return the faces, most confident first.

        Parameters
        ----------
        image
            BGR uint8 ``(height, width, 3)``.
        options
            How to search, and what counts as a face.
        """
        import numpy as np

        levels = _levels(image, options.max_side_px)
        rows = self._searched(levels, 0, options.min_score)
        if options.turn and not (rows[:, 14] >= _SURE).any():
            # A turned face is often found upright too, with points that are wrong: the surest orientation wins.
            turns = [self._searched(levels, degrees, options.min_score) for degrees in (90, 180, 270)]
            rows = _without_overlaps(np.concatenate([rows, *turns]))
        rows = rows[rows[:, 2:4].min(axis=1) >= options.min_face_px]
        return [_face(row) for row in rows]

    def _searched(self, levels: Sequence[tuple[Image, float]], degrees: int, min_score: float) -> Rows:
        """Search every level turned clockwise by ``degrees``; rows in pixels of the upright photograph."""
        import numpy as np

        found = []
        for image, scale in levels:
            rows = self._rows(_turned(image, degrees), min_score)
            rows = _turned_back(rows, degrees, image.shape[:2])
            rows[:, :14] /= scale
            found.append(rows)
        return _without_overlaps(np.concatenate(found))

    def _rows(self, image: Image, min_score: float) -> Rows:
        height, width = image.shape[:2]
        tensor = _as_tensor(image, self._spec)
        rows = _decoded(self._session.run(tensor), tensor.shape[2:], min_score)
        inside: Rows = rows[(rows[:, 0] < width) & (rows[:, 1] < height)]  # not in the padding
        return inside


def _levels(image: Image, max_side_px: int) -> list[tuple[Image, float]]:
    """Return the image in the sizes to search, with their scales: the largest allowed, its half, its quarter, ...

    A network sees faces of about 10 to 500 px; the halves are for faces that fill a large photograph.
    """
    cv2 = load_cv2()
    longer = max(image.shape[:2])
    side = float(min(max(longer, _LEAST_SIDE_PX), max_side_px))
    levels = []
    while True:
        scale = side / longer
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        if scale != 1.0:
            image_now = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        else:
            image_now = image
        levels.append((image_now, scale))
        if side <= _LAST_SIDE_PX:
            return levels
        side /= 2


def _as_tensor(image: Image, spec: InputSpec) -> NDArray[np.float32]:
    """Return NCHW float32, zero-padded right and below to a multiple of 32."""
    import numpy as np

    height, width = image.shape[:2]
    padded = np.zeros((1, 3, -(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE), np.float32)
    ordered = image if spec.colour == "BGR" else image[..., ::-1]
    pixels = (ordered - np.asarray(spec.mean, np.float32)) * np.asarray(spec.scale, np.float32)
    padded[0, :, :height, :width] = pixels.transpose(2, 0, 1)
    return padded


def _decoded(outputs: Sequence[NDArray[np.float32]], size: tuple[int, ...], min_score: float) -> NDArray[np.float32]:
    """Turn the network's twelve outputs into rows: x, y, width, height, five points, score."""
    import numpy as np

    if len(outputs) != 12:
        raise ModelIntegrityError(f"a YuNet detector has 12 outputs, this model has {len(outputs)}")
    parts = []
    for level, stride in enumerate(_STRIDES):
        cls, obj, bbox, kps = (outputs[level + 3 * part][0] for part in range(4))
        score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        keep = np.flatnonzero(score >= min_score)
        columns = size[1] // stride
        grid = np.stack([keep % columns, keep // columns], axis=1).astype(np.float32)
        centre = (grid + bbox[keep, :2]) * stride
        extent = np.exp(np.minimum(bbox[keep, 2:], 20)) * stride
        points = (np.tile(grid, 5) + kps[keep]) * stride
        parts.append(np.column_stack([centre - extent / 2, extent, points, score[keep]]))
    rows: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return rows[np.isfinite(rows).all(axis=1)]


def _without_overlaps(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep the best of each group of boxes that overlap by more than 0.3 (greedy non-maximum suppression)."""
    import numpy as np

    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    near, far = rows[:, :2], rows[:, :2] + rows[:, 2:4]
    area = rows[:, 2] * rows[:, 3]
    kept: list[int] = []
    left = np.arange(len(rows))
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        both = np.minimum(far[best], far[left]) - np.maximum(near[best], near[left])
        shared = np.prod(np.maximum(both, 0), axis=1)
        left = left[shared <= _NMS_OVERLAP * (area[best] + area[left] - shared)]
    return rows[kept]


def _turned(image: Image, degrees: int) -> Image:
    """Return the image turned clockwise by a multiple of 90 degrees."""
    import numpy as np

    return np.ascontiguousarray(np.rot90(image, -degrees // 90))


def _turned_back(rows: NDArray[np.float32], degrees: int, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Map rows found in a turned image to the image before turning; ``size`` is (height, width) before."""
    import numpy as np

    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 4:14]], axis=1)
    x, y = corners[:, 0::2], corners[:, 1::2]
    height, width = size
    if degrees == 90:
        x, y = y, height - x
    elif degrees == 180:
        x, y = width - x, height - y
    elif degrees == 270:
        x, y = width - y, x
    near = np.stack([x[:, :2].min(axis=1), y[:, :2].min(axis=1)], axis=1) if len(rows) else np.empty((0, 2))
    points = np.stack([x[:, 2:], y[:, 2:]], axis=2).reshape(len(rows), 10)
    extent = rows[:, 2:4] if degrees in (0, 180) else rows[:, 3:1:-1]
    return np.column_stack([near, extent, points, rows[:, 14], np.full(len(rows), degrees)]).astype(np.float32)


def _face(row: NDArray[np.float32]) -> Face:
    box = Box(*(float(value) for value in row[:4]))
    return Face(box=box, points=row[4:14].reshape(5, 2).copy(), score=float(row[14]), turned_deg=int(row[15]))

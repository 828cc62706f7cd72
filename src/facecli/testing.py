"""Stand-ins for tests: a detector and an embedder without weights, and photographs drawn for them.

A drawn face is a square of eight grey blocks that say who it is, on a flat background. :class:`FakeDetector` finds such
squares, :class:`FakeEmbedder` reads the blocks; so a whole pipeline runs in milliseconds, with the same answer always::

    pipeline = Pipeline(FakeDetector(), FakeEmbedder())
    alice, bob = pipeline.sample(drawn_photo(1)), pipeline.sample(drawn_photo(2))

Two drawings of one person score nearly 1 (exactly 1 if nothing else differs), ``noise`` lowers that; different people
score like random directions in eight dimensions.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from facecli.errors import ModelIntegrityError
from facecli.manifest import InputSpec
from facecli.opencv import load_cv2
from facecli.runtime import Device
from facecli.types import Box, Face, ModelPin, Photo

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.detect import DetectOptions
    from facecli.types import Image, Vectors

TEMPLATE: Final = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""The 112 x 112 alignment template of ArcFace (Deng et al., 2019)."""

FAKE_INPUT: Final = InputSpec(
    width_px=112, height_px=112, colour="BGR", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), points=TEMPLATE
)
_BACKGROUND: Final = (200, 120, 40)
_BLOCKS: Final = (4, 2)  # columns, rows


class FakeDetector:
    """Finds drawn faces: every patch that differs from the flat background.

    Parameters
    ----------
    score
        The confidence that it claims.
    """

    def __init__(self, *, score: float = 0.95) -> None:
        self._score = score

    @property
    def device(self) -> Device:
        """Always the CPU."""
        return Device("cpu")

    def detect(self, image: Image, options: DetectOptions) -> list[Face]:
        """Return the drawn faces of at least ``options.min_face_px``, from left to right."""
        import numpy as np

        if self._score < options.min_score:
            return []
        far = np.abs(image.astype(np.int16) - np.array(_BACKGROUND, np.int16)).max(axis=2) > 40
        _, _, stats, _ = load_cv2().connectedComponentsWithStats(far.astype(np.uint8))
        boxes = sorted(tuple(int(v) for v in row[:4]) for row in stats[1:])
        return [self._face(box) for box in boxes if min(box[2:]) >= options.min_face_px]

    def _face(self, box: tuple[int, ...]) -> Face:
        import numpy as np

        x, y, width, height = box
        points = np.array(TEMPLATE, np.float32) / 112 * (width, height) + (x, y)
        return Face(box=Box(x, y, width, height), points=points.astype(np.float32), score=self._score)


class FakeEmbedder:
    """Reads the eight blocks of a drawn face.

    Parameters
    ----------
    name
        The model's name in its pin; two names are two models.
    """

    def __init__(self, name: str = "fake") -> None:
        digest = hashlib.sha256(name.encode()).hexdigest()
        self._pin = ModelPin(
            name=name, source_sha256=digest, conversion="none-1", preprocessing_sha256=digest, dimension=8
        )

    @property
    def pin(self) -> ModelPin:
        """Made from its name."""
        return self._pin

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """One, 112 x 112 with ArcFace's template."""
        return (FAKE_INPUT,)

    @property
    def device(self) -> Device:
        """Always the CPU."""
        return Device("cpu")

    def embed(self, *crops: Sequence[Image]) -> Vectors:
        """Return one template of unit length and eight values for each crop of the one sequence.

        Raises
        ------
        ModelIntegrityError
            A crop is blank, so that it has no direction.
        """
        import numpy as np

        (faces,) = crops
        columns, rows = _BLOCKS
        vectors = np.zeros((len(faces), columns * rows), np.float64)
        for number, crop in enumerate(faces):
            blocks = crop.mean(axis=2).reshape(rows, 112 // rows, columns, 112 // columns)
            vectors[number] = (blocks[:, 8:-8, :, 6:-6].mean(axis=(1, 3)) - 127.5).ravel()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (norms > 1e-6).all():
            raise ModelIntegrityError("the fake model gave no usable vector")
        unit: Vectors = (vectors / norms).astype(np.float32)
        return unit


def drawn_photo(*people: int, side_px: int = 112, noise: float = 0.0, name: str = "drawn.png") -> Photo:
    """Draw a photograph that shows the given people side by side.

    Parameters
    ----------
    people
        Any numbers; each is a person. None is a photograph without a face.
    side_px
        Of each face.
    noise
        Standard deviation of grey levels by which the person's look differs this time; the name is its seed.
    name
        The photograph's name.

    Returns
    -------
    Photo
        BGR, its sha256 that of the pixels.
    """
    import numpy as np

    gap = side_px // 2
    pixels = np.empty((side_px + 2 * gap, max(1, len(people)) * (side_px + gap) + gap, 3), np.uint8)
    pixels[:] = _BACKGROUND
    luck = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    for place, person in enumerate(people):
        left = gap + place * (side_px + gap)
        pixels[gap : gap + side_px, left : left + side_px] = _drawn_face(person, side_px, noise, luck)
    return Photo(pixels=pixels, name=name, sha256=hashlib.sha256(pixels.tobytes()).hexdigest(), format="png")


def _drawn_face(person: int, side_px: int, noise: float, luck: np.random.Generator) -> NDArray[np.uint8]:
    """Paint the eight blocks, with a fine pattern so that the face counts as sharp."""
    import numpy as np

    look = np.random.default_rng([7, abs(person), person < 0]).standard_normal(8)
    levels = 127.5 + 60 * look / np.abs(look).max() + luck.normal(0, noise, 8)
    columns, rows = _BLOCKS
    at = np.arange(side_px)
    block = (at[:, None] * rows // side_px) * columns + at[None, :] * columns // side_px
    pattern = np.where((at[:, None] + at[None, :]) // 2 % 2 == 0, 12.0, -12.0)
    grey = np.clip(levels[block] + pattern, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)

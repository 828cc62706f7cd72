"""A fixed input whose template is known: what exposes a swapped colour order, another alignment, a changed provider.

The input is drawn, so it needs no photograph: slopes and waves that differ in every colour channel and on either side,
passed through the same alignment as a face. It is made of integers alone, so every machine draws the same bytes. The
expected templates stand in the manifests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from facecli.align import align
from facecli.errors import ModelError

if TYPE_CHECKING:
    from facecli.embed import Embedder
    from facecli.manifest import InputSpec, KnownAnswer
    from facecli.types import Image

INPUT: Final = "ramp-1"
"""The one input that is known; another drawing would get another name."""

_SIDE_PX: Final = 200
_POINTS: Final = ((70.0, 85.0), (128.0, 91.0), (97.0, 121.0), (74.0, 150.0), (121.0, 155.0))


def drawn_input() -> Image:
    """Return the fixed picture, BGR ``(200, 200, 3)``."""
    import numpy as np

    y, x = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX]
    wave = np.abs((x * 3 + y) % 64 - 32) * 2
    blue = (x * 255) // (_SIDE_PX - 1)
    green = np.where((x // 20 + y // 25) % 2 == 0, 40 + wave, 200 - wave)
    red = 255 - (y * 255) // (_SIDE_PX - 1)
    return np.stack([blue, green, red], axis=2).astype(np.uint8)


def check(embedder: Embedder, known: KnownAnswer) -> float:
    """Return the greatest difference between the embedder's template of the fixed input and the known one.

    Parameters
    ----------
    embedder
        The one to examine.
    known
        From its manifest.

    Raises
    ------
    ModelError
        The manifest names an input that this version does not know.
    """
    import numpy as np

    if known.input != INPUT:
        raise ModelError(f"the known answer is for the input {known.input!r}, and only {INPUT!r} is known here")
    template = embedder.embed(*([_crop(spec)] for spec in embedder.inputs))[0]
    expected = np.array(known.values, np.float64)
    return float(np.abs(template[: len(expected)].astype(np.float64) - expected).max())


def _crop(spec: InputSpec) -> Image:
    """Align the fixed picture as a face."""
    import numpy as np

    points, template = np.array(_POINTS, np.float32), np.array(spec.points, np.float32)
    return align(drawn_input(), points, size=(spec.width_px, spec.height_px), template=template)

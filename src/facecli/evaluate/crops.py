"""The aligned face of a photograph, for a page to show: made again when it is needed, and kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.engine import one_face
from facecli.errors import ImageError, NoFaceError, QualityError, SeveralFacesError
from facecli.opencv import load_cv2

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.types import Image

_QUALITY = 90


class FaceCrops:
    """Cuts out the face that the evaluation compared, as the first model's embedder saw it.

    Parameters
    ----------
    engine
        The models and settings of the evaluation.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: dict[str, bytes | None] = {}

    def __call__(self, source: str) -> bytes | None:
        """Return the face as JPEG; None where the photograph is gone or shows none any more."""
        if source not in self._made:
            self._made[source] = self._cut(source)
        return self._made[source]

    def _cut(self, source: str) -> bytes | None:
        policy = one_face(self._engine.settings.faces)
        try:
            return _jpeg(self._engine.pipeline.prepare(self._engine.read(source), policy).crop)
        except (ImageError, NoFaceError, SeveralFacesError, QualityError):
            return None


def _jpeg(crop: Image) -> bytes:
    """Return a crop as a JPEG file."""
    cv2 = load_cv2()
    _, encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded.tobytes())

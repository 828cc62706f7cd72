"""Bytes to pixels: upright, BGR, eight bits, and as a viewer shows them.

- **The format is what the first bytes say**, never what the file is called.
- **Limits come first**: the size in the header is compared with the limits before anything is decoded.
- **Orientation is applied** wherever a format carries it.
- **Transparency is composited on white**, as viewers do; what lies hidden under transparent pixels is never looked at.
- **The first frame** of an animation and the first page of a document are taken.
- **A damaged file is refused**, not half decoded.

Reading a path never blocks and never reads more than the limit allows. What this does to pixels, format by format, is
told in ``docs/pipeline.md``.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from facecli import headers
from facecli.errors import ImageError, SetupError
from facecli.files import replacing
from facecli.headers import Size
from facecli.opencv import load_cv2
from facecli.types import Photo

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

    from facecli.types import Image

STDIN = "-"
"""The name that means standard input; a file called so is ``./-``."""

_EXTRA_FORMATS = ("heic", "avif")
_ALPHA_FORMATS = ("png", "webp", "gif", "tiff")
_BAND_PIXELS = 1 << 20
"""So many are converted at a time, so that memory stays bounded, however wide the photograph is."""
_EXPORT_HINT = "export it again as JPEG or PNG"


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What may be decoded at all.

    Attributes
    ----------
    max_pixels
        Width times height of a photograph of eight bits; where decoding takes more memory for each pixel (16-bit,
        floating-point, progressive JPEG), accordingly fewer. The default admits telephones' 48 megapixels and keeps
        the whole process below 512 MB.
    max_bytes
        Of the file.
    """

    max_pixels: int = 48 << 20
    max_bytes: int = 100_000_000


def read_photo(source: str, limits: ImageLimits = ImageLimits(), *, stdin: BinaryIO | None = None) -> Photo:
    """Read and decode a photograph.

    Parameters
    ----------
    source
        A path, or ``-`` for standard input.
    limits
        What may be decoded at all.
    stdin
        Where ``-`` reads from; the process's standard input if not given.

    Raises
    ------
    ImageError
        It is no readable regular file, of no known format, too large, or damaged.
    """
    if source == STDIN:
        stream = stdin if stdin is not None else _standard_input()
        return decode_photo(_read_bounded(stream, _said(source), limits), source, limits)
    if not source:
        raise ImageError("the name of a photograph is empty", hint="is a variable of the shell not set?")
    try:
        with _open_regular(source) as stream:
            data = _read_bounded(stream, source, limits)
    except OSError as error:
        raise ImageError(f"{source} can't be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"{source} can't be read: {error}") from error
    return decode_photo(data, source, limits)


def decode_photo(data: bytes, name: str, limits: ImageLimits = ImageLimits()) -> Photo:
    """Decode a photograph that is already in memory.

    Parameters
    ----------
    data
        The file's bytes.
    name
        What to call it in messages and in evidence.
    limits
        What may be decoded at all.

    Returns
    -------
    Photo
        BGR uint8 ``(height, width, 3)``, orientation applied.

    Raises
    ------
    ImageError
        Of no known format, too large, or damaged.
    SetupError
        A library of this machine is missing.
    """
    said = _said(name)
    if not data:
        raise ImageError(f"{said} is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(said, limits)
    kind = headers.format_of(data)
    if kind is None:
        raise ImageError(f"{said} is not a photograph in a known format", hint=f"known: {headers.KNOWN}")
    if kind in _EXTRA_FORMATS:
        pixels = _decode_with_pillow(data, kind, said, limits)
    else:
        _check_size(headers.size_of(data, kind), kind, said, limits)
        pixels = _decode_with_opencv(data, kind, said)
    return Photo(pixels=pixels, name=name, sha256=hashlib.sha256(data).hexdigest(), format=kind)


def encode_png(pixels: Image) -> bytes:
    """Return the pixels (BGR uint8) as a PNG file's bytes."""
    encoded: bytes = load_cv2().imencode(".png", pixels)[1].tobytes()
    return encoded


def write_png(path: Path, pixels: Image, *, mode: int = 0o644) -> None:
    """Write the pixels (BGR uint8) as a PNG file, atomically.

    Raises
    ------
    OutputError
        It can't be written there.
    """
    data = encode_png(pixels)
    with replacing(path, mode=mode) as stream:
        stream.write(data)


# --- reading --------------------------------------------------------------------------------------------------------


def _said(name: str) -> str:
    """Return how messages call an input."""
    return "standard input" if name == STDIN else name


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise ImageError("standard input is closed", hint="pipe a photograph into it, or name a file")
    return sys.stdin.buffer


def _open_regular(path: str) -> BinaryIO:
    """Open a regular file and nothing else; a FIFO or device neither blocks nor is touched."""
    _refuse_irregular(os.stat(path), path)  # noqa: PTH116 -- Path() would swallow the "./" of "./-"
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    stream = os.fdopen(os.open(path, flags), "rb")
    try:
        _refuse_irregular(os.fstat(stream.fileno()), path)  # it may have been replaced in between
    except BaseException:
        stream.close()
        raise
    return stream


def _refuse_irregular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{path} is a folder, not a photograph", hint="name the photographs in it")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path} is not a regular file", hint="pipe its bytes in and name the photograph -")


def _read_bounded(stream: BinaryIO, said: str, limits: ImageLimits) -> bytes:
    try:
        data = stream.read(limits.max_bytes + 1)
    except OSError as error:
        raise ImageError(f"{said} can't be read: {error.strerror or error}") from error
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(said, limits)
    return data


def _too_many_bytes(said: str, limits: ImageLimits) -> ImageError:
    return ImageError(f"{said} is larger than {limits.max_bytes:,} bytes", hint="make it smaller")


def _check_size(size: Size | None, kind: str, said: str, limits: ImageLimits) -> None:
    """Refuse what is too large before it is decoded, and what does not tell its size."""
    if size is None or min(size.width, size.height) < 1:
        raise _damaged(said, kind)
    allowed = int(limits.max_pixels / size.cost)
    if size.width * size.height > allowed:
        raise ImageError(
            f"{said} is too large: {size.width} x {size.height} pixels, and its kind may have {allowed:,}",
            hint="make it smaller",
        )


def _damaged(said: str, kind: str) -> ImageError:
    return ImageError(f"{said} is damaged or cut short: its {kind.upper()} data can't be decoded", hint=_EXPORT_HINT)


# --- decoding -------------------------------------------------------------------------------------------------------


def _decode_with_opencv(data: bytes, kind: str, said: str) -> Image:
    import numpy as np

    cv2 = load_cv2()
    if not headers.is_complete(data, kind):
        raise _damaged(said, kind)
    flags = cv2.IMREAD_UNCHANGED if kind in _ALPHA_FORMATS else cv2.IMREAD_COLOR
    try:
        pixels, types, blocks = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), flags=flags)
    except (cv2.error, MemoryError) as error:
        raise _damaged(said, kind) from error
    if pixels is None or pixels.size == 0:
        raise _damaged(said, kind)
    if kind in ("png", "webp"):  # with IMREAD_UNCHANGED, OpenCV applies the orientation of TIFF alone
        exif = next(
            (bytes(block) for t, block in zip(types, blocks, strict=False) if t == cv2.IMAGE_METADATA_EXIF), b""
        )
        pixels = _turned(pixels, headers.orientation_of(exif))
    key = headers.grey_key_of(data) if kind == "png" else None
    return _as_bgr8(pixels, said, premultiplied=kind == "tiff" and pixels.dtype == np.uint8, grey_key=key)


def _as_bgr8(
    pixels: NDArray[np.generic], said: str, *, premultiplied: bool = False, grey_key: float | None = None
) -> Image:
    """Bring any depth and number of channels to BGR, 8 bits, composited on white."""
    import numpy as np

    cv2 = load_cv2()
    full = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}.get(pixels.dtype.name)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if full is None or channels not in (1, 3, 4):
        raise ImageError(f"{said} has samples of type {pixels.dtype.name} in {channels} channels", hint=_EXPORT_HINT)
    if full == 1.0 and not (float(pixels.min()) >= 0 and float(pixels.max()) <= 1):  # a NaN is refused too
        raise ImageError(
            f"{said} has floating-point samples outside 0..1, so what is white is unknown", hint=_EXPORT_HINT
        )
    if channels == 1 and grey_key is not None:
        pixels = np.where(pixels == np.rint(grey_key * full), np.asarray(full, pixels.dtype), pixels)
    if channels == 4:
        return _on_white(pixels, full, premultiplied=premultiplied)
    eight = _to_eight_bits(pixels, full)
    bgr: Image = cv2.cvtColor(eight, cv2.COLOR_GRAY2BGR) if channels == 1 else np.ascontiguousarray(eight)
    return bgr


def _to_eight_bits(pixels: NDArray[np.generic], full: float) -> Image:
    """Scale samples so that ``full`` becomes 255, rounding to the nearest."""
    import numpy as np

    if full == 255.0:
        return pixels.astype(np.uint8, copy=False)
    out = np.empty(pixels.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows].astype(np.float32)
        out[top : top + rows] = np.rint(band * np.float32(255.0 / full)).astype(np.uint8)
    return out


def _on_white(pixels: NDArray[np.generic], full: float, *, premultiplied: bool) -> Image:
    """Composite BGRA on white, as viewers do."""
    import numpy as np

    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows].astype(np.float32) * np.float32(255.0 / full)
        if band[..., 3].min() == 255.0:
            out[top : top + rows] = np.rint(band[..., :3]).astype(np.uint8)
            continue
        colour = band[..., :3] if premultiplied else band[..., :3] * (band[..., 3:] / np.float32(255.0))
        out[top : top + rows] = np.rint(np.clip(colour + (255.0 - band[..., 3:]), 0.0, 255.0)).astype(np.uint8)
    return out


def _turned(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Apply an EXIF orientation, 1 to 8 (TIFF 6.0, tag 274)."""
    import numpy as np

    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode_with_pillow(data: bytes, kind: str, said: str, limits: ImageLimits) -> Image:
    """Decode HEIC and AVIF: OpenCV reads no HEIC, and forgets the rotation that an AVIF carries."""
    import numpy as np

    try:
        from PIL import AvifImagePlugin
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise SetupError(
            f"{said} is a {kind.upper()} photograph, which needs an extra library",
            hint="pip install 'facecli[heic]', or export the photograph as JPEG",
        ) from error
    plugin = AvifImagePlugin.AvifImageFile if kind == "avif" else HeifImageFile
    try:
        with plugin(io.BytesIO(data)) as opened:
            _check_size(
                Size(opened.width, opened.height, cost=1.0 if opened.mode == "RGB" else 1.5), kind, said, limits
            )
            orientation = opened.getexif().get(0x112, 1)
            pixels = _out_of_pillow(opened)
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, MemoryError) as error:
        raise _damaged(said, kind) from error
    turned: Image = _turned(pixels, orientation).astype(np.uint8, copy=False)
    return turned


def _out_of_pillow(opened: PillowImage) -> Image:
    """Copy a Pillow image to BGR, composited on white, a band at a time: Pillow's own export takes twice the memory."""
    import numpy as np

    width, height = opened.size
    opened.load()
    out = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = opened.crop((0, top, width, min(height, top + rows)))
        if opened.mode == "RGB":
            out[top : top + rows] = np.asarray(band)[..., ::-1]
        else:
            bgra = np.asarray(band.convert("RGBA"))[..., [2, 1, 0, 3]]
            out[top : top + rows] = _on_white(bgra, 255.0, premultiplied=False)
    return out

"""What an image file says of itself before it is decoded: format, size, orientation, whether it is whole.

Pure functions over bytes; no library, nothing decoded. They decide what is *let through* to a decoder, so each takes
any bytes whatever and answers or gives None, and never raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN: Final = "JPEG, PNG, WebP, BMP, TIFF, GIF, and with the extra facecli[heic] also HEIC and AVIF"
"""The formats that facecli reads, for messages."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS: Final = {b"avif", b"avis"}
_ALPHA: Final = 1.5
"""What a transparent photograph costs: a fourth channel, and the copy without it."""
_UNREADABLE: Final = (struct.error, IndexError, OverflowError)
_BMP_HEADERS: Final = {12, 40, 52, 56, 64, 108, 124}


@dataclass(frozen=True, slots=True)
class Size:
    """What a header promises.

    Attributes
    ----------
    width, height
        Pixels.
    cost
        The memory that decoding takes for each pixel, compared with an ordinary photograph of eight bits.
    """

    width: int
    height: int
    cost: float = 1.0


def format_of(data: bytes) -> str | None:
    """Return the format as the first bytes say: ``"jpeg"``, ``"png"``, ...; None if unknown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _format_of_brands(data)
    if data[:2] == b"BM" and (len(data) < 18 or int.from_bytes(data[14:18], "little") not in _BMP_HEADERS):
        return None  # two letters are a weak sign: text may begin so
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def size_of(data: bytes, kind: str) -> Size | None:
    """Return the size in pixels as the header says; None where it says none."""
    try:
        return _SIZES[kind](data)
    except _UNREADABLE:
        return None


def is_complete(data: bytes, kind: str) -> bool:
    """Say whether the file reaches its end as the format marks it; True for formats that mark none.

    Decoders fill what is missing with grey and call it a success; half a face is not a photograph.
    """
    if kind == "png":
        return any(name == b"IEND" for name, _ in _png_chunks(data))
    if kind == "webp":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block (with or without its ``Exif`` prefix); 1 if it says none."""
    block = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        value = _tiff_tags(block, {274}).get(274, 1)
    except _UNREADABLE:
        return 1
    return value if 1 <= value <= 8 else 1


def grey_key_of(data: bytes) -> float | None:
    """Return the grey level, 0 to 1, that a greyscale PNG declares to be transparent; None if it declares none.

    OpenCV drops this one form of transparency (chunk ``tRNS`` with colour type 0).
    """
    if len(data) < 26 or data[25] != 0:
        return None
    for name, body in _png_chunks(data):
        if name == b"tRNS" and len(body) >= 2:
            return int.from_bytes(body[:2], "big") / ((1 << data[24]) - 1)
        if name == b"IDAT":
            return None
    return None


def _format_of_brands(data: bytes) -> str | None:
    """Tell AVIF from HEIC by the brands of an ISO base media file."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None


def _jpeg_size(data: bytes) -> Size | None:
    """Walk the markers to the first frame header (ITU T.81, B.2.2); a progressive one is held in memory as a whole."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Size(width, height, 1.5 if marker in (0xC2, 0xC6, 0xCA, 0xCE) else 1.0)
        if marker in (0xD9, 0xDA):
            return None
        at += 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + struct.unpack_from(">H", data, at + 2)[0]


def _png_size(data: bytes) -> Size | None:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    alpha = _ALPHA if colour not in (0, 2) else 1.0  # a palette may hold transparent colours
    return Size(width, height, 2.0 if depth == 16 else alpha) if data[12:16] == b"IHDR" else None


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the PNG's whole chunks as (name, first bytes of the body), in order."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + min(length, 6)]))
        at += 12 + length
    return chunks


def _gif_size(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return Size(width, height)


def _bmp_size(data: bytes) -> Size:
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return Size(abs(width), abs(height))  # a negative height means top-down


def _webp_size(data: bytes) -> Size | None:
    """Read the canvas of the extended, the lossless or the lossy form (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        cost = _ALPHA if data[20] & 0x12 else 1.0  # alpha or animation
        return Size(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"), cost)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), _ALPHA)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Size(width & 0x3FFF, height & 0x3FFF)
    return None


def _tiff_size(data: bytes) -> Size | None:
    tags = _tiff_tags(data, {256, 257, 258, 277})
    if 256 not in tags or 257 not in tags:
        return None
    alpha = _ALPHA if tags.get(277, 1) > 3 else 1.0
    return Size(tags[256], tags[257], alpha * max(1.0, tags.get(258, 8) / 8))


def _tiff_tags(data: bytes, wanted: set[int]) -> dict[int, int]:
    """Return the wanted integer tags of the first directory of a TIFF or BigTIFF file; of a list, its first value."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return {}
    version = struct.unpack_from(order + "H", data, 2)[0]
    big = version == 43
    start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    count = struct.unpack_from(order + ("Q" if big else "H"), data, start)[0]
    first, step = start + (8 if big else 2), 20 if big else 12
    found = {}
    for at in range(first, first + step * min(count, 4096), step):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag in wanted and form:
            room, length = (8, "Q") if big else (4, "I")
            place = at + 4 + room
            if struct.unpack_from(order + length, data, at + 4)[0] * struct.calcsize(form) > room:
                place = struct.unpack_from(order + length, data, place)[0]
            found[tag] = struct.unpack_from(order + form, data, place)[0]
    return found


_SIZES: Final[dict[str, Callable[[bytes], Size | None]]] = {
    "jpeg": _jpeg_size,
    "png": _png_size,
    "gif": _gif_size,
    "bmp": _bmp_size,
    "webp": _webp_size,
    "tiff": _tiff_size,
}

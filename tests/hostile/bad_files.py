"""Every kind of file that is no photograph: how it is made, and how each command must end on it."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facecli.opencv import load_cv2

UNREADABLE, NO_FACE = 7, 3


@dataclass(frozen=True)
class BadFile:
    """What is in a test's parameter: a name, its maker (which returns the operand), and the statuses allowed."""

    name: str
    make: Callable[[Path], object]
    statuses: frozenset[int] = frozenset({UNREADABLE})

    def __str__(self) -> str:
        return self.name


@cache
def png_bomb(side_px: int = 30_000) -> bytes:
    """Return a valid grey PNG of ``side_px`` squared, all zeros: under a megabyte, and 900 MB once decoded."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    body = _packed_zeros(side_px * (side_px + 1))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _packed_zeros(count: int) -> bytes:
    """Return what zlib makes of so many zeros, without compressing them all: every full block is the same."""
    block = 1 << 20
    packer = zlib.compressobj(9, wbits=-15)
    full = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    rest = last.compress(bytes(count % block)) + last.flush()
    checksum = (count % 65521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + full * (count // block) + rest + struct.pack(">I", checksum)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _encoded(ending: str) -> bytes:
    luck = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    return load_cv2().imencode(ending, luck)[1].tobytes()


def _cut(ending: str, part: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        whole = _encoded(ending)
        return _written(folder, f"cut{ending}", whole[: int(len(whole) * part)])

    return make


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _flat(value: int, width: int, height: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pixels = np.full((height, width, 3), value, np.uint8)
        return _written(folder, "flat.png", load_cv2().imencode(".png", pixels)[1].tobytes())

    return make


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo.jpg")
    return folder / "fifo.jpg"


def _socket(folder: Path) -> Path:
    path = folder / "s.jpg"
    here = Path.cwd()
    os.chdir(folder)  # a socket's path may have about 100 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(here)
    return path


def _link(target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "link.jpg").symlink_to(target)
        return folder / "link.jpg"

    return make


BAD_FILES = [
    *(BadFile(f"{e[1:]} cut at {p:.0%}", _cut(e, p)) for e in (".jpg", ".png", ".webp") for p in (0.02, 0.5, 0.95)),
    BadFile("0 bytes", lambda folder: _written(folder, "empty.jpg", b"")),
    BadFile("1 byte", lambda folder: _written(folder, "one.jpg", b"\xff")),
    BadFile("text", lambda folder: _written(folder, "text.jpg", b"This is not a photograph.\n" * 99)),
    BadFile("magic alone", lambda folder: _written(folder, "magic.jpg", b"\xff\xd8\xff")),
    BadFile("30,000 x 30,000 PNG", lambda folder: _written(folder, "bomb.png", png_bomb())),
    BadFile("offset beyond 2^63", lambda folder: _written(folder, "x.tiff", b"II+\0\x08\0\0\0" + b"\xff" * 64)),
    BadFile("directory", lambda folder: folder),
    BadFile("missing", lambda folder: folder / "missing.jpg"),
    BadFile("in a file", lambda folder: _written(folder, "file", b"x") / "x.jpg"),
    BadFile("empty name", lambda folder: ""),
    BadFile("white space", lambda folder: " "),
    BadFile("name of 5,000 characters", lambda folder: folder / ("x" * 5000)),
    BadFile("path of 50,000 characters", lambda folder: "x/" * 25_000),
    BadFile("link to itself", _link("link.jpg")),
    BadFile("link to nothing", _link("nothing")),
    BadFile("link to /dev/zero", _link("/dev/zero")),
    BadFile("FIFO", _fifo),
    BadFile("socket", _socket),
    BadFile("/dev/zero", lambda folder: "/dev/zero"),
    BadFile("/dev/full", lambda folder: "/dev/full"),
    BadFile("/dev/null", lambda folder: "/dev/null"),
    BadFile("/dev/tty", lambda folder: "/dev/tty"),
    BadFile("/proc/self/mem", lambda folder: "/proc/self/mem"),
    BadFile("1 x 1", _flat(0, 1, 1), frozenset({NO_FACE})),
    BadFile("1 x 10,000", _flat(0, 1, 10_000), frozenset({NO_FACE})),
    BadFile("10,000 x 1", _flat(0, 10_000, 1), frozenset({NO_FACE})),
]

"""SQLite's write-ahead log, read as bytes, to see whether it holds all that was written into it.

SQLite ends a log without a word at the first frame whose checksum fails: right after a crash, when that frame was being
written, and wrong after damage, when committed changes stand behind it. This module tells the two apart as far as the
bytes can. The format: sqlite.org/fileformat2.html, section 4.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
_WORD = 0xFFFFFFFF


class LogState(StrEnum):
    """What a log's bytes say."""

    SOUND = "sound"
    """It is empty, or ends with a whole change."""
    UNFINISHED = "unfinished"
    """It ends in a change that is not whole: a process was killed in the middle of it, or the file was cut there."""
    DAMAGED = "damaged"
    """Frames of this very log stand behind one that fails its checksum: SQLite passes over changes once committed."""


def state_of(path: Path) -> LogState:
    """Read a log from end to end. Call while no one writes it; missing is as good as empty.

    Raises
    ------
    OSError
        It can't be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return LogState.SOUND
    if not data:
        return LogState.SOUND
    if len(data) < _HEADER.size:
        return LogState.UNFINISHED
    magic, _, page, _, salt1, salt2, *sums = _HEADER.unpack_from(data)
    order = ">" if magic & 1 else "<"
    running = _checksum((0, 0), data[:24], order)
    if magic & ~1 != _MAGIC or running != tuple(sums) or not 512 <= page <= 65536:
        return LogState.DAMAGED
    return _frames(data, _FRAME.size + page, (salt1, salt2), (running, order))


def _frames(data: bytes, size: int, salts: tuple[int, int], start: tuple[tuple[int, int], str]) -> LogState:
    """Follow the chain of checksums; where it breaks, look for frames of the same log behind."""
    running, order = start
    committed = True
    position = _HEADER.size
    while position + size <= len(data):
        _, commit, *told, sum1, sum2 = _FRAME.unpack_from(data, position)
        if tuple(told) != salts:
            break
        body = memoryview(data)[position + _FRAME.size : position + size]
        after = _checksum(_checksum(running, data[position : position + 8], order), body, order)
        if after != (sum1, sum2):
            behind = _any_of(data, range(position + size, len(data) - size + 1, size), salts)
            return LogState.DAMAGED if behind else LogState.UNFINISHED
        running, committed = after, commit != 0
        position += size
    if _any_of(data, range(position + size, len(data) - size + 1, size), salts):
        return LogState.DAMAGED
    rest = data[position:]
    cut = 0 < len(rest) < size and (len(rest) < 16 or _FRAME.unpack_from(rest.ljust(24, b"\0"))[2:4] == salts)
    return LogState.SOUND if committed and not cut else LogState.UNFINISHED


def _any_of(data: bytes, positions: range, salts: tuple[int, int]) -> bool:
    """Whether a frame with these salts starts at one of the positions."""
    return any(_FRAME.unpack_from(data, position)[2:4] == salts for position in positions)


def _checksum(before: tuple[int, int], data: bytes | memoryview, order: str) -> tuple[int, int]:
    """Continue SQLite's checksum over data whose length is a multiple of 8."""
    first, second = before
    for one, other in struct.iter_unpack(f"{order}2I", data):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second

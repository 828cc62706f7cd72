"""Files that survive a crash: atomic replacement, digests, one writer at a time.

All that facecli writes goes through here, so that a killed process, a full disk or a second process never leaves half a
file under a real name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from facecli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, mode: int = PRIVATE_FILE) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; on success it is on the disk under ``path``, else it is gone.

    The bytes are flushed to the disk before the rename and the folder after it, so that after a crash ``path`` holds
    either all of the old content or all of the new.

    Parameters
    ----------
    path
        The file to replace; its folder must exist.
    mode
        Permission bits of the new file.

    Raises
    ------
    OutputError
        Nothing could be written there; the old file is as it was.
    """
    with writing_to(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename inside it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private_folder(folder: Path) -> Path:
    """Create ``folder`` (and its parents) readable by its owner alone; an existing one is left as it is.

    Raises
    ------
    OutputError
        It can't be created.
    """
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    return folder


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into one :class:`OutputError` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror or error}", hint=_remedy(error.errno)) from error


def _remedy(code: int | None) -> str:
    """Say what a user can do about a failed write."""
    return {
        errno.ENOSPC: "free some space on that disk, then try again",
        errno.EDQUOT: "free some of your quota, then try again",
        errno.EROFS: "that file system is read-only; choose another place",
        errno.EACCES: "you lack the permission to write there",
    }.get(code or 0, "")

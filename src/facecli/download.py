"""Download one file over https: timeouts, resuming, a limit on its size, and a sha256 that alone decides.

What has arrived of a file lies beside it as ``NAME.part``. A later attempt asks for the rest; whether the two halves
are of the same file is for the sha256 to say, and if they aren't, the file is fetched once more from the start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias
from urllib.parse import urlsplit

from facecli.files import PRIVATE_FILE, sha256_of, writing_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with (what is being fetched and from where, bytes done, bytes in all or None)."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
FRUITLESS_REQUESTS = 3
"""So many requests in a row may bring nothing before the source is given up."""
MOST_REQUESTS = 30
CHUNK_BYTES = 1 << 16


class SourceError(Exception):
    """One source could not deliver the file; the next one's turn."""


class WrongFileError(SourceError):
    """A source delivered another file than the one named."""


class _UnreachableError(SourceError):
    """Nobody answers; worth another try only where somebody just did."""


class _CutError(SourceError):
    """The connection broke, or the server asks to come again: what has arrived is kept."""


def download(url: str, target: Path, *, sha256: str, size: int, progress: Progress | None = None) -> None:
    """Download exactly one file, resuming what an earlier attempt left in a ``.part`` file beside ``target``.

    Parameters
    ----------
    url
        Its address.
    target
        Where it is put once its sha256 is right.
    sha256, size
        What it must be; a server that sends more than ``size`` bytes is cut off.
    progress
        Told how far it is.

    Raises
    ------
    WrongFileError
        Another file is there.
    SourceError
        The server can't be reached, has no such file, or breaks off again and again; the partial file is kept.
    OutputError
        It can't be written.
    """
    part = target.with_name(f"{target.name}.part")
    resumed = _size_of(part) > 0
    _transfer(url, part, size, progress)
    if resumed and _is_another(part, sha256):
        # The beginning may be of an older file: once more, from zero, before the source is blamed.
        part.unlink()
        _transfer(url, part, size, progress)
    if _is_another(part, sha256):
        part.unlink()
        raise WrongFileError(f"{host_of(url)} has another file under that name (its sha256 differs)")
    with writing_to(target):
        part.chmod(PRIVATE_FILE)
        part.replace(target)


def _is_another(part: Path, sha256: str) -> bool:
    with writing_to(part):
        return sha256_of(part) != sha256


def _transfer(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """Fill ``part`` from ``url``, asking again for the rest as long as the server makes headway."""
    import requests

    fruitless = 0
    with requests.Session() as session:
        for attempt in range(1, MOST_REQUESTS + 1):
            state = _Part(part, size, f"{PurePosixPath(urlsplit(url).path).name} from {host_of(url)}", progress)
            before = state.have
            try:
                _request(session, url, state)
            except (_CutError, _UnreachableError) as error:
                if attempt == 1 and isinstance(error, _UnreachableError):
                    raise
                fruitless = 0 if state.have > before else fruitless + 1
                if fruitless == FRUITLESS_REQUESTS or attempt == MOST_REQUESTS:
                    raise
                time.sleep(0.25 * 2**fruitless)
            else:
                return


class _Part:
    """The partial file of one download: opened for the rest or from the start, and never longer than it may be."""

    def __init__(self, path: Path, size: int, what: str, progress: Progress | None) -> None:
        self.path = path
        self.size = size
        self.have = _size_of(path)
        if self.have > size:
            path.unlink()
            self.have = 0
        self._what = what
        self._progress = progress
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._what, self.have, self.size)

    def fill(self, chunks: Iterator[bytes], *, resume: bool) -> None:
        """Write the chunks after what is there, or in its place."""
        with self._opened(resume=resume) as stream:
            for chunk in chunks:
                self.have += len(chunk)
                if self.have > self.size:
                    raise WrongFileError(f"it sends more than the {self.size:,} bytes that the file has")
                with writing_to(self.path):
                    stream.write(chunk)
                self._report()
            with writing_to(self.path):
                stream.flush()
                os.fsync(stream.fileno())

    @contextmanager
    def _opened(self, *, resume: bool) -> Iterator[BinaryIO]:
        self.have = self.have if resume else 0
        with writing_to(self.path):
            stream = self.path.open("ab" if resume else "wb")
        try:
            yield stream
        except WrongFileError:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            with writing_to(self.path):
                stream.close()


def _request(session: requests.Session, url: str, part: _Part) -> None:
    """Ask for what is missing and write it; raise :class:`_CutError` where asking again makes sense."""
    import requests

    if part.have == part.size:
        return
    # identity: byte counts and ranges must mean the file itself, not a compressed form of it.
    headers = {"Accept-Encoding": "identity", "User-Agent": "facecli"}
    had = part.have
    if had:
        headers["Range"] = f"bytes={part.have}-"
    try:
        with session.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as answer:
            resume = _resumes(answer, part)
            part.fill(answer.iter_content(CHUNK_BYTES), resume=resume)
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ReadTimeout) as error:
        raise _CutError(f"{host_of(url)} broke off at {part.have:,} of {part.size:,} bytes") from error
    except requests.ConnectionError as error:
        # After the first byte, requests reports a read timeout as a ConnectionError too.
        if part.have > had:
            raise _CutError(f"{host_of(url)} broke off at {part.have:,} of {part.size:,} bytes") from error
        raise _UnreachableError(f"{host_of(url)} can't be reached") from error
    except requests.RequestException as error:
        raise SourceError(f"{host_of(url)} can't be asked ({type(error).__name__})") from error
    if part.have < part.size:
        raise _CutError(f"{host_of(url)} broke off at {part.have:,} of {part.size:,} bytes")


def _resumes(answer: requests.Response, part: _Part) -> bool:
    """Tell whether the answer continues the partial file; raise where it holds no file at all."""
    host = host_of(answer.url)
    if answer.status_code == 206:
        if answer.headers.get("Content-Range", "").startswith(f"bytes {part.have}-"):
            _require_length(answer, part, part.size - part.have)
            return True
        part.path.unlink(missing_ok=True)
        raise _CutError(f"{host} answered with another part of the file than was asked for")
    if answer.status_code == 416:
        part.path.unlink(missing_ok=True)
        raise _CutError(f"{host} has a shorter file")
    if answer.status_code in {429, 500, 502, 503, 504}:
        raise _CutError(f"{host} answered {answer.status_code}")
    if answer.status_code != 200:
        raise SourceError(f"{host} answered {answer.status_code}")
    _require_length(answer, part, part.size)
    return False


def _require_length(answer: requests.Response, part: _Part, expected: int) -> None:
    """Refuse a file of another size (a sign-in page, say) before its first byte, where the server tells the size."""
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != expected and "Content-Encoding" not in answer.headers:
        part.path.unlink(missing_ok=True)
        got = part.size - expected + int(length)
        raise WrongFileError(f"{host_of(answer.url)} has another file under that name ({got:,} bytes)")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def host_of(url: str) -> str:
    """Name the server, which is all that a sentence to the user needs of an address."""
    return urlsplit(url).hostname or url

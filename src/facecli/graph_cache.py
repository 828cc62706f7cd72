"""Optimised graphs on disk: derived, checksummed, and rebuilt whenever anything they depend on has changed.

onnxruntime spends most of a session's start on optimising the graph, and the result depends on the machine (its layout
follows the CPU's vector width) and on the version. So a cached graph is kept under a name made of all that, and begins
with a digest of its own content: a damaged one is never parsed, it counts as absent.

The digest is SHA-256 over the SHA-256 of each 4 MiB piece, so that several cores can share the work: for SFace's 38.6
MB that takes 12 ms on two cores where the plain digest takes 21, which is as long as loading the graph itself. (BLAKE2b
takes 41. The digest is against damage: who can write to the cache could write a digest, too.)
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.errors import OutputError
from facecli.files import make_private_folder, replacing

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE_BYTES = 4 << 20
_DIGEST_BYTES = 32
_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class GraphKey:
    """Everything that an optimised graph depends on.

    Attributes
    ----------
    model_sha256
        Of the graph before optimisation, in hexadecimal.
    runtime
        onnxruntime's version.
    provider
        The execution provider that the graph is optimised for.
    machine
        What :func:`machine_identity` says.
    """

    model_sha256: str
    runtime: str
    provider: str
    machine: str

    @property
    def name(self) -> str:
        """The file's name."""
        rest = f"{self.runtime}\n{self.provider}\n{self.machine}"
        return f"{self.model_sha256[:32]}-{hashlib.sha256(rest.encode()).hexdigest()[:16]}.graph"


def machine_identity() -> str:
    """Return a digest of the CPU's model and abilities, in hexadecimal: graphs are laid out for them."""
    import platform

    try:
        with Path("/proc/cpuinfo").open("rb") as stream:
            first = stream.read(8192).split(b"\n\n")[0].splitlines()
        wanted = (b"vendor_id", b"cpu family", b"model", b"flags", b"CPU implementer", b"CPU part", b"Features")
        told = b"\n".join(line for line in first if line.startswith(wanted))
    except OSError:
        told = platform.processor().encode()
    return hashlib.sha256(b"\n".join((platform.system().encode(), platform.machine().encode(), told))).hexdigest()


def load(folder: Path, key: GraphKey) -> bytes | None:
    """Read a cached graph.

    Returns
    -------
    bytes or None
        The optimised graph, verified; None where there is none, it can't be read, or it is damaged.
    """
    try:
        with (folder / key.name).open("rb") as stream:
            digest, graph = stream.read(_DIGEST_BYTES), stream.read()
    except OSError:
        return None
    return graph if graph and _digest(graph, key) == digest else None


def build(folder: Path, key: GraphKey, write: Callable[[Path], None]) -> None:
    """Keep the graph that ``write`` produces; where nothing can be written the cache just stays empty.

    Parameters
    ----------
    folder
        The cache; made where it is missing.
    key
        What the graph depends on.
    write
        Writes the optimised graph to the path it is given. Its own errors pass through.
    """
    try:
        make_private_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as work:
            raw = Path(work) / "optimised.onnx"
            write(raw)
            graph = raw.read_bytes()
        with replacing(folder / key.name) as stream:
            stream.write(_digest(graph, key))
            stream.write(graph)
    except (OSError, OutputError):
        return


def _digest(graph: bytes, key: GraphKey) -> bytes:
    """Bind a graph to its key: a file that is renamed to stand for another model is refused, too."""
    from concurrent.futures import ThreadPoolExecutor

    view = memoryview(graph)
    pieces = [view[start : start + _PIECE_BYTES] for start in range(0, len(view), _PIECE_BYTES)]
    if len(pieces) == 1:
        digests = [_sha256(pieces[0])]
    else:
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            digests = list(pool.map(_sha256, pieces))
    bound = (key.model_sha256, key.runtime, key.provider, key.machine)
    return _sha256(b"".join([*digests, *(text.encode() + b"\0" for text in bound)]))


def _sha256(data: bytes | memoryview) -> bytes:
    """Return the plain digest."""
    return hashlib.sha256(data).digest()

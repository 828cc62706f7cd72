"""Optimised graphs on disk: derived, checksummed, and rebuilt whenever anything they depend on has changed.

onnxruntime spends most of a session's start on optimising the graph, and the result depends on the machine (its layout
follows the CPU's vector width) and on the version. So a cached graph is a folder whose name is made of all that::

    graph.onnx    the optimised graph, without its larger weights
    weights.bin   those, as onnxruntime maps them into memory: a third of the start of one file that holds both
    digest        SHA-256 of either, the graph's bound to the key: a folder that is renamed is refused, too

The graph is verified before it is parsed. The weights are numbers, which nothing parses, so they may be verified while
the session is being made; it must not be used before. (The digest is against damage: who can write to the cache could
write a digest, too.)
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.errors import OutputError
from facecli.files import PRIVATE_FILE, make_private_folder, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

GRAPH, WEIGHTS = "graph.onnx", "weights.bin"
_DIGEST = "digest"


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
        """The folder's name."""
        rest = f"{self.runtime}\n{self.provider}\n{self.machine}"
        return f"{self.model_sha256[:32]}-{hashlib.sha256(rest.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class CachedGraph:
    """A cached graph, verified but for its weights.

    Attributes
    ----------
    path
        The graph; its weights lie beside it, where it has large ones.
    weights_sha256
        What they must be, in hexadecimal; empty where there are none.
    """

    path: Path
    weights_sha256: str

    def has_its_weights(self) -> bool:
        """Read the weights and say whether they are the ones that were written."""
        try:
            return _weights_digest(self.path.parent) == self.weights_sha256
        except OSError:
            return False


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


def load(folder: Path, key: GraphKey) -> CachedGraph | None:
    """Find a cached graph.

    Returns
    -------
    CachedGraph or None
        None where there is none, it can't be read, or the graph itself is damaged.
    """
    entry = folder / key.name
    try:
        graph_digest, _, weights_digest = (entry / _DIGEST).read_text("ascii").partition("\n")
        intact = _graph_digest((entry / GRAPH).read_bytes(), key) == graph_digest
    except (OSError, UnicodeDecodeError):
        return None
    return CachedGraph(entry / GRAPH, weights_digest) if intact else None


def build(folder: Path, key: GraphKey, write: Callable[[Path], None]) -> None:
    """Keep the graph that ``write`` produces; where nothing can be written the cache just stays empty.

    Parameters
    ----------
    folder
        The cache; made where it is missing.
    key
        What the graph depends on.
    write
        Writes the optimised graph to the path it is given and its weights to :data:`WEIGHTS` beside it. Its own errors
        pass through.
    """
    try:
        make_private_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".building-", ignore_cleanup_errors=True) as work:
            entry = Path(work) / "entry"
            entry.mkdir(mode=0o700)
            write(entry / GRAPH)
            _seal(entry, key)
            shutil.rmtree(folder / key.name, ignore_errors=True)
            entry.rename(folder / key.name)
    except (OSError, OutputError):
        return


def _seal(entry: Path, key: GraphKey) -> None:
    """Write down what was built, for its owner alone."""
    digests = f"{_graph_digest((entry / GRAPH).read_bytes(), key)}\n{_weights_digest(entry)}"
    (entry / _DIGEST).write_text(digests, "ascii")
    for path in entry.iterdir():
        path.chmod(PRIVATE_FILE)


def _graph_digest(graph: bytes, key: GraphKey) -> str:
    """Return a digest that holds for this graph under this key."""
    bound = (key.model_sha256, key.runtime, key.provider, key.machine)
    return hashlib.sha256(graph + b"".join(b"\0" + text.encode() for text in bound)).hexdigest()


def _weights_digest(entry: Path) -> str:
    """Return the weights' digest; empty where there are none."""
    path = entry / WEIGHTS
    return sha256_of(path) if path.exists() else ""

"""The vectors of a gallery in memory, searched by FAISS, and their copy on the disk.

The index *nominates*: it says which templates may be nearest, by float32 products whose last bits depend on the
machine. It never decides. So the worst that a wrong index could do is to miss someone, and even that is guarded: the
file is used only if its SHA-256 is right and it fits the database, else the index is made again from the rows.

``index.faiss`` is a header of ours, the keys, and the vectors as plain little-endian float32, which FAISS searches
where they lie (``faiss.knn``, inner product). FAISS's own file format is not used: its reader is not safe on hostile
files, and here nothing is parsed at all. Adding a template does not touch the file; the next search takes the few newer
rows from the database (the *tail*), and the file is written anew when the tail has grown.

Up to a few thousand templates numpy finds the nominees in less time than importing FAISS takes; then FAISS is not
imported, and no file is written.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from facecli.types import Vectors

INDEX = "index.faiss"

SMALL = 4096
"""Up to this many templates numpy searches, and nothing is saved. See docs/gallery.md for the measurement."""

TAIL = 1000
"""So many templates newer than the file are read from the database at each start before a new file pays."""

_BLAS_PROBES = 8
"""From so many probes on a matrix product is faster than one search after another."""

_MAGIC = b"FCINDEX1"
# Magic, dimension, count, generation, gallery; then the SHA-256 of all that and of the payload.
_HEADER = struct.Struct("<8sIQQ16s")
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some templates of a gallery, in the order of their ids.

    Attributes
    ----------
    ids, people
        Keys of the templates and of their persons, ``(count,)``.
    vectors
        ``(count, dimension)``.
    """

    ids: NDArray[np.int64]
    people: NDArray[np.int64]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Block:
        """Return the first so many of them."""
        return self if count == len(self) else Block(self.ids[:count], self.people[:count], self.vectors[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Nominees:
    """The templates nearest to one probe, nearest first.

    Attributes
    ----------
    people
        Whose templates they are, ``(count,)``; a person may come several times.
    products
        float32 inner products, ``(count,)``, descending, each within :func:`slack` of the true one.
    """

    people: NDArray[np.int64]
    products: NDArray[np.float32]


class Index:
    """All templates of one generation of a gallery.

    Parameters
    ----------
    block
        The templates.
    generation
        The gallery's.
    saved
        How many of them the file holds: the first ``saved``.
    """

    def __init__(self, block: Block, generation: int, *, saved: int = 0) -> None:
        self._base = block
        self._tail = new_block(0, block.vectors.shape[1])
        self._saved = saved
        self.generation = generation

    def __len__(self) -> int:
        return len(self._base) + len(self._tail)

    @property
    def last_id(self) -> int:
        """The newest template it knows; 0 where it knows none."""
        newest = self._tail if len(self._tail) else self._base
        return int(newest.ids[-1]) if len(newest) else 0

    @property
    def saved_block(self) -> Block:
        """What the file holds of it."""
        return self._base.first(self._saved)

    @property
    def worth_saving(self) -> bool:
        """Whether the next process would lose noticeable time for want of a newer file."""
        return len(self) > SMALL and len(self) - self._saved > max(TAIL, self._saved // 20)

    def add(self, newer: Block, generation: int) -> None:
        """Append newer templates; from now on it is the index of ``generation``."""
        if len(newer):
            self._tail = _joined(self._tail, newer)
        if len(self._tail) > TAIL:
            self._base, self._tail = _joined(self._base, self._tail), new_block(0, self._tail.vectors.shape[1])
        self.generation = generation

    def nominate(self, probes: Vectors, count: int) -> list[Nominees]:
        """Return for each probe the ``count`` nearest templates, or all where there are no more.

        Parameters
        ----------
        probes
            ``(probes, dimension)``, finite, of unit length.
        count
            At least 1.
        """
        import numpy as np

        blocks = [block for block in (self._base, self._tail) if len(block)]
        found = [_nearest(block.vectors, probes, count) for block in blocks]
        nominees = []
        for row in range(len(probes) if blocks else 0):
            people = np.concatenate([block.people[rows[row]] for block, (rows, _) in zip(blocks, found, strict=True)])
            products = np.concatenate([values[row] for _, values in found])
            order = np.argsort(-products, kind="stable")[:count]
            nominees.append(Nominees(people[order], products[order]))
        return nominees

    def save(self, path: Path, gallery: str) -> None:
        """Write the file, whole or not at all. Call under the gallery's lock, while it fits the database.

        Raises
        ------
        OutputError
            It can't be written; an older file is as it was.
        """
        header = _HEADER.pack(_MAGIC, self._base.vectors.shape[1], len(self), self.generation, uuid.UUID(gallery).bytes)
        parts = [
            memoryview(array).cast("B")
            for pair in ("ids", "people", "vectors")
            for array in (getattr(self._base, pair), getattr(self._tail, pair))
            if len(array)
        ]
        digest = hashlib.sha256(header)
        for part in parts:
            digest.update(part)
        with replacing(path) as stream:
            stream.write(header + digest.digest())
            for part in parts:
                stream.write(part)
        self._saved = len(self)


def load(path: Path, gallery: str, dimension: int) -> Index | None:
    """Read the file; None where there is none, or where it is not exactly what was written for this gallery.

    What is verified is what is searched: the bytes are read once, into memory.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = _HEADER.size + _SHA256_BYTES
    if len(data) < start:
        return None
    magic, width, count, generation, owner = _HEADER.unpack_from(data)
    if (magic, width, owner) != (_MAGIC, dimension, uuid.UUID(gallery).bytes):
        return None
    if len(data) != start + count * (16 + 4 * dimension):
        return None
    digest = hashlib.sha256(memoryview(data)[: _HEADER.size])
    digest.update(memoryview(data)[start:])
    if digest.digest() != data[_HEADER.size : start]:
        return None
    return Index(_block_of(data, start, count, dimension), generation, saved=count)


def new_block(count: int, dimension: int) -> Block:
    """Return room for so many templates."""
    import numpy as np

    return Block(np.zeros(count, "<i8"), np.zeros(count, "<i8"), np.zeros((count, dimension), "<f4"))


def slack(dimension: int) -> float:
    """Return how far a float32 product of two templates may be from the true score, in whatever order it is summed.

    The classic bound is ``n u / (1 - n u)`` times the product of the lengths, ``u = 2**-24`` (N. J. Higham, "Accuracy
    and Stability of Numerical Algorithms", 2002, section 3.1); twice that, to cover templates a little longer than 1.
    """
    return dimension * 2.0**-23


def _block_of(data: bytes, start: int, count: int, dimension: int) -> Block:
    """View a file's verified payload as arrays."""
    import numpy as np

    keys = np.frombuffer(data, dtype="<i8", count=2 * count, offset=start).reshape(2, count)
    vectors = np.frombuffer(data, dtype="<f4", count=count * dimension, offset=start + 16 * count)
    return Block(keys[0], keys[1], vectors.reshape(count, dimension))


def _joined(first: Block, second: Block) -> Block:
    """Put two blocks into one."""
    import numpy as np

    return Block(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.people, second.people]),
        np.concatenate([first.vectors, second.vectors]),
    )


def _nearest(vectors: Vectors, probes: Vectors, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows nearest to each probe and their products, ``(probes, min(count, rows))``, nearest first."""
    import numpy as np

    count = min(count, len(vectors))  # FAISS would fill up with row -1
    if len(vectors) > SMALL:
        import faiss

        # By itself FAISS 1.15 sends no batch of ours through BLAS: 64 probes at 100,000 templates took 150 ms, not 29.
        faiss.cvar.distance_compute_blas_threshold = 1 if len(probes) >= _BLAS_PROBES else 1 << 30
        products, rows = faiss.knn(probes, vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        everything = probes @ vectors.T
        rows = np.argsort(-everything, axis=1, kind="stable")[:, :count]
        products = np.take_along_axis(everything, rows, axis=1)
    if (rows < 0).any():
        raise ValueError("a probe is not finite")  # FAISS answers NaN with row -1, which would mean the last template
    return rows, products

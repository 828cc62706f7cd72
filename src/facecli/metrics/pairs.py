"""All pairs of a set of templates, in blocks: 87 million scores never lie in memory at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CELLS = 1_000_000
"""Scores of one block: 8 MB, so that what is done to it stays near the processor."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The scores of some templates against themselves and all that come later.

    Attributes
    ----------
    top
        Index of the first row's template; also of the first column's.
    scores
        ``(rows, columns)``.
    """

    top: int
    scores: Floats

    @property
    def upper(self) -> NDArray[np.bool_]:
        """True where a pair comes for the first time: the column's template lies behind the row's."""
        import numpy as np

        rows, columns = self.scores.shape
        later: NDArray[np.bool_] = np.arange(columns)[None, :] > np.arange(rows)[:, None]
        return later


def blocks(vectors: Floats, *, cells: int = CELLS) -> Iterator[Block]:
    """Yield the scores of every pair of templates, each pair once above the diagonal of a block.

    Parameters
    ----------
    vectors
        ``(n, dimension)`` of unit length, float64: the products then agree with :func:`facecli.match.score` to 1e-15.
    cells
        Scores of one block at most, but for a single row.
    """
    top = 0
    while top < len(vectors):
        rows = max(1, cells // (len(vectors) - top))
        yield Block(top, vectors[top : top + rows] @ vectors[top:].T)
        top += rows

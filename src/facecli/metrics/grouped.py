"""Comparisons that know the people and groups of both photographs: what error rates by group are counted from.

Either all pairs of a set of photographs, of which only the similar ones are kept and the others counted, or the pairs
that a protocol names.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.metrics.intervals import BLOCK_CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.metrics.intervals import Total
    from facecli.types import Vectors

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Cell = tuple[int, int]
    """Two groups, as indices, the lower first."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupedComparisons:
    """Comparisons with the people and groups of both photographs.

    Attributes
    ----------
    groups
        Their names; elsewhere a group is an index into them.
    people
        How many people; elsewhere a person is an index below it.
    mated, mated_person, mated_group
        Scores of mated comparisons within a group, whose they are, and of which group, ``(m,)``.
    scores, first, second, first_group, second_group
        Non-mated comparisons whose score reaches ``floor``: score, people, groups, ``(n,)``.
    floor
        Non-mated comparisons below it were counted but not kept; -inf where all were kept.
    sizes
        Photographs of each person in each group, ``(people, groups)``.
    exhaustive
        Whether all pairs of photographs were compared; otherwise just those kept (the floor is then -inf).
    non_mated_mean
        Mean score of non-mated comparisons within each group, ``(groups,)``; NaN where there are none.
    mated_across
        Mated comparisons of photographs in two groups: they are counted nowhere else.
    """

    groups: tuple[str, ...]
    people: int
    mated: Floats
    mated_person: Integers
    mated_group: Integers
    scores: Floats
    first: Integers
    second: Integers
    first_group: Integers
    second_group: Integers
    floor: float
    sizes: Floats
    exhaustive: bool
    non_mated_mean: Floats
    mated_across: int

    def cells(self) -> list[Cell]:
        """Return every unordered pair of groups, a group with itself included."""
        return list(combinations_with_replacement(range(len(self.groups)), 2))

    def within(self, cell: Cell) -> NDArray[np.bool_]:
        """Say of each kept non-mated comparison whether it is of these two groups, ``(n,)``."""
        one, other = cell
        both: NDArray[np.bool_] = (self.first_group == one) & (self.second_group == other)
        both |= (self.first_group == other) & (self.second_group == one)
        return both

    def people_pairs(self, cell: Cell) -> int:
        """Return how many pairs of people stand behind a cell's comparisons."""
        import numpy as np

        if self.exhaustive:
            one, other = ((self.sizes[:, group] > 0).astype(np.int64) for group in cell)
            ordered, both = int(one.sum() * other.sum() - one @ other), int(one @ other)
            # Two people who are each in both groups came twice, as did everybody within one group.
            return ordered - both * (both - 1) // 2
        kept = self.within(cell)
        low, high = (op(self.first[kept], self.second[kept]) for op in (np.minimum, np.maximum))
        return len(np.unique(low * self.people + high))


def all_pairs(
    vectors: Vectors, person: Integers, group: Integers, groups: Sequence[str], *, floor: float
) -> GroupedComparisons:
    """Compare every photograph with every other one, in blocks.

    Parameters
    ----------
    vectors
        Templates of unit length, ``(images, dimension)``.
    person, group
        Whose each is, and of which group, ``(images,)``; people are 0, 1, ...
    groups
        Names of the groups.
    floor
        Non-mated scores below it are counted and not kept; it must lie below every threshold asked for later.
    """
    import numpy as np

    exact = vectors.astype(np.float64)
    people = int(person.max()) + 1
    sizes = np.zeros((people, len(groups)))
    np.add.at(sizes, (person, group), 1.0)
    mated, other = _collect(exact, person, group, floor)
    same = mated["first_group"] == mated["second_group"]
    return GroupedComparisons(
        groups=tuple(groups),
        people=people,
        mated=mated["score"][same],
        mated_person=mated["first"][same],
        mated_group=mated["first_group"][same],
        **{name: other[column] for name, column in _COLUMNS.items()},
        floor=floor,
        sizes=sizes,
        exhaustive=True,
        non_mated_mean=_non_mated_means(exact, person, group, sizes),
        mated_across=int((~same).sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Comparisons that a protocol names one by one.

    Attributes
    ----------
    scores, mated
        ``(n,)``.
    first, second
        Images as indices, ``(n,)``.
    person, group
        Of each image, ``(images,)``; people are 0, 1, ...
    """

    scores: Floats
    mated: NDArray[np.bool_]
    first: Integers
    second: Integers
    person: Integers
    group: Integers


def listed(pairs: PairList, groups: Sequence[str]) -> GroupedComparisons:
    """Take comparisons from a list of pairs.

    Raises
    ------
    UsageError
        A mated pair is of two people, or a non-mated one of one.
    """
    import numpy as np

    ends = [(pairs.person[image], pairs.group[image]) for image in (pairs.first, pairs.second)]
    (one, one_group), (two, two_group) = ends
    if ((one == two) != pairs.mated).any():
        raise UsageError("a pair is called mated and names two people, or non-mated and names one")
    people = int(pairs.person.max()) + 1
    sizes = np.zeros((people, len(groups)))
    np.add.at(sizes, (pairs.person, pairs.group), 1.0)
    other, same = ~pairs.mated, pairs.mated & (one_group == two_group)
    inner = other & (one_group == two_group)
    counts = np.bincount(one_group[inner], minlength=len(groups))
    sums = np.bincount(one_group[inner], weights=pairs.scores[inner], minlength=len(groups))
    order = np.flatnonzero(other)[np.argsort(-pairs.scores[other], kind="stable")]
    return GroupedComparisons(
        groups=tuple(groups),
        people=people,
        mated=pairs.scores[same],
        mated_person=one[same],
        mated_group=one_group[same],
        scores=pairs.scores[order],
        first=one[order],
        second=two[order],
        first_group=one_group[order],
        second_group=two_group[order],
        floor=-np.inf,
        sizes=sizes,
        exhaustive=False,
        non_mated_mean=np.divide(sums, counts, out=np.full(len(groups), np.nan), where=counts > 0),
        mated_across=int((pairs.mated & (one_group != two_group)).sum()),
    )


_COLUMNS = {name: name for name in ("first", "second", "first_group", "second_group")} | {"scores": "score"}


def _collect(
    vectors: Floats, person: Integers, group: Integers, floor: float
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return (mated, non-mated from ``floor``, highest first) comparisons as records."""
    import numpy as np

    kind = np.dtype([("score", np.float64), *((name, np.int64) for name in _COLUMNS if name != "scores")])
    mated: list[NDArray[np.void]] = []
    other: list[NDArray[np.void]] = []
    step = max(1, BLOCK_CELLS // len(vectors))
    for top in range(0, len(vectors), step):
        scores = vectors[top : top + step] @ vectors[top:].T
        same = person[top : top + step, None] == person[None, top:]
        upper = np.arange(scores.shape[1])[None, :] > np.arange(scores.shape[0])[:, None]
        for kept, records in ((same & upper, mated), (~same & upper & (scores >= floor), other)):
            row, column = (index + top for index in np.nonzero(kept))
            block = np.empty(len(row), dtype=kind)
            block["score"] = scores[kept]
            block["first"], block["second"] = person[row], person[column]
            block["first_group"], block["second_group"] = group[row], group[column]
            records.append(block)
    found = np.concatenate(other)
    return np.concatenate(mated), found[np.argsort(-found["score"], kind="stable")]


def _non_mated_means(vectors: Floats, person: Integers, group: Integers, sizes: Floats) -> Floats:
    """Return the mean non-mated score within each group, from sums of vectors: no pair is formed."""
    import numpy as np

    means = np.full(sizes.shape[1], np.nan)
    for number in range(sizes.shape[1]):
        mine = group == number
        sums = np.zeros((len(sizes), vectors.shape[1]))
        np.add.at(sums, person[mine], vectors[mine])
        total = sums.sum(axis=0)
        pairs = (sizes[:, number].sum() ** 2 - (sizes[:, number] ** 2).sum()) / 2
        if pairs:
            means[number] = (total @ total - (sums**2).sum()) / 2 / pairs
    return means


def pairs_of_groups(sizes: Floats, cell: Cell) -> Total:
    """Count all pairs of different people's photographs, one in each of two groups, from sizes ``(people, groups)``."""
    one, other = (sizes[:, group] for group in cell)
    own = one * other
    half = 0.5 if cell[0] == cell[1] else 1.0

    def total(times: Floats) -> Floats:
        pairs: Floats = half * ((times @ one) * (times @ other) - times**2 @ own)
        return pairs

    return total

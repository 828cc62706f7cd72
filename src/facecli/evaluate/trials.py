"""The comparisons of an evaluation, so as reports need them: counted by threshold, and drawn again by people.

There are two kinds. :class:`Listed` holds every comparison, exact at every score. :class:`Crossed` compares all
photographs with all others in blocks and keeps only counts: 87 million comparisons take no more memory than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from facecli.errors import UsageError
from facecli.evaluate.verification import KEPT, ScoredPair
from facecli.metrics.curves import ScoreSummary, d_prime, det_curve, histogram
from facecli.metrics.intervals import of_all_pairs, of_pairs, of_people
from facecli.metrics.pairs import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.evaluate.embedding import Templates
    from facecli.metrics.curves import DetCurve, Histogram
    from facecli.metrics.intervals import Total
    from facecli.metrics.pairs import Block

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ByPeople:
    """How many comparisons fall between thresholds, as functions of how often each person is drawn.

    Attributes
    ----------
    people
        How many there are.
    non_mated, mated
        All comparisons of either kind.
    non_mated_levels, mated_levels
        Those whose score lies from one threshold up to the next; of k thresholds there are k levels, the last open.
    """

    people: int
    non_mated: Total
    mated: Total
    non_mated_levels: tuple[Total, ...]
    mated_levels: tuple[Total, ...]


class Trials(Protocol):
    """What a report asks of comparisons."""

    @property
    def curve(self) -> DetCurve:
        """Error rates at every threshold."""

    @property
    def histogram(self) -> Histogram:
        """The scores of either kind."""

    @property
    def d_prime(self) -> float:
        """How far apart the two kinds lie."""

    @property
    def units(self) -> tuple[int, int]:
        """How many independent units stand behind the mated and the non-mated comparisons."""

    @property
    def independent(self) -> bool:
        """Whether every comparison is a trial of its own: nobody takes part in two of a kind, or nobody is named."""

    def by_people(self, thresholds: Floats) -> ByPeople:
        """Return the comparisons as functions of the people drawn; ``thresholds`` rise."""

    def worst(self, count: int) -> tuple[list[ScoredPair], list[ScoredPair]]:
        """Return the highest non-mated and the lowest mated comparisons, the worst first; at most ``KEPT``."""


@dataclass(eq=False)
class Listed:
    """Comparisons, each of which is held.

    Attributes
    ----------
    scores, mated
        ``(n,)``.
    first, second
        Whose the two samples are, ``(n,)`` as indices into ``people`` names; None where nobody is named.
    people
        Names.
    sources
        What was compared, ``(n, 2)`` of names; None where they have none.
    """

    scores: Floats
    mated: NDArray[np.bool_]
    first: Integers | None
    second: Integers | None
    people: Sequence[str]
    sources: NDArray[np.str_] | None

    @cached_property
    def curve(self) -> DetCurve:
        """Exact at every distinct score."""
        return det_curve(self.scores[self.mated], self.scores[~self.mated])

    @cached_property
    def histogram(self) -> Histogram:
        """In 100 bins."""
        return histogram(self.scores[self.mated], self.scores[~self.mated])

    @cached_property
    def d_prime(self) -> float:
        """Of all scores."""
        return d_prime(self.scores[self.mated], self.scores[~self.mated])

    @cached_property
    def units(self) -> tuple[int, int]:
        """People of the mated comparisons, and pairs of people of the others; where nobody is named, comparisons."""
        import numpy as np

        if self.first is None or self.second is None:
            return int(self.mated.sum()), int((~self.mated).sum())
        both = np.sort(np.stack([self.first, self.second], axis=1)[~self.mated], axis=1)
        return len(np.unique(self.first[self.mated])), len(np.unique(both, axis=0))

    @cached_property
    def independent(self) -> bool:
        """Whether nobody takes part twice in comparisons of one kind."""
        import numpy as np

        if self.first is None or self.second is None:
            return True
        own = self.first[self.mated]
        others = np.concatenate([self.first[~self.mated], self.second[~self.mated]])
        return all(len(np.unique(who)) == len(who) for who in (own, others))

    def by_people(self, thresholds: Floats) -> ByPeople:
        """Count each comparison once for each time that its people are drawn."""
        import numpy as np

        level = np.searchsorted(thresholds, self.scores, side="right")
        order = np.argsort(level, kind="stable")
        ends = np.searchsorted(level[order], np.arange(1, len(thresholds) + 1))
        mated, non_mated = self.counted(order)
        each = [self.counted(chosen) for chosen in np.split(order, ends)[1:]]
        return ByPeople(
            people=len(self.people),
            non_mated=non_mated,
            mated=mated,
            non_mated_levels=tuple(other for _, other in each),
            mated_levels=tuple(own for own, _ in each),
        )

    def counted(self, chosen: Integers) -> tuple[Total, Total]:
        """Return the mated and the non-mated ones of some comparisons (indices), as functions of the people drawn.

        Raises
        ------
        UsageError
            Nobody is named.
        """
        import numpy as np

        if self.first is None or self.second is None:
            raise UsageError("nobody is named, so people can't be drawn again")
        own, other = chosen[self.mated[chosen]], chosen[~self.mated[chosen]]
        people = len(self.people)
        return (
            of_people(np.bincount(self.first[own], minlength=people)),
            of_pairs(self.first[other], self.second[other], people),
        )

    def worst(self, count: int) -> tuple[list[ScoredPair], list[ScoredPair]]:
        """Sort."""
        import numpy as np

        others, own = np.flatnonzero(~self.mated), np.flatnonzero(self.mated)
        highest = others[np.argsort(-self.scores[others], kind="stable")[:count]]
        lowest = own[np.argsort(self.scores[own], kind="stable")[:count]]
        return [self._pair(n) for n in highest.tolist()], [self._pair(n) for n in lowest.tolist()]

    def _pair(self, number: int) -> ScoredPair:
        """Tell one comparison."""
        sources = ("", "") if self.sources is None else tuple(map(str, self.sources[number]))
        owners = ["" if who is None else self.people[int(who[number])] for who in (self.first, self.second)]
        return ScoredPair(sources[0], sources[1], owners[0], owners[1], float(self.scores[number]))


class Crossed:
    """All photographs compared with all others.

    Parameters
    ----------
    templates
        At least two people, one of whom has several photographs.
    step
        Told how many of the photographs have been compared with all later ones; a second round begins anew.

    Raises
    ------
    UsageError
        There is no mated or no non-mated pair.
    """

    def __init__(self, templates: Templates, *, step: Callable[[int], None] | None = None) -> None:
        import numpy as np

        images = [image for image, row in zip(templates.images, templates.row, strict=True) if row >= 0]
        names, owner = np.unique([image.person for image in images], return_inverse=True)
        order = np.argsort(owner, kind="stable")
        self._images = [images[n] for n in order]
        self._owner = owner[order]
        self._vectors = templates.vectors[order].astype(np.float64)
        self._sizes = np.bincount(owner, minlength=len(names))
        self._step = step
        self.people = [str(name) for name in names]
        if len(names) < 2 or self._sizes.max(initial=0) < 2:
            raise UsageError("all pairs need two people, one of them with two photographs that gave a template")

    @cached_property
    def _survey(self) -> tuple[ScoreSummary, tuple[_Worst, _Worst]]:
        """Compare all, count the scores, and keep the worst comparisons of either kind."""
        summary, worst = ScoreSummary(), (_Worst(1.0), _Worst(-1.0))
        for block, same in self._blocks():
            upper = block.upper
            for mated, chosen in ((False, ~same & upper), (True, same & upper)):
                summary.add(block.scores[chosen], mated=mated)
                worst[mated].add(block, chosen)
        return summary, worst

    @property
    def _summary(self) -> ScoreSummary:
        return self._survey[0]

    @cached_property
    def curve(self) -> DetCurve:
        """Exact at the edges of 32,768 bins."""
        return self._summary.curve()

    @cached_property
    def histogram(self) -> Histogram:
        """In about 128 bins."""
        return self._summary.histogram()

    @cached_property
    def d_prime(self) -> float:
        """Of all scores."""
        return self._summary.d_prime()

    @property
    def units(self) -> tuple[int, int]:
        """People with several photographs, and pairs of people."""
        return int((self._sizes > 1).sum()), len(self._sizes) * (len(self._sizes) - 1) // 2

    @property
    def independent(self) -> bool:
        """Only two people, one of them with two photographs, would be independent: no."""
        return False

    def by_people(self, thresholds: Floats) -> ByPeople:
        """Compare all once more, and count by people what reaches the lowest threshold."""
        import numpy as np

        people, count = len(self._sizes), len(thresholds)
        own = np.zeros((count, people))
        others: list[list[Integers]] = [[] for _ in range(count)]
        for block, same in self._blocks():
            upper = block.upper
            for mated, reached in ((True, same & upper), (False, ~same & upper & (block.scores >= thresholds[0]))):
                row, column = np.nonzero(reached)
                level = np.searchsorted(thresholds, block.scores[row, column], side="right") - 1
                first, second = self._owner[block.top + row], self._owner[block.top + column]
                for n in range(count):
                    if mated:
                        own[n] += np.bincount(first[level == n], minlength=people)
                    else:
                        others[n].append(first[level == n] * people + second[level == n])
        return ByPeople(
            people=people,
            non_mated=of_all_pairs(self._sizes),
            mated=of_people(self._sizes * (self._sizes - 1) / 2),
            non_mated_levels=tuple(_of_keys(keys, people) for keys in others),
            mated_levels=tuple(of_people(counts) for counts in own),
        )

    def worst(self, count: int) -> tuple[list[ScoredPair], list[ScoredPair]]:
        """Kept while all were compared."""
        false_matches, false_non_matches = ([self._pair(*one) for one in kind.kept[:count]] for kind in self._survey[1])
        return false_matches, false_non_matches

    def _pair(self, score: float, first: int, second: int) -> ScoredPair:
        """Tell one comparison."""
        left, right = self._images[first], self._images[second]
        return ScoredPair(left.source, right.source, left.person, right.person, score)

    def _blocks(self) -> Iterator[tuple[Block, NDArray[np.bool_]]]:
        """Yield blocks, and where both photographs are one person's."""
        for block in blocks(self._vectors):
            rows = slice(block.top, block.top + len(block.scores))
            yield block, self._owner[rows, None] == self._owner[None, block.top :]
            if self._step is not None:
                self._step(rows.stop)


class _Worst:
    """The highest scores, or with sign -1 the lowest, as (score, first, second), the worst first."""

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self.kept: list[tuple[float, int, int]] = []

    def add(self, block: Block, chosen: NDArray[np.bool_]) -> None:
        """Take what is worse than the best one kept."""
        import numpy as np

        worse = chosen
        if len(self.kept) == KEPT:
            limit = self.kept[-1][0]
            worse = chosen & (block.scores > limit if self._sign > 0 else block.scores < limit)
        rows, columns = np.nonzero(worse)
        scores = block.scores[rows, columns]
        for n in np.argsort(-self._sign * scores, kind="stable")[:KEPT].tolist():
            self.kept.append((float(scores[n]), block.top + int(rows[n]), block.top + int(columns[n])))
        self.kept = sorted(self.kept, key=lambda one: -self._sign * one[0])[:KEPT]


def _of_keys(keys: list[Integers], people: int) -> Total:
    """Count pairs of people that are written as one number each."""
    import numpy as np

    together, counts = np.unique(np.concatenate(keys), return_counts=True)
    return of_pairs(together // people, together % people, people, counts)

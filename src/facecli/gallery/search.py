"""Who is nearest: nominees from the index, the decision from the rows.

The ranking is **exact**, for both fusions: it is what scoring everyone with :func:`facecli.match.score` would give,
ties included. The index names the templates nearest to the probe; everyone named is scored in full, from rows whose
checksums hold. Whoever is not named has only templates whose product is at most that of the last one named, so his
score, maximum or mean, is at most that plus the index's rounding (:func:`facecli.gallery.index.slack`). If the k-th
best score is above that bound, no one else can enter; if not, more are named, in the end all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facecli import match
from facecli.gallery.index import slack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from facecli.gallery.index import Index, Nominees
    from facecli.gallery.schema import Person, StoredTemplate
    from facecli.types import Fusion, Vector, Vectors

MARGIN = 16
"""How many templates are named beyond the number of people asked for."""

_WIDER = 4


class Candidate(NamedTuple):
    """Someone a probe may be.

    Attributes
    ----------
    person
        Who.
    score
        Fused over the person's templates, -1 to 1.
    templates
        How many templates that score stands on: all of the person's.
    """

    person: Person
    score: float
    templates: int


def scored(probe: Vector, person: Person, templates: Sequence[StoredTemplate], fusion: Fusion) -> Candidate:
    """Score a probe against all templates of a person: the one way that ``verify`` and ``identify`` share."""
    scores = [match.score(probe, template.vector) for template in templates]
    return Candidate(person, match.fuse(scores, fusion), len(scores))


class Ranking:
    """Rank the people of one snapshot of a gallery.

    Parameters
    ----------
    index
        Knows every template of the snapshot.
    read
        Reads people by their keys, with all their templates, checksums verified.
    k
        How many people are asked for, at least 1.
    fusion
        How the scores against several templates become one.
    """

    def __init__(
        self,
        index: Index,
        read: Callable[[Iterable[int]], dict[int, tuple[Person, list[StoredTemplate]]]],
        *,
        k: int,
        fusion: Fusion,
    ) -> None:
        self._index = index
        self._read = read
        self._k = k
        self._fusion = fusion
        self._people: dict[int, tuple[Person, list[StoredTemplate]]] = {}

    def of(self, probes: Vectors) -> list[list[Candidate]]:
        """Return for each probe its best ``k`` people, by score, then by name; fewer where there are fewer."""
        if not len(self._index):
            return [[] for _ in probes]
        nominees = self._index.nominate(probes, self._k + MARGIN)
        return [self._settled(probe, first) for probe, first in zip(probes, nominees, strict=True)]

    def _settled(self, probe: Vector, nominees: Nominees) -> list[Candidate]:
        """Name more and more people until no one unnamed can be among the best."""
        scores: dict[int, Candidate] = {}
        while True:
            named = dict.fromkeys(nominees.people.tolist())
            self._score(probe, [key for key in named if key not in scores], scores)
            best = sorted(scores.values(), key=lambda one: (-one.score, one.person.name))[: self._k]
            count = len(nominees.people)
            bound = float(nominees.products[-1]) + slack(len(probe))
            if count == len(self._index) or (len(best) == self._k and best[-1].score > bound):
                return best
            nominees = self._index.nominate(probe[None], _WIDER * count)[0]

    def _score(self, probe: Vector, keys: list[int], scores: dict[int, Candidate]) -> None:
        """Score people not scored yet."""
        self._people |= self._read(key for key in keys if key not in self._people)
        for key in keys:
            scores[key] = scored(probe, *self._people[key], self._fusion)

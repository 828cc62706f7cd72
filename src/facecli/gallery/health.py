"""What a gallery holds, and whom its templates may serve badly: numbers for a person to act on, never a refusal.

Everything is read in one snapshot, every checksum verified. People who look alike are found by comparing each template
with each other one: float32 products first, :func:`facecli.match.score` for whatever comes near the threshold. That
grows with the square of the number of templates.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facecli.gallery import schema
from facecli.gallery.database import Database
from facecli.gallery.index import slack
from facecli.gallery.rows import Rows
from facecli.match import score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from facecli.gallery.check import Step
    from facecli.gallery.schema import Person, StoredTemplate
    from facecli.types import ModelPin, Quality, Vectors

_SIDE = 2048
"""Templates on each side of one matrix product: 16 MiB of float32."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a gallery holds, in numbers.

    Attributes
    ----------
    pin
        The model that made every template.
    created_at
        UTC, ISO 8601.
    generation
        How many changes there have been.
    people, templates
        How many.
    single
        People with a single template.
    most
        Templates of the person who has most.
    size_bytes
        Of the folder's files, by name.
    """

    pin: ModelPin
    created_at: str
    generation: int
    people: int
    templates: int
    single: int
    most: int
    size_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is worth a look.

    Attributes
    ----------
    duplicate
        Score from which two people may be one.
    own
        Score below which a template disagrees with all other templates of its person.
    weak
        Says why a template's quality is too poor, in a sentence; empty where it is not.
    """

    duplicate: float
    own: float
    weak: Callable[[Quality], str]


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two people who may be one: the highest score between their templates."""

    one: Person
    other: Person
    score: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A template that disagrees with every other one of its person: the highest score among them."""

    person: Person
    template: int
    source: str
    score: float


@dataclass(frozen=True, slots=True)
class Weak:
    """A template of poor quality."""

    person: Person
    template: int
    source: str
    why: str


@dataclass(slots=True)
class Health:
    """What is worth a look.

    Attributes
    ----------
    people, templates
        How many there are.
    look_alikes
        Highest score first.
    outliers, weak
        By person, then by template.
    single
        Names of people with a single template.
    """

    people: int
    templates: int
    look_alikes: list[LookAlike] = field(default_factory=list)
    outliers: list[Outlier] = field(default_factory=list)
    weak: list[Weak] = field(default_factory=list)
    single: list[str] = field(default_factory=list)


def stats(folder: Path, *, wait_s: float) -> Stats:
    """Count what a gallery holds.

    Raises
    ------
    GalleryError
        It is missing, locked or damaged.
    """
    with closing(Database(folder, writable=False, wait_s=wait_s)) as database, database.reading() as connection:
        meta = schema.read_meta(connection)
        query = "SELECT coalesce(sum(templates = 1), 0), coalesce(max(templates), 0) FROM person"
        single, most = connection.execute(query).fetchone()
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    return Stats(meta.pin, meta.created_at, meta.generation, meta.people, meta.templates, int(single), int(most), sizes)


def look_over(folder: Path, limits: Limits, *, wait_s: float, step: Step | None = None) -> Health:
    """Find people who look alike, templates that disagree with their person, weak enrolments, single templates.

    Parameters
    ----------
    folder
        The gallery.
    limits
        From where on something is worth a look.
    wait_s
        How long to wait for another process, in seconds.
    step
        Told how many comparisons of all are done.

    Raises
    ------
    GalleryError
        It is missing, locked or damaged.
    """
    with closing(Database(folder, writable=False, wait_s=wait_s)) as database, database.reading() as connection:
        meta = schema.read_meta(connection)
        health = Health(meta.people, meta.templates)
        people: list[Person] = []
        blocks: list[Vectors] = []
        for person, templates in Rows(meta.gallery, meta.pin.dimension).each(connection):
            _look_at(person, templates, limits, health)
            people += [person] * len(templates)
            blocks.append(_stacked(templates))
    if blocks:
        health.look_alikes = _alike(people, _joined(blocks), limits.duplicate, step)
    return health


def _look_at(person: Person, templates: list[StoredTemplate], limits: Limits, health: Health) -> None:
    """Look at one person's templates."""
    for template in templates:
        why = limits.weak(template.quality)
        if why:
            health.weak.append(Weak(person, template.id, template.source, why))
    if len(templates) == 1:
        health.single.append(person.name)
        return
    for template in templates:
        best = max(score(template.vector, other.vector) for other in templates if other is not template)
        if best < limits.own:
            health.outliers.append(Outlier(person, template.id, template.source, best))


def _stacked(templates: list[StoredTemplate]) -> Vectors:
    """Put templates under each other."""
    import numpy as np

    return np.stack([template.vector for template in templates])


def _joined(blocks: list[Vectors]) -> Vectors:
    """Put blocks of templates under each other."""
    import numpy as np

    return np.concatenate(blocks)


def _alike(people: list[Person], vectors: Vectors, threshold: float, step: Step | None) -> list[LookAlike]:
    """Compare every template with every other person's."""
    import numpy as np

    owners = np.array([person.id for person in people])
    near = threshold - slack(vectors.shape[1])
    best: dict[tuple[int, int], LookAlike] = {}
    starts = range(0, len(vectors), _SIDE)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for left in starts:
        for right in starts[left // _SIDE :]:
            products = vectors[left : left + _SIDE] @ vectors[right : right + _SIDE].T
            others = owners[left : left + _SIDE, None] != owners[None, right : right + _SIDE]
            for row, column in np.argwhere((products >= near) & others).tolist():
                _keep(best, (people[left + row], people[right + column]), vectors[[left + row, right + column]])
            done += 1
            if step is not None:
                step(done, total)
    found = [pair for pair in best.values() if pair.score >= threshold]
    return sorted(found, key=lambda pair: (-pair.score, pair.one.name, pair.other.name))


def _keep(best: dict[tuple[int, int], LookAlike], pair: tuple[Person, Person], vectors: Vectors) -> None:
    """Keep the highest score of two people, in the order of their names."""
    one, other = sorted(pair, key=lambda person: person.name)
    exact = score(vectors[0], vectors[1])
    known = best.get((one.id, other.id))
    if known is None or exact > known.score:
        best[one.id, other.id] = LookAlike(one, other, exact)

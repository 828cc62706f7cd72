"""A gallery: the people enrolled, their templates, and the search among them.

A folder holds it. ``gallery.db`` is the truth; ``index.faiss`` is derived and may be deleted; ``lock`` is empty.
Every change is one transaction: when the call returns it is on the disk, whole, whatever happens next.

>>> with Gallery.create(folder, pin) as gallery:                                         # doctest: +SKIP
...     gallery.enrol("Ada", [NewTemplate(vector, "ada.jpg", sha256, quality)])
...     [best] = gallery.search(probes, k=1)[0]
"""

from __future__ import annotations

import math
import uuid
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from facecli import match
from facecli.errors import FacecliError, GalleryError, ModelMismatchError, NotEnrolledError, UsageError
from facecli.files import writing_to
from facecli.gallery import index as indices
from facecli.gallery import points, schema, writing
from facecli.gallery.database import DATABASE, Database, create, sweep
from facecli.gallery.digest import damaged
from facecli.gallery.index import Index
from facecli.gallery.rows import Rows
from facecli.gallery.schema import Meta, NewTemplate, Person, StoredTemplate, read_meta
from facecli.gallery.search import Candidate, Ranking, scored
from facecli.names import person_name, visible
from facecli.types import Fusion, Quality

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from facecli.evidence import Calibration
    from facecli.types import ModelPin, Vector, Vectors

WAIT_S = 10.0
"""How long to wait for another process by default."""


class Gallery:
    """An open gallery; use it as a context manager. Not to be shared between threads.

    Made by :meth:`open` or :meth:`create`.

    Attributes
    ----------
    folder
        Where it is.
    """

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self._database = database
        self._index: Index | None = None
        with database.reading() as connection:
            self._meta = read_meta(connection)
        self._rows = Rows(self._meta.gallery, self._meta.pin.dimension)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False, wait_s: float = WAIT_S) -> Self:
        """Open a gallery that is there.

        Parameters
        ----------
        path
            Its folder.
        writable
            Whether it will be changed.
        wait_s
            How long each call waits for another process, in seconds.

        Raises
        ------
        GalleryError
            It is missing, locked, damaged, not a gallery, or of a newer facecli.
        OutputError
            It is to be changed, and its folder can't be written.
        """
        database = Database(Path(path), writable=writable, wait_s=wait_s)
        try:
            return cls(Path(path), database)
        except BaseException:
            database.close()
            raise

    @classmethod
    def create(cls, path: Path, pin: ModelPin, *, exist_ok: bool = False, wait_s: float = WAIT_S) -> Self:
        """Make an empty gallery, readable by its owner alone, and open it for changes.

        Parameters
        ----------
        path
            Its folder; made where it is missing.
        pin
            The embedder that will make its templates.
        exist_ok
            Open the gallery that is there already, or that another process makes at the same moment. Its pin may be
            another: see :meth:`check_pin`.
        wait_s
            How long each call waits for another process, in seconds.

        Raises
        ------
        OutputError
            It can't be written there.
        GalleryError
            There is one already (unless ``exist_ok``), or it can't be opened.
        """
        meta = Meta(str(uuid.uuid4()), schema.now(), pin, 1, 0, 0, 0)
        if not create(Path(path), meta, wait_s=wait_s) and not exist_ok:
            raise GalleryError(f"there is a gallery at {visible(str(path))} already")
        return cls.open(path, writable=True, wait_s=wait_s)

    @staticmethod
    def is_at(path: Path) -> bool:
        """Say whether there is a gallery at all; whether it is sound shows when it is opened."""
        return (path / DATABASE).exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; keep the index for the next process where that pays and the folder can be written."""
        self._save_index()
        self._database.close()

    @property
    def id(self) -> str:
        """A random uuid."""
        return self._meta.gallery

    @property
    def pin(self) -> ModelPin:
        """The embedder that made every template in it."""
        return self._meta.pin

    @property
    def generation(self) -> int:
        """How many changes there have been."""
        with self.snapshot():
            return self._meta.generation

    def check_pin(self, pin: ModelPin) -> None:
        """See that an embedder is the gallery's own.

        Raises
        ------
        ModelMismatchError
            Its templates must not be compared with the gallery's.
        """
        if pin == self.pin:
            return
        mine, other = self.pin, pin
        names = ("source_sha256", "conversion", "preprocessing_sha256", "dimension")
        differing = [name for name in names if getattr(mine, name) != getattr(other, name)]
        raise ModelMismatchError(
            f"the gallery {self._shown} was made with the model {visible(mine.name)}, not with {visible(other.name)}"
            + (f" (differing: {', '.join(differing)})" if mine.name == other.name else ""),
            hint=f"use --model {visible(mine.name)}, or another gallery",
        )

    # --- several calls as one ---

    def snapshot(self) -> AbstractContextManager[object]:
        """Let several reads see the gallery as it is now, whatever other processes do meanwhile."""
        return self._reading()

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep every other writer out over several calls, such as a search for duplicates and the enrolment after it.

        Raises
        ------
        GalleryError
            Another process held the lock for all of ``wait_s``.
        """
        return self._database.locked()

    # --- people ---

    def count(self) -> tuple[int, int]:
        """Return how many people and how many templates there are."""
        with self.snapshot():
            return self._meta.people, self._meta.templates

    def people(self, *, like: str | None = None) -> list[Person]:
        """Return the people by name; those whose name holds ``like``, in upper or lower case, where it is given."""
        with self._reading() as connection:
            people = self._rows.everyone(connection)
        if len(people) != self._meta.people:
            raise damaged("there are not as many people as it says")
        part = (like or "").casefold()
        return [person for person in people if part in person.name.casefold()]

    def person(self, name: str) -> Person:
        """Return a person.

        Raises
        ------
        NotEnrolledError
            No one is enrolled by that name.
        UsageError
            No one can have that name.
        """
        with self._reading() as connection:
            return self._find(connection, person_name(name))

    def templates(self, name: str) -> list[StoredTemplate]:
        """Return a person's templates, oldest first.

        Raises
        ------
        NotEnrolledError
            No one is enrolled by that name.
        """
        with self._reading() as connection:
            person = self._find(connection, person_name(name))
            return self._rows.people(connection, [person.id])[person.id][1]

    def sources(self) -> set[tuple[str, str]]:
        """Return (name, sha256 of the photograph) of every template, to know what is enrolled already."""
        with self._reading() as connection:
            return self._rows.sources(connection)

    # --- operating points ---

    def calibration(self) -> Calibration | None:
        """Return the operating points that were set for this gallery; None where there are none.

        Raises
        ------
        GalleryError
            A row of them is damaged or missing.
        """
        with self._reading() as connection:
            return points.calibration_in(connection, self.id) if self._meta.points else None

    def calibrate(self, calibration: Calibration | None) -> None:
        """Set the operating points of decisions against this gallery; None removes them. Raises as :meth:`enrol`."""
        with self._changing() as (connection, meta):
            points.write(connection, self.id, calibration)
            schema.bump(connection, replace(meta, points=points.digests_in(connection)))

    # --- comparing ---

    def search(self, vectors: Vectors, k: int, fusion: Fusion = Fusion.MAX) -> list[list[Candidate]]:
        """Return for each probe the ``k`` people nearest to it, best first; fewer where fewer are enrolled.

        Exact: the ranking and every bit of the scores are what :meth:`score_person` over all people would give, equal
        scores ordered by name, whatever the number of probes. See :mod:`facecli.gallery.search`.

        Parameters
        ----------
        vectors
            Probes, ``(count, dimension)``, float32, of unit length.
        k
            How many people, at least 1.
        fusion
            How the scores against a person's several templates become one.

        Raises
        ------
        ValueError
            The probes are not templates of the gallery's dimension, or ``k`` is less than 1.
        GalleryError
            A row that was read fails its checksum.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        probes = match.checked(vectors, self.pin.dimension)
        with self._reading() as connection:
            index = self._current_index(connection)
            ranking = Ranking(index, lambda keys: self._rows.people(connection, keys), k=k, fusion=fusion)
            return ranking.of(probes)

    def score_person(self, name: str, vector: Vector, fusion: Fusion = Fusion.MAX) -> Candidate:
        """Return a probe's score against one person: for ``verify --as``, and the very score that search gives.

        Parameters
        ----------
        name
            The person claimed.
        vector
            The probe, ``(dimension,)``, float32, of unit length.
        fusion
            How the scores against the person's several templates become one.

        Raises
        ------
        NotEnrolledError
            No one is enrolled by that name.
        ValueError
            The probe is not a template of the gallery's dimension.
        GalleryError
            A row that was read fails its checksum.
        """
        [probe] = match.checked(vector[None], self.pin.dimension)
        with self._reading() as connection:
            person = self._find(connection, person_name(name))
            return scored(probe, *self._rows.people(connection, [person.id])[person.id], fusion)

    # --- changing ---

    def enrol(self, name: str, templates: Sequence[NewTemplate]) -> Person:
        """Add templates to a person, who is new or enrolled already.

        Whether they *should* be added (duplicates, quality) is decided elsewhere; here they only have to be templates.

        Parameters
        ----------
        name
            Normalised by :func:`facecli.names.person_name`.
        templates
            At least one.

        Returns
        -------
        Person
            As enrolled now: it is on the disk.

        Raises
        ------
        UsageError
            No one can have that name.
        ValueError
            There is no template, or one is not a template of the gallery's dimension.
        GalleryError
            Another process held the lock for all of ``wait_s``, or the gallery is damaged.
        OutputError
            It can't be written; nothing has changed.
        """
        name = person_name(name)
        time = schema.now()
        rows = [_row_of(template, self.pin.dimension, time) for template in templates]
        if not rows:
            raise ValueError("someone is enrolled with at least one template")
        with self._changing() as (connection, meta):
            known = self._rows.named(connection, name)
            person = writing.add(connection, self._rows, known or writing.new_person(name, time), rows)
            schema.bump(connection, meta, people=0 if known else 1, templates=len(rows))
        return person

    def remove(self, name: str) -> Person:
        """Remove a person with all templates, from the database, its log and the index; return who it was.

        Raises
        ------
        NotEnrolledError
            No one is enrolled by that name.
        GalleryError, OutputError
            As for :meth:`enrol`.
        """
        with self._removing() as (connection, meta):
            person = self._find(connection, person_name(name))
            connection.execute("DELETE FROM template WHERE person_id = ?", (person.id,))
            connection.execute("DELETE FROM person WHERE id = ?", (person.id,))
            schema.bump(connection, meta, people=-1, templates=-person.templates)
        return person

    def remove_template(self, template: int) -> Person:
        """Remove one template by its id; return whose it was, as that person is now.

        Raises
        ------
        UsageError
            There is no such template, or it is the person's last.
        GalleryError, OutputError
            As for :meth:`enrol`.
        """
        with self._removing() as (connection, meta):
            person = self._rows.owner(connection, template)
            if person is None:
                raise UsageError(f"there is no template {template} in the gallery {self._shown}")
            if person.templates == 1:
                raise UsageError(
                    f'template {template} is the last one of "{visible(person.name)}"', hint="remove the person instead"
                )
            person = replace(person, templates=person.templates - 1)
            connection.execute("DELETE FROM template WHERE id = ?", (template,))
            schema.update_person(connection, self.id, person)
            schema.bump(connection, meta, templates=-1)
        return person

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name; return who it is now.

        Raises
        ------
        NotEnrolledError
            No one is enrolled by the old name.
        UsageError
            The new name is another person's, or no one can have it.
        GalleryError, OutputError
            As for :meth:`enrol`.
        """
        new = person_name(new)
        with self._changing() as (connection, meta):
            person = self._find(connection, person_name(old))
            other = self._rows.named(connection, new)
            if other and other.id != person.id:
                raise UsageError(f'"{visible(new)}" is another person of the gallery', hint="choose another name")
            person = replace(person, name=new)
            schema.update_person(connection, self.id, person)
            schema.bump(connection, meta)
        return person

    # --- inside ---

    @property
    def _shown(self) -> str:
        return visible(str(self.folder))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give a snapshot, and the gallery's own row as of it."""
        with self._database.reading() as connection:
            self._meta = read_meta(connection)
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, Meta]]:
        """Give one durable transaction, and the gallery's own row as of its begin."""
        with self._database.changing() as connection:
            yield connection, read_meta(connection)

    @contextmanager
    def _removing(self) -> Iterator[tuple[sqlite3.Connection, Meta]]:
        """Give a transaction that takes templates away; the index that knows them goes first, then their traces."""
        index = self.folder / indices.INDEX
        with self._database.locked():
            with self._changing() as change:
                yield change
                sweep(self.folder)
                with writing_to(index):
                    index.unlink(missing_ok=True)
            self._database.forget()

    def _find(self, connection: sqlite3.Connection, name: str) -> Person:
        """Read a person by the normalised name."""
        person = self._rows.named(connection, name)
        if person is None:
            raise NotEnrolledError(
                f'no one is enrolled as "{visible(name)}" in the gallery {self._shown}',
                hint="see: facecli gallery list",
            )
        return person

    def _current_index(self, connection: sqlite3.Connection) -> Index:
        """Return the index of the snapshot: the one in memory or on the disk, topped up; else one made anew."""
        meta = self._meta
        if self._index is None and meta.templates > indices.SMALL:
            self._index = indices.load(self.folder / indices.INDEX, self.id, self.pin.dimension)
        known = self._index
        if known and not (meta.removed_generation <= known.generation <= meta.generation):
            known = None
        for index in (known, Index(indices.new_block(0, self.pin.dimension), 0)):
            if index is None or len(index) > meta.templates:
                continue
            if index.generation != meta.generation:
                index.add(self._rows.newer(connection, index.last_id, meta.templates - len(index)), meta.generation)
            if len(index) == meta.templates:
                self._index = index
                return index
        raise damaged("there are not as many templates as it says")

    def _save_index(self) -> None:
        """Write the index for the next process, if it pays; it is derived, so a failure is no one's trouble."""
        index = self._index
        if index is None or not index.worth_saving:
            return
        with suppress(FacecliError), self._database.locked(wait_s=0):
            with self._reading():
                fits = self._meta.removed_generation <= index.generation
            if fits:
                sweep(self.folder)
                index.save(self.folder / indices.INDEX, self.id)


def _row_of(template: NewTemplate, dimension: int, time: str) -> StoredTemplate:
    """Check a template at the boundary; its id is given in the transaction."""
    match.checked(template.vector[None], dimension)
    measured = [float(value) + 0.0 for value in astuple(template.quality)]  # SQLite knows no -0.0
    if not all(map(math.isfinite, measured)):
        raise ValueError(f"a measure of quality is not finite: {template.quality}")
    source, sha256 = visible(template.source), visible(template.source_sha256)
    return StoredTemplate(0, template.vector, source, sha256, Quality(*measured), time)

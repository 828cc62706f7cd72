"""Moving people between galleries: export as they are, import once everything has been checked.

An import reads its file twice: first all of it is checked, its digest included, and held against the gallery, while
nothing is changed; then people are added, some hundred in one transaction. So a hostile or damaged file changes
nothing, and a process that is killed leaves whole people only: the import is simply run again, and leaves out what is
there.

An import does not judge faces: it trusts the other gallery's enrolment. ``facecli gallery health`` finds look-alikes.
"""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from facecli.errors import ModelMismatchError, NotEnrolledError, UsageError
from facecli.gallery import npz, records, schema, writing
from facecli.gallery.database import Database
from facecli.gallery.records import Header, Record
from facecli.gallery.rows import Rows
from facecli.gallery.store import Gallery
from facecli.names import person_name, visible

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from facecli.gallery.check import Step
    from facecli.gallery.schema import Person, StoredTemplate

PEOPLE_AT_ONCE = 256
"""In one transaction of an import."""

_ZIP = b"PK"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import.

    Attributes
    ----------
    stream
        Can be read again from its start.
    name
        What the user calls it.
    """

    stream: BinaryIO
    name: str


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes
    ----------
    people
        How many are new.
    added, known
        Templates added, and left out because the person has them already.
    """

    people: int = 0
    added: int = 0
    known: int = 0


def export(folder: Path, stream: BinaryIO, *, wait_s: float, person: str | None = None, as_npz: bool = False) -> Header:
    """Write all people, or all that is held on one, in the order of their names; return what was written.

    Parameters
    ----------
    folder
        The gallery.
    stream
        Gets NDJSON, line by line, or one ``.npz``.
    wait_s
        How long to wait for another process, in seconds.
    person
        Only this one.
    as_npz
        Whether numpy's format is meant.

    Raises
    ------
    NotEnrolledError
        No one has that name.
    GalleryError
        The gallery is missing, locked or damaged.
    """
    with closing(Database(folder, writable=False, wait_s=wait_s)) as database, database.reading() as connection:
        meta = schema.read_meta(connection)
        rows = Rows(meta.gallery, meta.pin.dimension)
        if person is None:
            header, chosen = Header(meta.gallery, meta.pin, meta.people, meta.templates), rows.each(connection)
        else:
            one = _named(connection, rows, person)
            header = Header(meta.gallery, meta.pin, 1, one.templates)
            chosen = iter(rows.people(connection, [one.id]).values())
        write = npz.write if as_npz else records.write
        write(stream, header, _records_of(chosen))
    return header


def import_(folder: Path, source: Source, *, wait_s: float, merge: bool = False, step: Step | None = None) -> Imported:
    """Add the people of a file that :func:`export` wrote.

    Parameters
    ----------
    folder
        The gallery, of the same model.
    source
        The file.
    wait_s
        How long to wait for another process, in seconds.
    merge
        Add templates to people of the same name although they were enrolled apart.
    step
        Told how many templates are done, of how many.

    Raises
    ------
    UsageError
        The file is not what an export writes, or someone of that name is enrolled already, apart from it.
    ModelMismatchError
        Its templates are another model's.
    GalleryError, OutputError
        The gallery can't be read, or written.
    """
    work = _Import(source.name, merge)
    with closing(Database(folder, writable=True, wait_s=wait_s)) as database:
        header, found = _opened(source)
        with database.reading() as connection:
            work.check_all(connection, header, found)
        header, found = _opened(source)
        people = itertools.groupby(found, key=lambda record: record.name)
        read = 0
        while batch := [(who, list(some)) for who, some in itertools.islice(people, PEOPLE_AT_ONCE)]:
            with database.changing() as connection:
                work.add_all(connection, header, batch)
            read += sum(len(some) for _, some in batch)
            if step is not None:
                step(read, header.templates)
    return work.done


def create_for(folder: Path, source: Source, *, wait_s: float) -> None:
    """Make an empty gallery for a file's model, once all of the file has been read and is sound.

    Raises
    ------
    UsageError
        The file is not what an export writes.
    GalleryError, OutputError
        The gallery can't be made.
    """
    header, found = _opened(source)
    for _ in found:
        pass
    Gallery.create(folder, header.pin, exist_ok=True, wait_s=wait_s).close()


# --- inside ----------------------------------------------------------------------------------------------------------


def _opened(source: Source) -> tuple[Header, Iterator[Record]]:
    """Start to read a file of either kind, from its start."""
    source.stream.seek(0)
    start = source.stream.read(len(_ZIP))
    source.stream.seek(0)
    return (npz.read if start == _ZIP else records.read)(source.stream, source.name)


def _named(connection: sqlite3.Connection, rows: Rows, name: str) -> Person:
    """Read the person who is to be exported."""
    found = rows.named(connection, person_name(name))
    if found is None:
        raise NotEnrolledError(f'no one is enrolled as "{visible(name)}"', hint="see: facecli gallery list")
    return found


def _records_of(people: Iterator[tuple[Person, list[StoredTemplate]]]) -> Iterator[Record]:
    """Return people's templates, each with whose it is."""
    for person, templates in people:
        for template in templates:
            yield Record(person.name, person.subject, person.enrolled_at, template)


class _Import:
    """One file on its way into a gallery."""

    def __init__(self, name: str, merge: bool) -> None:  # noqa: FBT001 (private)
        self._name = visible(name)
        self._merge = merge
        self.done = Imported()

    def check_all(self, connection: sqlite3.Connection, header: Header, found: Iterator[Record]) -> None:
        """Read the whole file before anything is changed: each person's templates together, and no one else's name."""
        _, rows = self._gallery(connection, header)
        seen: set[str] = set()
        for who, some in itertools.groupby(found, key=lambda record: record.name):
            if who in seen:
                raise UsageError(f'{self._name}: the templates of "{visible(who)}" do not stand together')
            seen.add(who)
            first, *others = {(record.subject, record.enrolled_at) for record in some}
            if others:
                raise UsageError(f'{self._name}: "{visible(who)}" is two people')
            self._place(connection, rows, writing.new_person(who, first[1], first[0]))
        if len(seen) != header.people:
            raise UsageError(f"{self._name} holds {len(seen):,} people, and says {header.people:,}")

    def add_all(self, connection: sqlite3.Connection, header: Header, batch: list[tuple[str, list[Record]]]) -> None:
        """Add some people in one transaction."""
        meta, rows = self._gallery(connection, header)
        people = added = known = 0
        for name, some in batch:
            person = self._place(connection, rows, writing.new_person(name, some[0].enrolled_at, some[0].subject))
            there = rows.people(connection, [person.id])[person.id][1] if person.id else []
            fresh = _fresh(some, there)
            known += len(some) - len(fresh)
            if fresh:
                writing.add(connection, rows, person, fresh)
                people, added = people + (person.id == 0), added + len(fresh)
        if added:
            schema.bump(connection, meta, people=people, templates=added)
        done = self.done
        self.done = Imported(done.people + people, done.added + added, done.known + known)

    def _gallery(self, connection: sqlite3.Connection, header: Header) -> tuple[schema.Meta, Rows]:
        """Read the gallery's own row, and see that the file's templates may be compared with its."""
        meta = schema.read_meta(connection)
        if meta.pin != header.pin:
            mine, other = visible(meta.pin.name), visible(header.pin.name)
            same = ", in another version" if mine == other else ""
            raise ModelMismatchError(
                f"{self._name} holds templates of the model {other}, and the gallery those of {mine}{same}",
                hint="import it into another gallery: --gallery FOLDER",
            )
        return meta, Rows(meta.gallery, meta.pin.dimension)

    def _place(self, connection: sqlite3.Connection, rows: Rows, person: Person) -> Person:
        """Return whom in the gallery a person of the file is: someone enrolled, or someone new."""
        name = visible(person.name)
        enrolled = rows.named(connection, person.name)
        if enrolled is not None and enrolled.subject != person.subject and not self._merge:
            raise UsageError(
                f'someone else is enrolled as "{name}" already, apart from {self._name}',
                hint="if they are the same person, add --merge; else rename one: facecli gallery rename",
            )
        if enrolled is not None:
            return enrolled
        row = connection.execute("SELECT name FROM person WHERE subject = ?", (person.subject,)).fetchone()
        if row is None:
            return person
        if not self._merge:
            raise UsageError(
                f'"{name}" of {self._name} is enrolled already, as "{visible(str(row[0]))}"',
                hint="give both the same name (facecli gallery rename), or add --merge to have two people",
            )
        return writing.new_person(person.name, person.enrolled_at)


def _fresh(some: list[Record], there: list[StoredTemplate]) -> list[StoredTemplate]:
    """Return the templates that a person does not have yet, bit for bit."""
    seen = {template.vector.tobytes() for template in there}
    fresh = []
    for record in some:
        data = record.template.vector.tobytes()
        if data not in seen:
            seen.add(data)
            fresh.append(record.template)
    return fresh

"""Reading people and templates from the database: every row's checksum is verified, and so is that none is missing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from facecli.gallery import schema
from facecli.gallery.digest import damaged
from facecli.gallery.index import Block, new_block
from facecli.names import visible

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from facecli.gallery.digest import Row
    from facecli.gallery.schema import Person, StoredTemplate

_BATCH = 500
"""Keys in one query; SQLite allows 999 at least."""


class Rows(NamedTuple):
    """How the rows of one gallery are read.

    Attributes
    ----------
    gallery
        Its uuid, which is in every checksum.
    dimension
        Of its templates.
    """

    gallery: str
    dimension: int

    def named(self, connection: sqlite3.Connection, name: str) -> Person | None:
        """Read a person by the normalised name, if there is one."""
        query = f"SELECT {schema.PERSON_COLUMNS} FROM person WHERE name = ?"  # noqa: S608
        row = connection.execute(query, (name,)).fetchone()
        return None if row is None else schema.person_of(row, self.gallery)

    def everyone(self, connection: sqlite3.Connection) -> list[Person]:
        """Read all people, ordered by name."""
        query = f"SELECT {schema.PERSON_COLUMNS} FROM person ORDER BY name"  # noqa: S608
        return [schema.person_of(row, self.gallery) for row in connection.execute(query)]

    def each(self, connection: sqlite3.Connection) -> Iterator[tuple[Person, list[StoredTemplate]]]:
        """Read everyone with all templates, ordered by name, a few hundred at a time."""
        keys = [key for (key,) in connection.execute("SELECT id FROM person ORDER BY name")]
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            found = self.people(connection, some)
            yield from (found[key] for key in some)

    def sources(self, connection: sqlite3.Connection) -> set[tuple[str, str]]:
        """Read (name, sha256 of the photograph) of every template. Nothing is decided by it, so no row is verified."""
        query = "SELECT name, source_sha256 FROM template JOIN person ON person.id = person_id"
        return {(str(name), str(sha256)) for name, sha256 in connection.execute(query)}

    def owner(self, connection: sqlite3.Connection, template: int) -> Person | None:
        """Read the person that a template belongs to, if there is such a template."""
        query = (
            f"SELECT {schema.PERSON_COLUMNS} FROM template JOIN person ON person.id = person_id"  # noqa: S608
            " WHERE template.id = ?"
        )
        row = connection.execute(query, (template,)).fetchone()
        return None if row is None else schema.person_of(row, self.gallery)

    def people(
        self, connection: sqlite3.Connection, keys: Iterable[int]
    ) -> dict[int, tuple[Person, list[StoredTemplate]]]:
        """Read people by their keys, each with all templates, oldest first."""
        wanted = list(keys)
        people: dict[int, tuple[Person, list[StoredTemplate]]] = {}
        for start in range(0, len(wanted), _BATCH):
            people |= self._batch(connection, wanted[start : start + _BATCH])
        if len(people) != len(wanted):
            raise damaged("a person is missing")
        for person, templates in people.values():
            if len(templates) != person.templates:
                have = f"{len(templates)} of {person.templates} templates"
                raise damaged(f'"{visible(person.name)}" has {have}')
        return people

    def newer(self, connection: sqlite3.Connection, last_id: int, count: int) -> Block:
        """Read up to ``count`` templates with ids above ``last_id``; fewer where there are fewer."""
        block = new_block(count, self.dimension)
        rows = connection.execute(
            f"SELECT {schema.TEMPLATE_COLUMNS}, subject, name FROM template JOIN person ON person.id = person_id"  # noqa: S608
            " WHERE template.id > ? ORDER BY template.id",
            (last_id,),
        )
        filled = 0
        for filled, row in enumerate(itertools.islice(rows, count), start=1):
            template = self._template(row[:-2], row[-2], row[-1])
            block.ids[filled - 1], block.people[filled - 1] = template.id, row[1]
            block.vectors[filled - 1] = template.vector
        return block.first(filled)

    def _batch(self, connection: sqlite3.Connection, keys: list[int]) -> dict[int, tuple[Person, list[StoredTemplate]]]:
        """Read a few hundred people."""
        marks = ",".join("?" * len(keys))
        rows = connection.execute(f"SELECT {schema.PERSON_COLUMNS} FROM person WHERE id IN ({marks})", keys)  # noqa: S608
        people = [schema.person_of(row, self.gallery) for row in rows]
        found: dict[int, tuple[Person, list[StoredTemplate]]] = {person.id: (person, []) for person in people}
        query = f"SELECT {schema.TEMPLATE_COLUMNS} FROM template WHERE person_id IN ({marks}) ORDER BY id"  # noqa: S608
        for row in connection.execute(query, keys):
            if row[1] not in found:
                raise damaged("a template belongs to no one")
            person, templates = found[row[1]]
            templates.append(self._template(row, person.subject, person.name))
        return found

    def _template(self, row: Row, subject: str, name: str) -> StoredTemplate:
        """Verify a template's row."""
        return schema.template_of(row, self.gallery, subject, name=name, dimension=self.dimension)

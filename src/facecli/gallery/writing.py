"""Adding templates to a person inside a transaction: what enrolment and import share."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from facecli.gallery import schema
from facecli.gallery.schema import Person

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from facecli.gallery.rows import Rows
    from facecli.gallery.schema import StoredTemplate


def add(connection: sqlite3.Connection, rows: Rows, person: Person, templates: Sequence[StoredTemplate]) -> Person:
    """Add templates to a person; return who it is now. The caller counts the change.

    Parameters
    ----------
    connection
        In a transaction.
    rows
        Of the gallery.
    person
        As the gallery knows it, or made by :func:`new_person`.
    templates
        At least one, checked; they get their ids here.
    """
    fresh = person.id == 0
    key = schema.next_id(connection, "person") if fresh else person.id
    person = replace(person, id=key, templates=person.templates + len(templates))
    write = schema.insert_person if fresh else schema.update_person
    write(connection, rows.gallery, person)
    for number, template in enumerate(templates, start=schema.next_id(connection, "template")):
        schema.insert_template(connection, rows.gallery, person, replace(template, id=number))
    return person


def new_person(name: str, time: str, subject: str | None = None) -> Person:
    """Return someone who is not in the gallery yet."""
    return Person(0, subject or str(uuid.uuid4()), name, 0, time)

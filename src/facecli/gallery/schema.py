"""What the database holds: tables, rows, and a checksum for every row.

Three tables: ``meta`` (one row: which gallery, which model, which generation), ``person`` and ``template``; those of
the gallery's operating points are in :mod:`facecli.gallery.points`. SQLite notices few flipped bits by itself, so each
row carries a digest over all that it says and over what it belongs to: the gallery, its own key, and for a template its
person. A row altered, moved to another person or brought from
another gallery does not pass. The digests have no key: they find damage, not a forger who can write the file.

A template is never changed, only added and removed, and its id is never used twice; the index stands on that.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from facecli.gallery import points
from facecli.gallery.digest import damaged, digest, typed
from facecli.names import visible
from facecli.types import ModelPin, Quality

if TYPE_CHECKING:
    import sqlite3

    from facecli.gallery.digest import Row
    from facecli.types import Vector

APPLICATION_ID = 0x66636C69
"""``fcli`` in the database's header: this file is a facecli gallery."""

SCHEMA_VERSION = 2
"""1 had no operating points; such a gallery is read as it is, and brought up to date when it is opened for changes."""

TABLES = """
CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    gallery TEXT NOT NULL,                -- uuid4
    created_at TEXT NOT NULL,             -- UTC, ISO 8601
    model TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    conversion TEXT NOT NULL,
    preprocessing_sha256 TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    generation INTEGER NOT NULL,          -- plus 1 in each change
    removed_generation INTEGER NOT NULL,  -- of the last change that removed a template
    people INTEGER NOT NULL,
    templates INTEGER NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE person (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL UNIQUE,         -- uuid4: who it is where the name must not stand
    name TEXT NOT NULL UNIQUE,            -- NFC
    enrolled_at TEXT NOT NULL,
    templates INTEGER NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE template (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person_id INTEGER NOT NULL REFERENCES person (id),
    source TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    detection REAL NOT NULL,
    eye_distance_px REAL NOT NULL,
    cut REAL NOT NULL,
    sharpness REAL NOT NULL,
    enrolled_at TEXT NOT NULL,
    digest BLOB NOT NULL,
    vector BLOB NOT NULL                  -- float32, little-endian
);
CREATE INDEX template_of_person ON template (person_id);
"""

META_COLUMNS = (
    "gallery, created_at, model, source_sha256, conversion, preprocessing_sha256, dimension, generation,"
    " removed_generation, people, templates, digest"
)
PERSON_COLUMNS = "person.id, person.subject, person.name, person.enrolled_at, person.templates, person.digest"
TEMPLATE_COLUMNS = (
    "template.id, person_id, source, source_sha256, detection, eye_distance_px, cut, sharpness,"
    " template.enrolled_at, template.digest, vector"
)

_META_TYPES = (str, str, str, str, str, str, int, int, int, int, int, bytes)
_PERSON_TYPES = (int, str, str, str, int, bytes)
_TEMPLATE_TYPES = (int, int, str, str, float, float, float, float, str, bytes, bytes)


@dataclass(frozen=True, slots=True)
class Meta:
    """What the gallery says of itself.

    Attributes
    ----------
    gallery
        A random uuid.
    created_at
        UTC, ISO 8601.
    pin
        The embedder that made every template in it.
    generation
        How many changes there have been.
    removed_generation
        The generation of the last change that took a template away; an older index still knows that template.
    people, templates
        How many there are.
    points
        The digests of the rows of its operating points; empty where it has none.
    """

    gallery: str
    created_at: str
    pin: ModelPin
    generation: int
    removed_generation: int
    people: int
    templates: int
    points: bytes = b""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone enrolled.

    Attributes
    ----------
    id
        The database's key, never used twice.
    subject
        A random uuid: stands for the person where the name must not be written.
    name
        As :func:`facecli.names.person_name` returns it; unique.
    templates
        How many the person has.
    enrolled_at
        UTC, ISO 8601.
    """

    id: int
    subject: str
    name: str
    templates: int
    enrolled_at: str


@dataclass(frozen=True, slots=True, eq=False)
class NewTemplate:
    """A template to enrol, and where it came from.

    Attributes
    ----------
    vector
        ``(dimension,)``, float32, of unit length; stored bit for bit.
    source
        The photograph as the user named it; stored as :func:`facecli.names.visible` shows it.
    source_sha256
        Of the photograph's bytes.
    quality
        What the quality gate measured.
    """

    vector: Vector
    source: str
    source_sha256: str
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class StoredTemplate:
    """A template read from the gallery, its checksum verified."""

    id: int
    vector: Vector
    source: str
    source_sha256: str
    quality: Quality
    enrolled_at: str


def now() -> str:
    """Return the time as the gallery writes it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# --- digests ---------------------------------------------------------------------------------------------------------


def meta_digest(meta: Meta, version: int = SCHEMA_VERSION) -> bytes:
    """Return the checksum of the gallery's own row; the schema's version and its operating points are in it."""
    counts = (meta.pin.dimension, meta.generation, meta.removed_generation, meta.people, meta.templates)
    pin = (meta.pin.name, meta.pin.source_sha256, meta.pin.conversion, meta.pin.preprocessing_sha256)
    vouched = () if version == 1 else (meta.points,)
    return digest(b"facecli meta", meta.gallery, struct.pack("<6q", version, *counts), meta.created_at, *pin, *vouched)


def person_digest(gallery: str, person: Person) -> bytes:
    """Return the checksum of a person's row."""
    numbers = struct.pack("<2q", person.id, person.templates)
    return digest(b"facecli person", gallery, numbers, person.subject, person.name, person.enrolled_at)


def template_digest(gallery: str, subject: str, template: StoredTemplate) -> bytes:
    """Return the checksum of a template's row, which binds it to its person."""
    quality = template.quality
    measures = (quality.detection, quality.eye_distance_px, quality.cut, quality.sharpness)
    texts = (subject, template.source, template.source_sha256, template.enrolled_at)
    numbers = struct.pack("<q4d", template.id, *measures)
    return digest(b"facecli template", gallery, numbers, *texts, vector_bytes(template.vector))


def vector_bytes(vector: Vector) -> bytes:
    """Return a template as the database stores it: little-endian float32."""
    return vector.astype("<f4", copy=False).tobytes()


# --- reading rows ----------------------------------------------------------------------------------------------------


def read_meta(connection: sqlite3.Connection) -> Meta:
    """Read the gallery's own row, as of the connection's snapshot.

    Raises
    ------
    GalleryError
        It is missing or altered, or does not vouch for the operating points.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    row = connection.execute(f"SELECT {META_COLUMNS} FROM meta").fetchone()  # noqa: S608
    return meta_of(row, version, b"" if version == 1 else points.digests_in(connection))


def meta_of(row: Row | None, version: int, vouched: bytes) -> Meta:
    """Read the gallery's own row.

    Parameters
    ----------
    row
        Of :data:`META_COLUMNS`.
    version
        Of its schema.
    vouched
        The digests of its operating points' rows.

    Raises
    ------
    GalleryError
        It is missing or altered.
    """
    if not typed(row, _META_TYPES):
        raise damaged("its description is missing or altered")
    values = cast("tuple[str, str, str, str, str, str, int, int, int, int, int, bytes]", row)
    gallery, created_at, model, source, conversion, preprocessing, dimension, *counts, found = values
    generation, removed_generation, people, templates = counts
    pin = ModelPin(model, source, conversion, preprocessing, dimension)
    meta = Meta(gallery, created_at, pin, generation, removed_generation, people, templates, vouched)
    if found != meta_digest(meta, version):
        raise damaged("its description fails its checksum")
    return meta


def person_of(row: Row, gallery: str) -> Person:
    """Read a row of :data:`PERSON_COLUMNS`.

    Raises
    ------
    GalleryError
        It fails its checksum.
    """
    if not typed(row, _PERSON_TYPES):
        raise damaged("a person's row is altered")
    key, subject, name, enrolled_at, templates, found = cast("tuple[int, str, str, str, int, bytes]", row)
    person = Person(key, subject, name, templates, enrolled_at)
    if found != person_digest(gallery, person):
        raise damaged(f'the row of "{visible(name)}" fails its checksum')
    return person


def template_of(row: Row, gallery: str, subject: str, *, name: str, dimension: int) -> StoredTemplate:
    """Read a row of :data:`TEMPLATE_COLUMNS`; its vector is a read-only view of the row's bytes.

    Raises
    ------
    GalleryError
        It fails its checksum, or is not of the gallery's dimension.
    """
    import numpy as np

    if not typed(row, _TEMPLATE_TYPES):
        raise damaged(f'a template of "{visible(name)}" is altered')
    values = cast("tuple[int, int, str, str, float, float, float, float, str, bytes, bytes]", row)
    key, _, source, sha256, *measures, enrolled_at, found, data = values
    if len(data) != 4 * dimension:
        raise damaged(f'template {key} of "{visible(name)}" is not of {dimension} values')
    vector = np.frombuffer(data, dtype="<f4")
    template = StoredTemplate(key, vector, source, sha256, Quality(*measures), enrolled_at)
    if found != template_digest(gallery, subject, template):
        raise damaged(f'template {key} of "{visible(name)}" fails its checksum')
    return template


# --- writing rows ----------------------------------------------------------------------------------------------------


def create_tables(connection: sqlite3.Connection, meta: Meta) -> None:
    """Make an empty database a gallery."""
    connection.executescript(TABLES)
    for table in points.TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute(
        f"INSERT INTO meta (only, {META_COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            *(meta.gallery, meta.created_at),
            *(meta.pin.name, meta.pin.source_sha256, meta.pin.conversion, meta.pin.preprocessing_sha256),
            *(meta.pin.dimension, meta.generation, meta.removed_generation, meta.people, meta.templates),
            meta_digest(meta),
        ),
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a gallery of an older schema up to date; call in a transaction. One that is up to date stays as it is."""
    meta = read_meta(connection)
    if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    for table in points.TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("UPDATE meta SET digest = ?", (meta_digest(meta),))


def bump(connection: sqlite3.Connection, meta: Meta, *, people: int = 0, templates: int = 0) -> None:
    """Count a change: the next generation, and so many people and templates more (or fewer)."""
    generation = meta.generation + 1
    after = replace(
        meta,
        generation=generation,
        removed_generation=generation if templates < 0 else meta.removed_generation,
        people=meta.people + people,
        templates=meta.templates + templates,
    )
    connection.execute(
        "UPDATE meta SET generation = ?, removed_generation = ?, people = ?, templates = ?, digest = ?",
        (after.generation, after.removed_generation, after.people, after.templates, meta_digest(after)),
    )


def insert_person(connection: sqlite3.Connection, gallery: str, person: Person) -> None:
    """Add a person's row."""
    connection.execute(
        "INSERT INTO person (id, subject, name, enrolled_at, templates, digest) VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(person.id, person.subject, person.name, person.enrolled_at, person.templates),
            person_digest(gallery, person),
        ),
    )


def update_person(connection: sqlite3.Connection, gallery: str, person: Person) -> None:
    """Write a person's name and count anew."""
    connection.execute(
        "UPDATE person SET name = ?, templates = ?, digest = ? WHERE id = ?",
        (person.name, person.templates, person_digest(gallery, person), person.id),
    )


def insert_template(connection: sqlite3.Connection, gallery: str, person: Person, template: StoredTemplate) -> None:
    """Add a template's row."""
    connection.execute(
        "INSERT INTO template VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(template.id, person.id, template.source, template.source_sha256, *astuple(template.quality)),
            template.enrolled_at,
            template_digest(gallery, person.subject, template),
            vector_bytes(template.vector),
        ),
    )


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """Return the key that a table's next row gets; it has never been used before."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 1 + (row[0] if row else 0)

"""Look a gallery over: every byte that it holds or could answer with is compared with what vouches for it.

Reading alone finds damage only in the rows that are read. Here every row is read, and besides: SQLite's own structure,
the tables' definitions, the write-ahead log, the counts, the index against the rows, permissions, and what killed
processes left. Nothing is changed; :mod:`facecli.gallery.repair` does that.

Bytes that SQLite never reads (free pages, unused parts of pages) are not looked at: they change no answer.
"""

from __future__ import annotations

import itertools
import os
import re
import sqlite3
import stat
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from facecli.errors import GalleryError, OutputError, UsageError
from facecli.files import PRIVATE_FILE, PRIVATE_FOLDER, writing_to
from facecli.gallery import index as indices
from facecli.gallery import points, schema
from facecli.gallery.database import DATABASE, LOCK, Database
from facecli.gallery.log import LogState, state_of
from facecli.match import UNIT_TOLERANCE
from facecli.names import person_name, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from facecli.gallery.schema import Meta, StoredTemplate
    from facecli.types import ModelPin

    Step: TypeAlias = Callable[[int, int], None]
    """Told how many templates have been read, and how many there are."""
    KnownPin: TypeAlias = Callable[[str], ModelPin | None]
    """Returns the pin of a model by its name, None where that model is not known here."""

LOG = f"{DATABASE}-wal"
FILES = (DATABASE, LOG, f"{DATABASE}-shm", indices.INDEX, LOCK)
"""All that belongs into the folder."""

_BATCH = 1000
_SQLITE_INDEX = re.compile(r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index")


class Remedy(StrEnum):
    """What mends a fault."""

    REPAIR = "repair"
    """It concerns what is derived: it can be made again, and nothing is lost."""
    QUARANTINE = "quarantine"
    """Something enrolled is damaged or missing: only taking it out makes the rest whole again."""
    RESTORE = "restore"
    """What would have to vouch for the rest is damaged: a snapshot has to take its place."""
    MODEL = "model"
    """The gallery may be sound; it is this machine's model that is another."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written.

    Attributes
    ----------
    kind
        Such as ``permissions``, ``leftover``, ``log``, ``index``, ``row``, ``count``, ``database``.
    file
        Of the gallery's folder; ``.`` is the folder itself.
    what
        One sentence without a full stop.
    remedy
        What mends it.
    row
        (table, key) of the damaged row, where it is one.
    """

    kind: str
    file: str
    what: str
    remedy: Remedy
    row: tuple[str, int] | None = None


@dataclass(slots=True)
class Findings:
    """What a check found.

    Attributes
    ----------
    people, templates
        How many rows were read.
    faults
        In the order in which they were found; none is a sound gallery.
    notes
        What is no fault, and worth knowing.
    """

    people: int = 0
    templates: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, file: str, what: str, remedy: Remedy, row: tuple[str, int] | None = None) -> None:
        """Note a fault."""
        self.faults.append(Fault(kind, file, what, remedy, row))

    def of(self, *kinds: str) -> list[Fault]:
        """Return the faults of some kinds."""
        return [fault for fault in self.faults if fault.kind in kinds]


def check(folder: Path, *, wait_s: float, known: KnownPin | None = None, step: Step | None = None) -> Findings:
    """Look over everything in a gallery's folder.

    Parameters
    ----------
    folder
        The gallery.
    wait_s
        How long to wait for a process that changes it, in seconds.
    known
        Returns the pins of the models of this machine, to compare the gallery's with.
    step
        Told about the progress.

    Raises
    ------
    GalleryError
        There is no gallery, or another process held its lock all the time.
    """
    found = Findings()
    if not folder.joinpath(DATABASE).exists():
        Database(folder, writable=False, wait_s=wait_s).close()  # says what is wrong with the place
    _places(folder, found)
    _quiet_places(folder, wait_s, found)
    try:
        with closing(Database(folder, writable=False, wait_s=wait_s)) as database:
            _Examination(folder, database, found).run(known, step or (lambda _done, _total: None))
    except GalleryError as error:
        if not found.of("database", "meta"):
            found.add("database", DATABASE, error.message, Remedy.RESTORE)
    return found


def check_file(path: Path, *, step: Step | None = None) -> Findings:
    """Look over a snapshot: a database that stands alone, whatever its name and permissions."""
    found = Findings()
    try:
        with closing(Database(path.parent, writable=False, wait_s=0, name=path.name)) as database:
            _Examination(path.parent, database, found).run(None, step or (lambda _done, _total: None))
    except GalleryError as error:
        if not found.faults:
            found.add("database", path.name, error.message, Remedy.RESTORE)
    return found


@contextmanager
def no_writers(folder: Path, wait_s: float) -> Iterator[None]:
    """Keep writers out of a gallery's folder, as far as it can be written at all."""
    from filelock import FileLock, Timeout

    if not os.access(folder, os.W_OK):
        yield
        return
    lock = FileLock(folder / LOCK, mode=PRIVATE_FILE)
    with writing_to(folder / LOCK):
        try:
            lock.acquire(timeout=wait_s, poll_interval=0.005)
        except Timeout as error:
            raise GalleryError(
                f"the gallery {visible(str(folder))} is locked by another process (waited {wait_s:g} s)",
                hint="try again when the other command has ended",
            ) from error
    try:
        yield
    finally:
        lock.release()


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes left half written. Call under the lock."""
    return sorted(path for name in (DATABASE, indices.INDEX) for path in folder.glob(f".{name}.*.part*"))


# --- the folder ------------------------------------------------------------------------------------------------------


def _places(folder: Path, found: Findings) -> None:
    """Look at permissions: faces are for the owner's eyes alone."""
    for name, right in ((".", PRIVATE_FOLDER), *((name, PRIVATE_FILE) for name in FILES)):
        try:
            mode = folder.joinpath(name).lstat().st_mode
        except OSError:
            continue
        if name != "." and not stat.S_ISREG(mode):
            remedy = Remedy.RESTORE if name == DATABASE else Remedy.REPAIR
            found.add("foreign", name, "is not a file", remedy)
        elif stat.S_IMODE(mode) != right:
            what = f"its permissions are {stat.S_IMODE(mode):04o}, and should be {right:04o}"
            found.add("permissions", name, what, Remedy.REPAIR)
    ours = {*FILES, *(path.name for path in leftovers(folder))}
    found.notes += [f"{name} is not facecli's" for name in sorted({path.name for path in folder.iterdir()} - ours)]


def _quiet_places(folder: Path, wait_s: float, found: Findings) -> None:
    """Look at what can be judged only while no one writes: the log, and files half written."""
    try:
        with no_writers(folder, wait_s):
            for path in leftovers(folder):
                what = "a killed process left it half written; it may hold templates"
                found.add("leftover", path.name, what, Remedy.REPAIR)
            state = state_of(folder / LOG)
    except (OSError, OutputError) as error:
        found.add("log", LOG, f"can't be read: {error}", Remedy.RESTORE)
        return
    if state is LogState.UNFINISHED:
        what = (
            "ends in a change that is not whole and not in the gallery: a process was killed in it, or the file was cut"
        )
        found.add("log", LOG, what, Remedy.REPAIR)
    elif state is LogState.DAMAGED:
        what = "is damaged: changes behind the damage were committed once, and are not in the gallery now"
        found.add("log", LOG, what, Remedy.QUARANTINE)


# --- the database ----------------------------------------------------------------------------------------------------


class _Examination:
    """One look at a database, and at the index beside it."""

    def __init__(self, folder: Path, database: Database, found: Findings) -> None:
        self._folder = folder
        self._database = database
        self._file = database.path.name
        self._found = found

    def run(self, known: KnownPin | None, step: Step) -> None:
        """Look at everything in one snapshot."""
        with self._database.reading() as connection:
            # Damaged text must come out as some text, to be told by its digest, row by row.
            connection.text_factory = _lenient
            self._structure(connection)
            try:
                meta = schema.read_meta(connection)
                self._definitions(connection, meta)
                if meta.points:
                    points.calibration_in(connection, meta.gallery)
            except GalleryError as error:
                self._add("meta", error.message, Remedy.RESTORE)
                return
            self._model(meta, known)
            self._people(connection, meta)
            self._templates(connection, meta, step)
            self._counts(connection, meta)

    def _add(self, kind: str, what: str, remedy: Remedy, row: tuple[str, int] | None = None) -> None:
        self._found.add(kind, self._file, what, remedy, row)

    def _structure(self, connection: sqlite3.Connection) -> None:
        """Let SQLite look at its pages, indices and references."""
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if line == "ok":
                continue
            text = visible(" ".join(str(line).split()))
            if _SQLITE_INDEX.match(text):
                self._add("sqlite-index", text, Remedy.REPAIR)
            else:
                self._add("database", text, Remedy.RESTORE)
        if self._file == DATABASE and connection.execute("PRAGMA journal_mode").fetchone()[0] not in {"wal", "off"}:
            self._add("journal", "its write-ahead log is turned off", Remedy.REPAIR)
        if connection.execute("PRAGMA encoding").fetchone()[0] != "UTF-8":
            self._add("database", "its text is not UTF-8", Remedy.RESTORE)

    def _definitions(self, connection: sqlite3.Connection, meta: Meta) -> None:
        """Compare the tables' definitions with those of a new gallery: nothing may be missing, altered or planted."""
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
            schema.create_tables(model, meta)
            if version == 1:
                for table in ("calibration", "operating_point"):
                    model.execute(f"DROP TABLE {table}")
            differing = set(connection.execute(query)) ^ set(model.execute(query))
        for name in sorted({str(row[1]) for row in differing}):
            self._add(
                "schema", f"the definition of {visible(name)} is missing, altered or not facecli's", Remedy.RESTORE
            )

    def _model(self, meta: Meta, known: KnownPin | None) -> None:
        """Compare the gallery's model with this machine's of the same name."""
        if known is None:
            return
        pin = known(meta.pin.name)
        if pin is None:
            self._found.notes.append(f"its model {visible(meta.pin.name)} is not known on this machine")
        elif pin != meta.pin:
            names = ("source_sha256", "conversion", "preprocessing_sha256", "dimension")
            differing = ", ".join(name for name in names if getattr(pin, name) != getattr(meta.pin, name))
            what = f"its model is not this machine's {visible(pin.name)} (differing: {differing})"
            self._add("model", what, Remedy.MODEL)

    def _people(self, connection: sqlite3.Connection, meta: Meta) -> None:
        """Read every person's row."""
        query = f"SELECT {schema.PERSON_COLUMNS} FROM person NOT INDEXED ORDER BY id"  # noqa: S608
        for row in connection.execute(query):
            self._found.people += 1
            try:
                person = schema.person_of(row, meta.gallery)
                fits = person_name(person.name) == person.name
            except (GalleryError, UsageError) as error:
                self._add("row", f"person {row[0]}: {_short(error.message)}", Remedy.QUARANTINE, ("person", row[0]))
                continue
            if not fits:
                what = f'person {person.id}: no one can be called "{visible(person.name)}"'
                self._add("row", what, Remedy.QUARANTINE, ("person", person.id))

    def _templates(self, connection: sqlite3.Connection, meta: Meta, step: Step) -> None:
        """Read every template, and compare the index with them."""
        against = self._index(meta)
        rows = connection.execute(
            f"SELECT {schema.TEMPLATE_COLUMNS}, subject, name FROM template NOT INDEXED"  # noqa: S608
            " LEFT JOIN person ON person.id = person_id ORDER BY template.id"
        )
        while batch := list(itertools.islice(rows, _BATCH)):
            self._found.templates += len(batch)
            sound = [one for row in batch if (one := self._template(row, meta)) is not None]
            self._unfit(sound)
            if against is not None:
                against.take(sound)
            step(self._found.templates, max(self._found.templates, meta.templates))
        if against is not None and not against.equal:
            what = "it does not hold the templates that the database holds"
            self._found.add("index", indices.INDEX, what, Remedy.REPAIR)

    def _template(self, row: tuple[object, ...], meta: Meta) -> tuple[StoredTemplate, int, str] | None:
        """Verify one template's row, and that it is someone's."""
        *columns, subject, name = row
        key = columns[0] if isinstance(columns[0], int) else 0
        if not isinstance(subject, str):
            self._add("row", f"template {key} belongs to no one", Remedy.QUARANTINE, ("template", key))
            return None
        try:
            shown = str(name)
            template = schema.template_of(
                tuple(columns), meta.gallery, subject, name=shown, dimension=meta.pin.dimension
            )
        except GalleryError as error:
            self._add("row", _short(error.message), Remedy.QUARANTINE, ("template", key))
            return None
        owner = columns[1]
        return template, owner if isinstance(owner, int) else 0, shown

    def _unfit(self, batch: list[tuple[StoredTemplate, int, str]]) -> None:
        """Find templates that are no templates, although their checksums hold."""
        import numpy as np

        if not batch:
            return
        vectors = np.stack([template.vector for template, _, _ in batch]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1)
        for number in np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE)).tolist():  # so that NaN counts, too
            template, _, name = batch[number]
            what = f'template {template.id} of "{visible(name)}" is not finite and of unit length'
            self._add("row", what, Remedy.QUARANTINE, ("template", template.id))

    def _index(self, meta: Meta) -> _Comparison | None:
        """Read the index's file; it must be exactly what was written, for this gallery, and not be outdated."""
        path = self._folder / indices.INDEX
        if self._file != DATABASE or not path.is_file():
            return None
        index = indices.load(path, meta.gallery, meta.pin.dimension)
        if index is None:
            what = "is cut, altered, of another gallery, or can't be read"
        elif index.generation > meta.generation:
            what = "is newer than the database, which may be an older copy, or have lost changes"
        elif index.generation < meta.removed_generation:
            what = "is outdated: it holds templates that were removed since"
        else:
            return _Comparison(index.saved_block)
        self._found.add("index", indices.INDEX, what, Remedy.REPAIR)
        return None

    def _counts(self, connection: sqlite3.Connection, meta: Meta) -> None:
        """Compare what was counted with what is there."""
        for what, said, there in (
            ("people", meta.people, self._found.people),
            ("templates", meta.templates, self._found.templates),
        ):
            if said != there:
                self._add("count", f"it says that it has {said:,} {what}, and has {there:,}", Remedy.QUARANTINE)
        uneven = connection.execute(
            "SELECT person.id, name, person.templates, count(template.id) FROM person LEFT JOIN template"
            " ON person_id = person.id GROUP BY person.id HAVING person.templates IS NOT count(template.id)"
        )
        for key, name, said, there in uneven:
            what = f'"{visible(str(name))}" has {there} of {said} templates'
            self._add("count", what, Remedy.QUARANTINE, ("count", key))
        for table in ("person", "template"):
            [highest] = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
            counted = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchall()
            lowest = min((row[0] if isinstance(row[0], int) else -1 for row in counted), default=0)
            if not highest <= lowest < 1 << 62 or len(counted) > 1:
                self._add("sequence", f"keys of the table {table} could be given twice", Remedy.REPAIR)


class _Comparison:
    """Compares the index with the rows, as they are read in the order of their keys."""

    def __init__(self, block: indices.Block) -> None:
        self._block = block
        self._last = int(block.ids[-1]) if len(block) else 0
        self._position = 0
        self._equal = True

    @property
    def equal(self) -> bool:
        """Whether every row so far was in the index, and all of the index has been seen."""
        return self._equal and self._position == len(self._block)

    def take(self, batch: list[tuple[StoredTemplate, int, str]]) -> None:
        """Compare the next rows."""
        old = [(template, owner) for template, owner, _ in batch if template.id <= self._last]
        part = slice(self._position, self._position + len(old))
        self._position += len(old)
        block = self._block
        self._equal = (
            self._equal
            and block.ids[part].tolist() == [template.id for template, _ in old]
            and block.people[part].tolist() == [owner for _, owner in old]
            and block.vectors[part].tobytes() == b"".join(template.vector.tobytes() for template, _ in old)
        )


def _lenient(data: bytes) -> str:
    """Read text that may be damaged."""
    return data.decode(errors="replace")


def _short(message: str) -> str:
    """Leave out of an error what the report says already."""
    return message.removeprefix("the gallery is damaged: ")

"""Mend a gallery: make what is derived again, and take damaged rows out only when told to, after they are copied.

A template is never dropped silently. What is damaged is named by the check; it leaves the gallery only with a
quarantine, a folder into which each such row is written, and flushed to the disk, before it is deleted.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.files import PRIVATE_FILE, PRIVATE_FOLDER, replacing, sync_folder, writing_to
from facecli.gallery import index as indices
from facecli.gallery import schema
from facecli.gallery.check import LOG, Findings, Remedy, no_writers
from facecli.gallery.database import Database, sweep
from facecli.gallery.rows import Rows
from facecli.names import visible

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from facecli.gallery.schema import Meta

QUARANTINED = "damaged.ndjson"


def repair(folder: Path, found: Findings, *, wait_s: float, quarantine: Path | None = None) -> list[str]:
    """Mend what a check found, as far as it can be.

    Parameters
    ----------
    folder
        The gallery.
    found
        What :func:`facecli.gallery.check.check` found in it.
    wait_s
        How long to wait for another process, in seconds.
    quarantine
        A new folder for what is damaged; without one, damaged rows stay where they are.

    Returns
    -------
    list of str
        What was done, a sentence each. Whether all is well now, a further check tells.

    Raises
    ------
    GalleryError
        Another process held the lock all the time.
    OutputError
        It can't be written.
    UsageError
        There is something at ``quarantine`` already.
    """
    done = _permissions(folder, found)
    taking_out = any(fault.remedy is Remedy.QUARANTINE for fault in found.faults)
    if taking_out and quarantine is not None:
        _make(quarantine)
    with no_writers(folder, wait_s):
        if found.of("leftover"):
            sweep(folder)
            done.append("removed what killed processes had left half written")
        done += _strange_files(folder, found)
        if quarantine is not None and any(fault.remedy is Remedy.QUARANTINE for fault in found.of("log")):
            with writing_to(quarantine):
                shutil.copyfile(folder / LOG, quarantine / LOG)
                quarantine.joinpath(LOG).chmod(PRIVATE_FILE)
            done.append(f"copied the damaged log to {visible(str(quarantine / LOG))}")
    if not any(fault.remedy is Remedy.RESTORE for fault in found.faults):
        with closing(Database(folder, writable=True, wait_s=wait_s)) as database:
            done += _Mending(folder, database, found).run(quarantine if taking_out else None)
    return done


def _permissions(folder: Path, found: Findings) -> list[str]:
    """Take everyone else's permissions away."""
    done = []
    for fault in found.of("permissions"):
        with writing_to(folder / fault.file):
            folder.joinpath(fault.file).chmod(PRIVATE_FOLDER if fault.file == "." else PRIVATE_FILE)
        done.append(f"made {'the folder' if fault.file == '.' else fault.file} its owner's alone")
    return done


def _strange_files(folder: Path, found: Findings) -> list[str]:
    """Remove what stands in the place of the index and is no file; anything else there is the user's to look at."""
    done = []
    for fault in found.of("foreign"):
        path = folder / fault.file
        if fault.file == indices.INDEX and path.is_symlink():
            with writing_to(path):
                path.unlink()
            done.append(f"removed {fault.file}, which was a link")
    return done


def _make(quarantine: Path) -> None:
    """Make the folder for what is taken out."""
    with writing_to(quarantine):
        try:
            quarantine.mkdir(mode=PRIVATE_FOLDER)
        except FileExistsError as error:
            raise UsageError(
                f"there is something at {visible(str(quarantine))} already", hint="name a folder that is not there yet"
            ) from error


class _Mending:
    """Mends the database and the index of one gallery."""

    def __init__(self, folder: Path, database: Database, found: Findings) -> None:
        self._folder = folder
        self._database = database
        self._found = found

    def run(self, quarantine: Path | None) -> list[str]:
        """Do what can be done, in an order in which each step can rely on the one before."""
        with self._database.locked():
            done = self._of_sqlite()
            if quarantine is not None:
                done += self._take_out(quarantine)
            if self._found.of("index") or quarantine is not None:
                done += self._index()
            return done

    def _of_sqlite(self) -> list[str]:
        """Make SQLite's own derived parts again."""
        done = []
        with self._database.whole() as connection:
            if self._found.of("sqlite-index"):
                connection.execute("REINDEX")
                done.append("made SQLite's indices again")
            if self._found.of("journal"):
                connection.execute("PRAGMA journal_mode = WAL")
                done.append("turned the write-ahead log on")
        if self._found.of("log"):
            done.append("folded the sound part of the log into the database")
        if self._found.of("sequence"):
            with self._database.changing() as connection:
                for table in ("person", "template"):
                    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                    connection.execute(
                        f"INSERT INTO sqlite_sequence SELECT '{table}', coalesce(max(id), 0) FROM {table}"  # noqa: S608
                    )
            done.append("counted the keys again")
        return done

    def _take_out(self, quarantine: Path) -> list[str]:
        """Copy damaged rows out, delete them, and count again what is left."""
        rows = [fault.row for fault in self._found.of("row") if fault.row is not None]
        with self._database.changing() as connection:
            meta = schema.read_meta(connection)
            taken = _copied(connection, rows, quarantine)
            for table, key in taken:
                connection.execute(f"DELETE FROM {table} WHERE id = ?", (key,))  # noqa: S608
            gone = _count_again(connection, meta)
        self._database.forget()
        done = [f'removed "{visible(name)}", of whom no template was left' for name in gone]
        if taken:
            done.insert(0, f"took {len(taken)} rows out, to {visible(str(quarantine / QUARANTINED))}")
        return [*done, "counted again what is there"]

    def _index(self) -> list[str]:
        """Delete the index and, where it pays, make it again."""
        path = self._folder / indices.INDEX
        with writing_to(path):
            path.unlink(missing_ok=True)
        if any(fault.remedy is not Remedy.REPAIR for fault in self._found.faults):
            return ["removed the index; the next search makes it again"]
        with self._database.reading() as connection:
            meta = schema.read_meta(connection)
            index = indices.Index(indices.new_block(0, meta.pin.dimension), 0)
            index.add(Rows(meta.gallery, meta.pin.dimension).newer(connection, 0, meta.templates), meta.generation)
        if index.worth_saving:
            index.save(path, meta.gallery)
            return ["made the index again"]
        return ["removed the index; so few templates need none"]


def _copied(connection: sqlite3.Connection, rows: list[tuple[str, int]], quarantine: Path) -> list[tuple[str, int]]:
    """Write rows, with the templates of damaged people, into the quarantine; return all that were written."""
    taken = dict.fromkeys(rows)
    for _, key in [row for row in rows if row[0] == "person"]:
        owned = connection.execute("SELECT id FROM template WHERE person_id = ?", (key,)).fetchall()
        taken |= dict.fromkeys(("template", number) for (number,) in owned)
    ordered = sorted(taken, key=lambda row: (row[0] != "template", row[1]))  # a person goes after his templates
    with replacing(quarantine / QUARANTINED) as stream:
        for table, key in ordered:
            cursor = connection.execute(
                # Text as bytes: damaged text may be no text.
                f"SELECT {', '.join(_readable(connection, table))} FROM {table} WHERE id = ?",  # noqa: S608
                (key,),
            )
            row = cursor.fetchone()
            values = dict(zip([column[0] for column in cursor.description], row or (), strict=False))
            told = {name: _told(value) for name, value in values.items()}
            stream.write(json.dumps({"table": table, "key": key, "row": told}).encode() + b"\n")
    sync_folder(quarantine.parent)
    return ordered


def _readable(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return a table's columns such that text comes out as bytes."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return [f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END AS {name}" for name in names]


def _told(value: object) -> object:
    """Return a column's value as JSON knows it: bytes in hexadecimal, where they are no ASCII text."""
    if isinstance(value, bytes):
        text = value.decode("ascii", errors="ignore")
        return text if text.isprintable() and text.encode() == value else {"hex": value.hex()}
    return repr(value) if isinstance(value, float) and abs(value) == float("inf") else value


def _count_again(connection: sqlite3.Connection, meta: Meta) -> list[str]:
    """Make every count what is there; people without a template left leave, too, and are returned."""
    empty = "FROM person WHERE id NOT IN (SELECT person_id FROM template)"
    gone = [str(name) for (name,) in connection.execute(f"SELECT name {empty} ORDER BY name")]
    connection.execute(f"DELETE {empty}")
    query = f"SELECT {schema.PERSON_COLUMNS}, (SELECT count(*) FROM template WHERE person_id = person.id) FROM person"  # noqa: S608
    for *row, there in connection.execute(query).fetchall():
        person = schema.person_of(tuple(row), meta.gallery)
        if person.templates != there:
            schema.update_person(connection, meta.gallery, replace(person, templates=there))
    [people] = connection.execute("SELECT count(*) FROM person").fetchone()
    [templates] = connection.execute("SELECT count(*) FROM template").fetchone()
    # Every older index is outdated, whichever way the counts went.
    after = replace(meta, removed_generation=meta.generation + 1)
    schema.bump(connection, after, people=people - meta.people, templates=templates - meta.templates)
    return gone

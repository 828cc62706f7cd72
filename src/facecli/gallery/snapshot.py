"""Whole copies of a gallery: taken while it is in use, verified, put back in one step; and making it small again.

A snapshot is one file, a SQLite database without a log beside it, readable by its owner alone. It holds faces, as the
gallery does: removing a person from the gallery does not remove him from a snapshot.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.errors import GalleryError, OutputError, UsageError
from facecli.files import PRIVATE_FILE, make_private_folder, sha256_of, sync_folder, writing_to
from facecli.gallery import index as indices
from facecli.gallery import schema
from facecli.gallery.check import LOG, check_file, no_writers
from facecli.gallery.database import DATABASE, Database, sweep
from facecli.gallery.place import require_local
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.gallery.check import Step
    from facecli.gallery.schema import Meta

_PAGES = 2048
"""Pages copied between two reports of progress: 8 MiB."""

COMPANIONS = ("", "-journal", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that was made, and verified row by row.

    Attributes
    ----------
    people, templates
        How many it holds.
    size_bytes
        Of the file.
    sha256
        Of the file.
    """

    people: int
    templates: int
    size_bytes: int
    sha256: str


def snapshot(folder: Path, target: Path, *, wait_s: float, force: bool = False, step: Step | None = None) -> Copy:
    """Copy a gallery, as it is at this moment, into one file; whole or not at all.

    Other processes may change the gallery meanwhile; the copy does not see it. Every row of the copy is verified before
    the file gets its name.

    Parameters
    ----------
    folder
        The gallery.
    target
        The new file; its folder must exist.
    wait_s
        How long to wait for another process, in seconds.
    force
        Replace a file that is there.
    step
        Told how many pages, then how many templates, are done, and of how many.

    Raises
    ------
    UsageError
        There is a file already, or it would lie in the gallery's own folder.
    GalleryError
        There is no gallery, or it is damaged: no copy is made of it.
    OutputError
        It can't be written.
    """
    if target.exists() and not force:
        raise UsageError(f"there is a file at {_name(target)} already", hint="choose another name, or add --force")
    if target.absolute().parent.resolve() == folder.resolve():
        raise UsageError("a snapshot does not belong into the gallery's own folder", hint="choose another place")
    with closing(Database(folder, writable=False, wait_s=wait_s)) as database, _part(target) as part:
        with database.reading() as source:
            schema.read_meta(source)
            _copy(source, part, step)
        made = _verified(part, step)
        with writing_to(target):
            _flush(part)
            part.replace(target)
            sync_folder(target.absolute().parent)
    return made


def restore(file: Path, folder: Path, *, wait_s: float, force: bool = False, step: Step | None = None) -> Copy:
    """Put a snapshot in the place of a gallery, in one step; whatever happens, it is the old one or the new one.

    Parameters
    ----------
    file
        What :func:`snapshot` made.
    folder
        The gallery; made where there is none.
    wait_s
        How long to wait for another process, in seconds.
    force
        Replace a gallery that is there: all that it holds is lost.
    step
        Told about the progress.

    Raises
    ------
    UsageError
        There is a gallery already.
    GalleryError
        The file is missing, damaged or no snapshot, or another process held the lock all the time.
    OutputError
        It can't be written.
    """
    if not file.is_file():
        raise GalleryError(f"there is no snapshot at {_name(file)}", hint="facecli gallery snapshot FILE makes one")
    live = folder / DATABASE
    if live.exists() and not force:
        raise UsageError(
            f"there is a gallery at {_name(folder)} already", hint="--force replaces it and all that it holds"
        )
    require_local(folder)
    make_private_folder(folder)
    with _part(live) as part:
        database = Database(file.absolute().parent, writable=False, wait_s=wait_s, name=file.name)
        with closing(database), database.reading() as source:
            _copy(source, part, step)
        made = _verified(part, step, of=file)
        if live.exists() and _readable(folder, wait_s):
            _overwrite(part, folder, wait_s)
        else:
            _put(part, folder, wait_s=wait_s, force=force)
    return made


def compact(folder: Path, *, wait_s: float) -> tuple[int, int]:
    """Write a gallery's database anew without the room that removed people left; return its size before and after.

    In bytes. One transaction of SQLite: after a crash it is the old file or the new one. It takes as much memory as the
    database is large, because the copy that SQLite makes on the way must not lie in a public folder.

    Raises
    ------
    GalleryError
        It is missing or damaged, or another process held the lock all the time.
    OutputError
        It can't be written.
    """
    path = folder / DATABASE
    with closing(Database(folder, writable=True, wait_s=wait_s)) as database:
        before = path.stat().st_size
        with database.whole() as connection:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("VACUUM")
            sweep(folder)
    return before, path.stat().st_size


# --- inside ----------------------------------------------------------------------------------------------------------


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Give an empty private file beside ``target``; what is left of it in the end is removed."""
    with writing_to(target):
        handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name[:40]}.", suffix=".part")
        os.close(handle)
    try:
        yield Path(name)
    finally:
        for companion in COMPANIONS:
            Path(f"{name}{companion}").unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, part: Path, step: Step | None) -> None:
    """Copy a database page by page into a file that stands alone."""

    def progress(_status: int, remaining: int, total: int) -> None:
        if step is not None:
            step(total - remaining, total)

    with _writing(part) as target:
        source.backup(target, pages=_PAGES, progress=progress)
        target.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _writing(part: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that no one else sees; SQLite need not take care, since it is flushed before it is used."""
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as connection:
            for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            yield connection
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise GalleryError(
                f"the copy is damaged: {visible(str(error))}", hint="see: facecli gallery check"
            ) from error
        raise OutputError(f"can't write {_name(part)}: {error}", hint="free some space on that disk") from error


def _verified(part: Path, step: Step | None, *, of: Path | None = None) -> Copy:
    """Read every row of a copy; a damaged one goes no further."""
    found = check_file(part, step=step)
    if found.faults:
        what = "the gallery" if of is None else f"the snapshot {_name(of)}"
        raise GalleryError(
            f"{what} is damaged: {found.faults[0].what}",
            hint="see all of it with: facecli gallery check" if of is None else "use another snapshot",
        )
    return Copy(found.people, found.templates, part.stat().st_size, sha256_of(part))


def _flush(part: Path) -> None:
    """See that a file's bytes are on the disk, and its owner's alone."""
    with part.open("rb") as stream:
        os.fchmod(stream.fileno(), PRIVATE_FILE)
        os.fsync(stream.fileno())


def _readable(folder: Path, wait_s: float) -> bool:
    """Say whether the gallery in the place can be opened and says what it is."""
    try:
        with closing(Database(folder, writable=False, wait_s=wait_s)) as database, database.reading() as connection:
            schema.read_meta(connection)
    except GalleryError:
        return False
    return True


def _outdate_older(part: Path, present: Meta | None) -> None:
    """Give the copy a generation that no index knows: not the gallery's in its place, nor one left in some memory.

    Call under the lock: until the copy is in its place, the gallery's generation must not grow.
    """
    with _writing(part) as connection:
        schema.migrate(connection)
        meta = schema.read_meta(connection)
        newest = max(meta.generation, present.generation if present else 0)
        schema.bump(connection, replace(meta, generation=newest, removed_generation=newest + 1))


def _put(part: Path, folder: Path, *, wait_s: float, force: bool) -> None:
    """Give the copy its name; where it replaces a database that can't be read, its log and index go first."""
    _outdate_older(part, None)
    with _writing(part) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with no_writers(folder, wait_s), writing_to(folder):
        if folder.joinpath(DATABASE).exists() and not force:
            raise UsageError(f"another process has just made a gallery at {_name(folder)}")
        for name in (LOG, f"{DATABASE}-shm", indices.INDEX):
            folder.joinpath(name).unlink(missing_ok=True)
        sync_folder(folder)
        _flush(part)
        part.replace(folder / DATABASE)
        sync_folder(folder)


def _overwrite(part: Path, folder: Path, wait_s: float) -> None:
    """Write the copy over a gallery that others may have open: one transaction, which they see whole or not at all."""
    with closing(Database(folder, writable=True, wait_s=wait_s)) as database, database.whole() as target:
        _outdate_older(part, schema.read_meta(target))
        with writing_to(folder / indices.INDEX):
            folder.joinpath(indices.INDEX).unlink(missing_ok=True)
        with closing(sqlite3.connect(part, isolation_level=None)) as source:
            source.backup(target)


def _name(path: Path) -> str:
    """Return a path as it may be printed."""
    return visible(str(path))

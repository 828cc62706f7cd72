"""The gallery's SQLite file: how it is opened, read in one snapshot, and changed by one process at a time.

What SQLite alone would not give:

- **One writer, one lock file.** Changes *and checkpoints* happen under ``lock``: the SQLite of a stock Python is often
  older than 3.51.3, before which concurrent checkpoints could corrupt a write-ahead log. Readers open the file
  read-only, so that they can't checkpoint, not even when they close.
- **Read-only media.** A cleanly closed WAL database in a folder that can't be written is opened as ``immutable``,
  and only if no log is pending; should the file change all the same while it is read, that is an error, not an answer.
- **One sentence.** No ``sqlite3.Error`` leaves this module: what can't be read is a :class:`GalleryError`, what
  can't be written an :class:`OutputError`.

The database file is never opened by other means: closing any handle on it would release the locks that SQLite holds
on it in this process (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from facecli.errors import GalleryError, OutputError
from facecli.files import PRIVATE_FILE, make_private_folder, sync_folder, writing_to
from facecli.gallery.index import INDEX
from facecli.gallery.place import require_local
from facecli.gallery.schema import APPLICATION_ID, SCHEMA_VERSION, create_tables, migrate
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

    from facecli.gallery.schema import Meta

DATABASE = "gallery.db"
LOCK = "lock"

_POLL_S = 0.005

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_NO_COMPANIONS = {*_UNWRITABLE, sqlite3.SQLITE_PERM}
"""What SQLite may answer where the log's companion files can't be created."""


class Database:
    """One gallery's database: a read-only connection, and while changes are made a second one for them.

    Parameters
    ----------
    folder
        The gallery.
    writable
        Whether changes will be made.
    wait_s
        How long to wait for another process, in seconds.
    name
        Of the file: another one for a snapshot.

    Raises
    ------
    GalleryError
        It is missing, locked, damaged, foreign, or of a newer facecli.
    OutputError
        It is to be changed, and the folder can't be written, or lies on a network file system.
    """

    def __init__(self, folder: Path, *, writable: bool, wait_s: float, name: str = DATABASE) -> None:
        self.folder = folder
        self.path = folder / name
        self._writable = writable
        self._wait_s = wait_s
        self._lock: FileLock | None = None
        self._writer: sqlite3.Connection | None = None
        self._frozen: tuple[int, ...] | None = None
        self._depth = 0
        _require_file(folder, self.path)
        if writable and not os.access(folder, os.W_OK):
            raise OutputError(f"can't write to the gallery {_name(folder)}", hint="its folder is read-only")
        if writable:
            require_local(folder)
        self._reader = self._open_reader()
        try:
            if self._check_header() < SCHEMA_VERSION and writable:
                self._migrate()
        except BaseException:
            self._reader.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give one snapshot for several reads; inside another such block, the same snapshot."""
        if self._depth:
            yield self._reader
            return
        with self._explained(writing=False):
            self._check_unchanged()
            self._reader.execute("BEGIN")
            self._depth = 1
            try:
                yield self._reader
            finally:
                self._depth = 0
                _roll_back(self._reader)
            self._check_unchanged()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give one transaction, under the lock: on the disk when the block ends, undone where it raises."""
        if not self._writable:
            raise GalleryError(f"the gallery {_name(self.folder)} was opened for reading only")
        with self.locked(), self._explained(writing=True):
            writer = self._writer = self._writer or self._open_writer()
            try:
                writer.execute("BEGIN IMMEDIATE")
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                # After an error of the disk the connection's own view of it is in doubt; the next change opens another.
                # It is not the last to close (the reader is open), so this is no checkpoint.
                _roll_back(writer)
                writer.close()
                self._writer = None
                raise

    @contextmanager
    def locked(self, wait_s: float | None = None) -> Iterator[None]:
        """Keep every other writer out; may be nested.

        Raises
        ------
        GalleryError
            Another process held the lock all the time.
        OutputError
            The lock file can't be made.
        """
        from filelock import FileLock, Timeout

        wait_s = self._wait_s if wait_s is None else wait_s
        path = self.folder / LOCK
        self._lock = self._lock or FileLock(path, mode=PRIVATE_FILE)
        with writing_to(path):
            try:
                self._lock.acquire(timeout=wait_s, poll_interval=_POLL_S)
            except Timeout as error:
                raise self._busy(wait_s) from error
        try:
            yield
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Empty the log after a removal, so that no file holds what was removed. Call under the lock.

        As far as that can be: the removal itself is done, so a reader that still looks at the old state, or a full
        disk, only puts it off until the log is folded in by a later writer.
        """
        if self._writer is not None and not self._depth:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    @contextmanager
    def whole(self) -> Iterator[sqlite3.Connection]:
        """Give the writer's connection outside of a transaction, under the lock: for work on the whole file.

        The log is folded in and emptied afterwards, as far as readers of older states let it.
        """
        with self.locked(), self._explained(writing=True):
            self._writer = self._writer or self._open_writer()
            yield self._writer
            self.forget()

    def close(self) -> None:
        """Close; the log is folded into the database if no other process is writing, else by the next one."""
        if self._writer is not None:
            with suppress(GalleryError, OutputError), self.locked(wait_s=0), self._explained(writing=True):
                # Last to close, and under the lock: this is the checkpoint.
                self._reader.close()
                self._writer.close()
            # Otherwise the reader, closed last, sees to it that there is none.
            self._writer.close()
            self._writer = None
        self._reader.close()

    def _open_reader(self) -> sqlite3.Connection:
        """Open read-only, the log included; without the log where that can't be."""
        with self._explained(writing=False):
            connection = self._connect("mode=ro")
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
                return connection
            except (sqlite3.Error, UnicodeError) as error:
                connection.close()
                if isinstance(error, UnicodeError) or _primary(error) not in _NO_COMPANIONS:
                    raise
                if self._writable:
                    raise OutputError(
                        f"can't write beside {_name(self.path)}: {visible(str(error))}",
                        hint="see that its disk has free space and is not read-only",
                    ) from error
            self._frozen = self._fingerprint()
            if self._frozen[-1]:
                raise GalleryError(
                    f"the gallery {_name(self.folder)} has changes pending in its log, and its folder can't be written",
                    hint="open it once where it can be written, then copy it again",
                )
            return self._connect("mode=ro&immutable=1")

    def _open_writer(self) -> sqlite3.Connection:
        """Open for changes that outlive a power cut and leave nothing of what they delete."""
        connection = self._connect("mode=rw")
        try:
            for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
        except (sqlite3.Error, UnicodeError):
            connection.close()
            raise
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        """Open the file in a mode of SQLite's URIs; transactions are begun by hand."""
        uri = f"file:{quote(os.fsencode(self.path.absolute()))}?{mode}"
        return sqlite3.connect(uri, uri=True, timeout=self._wait_s, isolation_level=None)

    def _migrate(self) -> None:
        """Bring an older gallery up to date, once, whichever process comes first."""
        with self.changing() as connection:
            migrate(connection)

    def _check_header(self) -> int:
        """Refuse a database that is not a gallery, or one from the future; return the version of its schema."""
        with self._explained(writing=False):
            application = self._reader.execute("PRAGMA application_id").fetchone()[0]
            version = self._reader.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise GalleryError(
                f"{_name(self.path)} is not a facecli gallery, or is damaged", hint="check the path of the gallery"
            )
        if version > SCHEMA_VERSION:
            raise GalleryError(
                f"the gallery {_name(self.folder)} was made by a newer facecli "
                f"(its format is {version}, this one knows {SCHEMA_VERSION})",
                hint="update facecli",
            )
        if version < 1:
            raise GalleryError(f"{_name(self.path)} is damaged: there is no format {version}")
        return int(version)

    def _fingerprint(self) -> tuple[int, ...]:
        """Say which state the file is in, without opening it; the last number is the length of its log."""
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            status = self.path.stat()
            return status.st_ino, status.st_mtime_ns, status.st_size, log.stat().st_size if log.exists() else 0
        except OSError as error:
            raise GalleryError(f"can't read the gallery {_name(self.folder)}: {error.strerror or error}") from error

    def _check_unchanged(self) -> None:
        """See that a file opened as immutable has not changed under us."""
        if self._frozen is not None and self._fingerprint() != self._frozen:
            raise GalleryError(f"the gallery {_name(self.folder)} changed while it was read", hint="try again")

    def _busy(self, wait_s: float) -> GalleryError:
        return GalleryError(
            f"the gallery {_name(self.folder)} is locked by another process (waited {wait_s:g} s)",
            hint="try again when the other command has ended",
        )

    @contextmanager
    def _explained(self, *, writing: bool) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema
            raise self._unreadable("its schema is not text") from error
        except sqlite3.Error as error:
            code = _primary(error)
            if code in _BUSY:
                raise self._busy(self._wait_s) from error
            if writing and code in _UNWRITABLE:
                raise OutputError(
                    f"can't write to the gallery {_name(self.folder)}: {visible(str(error))}",
                    hint="see that its disk has free space and is not read-only; nothing was changed",
                ) from error
            raise self._unreadable(visible(str(error))) from error

    def _unreadable(self, why: str) -> GalleryError:
        return GalleryError(
            f"the gallery {_name(self.folder)} can't be read, or is damaged: {why}",
            hint="restore the gallery from a copy, or enrol again into a new one",
        )


def create(folder: Path, meta: Meta, *, wait_s: float) -> bool:
    """Make a gallery's database, whole or not at all; return whether there was none before.

    Raises
    ------
    OutputError
        It can't be written there.
    GalleryError
        Another process held the lock all the time.
    """
    from filelock import FileLock, Timeout

    require_local(folder)
    make_private_folder(folder)
    path = folder / DATABASE
    with writing_to(folder):
        if path.exists():  # it came there whole, so this needs no lock
            return False
        try:
            with FileLock(folder / LOCK, timeout=wait_s, mode=PRIVATE_FILE, poll_interval=_POLL_S):
                if path.exists():
                    return False
                sweep(folder)
                _write_new(path, meta)
        except Timeout as error:
            raise GalleryError(f"{_name(folder)} is locked by another process (waited {wait_s:g} s)") from error
    return True


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written: it may hold templates. Call under the lock.

    Raises
    ------
    OutputError
        It can't be removed.
    """
    with writing_to(folder):
        for name in (DATABASE, INDEX):
            for leftover in folder.glob(f".{name}.*.part*"):
                leftover.unlink(missing_ok=True)


def _write_new(path: Path, meta: Meta) -> None:
    """Write an empty gallery beside ``path``, then put it there. Its companions inherit its permissions."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{DATABASE}.", suffix=".part")
    temporary = Path(name)
    try:
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            # Nobody sees this file before it is whole and flushed, so SQLite need not take care on the way.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            create_tables(connection, meta)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        os.fsync(handle)
        temporary.replace(path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise OutputError(f"can't write {_name(path)}: {error}", hint="free some space on that disk") from error
    finally:
        os.close(handle)
        for leftover in (temporary, Path(f"{name}-wal"), Path(f"{name}-shm"), Path(f"{name}-journal")):
            leftover.unlink(missing_ok=True)


def _require_file(folder: Path, path: Path) -> None:
    """Say in a sentence why there is no gallery here, before SQLite says it worse."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise GalleryError(
            f"there is no gallery at {_name(folder)}", hint="enrol someone first: facecli enroll NAME IMAGE"
        ) from error
    except OSError as error:
        raise GalleryError(f"can't read the gallery {_name(folder)}: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        raise GalleryError(f"{_name(path)} is not a file", hint="check the path of the gallery")
    if not os.access(path, os.R_OK):
        raise GalleryError(f"can't read the gallery {_name(folder)}: permission denied")


def _primary(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; -1 for errors that are Python's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1


def _roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction without a change, whatever state an error has left it in."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _name(path: Path) -> str:
    """Return a path as it may be printed."""
    return visible(str(path))

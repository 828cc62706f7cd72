"""Templates of photographs that were embedded before: a second evaluation of the same images takes seconds.

One SQLite file in the user's cache. A template is found by the photograph's content (SHA-256) and a *context*, which
holds everything else that it depends on: the embedder's pin, the detector's, device, face policy, detection options,
quality floors, the versions of the libraries and the very code of the pipeline. Each row carries a digest, so damage is
found and the photograph embedded again; the oldest rows go when there are too many. The file may be deleted any time.

A template is biometric data: the file is readable by its owner alone, and nothing is kept with ``--fresh``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import threading
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.files import make_private_folder
from facecli.opencv import load_cv2
from facecli.types import Quality

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.types import FacePolicy, Vector

LIMIT = 500_000
"""Rows kept; at 128 values about 300 MB."""
BATCH = 256
"""Rows written in one short transaction, so that two evaluations don't wait for each other."""
_CODE = ("align", "detect", "embed", "headers", "image", "opencv", "pipeline", "quality", "runtime")
"""Modules whose code decides what a template is."""
_FAILED = struct.Struct("<B")
_QUALITY = struct.Struct("<B4d")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS template (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL, age INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What a photograph gave: its template.

    Attributes
    ----------
    vector
        float32 of unit length.
    quality
        What the quality gate measured.
    """

    vector: Vector
    quality: Quality


@dataclass(frozen=True, slots=True)
class Refused:
    """What a photograph gave: no template.

    Attributes
    ----------
    kind
        The error's class.
    message
        The sentence, in which ``{photo}`` stands for the photograph's name.
    """

    kind: str
    message: str


def context(engine: Engine, policy: FacePolicy) -> bytes:
    """Return a digest of everything but the photograph that a template depends on."""
    import numpy as np
    import onnxruntime

    detector = engine.registry.manifest(engine.settings.detector)
    told = {
        "embedder": asdict(engine.pipeline.embedder.pin),
        "detector": [detector.file.sha256, detector.conversion, repr(detector.input)],
        "device": [str(engine.pipeline.embedder.device), str(engine.pipeline.detector.device)],
        "policy": str(policy),
        "options": [repr(part) for part in (engine.detect_options, engine.quality_limits, engine.image_limits)],
        "libraries": [load_cv2().__version__, np.__version__, onnxruntime.__version__],
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def _code_digest() -> str:
    """Return a digest of the pipeline's own source: it may change without a version's changing."""
    import facecli

    folder = Path(facecli.__file__).parent
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in _CODE)).hexdigest()


class TemplateCache:
    """The templates of one context.

    Parameters
    ----------
    folder
        The user's cache; None keeps nothing.
    context
        See :func:`context`.

    A cache never fails an evaluation: a file that can't be opened, read or written is as good as an empty one.
    """

    def __init__(self, folder: Path | None, context: bytes) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._waiting: list[tuple[bytes, bytes, bytes]] = []
        self._database = None if folder is None else _opened(folder)

    def get(self, photo_sha256: str) -> Embedded | Refused | None:
        """Return what is known of a photograph; None is nothing."""
        if self._database is None:
            return None
        key = self._key(photo_sha256)
        try:
            with self._lock:
                row = self._database.execute("SELECT value, digest FROM template WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None
        if row is None or not all(isinstance(cell, bytes) for cell in row) or row[1] != _digest(key, row[0]):
            return None
        return _unpacked(row[0])

    def put(self, photo_sha256: str, result: Embedded | Refused) -> None:
        """Keep what a photograph gave."""
        if self._database is None:
            return
        key, value = self._key(photo_sha256), _packed(result)
        with self._lock:
            self._waiting.append((key, value, _digest(key, value)))
            if len(self._waiting) >= BATCH:
                self._write(self._database)

    def close(self) -> None:
        """Write what is waiting, drop the oldest rows of a cache that grew too large, and close it."""
        if self._database is None:
            return
        with self._lock, closing(self._database):
            self._write(self._database)

    def _write(self, database: sqlite3.Connection) -> None:
        """Write what is waiting, or lose it: it can be made again."""
        insert = "INSERT OR REPLACE INTO template SELECT ?, ?, ?, 1 + coalesce(max(age), 0) FROM template"
        drop = "DELETE FROM template WHERE age <= (SELECT age FROM template ORDER BY age DESC LIMIT 1 OFFSET ?)"
        waiting, self._waiting = self._waiting, []
        try:
            with database:
                database.executemany(insert, waiting)
                database.execute(drop, (LIMIT,))
        except sqlite3.Error:
            return

    def _key(self, photo_sha256: str) -> bytes:
        """Return the key of a photograph in this context."""
        return hashlib.sha256(self._context + bytes.fromhex(photo_sha256)).digest()


def _opened(folder: Path) -> sqlite3.Connection | None:
    """Open the file, or make a new one in the place of one that is damaged."""
    from facecli.errors import OutputError

    try:
        path = make_private_folder(folder / "evaluation") / "templates.sqlite"
        path.touch(mode=0o600)
    except (OutputError, OSError):
        return None
    for _ in range(2):
        try:
            database = sqlite3.connect(path, check_same_thread=False, timeout=10)
            database.execute(_SCHEMA)
            database.execute("CREATE INDEX IF NOT EXISTS by_age ON template (age)")
            return database
        except sqlite3.DatabaseError as error:
            database.close()
            if isinstance(error, sqlite3.OperationalError):  # locked, or not writable: not ours to remove
                return None
            path.unlink(missing_ok=True)
    return None


def _digest(key: bytes, value: bytes) -> bytes:
    """Return the digest that tells damage, bound to the key so that a row can't pass for another."""
    return hashlib.sha256(key + value).digest()[:16]


def _packed(result: Embedded | Refused) -> bytes:
    """Write a result as bytes."""
    if isinstance(result, Refused):
        return _FAILED.pack(0) + json.dumps([result.kind, result.message]).encode()
    quality = result.quality
    measures = (quality.detection, quality.eye_distance_px, quality.cut, quality.sharpness)
    return _QUALITY.pack(1, *measures) + result.vector.astype("<f4").tobytes()


def _unpacked(value: bytes) -> Embedded | Refused:
    """Read what :func:`_packed` wrote; the digest has shown it to be whole."""
    import numpy as np

    if _FAILED.unpack_from(value)[0] == 0:
        kind, message = json.loads(value[_FAILED.size :])
        return Refused(kind, message)
    _, *measures = _QUALITY.unpack_from(value)
    vector = np.frombuffer(value, "<f4", offset=_QUALITY.size).astype(np.float32)
    return Embedded(vector, Quality(*measures))

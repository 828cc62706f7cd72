"""The gallery's own operating points: set by ``facecli calibrate``, and a floor for every decision against it.

Two tables, ``calibration`` (one row: on which data, and the loosest targets that are allowed) and ``operating_point``
(one row a false match rate). Each row carries a digest as all rows do. The gallery's description vouches for these
digests in its own, so that no point can be taken away, added or exchanged unnoticed: without them a decision would
fall back to the looser points of the model.
"""

from __future__ import annotations

import struct
from dataclasses import astuple
from typing import TYPE_CHECKING, cast

from facecli.evidence import Calibration, EvidenceWeight
from facecli.gallery.digest import damaged, digest, typed
from facecli.manifest import MeasuredPoint, Measurement

if TYPE_CHECKING:
    import sqlite3

    from facecli.gallery.digest import Row

TABLES = (
    """
CREATE TABLE calibration (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    data TEXT NOT NULL,
    people INTEGER NOT NULL,
    images INTEGER NOT NULL,
    people_pairs INTEGER NOT NULL,
    image_pairs INTEGER NOT NULL,
    date TEXT NOT NULL,                   -- ISO 8601
    method TEXT NOT NULL,
    fmr REAL NOT NULL,                    -- no decision may promise less
    fpir REAL NOT NULL,
    slope REAL,                           -- log10 of the likelihood ratio, a straight line in the score;
    intercept REAL,                       -- NULL where the data could not tell
    lowest REAL,
    highest REAL,
    digest BLOB NOT NULL
)""",
    """
CREATE TABLE operating_point (
    fmr REAL PRIMARY KEY,
    threshold REAL NOT NULL,
    fmr_bound REAL NOT NULL,
    fmr_people_pairs REAL NOT NULL,
    fmr_image_pairs REAL NOT NULL,
    fnmr REAL NOT NULL,
    digest BLOB NOT NULL
)""",
)

_COLUMNS = (
    "data, people, images, people_pairs, image_pairs, date, method, fmr, fpir, slope, intercept, lowest, highest,"
    " digest"
)
_POINT_COLUMNS = "fmr, threshold, fmr_bound, fmr_people_pairs, fmr_image_pairs, fnmr, digest"
_TYPES = (str, int, int, int, int, str, str, float, float)
_POINT_TYPES = (float,) * 6 + (bytes,)


def digests_in(connection: sqlite3.Connection) -> bytes:
    """Return the digests of all rows, as the gallery's description vouches for them; empty where there are none.

    Raises
    ------
    GalleryError
        One is no digest.
    """
    rows = connection.execute("SELECT digest FROM calibration").fetchall()
    rows += connection.execute("SELECT digest FROM operating_point ORDER BY fmr DESC").fetchall()
    if not all(typed(row, (bytes,)) for row in rows):
        raise damaged("its operating points are altered")
    return b"".join(row[0] for row in rows)


def calibration_in(connection: sqlite3.Connection, gallery: str) -> Calibration | None:
    """Read the operating points; None where the gallery has none of its own.

    Raises
    ------
    GalleryError
        A row fails its checksum.
    """
    row = connection.execute(f"SELECT {_COLUMNS} FROM calibration").fetchone()  # noqa: S608
    if row is None:
        return None
    found = connection.execute(f"SELECT {_POINT_COLUMNS} FROM operating_point ORDER BY fmr DESC")  # noqa: S608
    return _calibration_of(row, tuple(_point_of(point, gallery) for point in found), gallery)


def write(connection: sqlite3.Connection, gallery: str, calibration: Calibration | None) -> None:
    """Put a calibration in the place of what was there; None takes it away."""
    connection.execute("DELETE FROM calibration")
    connection.execute("DELETE FROM operating_point")
    if calibration is None:
        return
    measurement, weight = calibration.measurement, calibration.weight
    connection.execute(
        f"INSERT INTO calibration (only, {_COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            *(measurement.data, measurement.people, measurement.images),
            *(measurement.people_pairs, measurement.image_pairs, measurement.date, measurement.method),
            *(calibration.fmr, calibration.fpir),
            *(astuple(weight) if weight else (None,) * 4),
            _calibration_digest(gallery, calibration),
        ),
    )
    connection.executemany(
        "INSERT INTO operating_point VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*astuple(point), _point_digest(gallery, point)) for point in measurement.points],
    )


def _calibration_of(row: Row, points: tuple[MeasuredPoint, ...], gallery: str) -> Calibration:
    """Read a row of ``_COLUMNS``."""
    weights, found = row[9:13], row[13]
    if not typed(row[:9], _TYPES) or not (typed(weights, (float,) * 4) or weights == (None,) * 4):
        raise damaged("its calibration is altered")
    data, people, images, people_pairs, image_pairs, date, method, fmr, fpir = cast(
        "tuple[str, int, int, int, int, str, str, float, float]", row[:9]
    )
    weight = None if weights[0] is None else EvidenceWeight(*cast("tuple[float, float, float, float]", weights))
    measurement = Measurement(
        data=data,
        people=people,
        images=images,
        people_pairs=people_pairs,
        image_pairs=image_pairs,
        date=date,
        status="calibrated",
        method=method,
        points=points,
    )
    calibration = Calibration(measurement, fmr, fpir, weight)
    if found != _calibration_digest(gallery, calibration):
        raise damaged("its calibration fails its checksum")
    return calibration


def _point_of(row: Row, gallery: str) -> MeasuredPoint:
    """Read a row of ``_POINT_COLUMNS``."""
    if not typed(row, _POINT_TYPES):
        raise damaged("an operating point is altered")
    *values, found = cast("tuple[float, float, float, float, float, float, bytes]", row)
    point = MeasuredPoint(*values)
    if found != _point_digest(gallery, point):
        raise damaged(f"the operating point at FMR {point.fmr:g} fails its checksum")
    return point


def _calibration_digest(gallery: str, calibration: Calibration) -> bytes:
    """Return the checksum of the calibration's row."""
    measurement, weight = calibration.measurement, calibration.weight
    counts = (measurement.people, measurement.images, measurement.people_pairs, measurement.image_pairs)
    numbers = struct.pack("<4q2d", *counts, calibration.fmr, calibration.fpir)
    numbers += struct.pack("<4d", *astuple(weight)) if weight else b""
    return digest(b"facecli calib", gallery, numbers, measurement.data, measurement.date, measurement.method)


def _point_digest(gallery: str, point: MeasuredPoint) -> bytes:
    """Return the checksum of an operating point's row."""
    return digest(b"facecli point", gallery, struct.pack("<6d", *astuple(point)))

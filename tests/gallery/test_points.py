"""A gallery keeps its operating points as it keeps its people, and an older gallery gets room for them."""

import sqlite3
from dataclasses import replace

import pytest
from galleries import PIN, fill, units

from facecli.errors import GalleryError
from facecli.evidence import Calibration, EvidenceWeight
from facecli.gallery import Gallery, points, schema
from facecli.gallery.database import DATABASE
from facecli.manifest import MeasuredPoint, Measurement

MEASUREMENT = Measurement(
    data="the staff, entrance camera",
    people=1200,
    images=3600,
    people_pairs=719400,
    image_pairs=6474600,
    date="2026-11-24",
    status="calibrated",
    method="made up for tests",
    points=(
        MeasuredPoint(1e-2, 0.31, 5e-3, 4e-3, 4e-3, 0.01),
        MeasuredPoint(1e-3, 0.38, 5e-4, 4e-4, 4e-4, 0.02),
        MeasuredPoint(1e-4, 0.43, 5e-5, 4e-5, 4e-5, 0.03),
    ),
)
CALIBRATION = Calibration(MEASUREMENT, 1e-4, 0.01, EvidenceWeight(20.0, -7.0, -2.5, 5.0))


@pytest.fixture
def calibrated(filled):
    with Gallery.open(filled, writable=True) as gallery:
        gallery.calibrate(CALIBRATION)
    return filled


def edit(folder, statement, *values):
    connection = sqlite3.connect(folder / DATABASE)
    with connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("calibration", [CALIBRATION, replace(CALIBRATION, weight=None)])
def test_what_was_set_is_read_back_to_the_last_bit(filled, calibration):
    with Gallery.open(filled, writable=True) as gallery:
        assert gallery.calibration() is None
        gallery.calibrate(calibration)
        assert gallery.calibration() == calibration
    with Gallery.open(filled) as gallery:
        assert gallery.calibration() == calibration


def test_a_second_calibration_takes_the_place_of_the_first_and_none_removes_it(calibrated):
    with Gallery.open(calibrated, writable=True) as gallery:
        fewer = replace(CALIBRATION, measurement=replace(MEASUREMENT, points=MEASUREMENT.points[:2]), fmr=1e-3)
        before = gallery.generation
        gallery.calibrate(fewer)
        assert gallery.calibration() == fewer
        assert gallery.generation == before + 1
        gallery.calibrate(None)
        assert gallery.calibration() is None


def test_people_come_and_go_and_the_points_stay(calibrated):
    with Gallery.open(calibrated, writable=True) as gallery:
        fill(gallery, 22, each=1, seed=9)
        gallery.remove("person 3")
        gallery.rename("person 4", "Ada")
        assert gallery.calibration() == CALIBRATION
        assert len(gallery.search(units(1, 1), 2)[0]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM calibration",
        "DELETE FROM operating_point",
        "DELETE FROM operating_point WHERE fmr < 1e-3",
        "UPDATE operating_point SET threshold = 0.1 WHERE fmr < 1e-3",
        "UPDATE operating_point SET fmr = 1e-5 WHERE fmr < 1e-3",
        "UPDATE operating_point SET threshold = 'low' WHERE fmr < 1e-3",
        "UPDATE operating_point SET digest = zeroblob(32)",
        "UPDATE operating_point SET digest = 'text'",
        "INSERT INTO operating_point SELECT 1e-5, 0.1, 0, 0, 0, 0, digest FROM operating_point LIMIT 1",
        "UPDATE calibration SET fmr = 0.5",
        "UPDATE calibration SET fpir = 0.5",
        "UPDATE calibration SET data = 'other'",
        "UPDATE calibration SET slope = 1000",
        "UPDATE calibration SET slope = NULL",
        "UPDATE calibration SET people = 'many'",
        "UPDATE meta SET digest = zeroblob(32)",
        "DROP TABLE operating_point",
        "PRAGMA user_version = 1",
    ],
)
def test_points_can_not_be_altered_or_taken_away_unnoticed(calibrated, statement):
    """Without them a decision would fall back to the model's own points, which may be looser."""
    edit(calibrated, statement)
    with pytest.raises(GalleryError), Gallery.open(calibrated) as gallery:
        gallery.calibration()


def test_points_of_another_gallery_are_not_taken_for_its_own(calibrated, tmp_path):
    with Gallery.create(tmp_path / "other", PIN) as other:
        other.calibrate(replace(CALIBRATION, fmr=1e-2))
    connection = sqlite3.connect(tmp_path / "other" / DATABASE)
    values = connection.execute("SELECT * FROM calibration").fetchone()
    connection.close()
    edit(calibrated, "DELETE FROM calibration")
    edit(calibrated, f"INSERT INTO calibration VALUES ({', '.join('?' * len(values))})", *values)  # noqa: S608
    with pytest.raises(GalleryError), Gallery.open(calibrated) as gallery:
        gallery.calibration()


# --- older galleries -------------------------------------------------------------------------------------------------


@pytest.fixture
def older(filled):
    """A gallery as version 1 wrote it."""
    connection = sqlite3.connect(filled / DATABASE)
    with connection:
        meta = schema.read_meta(connection)
        connection.execute("DROP TABLE calibration")
        connection.execute("DROP TABLE operating_point")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("UPDATE meta SET digest = ?", (schema.meta_digest(meta, 1),))
    connection.close()
    return filled


def version_of(folder):
    connection = sqlite3.connect(folder / DATABASE)
    [version] = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return version


def test_an_older_gallery_is_read_as_it_is(older):
    with Gallery.open(older) as gallery:
        assert gallery.count() == (20, 40)
        assert gallery.calibration() is None
        assert len(gallery.search(units(1, 1), 2)[0]) == 2
    assert version_of(older) == 1


def test_an_older_gallery_is_brought_up_to_date_when_it_is_opened_for_changes(older):
    with Gallery.open(older) as reader:
        before = reader.search(units(1, 3), 5)
        with Gallery.open(older, writable=True) as gallery:
            gallery.calibrate(CALIBRATION)
        assert reader.search(units(1, 3), 5) == before
        assert reader.calibration() == CALIBRATION
    assert version_of(older) == schema.SCHEMA_VERSION


def test_an_older_gallery_that_is_damaged_is_not_brought_up_to_date(older):
    edit(older, "UPDATE meta SET people = 19")
    with pytest.raises(GalleryError, match="fails its checksum"):
        Gallery.open(older, writable=True)
    assert version_of(older) == 1


def test_a_migration_that_fails_half_way_leaves_the_older_gallery(older, monkeypatch):
    monkeypatch.setattr(points, "TABLES", (points.TABLES[0], "CREATE TABLE nonsense"))
    with pytest.raises(GalleryError):
        Gallery.open(older, writable=True)
    monkeypatch.undo()
    assert version_of(older) == 1
    with Gallery.open(older, writable=True) as gallery:
        assert gallery.count() == (20, 40)

"""The script that measures operating points writes what the manifest reader reads, and its studies count rightly."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from facecli.calibration import Procedure, Unit, compare_all
from facecli.manifest import MeasuredPoint, Measurement, bundled_folder, read_manifest
from facecli.manifest_reader import measurement_toml

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import measure_points
import point_studies
from point_studies import Crowd


@pytest.fixture(scope="module")
def faces():
    """120 drawn people with one to three photographs; the last bears the first one's face under another name."""
    generator = np.random.default_rng(2)
    owners = np.repeat(np.arange(120), [1, 2, 3] * 40)
    centres = generator.standard_normal((120, 64))
    centres[119] = centres[0]
    vectors = centres[owners] + 0.1 * generator.standard_normal((len(owners), 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    files = [f"photograph {number:03d}" for number in range(len(owners))]
    return vectors.astype(np.float32), [f"person {owner:03d}" for owner in owners], files


@pytest.fixture(scope="module")
def comparisons(faces):
    return compare_all(faces[0], faces[1], loosest=0.05)


@pytest.fixture
def measurement(comparisons, monkeypatch):
    monkeypatch.setattr(measure_points, "TARGETS", (0.05, 0.02))
    monkeypatch.setattr(point_studies, "FMR", 0.02)
    return measure_points.measured(comparisons, Procedure(rounds=100), description="drawn people", day="2026-11-24")


def test_the_table_is_one_that_a_manifest_may_hold(measurement, tmp_path):
    """Appended to a manifest and read back, it is the measurement to three digits."""
    bare = (bundled_folder() / "sface.toml").read_text(encoding="utf-8").split("[measurement]", maxsplit=1)[0]
    manifest = tmp_path / "sface.toml"
    manifest.write_text(f"{bare}\n{measurement_toml(measurement)}\n", encoding="utf-8")
    read = read_manifest(manifest).measurement
    assert (read.data, read.people, read.images, read.date) == ("drawn people", 120, 240, "2026-11-24")
    assert (read.people_pairs, read.image_pairs) == (7140, measurement.image_pairs)
    assert "100 rounds" in read.method
    for written, point in zip(read.points, measurement.points, strict=True):
        assert (written.fmr, written.threshold) == (point.fmr, point.threshold)
        assert written.fmr_bound == pytest.approx(point.fmr_bound, rel=5e-3)
        assert written.fnmr == pytest.approx(point.fnmr, rel=5e-3)


def test_a_rate_of_zero_stays_a_number():
    point = MeasuredPoint(1e-2, 0.9, 0.0, 0.0, 0.0, 0.0)
    table = measurement_toml(Measurement("d", 2, 3, 1, 2, "2026-11-24", "provisional", "m", (point,)))
    assert tomllib.loads(table)["measurement"]["points"][0]["fnmr"] == 0


def test_the_most_similar_strangers_are_the_one_face_under_two_names(faces):
    crowd = Crowd.of(*faces)
    first = next(line for line in point_studies.suspects(crowd) if "photograph 0" in line)
    assert "photograph 000" in first
    assert any(f"photograph {number}" in first for number in (237, 238, 239))


def test_enrolling_everybody_refuses_the_face_that_is_enrolled_already(faces, measurement):
    crowd = Crowd.of(*faces)
    told = list(point_studies.enrolment(crowd, measurement, every=True))[-1]
    assert "person 119 (as person 000" in told


def test_every_study_tells_its_tables(faces, comparisons, measurement, monkeypatch):
    monkeypatch.setattr(point_studies, "SEARCHES", 3)
    monkeypatch.setattr(point_studies, "OTHERS", 2)
    monkeypatch.setattr(point_studies, "SPLIT_ROUNDS", 30)
    lines = list(point_studies.report(Crowd.of(*faces), comparisons, measurement, splits=4))
    assert sum(line.startswith("|---") for line in lines) == 4
    assert not any("nan" in line for line in lines)


def test_strangers_are_counted_as_a_plain_loop_counts_them(faces, measurement):
    crowd = Crowd.of(*faces)
    enrolled, strangers = np.arange(30, 60), np.arange(60, 119)
    search = point_studies.Search(30, every=False, disjoint=False)
    found = point_studies._search(crowd, search, measurement, enrolled, strangers)
    firsts = [crowd.photographs(who)[0] for who in enrolled]
    outside = [image for who in strangers for image in crowd.photographs(who)]
    assert found.templates == 30
    assert found.fpir == np.mean([max(crowd.scores[image, t] for t in firsts) >= found.threshold for image in outside])
    missed = [
        crowd.scores[image, firsts].argmax() != place or crowd.scores[image, firsts].max() < found.threshold
        for place, who in enumerate(enrolled)
        for image in crowd.photographs(who)[1:]
    ]
    assert found.fnir == pytest.approx(np.mean(missed))


def test_the_report_states_both_units(comparisons, measurement, capsys):
    measure_points.report(comparisons, measurement, Procedure(rounds=50))
    told = capsys.readouterr().err
    for point in measurement.points:
        assert f"{comparisons.fmr(point.threshold, Unit.IMAGES):.2e}" in told
        assert f"{comparisons.fmr(point.threshold, Unit.PEOPLE):.2e}" in told

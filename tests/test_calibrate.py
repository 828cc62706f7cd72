"""Points from one's own people are measured as the shipped ones are, tried on others, and written where they bind."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from facecli.calibrate import (
    Faces,
    Order,
    calibrate,
    enrolled,
    targets,
    without_floors,
)
from facecli.calibration import Procedure, Unit, compare_all, measure, people_for
from facecli.config import Settings
from facecli.engine import Engine
from facecli.errors import UnsupportedPointError, UsageError
from facecli.gallery import Gallery, NewTemplate
from facecli.manifest import bundled_folder, read_manifest, read_model
from facecli.own_manifest import with_measurement, write_manifest
from facecli.recognition import Rules
from facecli.types import ModelPin, Quality

QUICK = Procedure(rounds=200)
ORDER = Order(0.02, 0.05, "drawn people", "2026-11-24", splits=8, procedure=QUICK)


def crowd(people=120, each=3, seed=0, dimension=16, noise=0.4):
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(people), each)
    vectors = generator.standard_normal((people, dimension))[owner]
    vectors = vectors + noise * generator.standard_normal(vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Faces(vectors.astype(np.float32), tuple(f"person {number:03d}" for number in owner))


@pytest.fixture(scope="module")
def outcome():
    return calibrate(crowd(), ORDER)


def test_the_points_are_those_of_the_one_procedure(outcome):
    faces = crowd()
    comparisons = compare_all(faces.vectors, faces.people, loosest=0.2)
    points = measure(comparisons, targets(comparisons, ORDER), QUICK)
    measured = outcome.calibration.measurement
    assert measured.points == points
    assert [point.fmr for point in points] == pytest.approx([math.sqrt(0.02), 0.02, 0.01])
    assert (measured.people, measured.images, measured.status) == (120, 360, "calibrated")
    assert measured.people_pairs == comparisons.pairs(Unit.PEOPLE) == 7140
    assert (outcome.calibration.fmr, outcome.calibration.fpir) == (0.02, 0.05)


def test_the_promise_is_kept_on_people_who_did_not_set_it(outcome):
    found = outcome.validation
    assert (found.splits, found.set_on, found.observed_on, found.searched) == (8, 60, 60, 30)
    assert [one.what for one in found.promises] == ["FMR by pair of people", "FMR by pair of images", "FPIR"]
    for one in found.promises:
        assert one.low <= one.observed <= one.high
        assert one.observed <= one.promised
        assert 0.5 <= one.kept <= 1
    assert 0 <= found.fnmr < 0.5
    assert 0 <= found.fnir < 0.8
    assert 0 < found.min_cllr < found.cllr < 1


def test_one_split_is_what_a_plain_loop_sees():
    """FMR and FPIR of the other half, pair by pair and probe by probe."""
    from facecli.calibrate import _Crowd, _searched
    from facecli.manifest import MeasuredPoint, Measurement

    faces = crowd(people=20, each=2)
    points = (MeasuredPoint(0.1, 0.3, 0, 0, 0, 0), MeasuredPoint(0.02, 0.5, 0, 0, 0, 0))
    measurement = Measurement("d", 20, 40, 190, 760, "2026-11-24", "calibrated", "m", points)
    fpir, fnir, searched = _searched(_Crowd.of(faces), measurement, replace(ORDER, fpir=0.2), 4)
    chosen = np.random.default_rng(4).permutation(20)[:10].tolist()
    threshold = Rules(measurement, 0.02, 0.2).for_search(templates=10).threshold
    templates = {who: faces.vectors[2 * who].astype(float) for who in chosen}
    false = missed = strangers = mated = 0
    for who in range(20):
        for photo in (1,) if who in chosen else (0, 1):
            scores = {name: float(faces.vectors[2 * who + photo] @ t) for name, t in templates.items()}
            best = max(scores, key=scores.get)
            accepted = scores[best] >= threshold
            if who in chosen:
                mated += 1
                missed += not (accepted and best == who)
            else:
                strangers += 1
                false += accepted
    assert (fpir, fnir, searched) == (false / strangers, pytest.approx(missed / mated), 10)


def test_a_target_that_so_few_people_can_not_support_is_refused_with_what_they_can():
    with pytest.raises(UnsupportedPointError, match=r"120 people can't support FMR 0\.0001") as raised:
        calibrate(crowd(), replace(ORDER, fmr=1e-4))
    assert "1,096 people or more, or ask for FMR 0.0085 or looser" in raised.value.hint
    assert calibrate(crowd(), replace(ORDER, fmr=0.0085, splits=2)).calibration.fmr == 0.0085
    assert people_for(1e-4, Procedure()) == 1096


def test_people_with_one_photograph_each_are_not_enough():
    with pytest.raises(UsageError, match="nobody has two photographs"):
        calibrate(crowd(each=1), ORDER)


@pytest.mark.parametrize("fpir", [0, 1, math.nan])
def test_an_fpir_that_is_no_rate_is_refused(fpir):
    with pytest.raises(UsageError, match="no error rate"):
        calibrate(crowd(), replace(ORDER, fpir=fpir))


def test_likelihood_ratios_rise_with_the_score_and_stay_within_what_the_people_show(outcome):
    weight = outcome.calibration.weight
    assert weight.slope > 0
    assert weight.highest == pytest.approx(math.log10(7140 / 3))
    assert weight.lowest == pytest.approx(-math.log10(120 / 3))
    assert weight.log10_lr(-1) == weight.lowest
    assert weight.log10_lr(1) == weight.highest


def test_the_same_people_and_seed_give_the_same_outcome(outcome):
    assert calibrate(crowd(), ORDER) == outcome


def test_a_gallery_is_calibrated_on_its_own_people(tmp_path, outcome):
    faces, pin = crowd(), ModelPin("m", "a" * 64, "none-1", "b" * 64, 16)
    with Gallery.create(tmp_path / "g", pin) as gallery:
        with pytest.raises(UsageError, match="nobody is enrolled"):
            enrolled(gallery)
        for who in range(0, 360, 3):
            templates = [
                NewTemplate(faces.vectors[n], "x.png", f"{n:064x}", Quality(0.9, 40.0, 0.0, 1.0))
                for n in range(who, who + 3)
            ]
            gallery.enrol(faces.people[who], templates)
        assert calibrate(enrolled(gallery), ORDER).calibration == outcome.calibration
        gallery.calibrate(outcome.calibration)
        assert gallery.calibration() == outcome.calibration


def test_quality_floors_are_off_and_all_else_stays(tmp_path):
    engine = Engine(Settings(cache=tmp_path, min_sharpness=0.3, fmr=1e-3))
    bare = without_floors(engine)
    assert bare.quality_limits.min_sharpness == bare.quality_limits.min_detection == 0
    assert bare.quality_limits.max_cut == 1
    assert (bare.settings.fmr, bare.settings.cache) == (1e-3, tmp_path)


# --- a manifest of the user's ----------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path):
    return Engine(Settings(models=tmp_path / "models", cache=tmp_path / "cache"))


def test_a_copy_of_the_models_manifest_has_the_new_points_and_all_else(engine, outcome):
    path = write_manifest(engine, "sface-door", outcome.calibration.measurement)
    mine, theirs = read_manifest(path), read_manifest(bundled_folder() / "sface.toml")
    assert replace(mine, name="sface", measurement=None) == replace(theirs, measurement=None)
    assert mine.measurement.status == "calibrated"
    assert [p.threshold for p in mine.measurement.points] == [
        p.threshold for p in outcome.calibration.measurement.points
    ]
    assert "# x' = (x - mean) * scale" in path.read_text(encoding="utf-8"), "comments stay"


def test_a_manifest_of_ones_own_is_written_anew(engine, outcome, tmp_path):
    path = write_manifest(engine, "sface-door", outcome.calibration.measurement)
    mine = Engine(replace(engine.settings, model="sface-door"))
    again = replace(outcome.calibration.measurement, data='the "new" camera')
    assert write_manifest(mine, "sface-door", again) == path
    assert read_manifest(path).measurement.data == 'the "new" camera'
    assert path.read_text(encoding="utf-8").count("[measurement]") == 1


@pytest.mark.parametrize(("name", "said"), [("sface", "facecli's own"), ("../x", "can't name"), ("taken", "already")])
def test_no_other_manifest_is_touched(engine, outcome, name, said):
    write_manifest(engine, "taken", outcome.calibration.measurement)
    with pytest.raises(UsageError, match=said):
        write_manifest(engine, name, outcome.calibration.measurement)


def test_a_fused_model_has_a_manifest_of_ones_own_too(engine, outcome):
    fused = Engine(replace(engine.settings, model="fused"))
    path = write_manifest(fused, "fused-door", outcome.calibration.measurement)
    assert read_model(path).measurement.status == "calibrated"
    assert [part.weight for part in read_model(path).parts] == [0.45, 0.55]


def test_a_manifest_without_points_gets_some(outcome):
    bare = (bundled_folder() / "yunet.toml").read_text(encoding="utf-8")
    text = with_measurement(bare, "other", outcome.calibration.measurement)
    assert tomllib.loads(text)["name"] == "other"
    assert len(tomllib.loads(text)["measurement"]["points"]) == 3

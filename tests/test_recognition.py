"""Decisions fail closed, carry their evidence, and agree with each other to the last bit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from facecli.errors import NotEnrolledError, UnsupportedPointError
from facecli.gallery import Gallery, NewTemplate
from facecli.recognition import Rules, compare, compare_with_person, identify
from facecli.thresholds import PointKind
from facecli.types import Box, Face, ModelPin, Quality, Sample
from tests.fakes import MEASUREMENT

PIN = ModelPin("m", "a" * 64, "none-1", "b" * 64, 16)
QUALITY = Quality(0.9, 40.0, 0.0, 1.0)
RULES = Rules(MEASUREMENT)


def sample(seed: int) -> Sample:
    """Make a sample whose template is random: no network is involved in a decision."""
    vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
    return with_vector(vector / np.linalg.norm(vector))


def with_vector(vector: np.ndarray) -> Sample:
    face = Face(Box(0, 0, 10, 10), np.zeros((5, 2), np.float32), 0.9)
    return Sample("p.png", "0" * 64, face, np.zeros((1, 1, 3), np.uint8), vector.astype(np.float32), QUALITY)


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / "g", PIN) as gallery:
        for number in range(30):
            templates = [NewTemplate(sample(number).vector, "x.png", f"{number:064x}", QUALITY)]
            gallery.enrol(f"person {number:02}", templates)
        yield gallery


def test_a_decision_is_as_true_as_it_is_accepted():
    same, other = compare(sample(1), sample(1), RULES, PIN), compare(sample(1), sample(2), RULES, PIN)
    assert same
    assert same.accepted
    assert not other
    assert not other.accepted


def test_accept_is_score_at_least_the_threshold():
    value = compare(sample(1), sample(2), RULES, PIN).score
    assert compare(sample(1), sample(2), replace(RULES, threshold=value), PIN).accepted
    assert not compare(sample(1), sample(2), replace(RULES, threshold=math.nextafter(value, 2)), PIN).accepted


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_template_that_is_no_number_is_never_accepted(broken, gallery):
    vector = sample(1).vector.copy()
    vector[3] = broken
    with pytest.raises(ValueError, match="finite"):
        compare(with_vector(vector), sample(1), RULES, PIN)
    with pytest.raises(ValueError, match=r"finite|unit"):
        identify([with_vector(vector)], gallery, RULES)
    with pytest.raises(ValueError, match=r"finite|unit"):
        compare_with_person(with_vector(vector), "person 01", gallery, RULES)


def test_identify_and_verify_agree_to_the_last_bit(gallery):
    probes = [sample(100 + number) for number in range(20)]
    for probe, found in zip(probes, identify(probes, gallery, RULES, top=30), strict=True):
        assert len(found.candidates) == 30
        for candidate in found.candidates:
            claimed = compare_with_person(probe, candidate.person.name, gallery, RULES)
            assert claimed.score == candidate.score
    alone = identify([probes[7]], gallery, RULES, top=30)[0]
    assert alone.candidates == identify(probes, gallery, RULES, top=30)[7].candidates


def test_the_margin_is_there_although_one_candidate_is_shown(gallery):
    (found,) = identify([sample(3)], gallery, RULES, top=1)
    (wide,) = identify([sample(3)], gallery, RULES, top=5)
    assert len(found.candidates) == 1
    assert found.margin == wide.margin == wide.candidates[0].score - wide.candidates[1].score


def test_a_search_needs_a_stricter_threshold_than_a_pair(gallery):
    (found,) = identify([sample(3)], gallery, RULES)
    assert found.point.kind is PointKind.FPIR
    assert found.point.searched == 30
    assert found.point.threshold >= compare(sample(1), sample(1), RULES, PIN).point.threshold


def test_an_empty_gallery_accepts_nobody(tmp_path):
    with Gallery.create(tmp_path / "empty", PIN) as gallery:
        (found,) = identify([sample(1)], gallery, replace(RULES, threshold=-1.0))
    assert not found
    assert found.candidates == ()
    assert found.margin is None


def test_a_claim_of_nobody_is_an_error(gallery):
    with pytest.raises(NotEnrolledError):
        compare_with_person(sample(1), "nobody", gallery, RULES)


def test_a_model_without_measured_points_promises_nothing():
    with pytest.raises(UnsupportedPointError, match="no measured operating points"):
        compare(sample(1), sample(1), Rules(None), PIN)
    assert compare(sample(1), sample(1), Rules(None, threshold=0.5), PIN).point.status == "unsourced"


def test_a_person_of_many_templates_needs_a_stricter_threshold(tmp_path):
    with Gallery.create(tmp_path / "g", PIN) as gallery:
        for number in range(5):
            gallery.enrol("alice", [NewTemplate(sample(number).vector, "x", f"{number:064x}", QUALITY)])
        decision = compare_with_person(sample(1), "alice", gallery, RULES)
        assert decision.point.searched == 5
        assert not decision.point.supported
        assert decision.point.claimed == pytest.approx(5e-4)
        assert decision.point.threshold > 0.98
        with pytest.raises(UnsupportedPointError):
            compare_with_person(sample(1), "alice", gallery, replace(RULES, strict=True))

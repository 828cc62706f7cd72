"""Decisions fail closed, carry their evidence, and agree with each other to the last bit."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import NotEnrolledError, UnsupportedPointError, UsageError
from facecli.evidence import Calibration, EvidenceWeight
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


# --- a calibrated gallery --------------------------------------------------------------------------------------------

OWN = replace(
    MEASUREMENT,
    data="the staff",
    status="calibrated",
    points=tuple(replace(point, threshold=point.threshold - 0.1) for point in MEASUREMENT.points),
)
CALIBRATION = Calibration(OWN, fmr=1e-3, fpir=0.005, weight=EvidenceWeight(20.0, -10.0, -2.5, 5.0))


@pytest.fixture
def calibrated(gallery):
    gallery.calibrate(CALIBRATION)
    return gallery


def claim(gallery, rules):
    return compare_with_person(sample(3), "person 03", gallery, rules)


def test_a_calibrated_gallery_decides_by_its_own_points_and_says_so(calibrated):
    decision = claim(calibrated, RULES)
    assert decision.point.threshold == pytest.approx(0.85)
    assert (decision.point.target, decision.point.status, decision.point.data) == (1e-3, "calibrated", "the staff")
    (found,) = identify([sample(3)], calibrated, RULES)
    assert (found.point.target, found.point.status) == (0.005, "calibrated")
    assert found.point.threshold >= decision.point.threshold


def test_a_target_from_the_environment_or_a_file_can_tighten_and_not_loosen(calibrated):
    for asked, held in ((1e-4, 1e-4), (1e-2, 1e-3)):
        assert claim(calibrated, replace(RULES, fmr=asked, given=frozenset({"fmr"}))).point.target == held
    for asked, held in ((1e-3, 1e-3), (0.5, 0.005)):
        rules = replace(RULES, fpir=asked, given=frozenset({"fpir"}))
        assert identify([sample(3)], calibrated, rules)[0].point.target == held


def test_a_looser_flag_is_an_error_and_a_stricter_one_counts(calibrated):
    fmr, fpir = frozenset({"fmr"}), frozenset({"fpir"})
    assert claim(calibrated, replace(RULES, fmr=1e-4, given=fmr, flags=fmr)).point.target == 1e-4
    with pytest.raises(UsageError, match=r"--fmr 0.01 is looser than this gallery allows"):
        claim(calibrated, replace(RULES, fmr=1e-2, given=fmr, flags=fmr))
    with pytest.raises(UsageError, match=r"--fpir 0.1 is looser"):
        identify([sample(3)], calibrated, replace(RULES, fpir=0.1, given=fpir, flags=fpir))


def test_a_threshold_by_hand_can_tighten_and_not_loosen(calibrated):
    decision = claim(calibrated, replace(RULES, threshold=0.9))
    assert (decision.point.threshold, decision.point.status) == (0.9, "unsourced")
    with pytest.raises(UsageError, match=r"needs 0\.8500 here"):
        claim(calibrated, replace(RULES, threshold=0.84))
    with pytest.raises(UsageError, match="looser than this gallery allows"):
        identify([sample(3)], calibrated, replace(RULES, threshold=-1.0))


def test_a_gallery_without_a_calibration_takes_the_rules_as_they_are(gallery):
    assert RULES.against(gallery.calibration()) is RULES


def test_a_claim_on_one_template_says_what_its_score_weighs(calibrated):
    decision = claim(calibrated, RULES)
    assert decision.log10_lr == pytest.approx(min(20 * decision.score - 10, 5.0))
    calibrated.enrol("person 03", [NewTemplate(sample(77).vector, "y.png", "f" * 64, QUALITY)])
    assert claim(calibrated, RULES).log10_lr is None
    calibrated.calibrate(None)
    assert claim(calibrated, RULES).log10_lr is None


@given(st.floats(1e-6, 0.5), st.floats(-1, 1), st.sampled_from(["default", "given", "flag"]), st.booleans())
def test_no_rules_are_looser_than_the_floor(fmr, threshold, origin, by_hand):
    """Whatever is asked for, a decision's threshold is never below the gallery's own, or there is no decision."""
    given_ = frozenset() if origin == "default" else frozenset({"fmr", "fpir"})
    flags = given_ if origin == "flag" else frozenset()
    rules = Rules(MEASUREMENT, fmr, fmr, threshold=threshold if by_hand else None, given=given_, flags=flags)
    own = Rules(OWN, CALIBRATION.fmr, CALIBRATION.fpir)
    for templates in (1, 3, 50):
        try:
            held = rules.against(CALIBRATION)
            pair, search = held.for_pair(templates=templates), held.for_search(templates=templates)
        except UsageError:
            continue
        assert pair.threshold >= own.for_pair(templates=templates).threshold
        assert search.threshold >= own.for_search(templates=templates).threshold

"""An operating point promises what was measured, says so when it goes beyond, and never errs on the loose side."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import UnsupportedPointError, UsageError
from facecli.manifest import MeasuredPoint, Measurement, manifests
from facecli.thresholds import PointKind, by_hand, for_identification, for_verification


def measured(*points):
    """Make a measurement of (FMR, threshold) pairs, loosest first."""
    return Measurement(
        data="drawn people",
        people=1156,
        images=2736,
        people_pairs=667_590,
        image_pairs=3_718_130,
        date="2026-11-24",
        status="provisional",
        method="drawn",
        points=tuple(MeasuredPoint(fmr, threshold, fmr / 2, fmr / 3, fmr / 3, 0.01) for fmr, threshold in points),
    )


THREE = measured((1e-2, 0.31), (1e-3, 0.38), (1e-4, 0.44))

rates = st.floats(1e-9, 0.5)
templates = st.integers(0, 10**7)


@st.composite
def measurements(draw):
    """Draw any measurement that a manifest may hold: rates fall, thresholds never do."""
    count = draw(st.integers(1, 5))
    fmrs = draw(st.lists(st.floats(1e-6, 0.5), min_size=count, max_size=count, unique=True))
    thresholds = draw(st.lists(st.floats(-0.5, 1), min_size=count, max_size=count))
    return measured(*zip(sorted(fmrs, reverse=True), sorted(thresholds), strict=True))


# --- one probe, one person


@pytest.mark.parametrize(("fmr", "threshold"), [(1e-2, 0.31), (1e-3, 0.38), (1e-4, 0.44)])
def test_a_measured_rate_gets_its_threshold(fmr, threshold):
    point = for_verification(THREE, fmr)
    assert (point.kind, point.target, point.threshold) == (PointKind.FMR, fmr, threshold)
    assert point.supported
    assert point.claimed == fmr


@pytest.mark.parametrize(("fmr", "threshold"), [(0.5, 0.31), (9e-3, 0.38), (1.1e-3, 0.38), (9.9e-4, 0.44)])
def test_between_measured_rates_the_next_stricter_threshold_is_used(fmr, threshold):
    point = for_verification(THREE, fmr)
    assert (point.threshold, point.supported, point.claimed) == (threshold, True, fmr)


@pytest.mark.parametrize("fmr", [9.9e-5, 1e-5, 1e-9])
@pytest.mark.parametrize("strict", [False, True])
def test_a_rate_beyond_the_data_is_refused(fmr, strict):
    with pytest.raises(UnsupportedPointError, match=r"supports 0\.0001 at the strictest") as caught:
        for_verification(THREE, fmr, strict=strict)
    assert "calibrate" in caught.value.hint


def test_several_templates_share_the_rate():
    point = for_verification(THREE, 1e-3, templates=10)
    assert (point.threshold, point.searched, point.supported, point.claimed) == (0.44, 10, True, 1e-3)


def test_more_templates_than_the_data_support_are_extrapolated_and_marked():
    point = for_verification(THREE, 1e-4, templates=10)
    assert point.threshold == pytest.approx(0.50)
    assert not point.supported
    assert point.claimed == pytest.approx(1e-3)
    with pytest.raises(UnsupportedPointError, match=r"FMR 0\.0001 over 10 templates needs FMR 1e-05"):
        for_verification(THREE, 1e-4, templates=10, strict=True)


def test_the_evidence_names_the_measurement():
    point = for_verification(THREE, 1e-4)
    assert (point.status, point.data, point.date) == ("provisional", "drawn people", "2026-11-24")
    assert (point.people, point.people_pairs, point.image_pairs) == (1156, 667_590, 3_718_130)


# --- one probe, many people


def test_a_search_is_corrected_for_the_templates_searched():
    """0.01 over 100 templates leaves 1e-4 for each: just what was measured."""
    point = for_identification(THREE, 0.01, templates=100, fmr=1e-2)
    assert (point.kind, point.threshold, point.supported, point.claimed) == (PointKind.FPIR, 0.44, True, 0.01)
    assert for_identification(THREE, 0.01, templates=10, fmr=1e-2).threshold == 0.38


def test_a_search_too_wide_for_the_data_is_extrapolated_along_the_last_two_points():
    """0.01 over 1,000 templates needs 1e-5: one decade beyond, and a decade cost 0.06."""
    point = for_identification(THREE, 0.01, templates=1000, fmr=1e-4)
    assert point.threshold == pytest.approx(0.50)
    assert not point.supported
    assert point.claimed == pytest.approx(0.1)
    assert for_identification(THREE, 0.01, templates=10**6, fmr=1e-4).claimed == 1.0


def test_strict_refuses_a_search_too_wide_for_the_data():
    assert for_identification(THREE, 0.01, templates=100, fmr=1e-4, strict=True).supported
    with pytest.raises(UnsupportedPointError, match=r"FPIR 0\.01 over 101 templates") as caught:
        for_identification(THREE, 0.01, templates=101, fmr=1e-4, strict=True)
    assert "--strict" in caught.value.hint


def test_a_small_gallery_is_searched_no_looser_than_a_pair_is_compared():
    point = for_identification(THREE, 0.01, templates=1, fmr=1e-4)
    assert (point.threshold, point.supported) == (0.44, True)


def test_one_measured_point_allows_no_extrapolation():
    point = for_identification(measured((1e-3, 0.4)), 0.01, templates=10**6, fmr=1e-3)
    assert (point.threshold, point.supported, point.claimed) == (0.4, False, 1.0)


def test_an_empty_gallery_has_a_point_too():
    assert for_identification(THREE, 0.01, templates=0, fmr=1e-4).threshold == 0.44
    assert for_verification(THREE, 1e-4, templates=0).threshold == 0.44


def test_a_million_times_a_million_templates_still_give_a_cosine():
    assert for_identification(THREE, 1e-6, templates=10**12, fmr=1e-4).threshold == 1.0


# --- what can't be promised at all


@pytest.mark.parametrize("rate", [0.0, 1.0, -1e-4, 2.0, math.nan, math.inf, -math.inf])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(UsageError, match=r"--fmr .* is no error rate"):
        for_verification(THREE, rate)
    with pytest.raises(UsageError, match=r"--fpir .* is no error rate"):
        for_identification(THREE, rate, templates=5, fmr=1e-4)
    with pytest.raises(UsageError, match=r"--fmr .* is no error rate"):
        for_identification(THREE, 0.01, templates=5, fmr=rate)


@pytest.mark.parametrize("nothing", [None, measured()])
def test_a_model_without_measured_points_promises_nothing(nothing):
    with pytest.raises(UnsupportedPointError, match="no measured operating points") as caught:
        for_verification(nothing, 1e-4)
    assert "--threshold" in caught.value.hint
    with pytest.raises(UnsupportedPointError):
        for_identification(nothing, 0.01, templates=5, fmr=1e-4)


def test_a_threshold_by_hand_claims_nothing():
    point = by_hand(0.363, searched=7)
    assert (point.kind, point.threshold, point.searched) == (PointKind.THRESHOLD, 0.363, 7)
    assert (point.target, point.claimed, point.supported, point.status) == (None, None, False, "unsourced")


@pytest.mark.parametrize("threshold", [1.0001, -1.0001, math.nan, math.inf, -math.inf])
def test_a_threshold_by_hand_must_be_a_cosine(threshold):
    with pytest.raises(UsageError, match="no cosine"):
        by_hand(threshold)


# --- whatever was measured


@given(measurements(), rates, rates, templates, templates)
def test_a_stricter_search_never_gets_a_looser_threshold(measurement, rate, other, few, many):
    """Neither a smaller target nor a larger gallery loosens anything, inside the data or beyond."""
    fmr = measurement.points[-1].fmr
    strict, loose = sorted((rate, other))
    few, many = sorted((few, many))
    at = [
        for_identification(measurement, fpir, templates=count, fmr=fmr).threshold
        for fpir, count in ((loose, few), (loose, many), (strict, many))
    ]
    assert at == sorted(at)
    assert at[0] <= for_identification(measurement, strict, templates=few, fmr=fmr).threshold <= at[2]


@given(measurements(), rates, templates, st.data())
def test_a_search_is_never_looser_than_the_pair(measurement, fpir, count, data):
    fmr = data.draw(st.floats(measurement.points[-1].fmr, 0.6))
    point = for_identification(measurement, fpir, templates=count, fmr=fmr)
    assert point.threshold >= for_verification(measurement, fmr).threshold
    assert -1 <= point.threshold <= 1


@given(measurements(), templates, st.data())
def test_more_templates_never_loosen_a_claim(measurement, count, data):
    fmr = data.draw(st.floats(measurement.points[-1].fmr, 0.6))
    alone, many = (for_verification(measurement, fmr, templates=n) for n in (1, max(count, 1)))
    assert many.threshold >= alone.threshold
    assert alone.supported
    assert alone.claimed == fmr


@given(measurements(), rates, templates)
def test_what_is_claimed_is_the_target_only_where_the_data_support_it(measurement, fpir, count):
    strictest = measurement.points[-1].fmr
    point = for_identification(measurement, fpir, templates=count, fmr=strictest)
    if point.supported:
        assert point.claimed == fpir
        assert fpir / max(count, 1) >= strictest * (1 - 1e-6)
    else:
        assert point.claimed == min(1.0, max(count, 1) * strictest)
        assert point.claimed > fpir


@given(measurements(), rates, templates)
def test_strict_refuses_exactly_what_is_unsupported(measurement, fpir, count):
    fmr = measurement.points[-1].fmr
    relaxed = for_identification(measurement, fpir, templates=count, fmr=fmr)
    if relaxed.supported:
        assert for_identification(measurement, fpir, templates=count, fmr=fmr, strict=True) == relaxed
    else:
        with pytest.raises(UnsupportedPointError):
            for_identification(measurement, fpir, templates=count, fmr=fmr, strict=True)


@given(measurements(), rates, templates)
def test_beyond_the_data_the_threshold_is_at_least_the_strictest(measurement, fpir, count):
    point = for_identification(measurement, fpir, templates=count, fmr=measurement.points[-1].fmr)
    if not point.supported:
        assert point.threshold >= measurement.points[-1].threshold


# --- what ships


@pytest.mark.parametrize("manifest", [m for m in manifests().values() if m.measurement], ids=lambda m: m.name)
def test_shipped_points_keep_half_of_what_they_promise_and_promise_no_more(manifest):
    shipped = manifest.measurement
    assert [point.fmr for point in shipped.points] == [1e-2, 1e-3, 1e-4]
    for point in shipped.points:
        assert point.fmr_people_pairs < point.fmr_bound <= point.fmr / 2
        assert point.fmr_image_pairs < point.fmr
        assert for_verification(shipped, point.fmr).threshold == point.threshold
    assert (shipped.status, shipped.people, shipped.people_pairs) == ("provisional", 1156, 1156 * 1155 // 2)
    with pytest.raises(UnsupportedPointError):
        for_verification(shipped, 1e-5)


def test_the_default_model_has_operating_points():
    assert manifests()["sface"].measurement is not None

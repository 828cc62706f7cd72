"""A report states what the data show, at the right thresholds, with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from facecli.evaluate.trials import Crossed, Listed
from facecli.evaluate.verification import Provenance, Subject, Support, verification_report
from facecli.metrics.curves import det_curve, eer
from facecli.metrics.intervals import Method, Resampling, clopper_pearson, rate
from tests.evaluate.test_trials import listed, templates

WHERE = Provenance("m", None, "", (), (), "data", "pairs", None, 0, "2026-11-24")
SUBJECT = Subject(WHERE, rate(0, 0))


def independent(mated, other):
    scores = np.concatenate([mated, other])
    return Listed(scores, np.arange(len(scores)) < len(mated), None, None, [], None)


def test_independent_comparisons_have_exact_intervals():
    generator = np.random.default_rng(2)
    mated, other = generator.normal(2.5, 1, 500), generator.normal(0, 1, 5000)
    report = verification_report(independent(mated, other), SUBJECT)
    assert [point.support for point in report.points] == [
        Support.NUMBER,
        Support.NUMBER,
        Support.BOUND,
        Support.NOTHING,
        Support.NOTHING,
        Support.NOTHING,
    ]
    point = report.points[1]
    assert point.fmr.errors == sum(other >= point.threshold) == 50
    assert point.fnmr.errors == sum(mated < point.threshold)
    assert (point.fnmr.low, point.fnmr.high) == clopper_pearson(point.fnmr.errors, 500)
    assert point.fmr.method == Method.EXACT
    value, threshold = eer(det_curve(mated, other))
    assert (report.eer.value, report.eer.threshold, report.eer.method) == (value, threshold, Method.TRIALS)
    assert report.eer.low < value < report.eer.high
    assert report.eer.high - report.eer.low < 0.06


def test_a_bound_stands_where_the_data_just_show_that_the_target_is_met():
    """5,000 comparisons: at 1e-3 one false match may remain (4.74 / 5,000 is shown), and two not (6.30 / 5,000)."""
    other = np.linspace(0, 0.5, 5000)
    point = verification_report(independent(np.linspace(0.4, 0.9, 300), other), SUBJECT).points[2]
    assert point.support is Support.BOUND
    assert point.fmr.errors == 1
    assert clopper_pearson(1, 5000, 0.9)[1] <= 1e-3 < clopper_pearson(2, 5000, 0.9)[1]
    assert point.threshold == other[-1]


def test_no_error_at_all_is_told_as_a_bound():
    report = verification_report(independent([0.8, 0.9] * 50, [0.1, 0.2] * 50), SUBJECT)
    assert report.eer.value is None
    assert report.eer.high == pytest.approx(0.0295, abs=1e-4)
    assert report.points[0].fnmr.value is None


def test_people_make_units_of_their_own():
    """Six people make 15 pairs of people, however many photographs: nothing below 1 in 5 can be shown."""
    report = verification_report(Crossed(templates((30, 30, 30, 30, 30, 30))), SUBJECT)
    assert {point.support for point in report.points} == {Support.NOTHING}


@pytest.mark.parametrize("kind", [Crossed, listed])
def test_reports_of_both_kinds_agree(kind):
    given = templates((2,) * 30, seed=4)
    report = verification_report(kind(given), SUBJECT, resampling=Resampling(200))
    other = verification_report(listed(given), SUBJECT, resampling=Resampling(200))
    point, expected = report.points[0], other.points[0]
    assert point.support is Support.NUMBER
    assert point.fmr.errors == pytest.approx(expected.fmr.errors, abs=1)
    assert report.eer.value == pytest.approx(other.eer.value, abs=0.01)
    assert (report.eer.low, report.eer.high) == pytest.approx((other.eer.low, other.eer.high), abs=0.02)
    assert report.eer.low <= report.eer.value <= report.eer.high
    assert point.fmr.method == Method.PEOPLE
    assert point.fmr.low < point.fmr.value < point.fmr.high


def test_the_bootstrap_is_the_quantile_of_a_loop_over_rounds():
    from facecli.metrics.intervals import resampled

    given = templates((2,) * 20, seed=6)
    trials = listed(given)
    report = verification_report(trials, SUBJECT, resampling=Resampling(100, seed=9))
    (draws,) = [times for _, times in resampled(20, 100, seed=9, cells=1)]
    threshold = report.points[0].threshold or 0.5
    used = verification_report(
        trials, Subject(WHERE, rate(0, 0), used=(0.1, threshold)), resampling=Resampling(100, seed=9)
    )
    rates = []
    for times in draws:
        weight = np.where(trials.mated, 0, times[trials.first] * times[trials.second])
        rates.append((weight * (trials.scores >= threshold)).sum() / weight.sum())
    low, high = np.quantile(rates, [0.025, 0.975])
    exact = clopper_pearson(used.used.fmr.errors, used.used.fmr.trials)
    assert (used.used.fmr.low, used.used.fmr.high) == pytest.approx((min(low, exact[0]), max(high, exact[1])))


def test_the_worst_comparisons_are_shown_worst_first():
    report = verification_report(listed(templates()), SUBJECT)
    assert [pair.score for pair in report.false_matches] == sorted(
        (p.score for p in report.false_matches), reverse=True
    )
    assert [pair.score for pair in report.false_non_matches] == sorted(p.score for p in report.false_non_matches)
    assert len(report.false_matches) == 20

"""Error rates are what a loop counts, and what scikit-learn draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import det_curve as sklearn_det_curve
from sklearn.metrics import roc_curve

from facecli.errors import UsageError
from facecli.metrics.curves import (
    STEPS,
    ScoreSummary,
    accuracy_10_fold,
    best_threshold,
    d_prime,
    det_curve,
    eer,
    fnmr_at_fmr,
    histogram,
)

COARSE = st.integers(-8, 8).map(lambda n: n / 8)  # many ties
FINE = st.floats(-1, 1, allow_nan=False)
SCORES = st.lists(COARSE, min_size=1, max_size=30) | st.lists(FINE, min_size=1, max_size=30)


def counted(mated, non_mated, threshold):
    """Return (FMR, FNMR) by the plainest loop."""
    false_matches = sum(1 for score in non_mated if score >= threshold)
    false_non_matches = sum(1 for score in mated if not score >= threshold)
    return false_matches / len(non_mated), false_non_matches / len(mated)


@given(SCORES, SCORES)
def test_rates_are_what_a_loop_counts(mated, non_mated):
    curve = det_curve(mated, non_mated)
    for threshold, fmr, fnmr in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
        assert (fmr, fnmr) == counted(mated, non_mated, threshold)


@given(SCORES, SCORES, FINE)
def test_rates_hold_between_the_points_of_the_curve_too(mated, non_mated, threshold):
    assert det_curve(mated, non_mated).at(threshold) == counted(mated, non_mated, threshold)


@given(SCORES, SCORES)
def test_the_curve_is_complete_and_monotonic(mated, non_mated):
    curve = det_curve(mated, non_mated)
    assert set(curve.thresholds[:-1]) == set(mated) | set(non_mated)
    assert (curve.fmr[0], curve.fnmr[0], curve.fmr[-1], curve.fnmr[-1]) == (1, 0, 0, 1)
    assert (np.diff(curve.thresholds) > 0).all()
    assert (np.diff(curve.fmr) <= 0).all()
    assert (np.diff(curve.fnmr) >= 0).all()


@given(SCORES, SCORES)
def test_scikit_learn_draws_the_same_det_curve(mated, non_mated):
    labels, scores = [1] * len(mated) + [0] * len(non_mated), mated + non_mated
    curve = det_curve(mated, non_mated)
    ours = {t: (p, q) for t, p, q in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True)}
    for fmr, fnmr, threshold in zip(*sklearn_det_curve(labels, scores), strict=True):
        if math.isfinite(threshold):
            assert ours[threshold] == pytest.approx((fmr, fnmr), abs=1e-12)


@given(SCORES, SCORES)
def test_scikit_learn_draws_the_same_roc_curve(mated, non_mated):
    labels, scores = [1] * len(mated) + [0] * len(non_mated), mated + non_mated
    curve = det_curve(mated, non_mated)
    fmr, tar, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert curve.thresholds[:-1] == pytest.approx(thresholds[:0:-1])
    assert curve.fmr == pytest.approx(fmr[::-1], abs=1e-12)
    assert 1 - curve.fnmr == pytest.approx(tar[::-1], abs=1e-12)


@given(SCORES, SCORES)
def test_the_equal_error_rate_is_where_the_curve_crosses(mated, non_mated):
    curve = det_curve(mated, non_mated)
    rate, threshold = eer(curve)
    crossing = next(i for i in range(len(curve.fmr)) if curve.fnmr[i] >= curve.fmr[i])
    assert threshold == curve.thresholds[crossing]
    corners = np.linspace(0, 1, 2001)[:, None]
    before, after = (np.array([curve.fmr[i], curve.fnmr[i]]) for i in (crossing - 1, crossing))
    line = before + corners * (after - before)
    nearest = line[np.argmin(np.abs(line[:, 0] - line[:, 1]))]
    assert nearest.mean() == pytest.approx(rate, abs=1e-3)


def test_equal_error_rates_that_are_known():
    assert eer(det_curve([0.8, 0.9], [0.1, 0.2]))[0] == 0
    assert eer(det_curve([0.1, 0.2], [0.8, 0.9]))[0] == 1
    assert eer(det_curve([0.5, 0.5], [0.5, 0.5]))[0] == 0.5
    assert eer(det_curve([0.3, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.75])) == (0.25, 0.7)


@given(SCORES, SCORES, st.sampled_from([1.0, 0.5, 0.1, 0.01, 0.001]))
def test_the_threshold_of_a_rate_is_the_lowest_that_keeps_it(mated, non_mated, target):
    fnmr, threshold = fnmr_at_fmr(det_curve(mated, non_mated), target)
    assert counted(mated, non_mated, threshold) == (pytest.approx(0, abs=target), fnmr)
    assert all(counted(mated, non_mated, t)[0] > target for t in mated + non_mated if t < threshold)


def test_a_rate_that_is_met_exactly_is_met():
    non_mated = np.arange(1000) / 1000
    assert fnmr_at_fmr(det_curve([0.9985], non_mated), 1e-3) == (0.0, 0.9985)
    assert fnmr_at_fmr(det_curve([0.9], non_mated), 1e-3) == (1.0, 0.999)


@given(SCORES, SCORES)
def test_d_prime_is_the_distance_of_means_in_spreads(mated, non_mated):
    spread = np.sqrt((np.var(mated) + np.var(non_mated)) / 2)
    value = d_prime(mated, non_mated)
    if spread == 0:
        assert math.isnan(value)
    else:
        assert value == pytest.approx((np.mean(mated) - np.mean(non_mated)) / spread)


@pytest.mark.parametrize(("mated", "non_mated"), [([], [0.1]), ([0.1], []), ([math.nan], [0.1]), ([0.1], [math.inf])])
def test_what_is_no_score_is_refused(mated, non_mated):
    with pytest.raises(UsageError):
        det_curve(mated, non_mated)


@given(st.lists(st.tuples(COARSE, st.booleans()), min_size=1, max_size=20))
def test_no_threshold_decides_more_comparisons_rightly_than_the_best(trials):
    scores, labels = [s for s, _ in trials], [m for _, m in trials]

    def right(threshold):
        return sum((score >= threshold) == mated for score, mated in trials)

    assert right(best_threshold(scores, labels)) == max(right(t) for t in [*scores, 2.0])


def test_neighbouring_floats_are_told_apart():
    low, high = 0.5, math.nextafter(0.5, 1)
    assert best_threshold([low, high], [False, True]) == high


def test_each_fold_is_judged_at_the_best_threshold_of_the_others():
    scores = [0.9, 0.3, 0.2, 0.8, 0.6, 0.5]
    labels = [True, False, True, True, False, False]
    folds = accuracy_10_fold(scores, labels, [1, 1, 1, 2, 2, 2])
    assert folds.thresholds == (pytest.approx(0.7), pytest.approx(0.6))
    assert folds.accuracies == (2 / 3, 2 / 3)
    assert (folds.correct, folds.trials) == (4, 6)
    assert folds.mean == pytest.approx(2 / 3)
    assert folds.standard_error == 0


def test_one_fold_is_none():
    with pytest.raises(UsageError):
        accuracy_10_fold([0.1, 0.2], [True, False], [1, 1])


@given(SCORES, SCORES, st.integers(1, 7))
def test_a_summary_gives_exact_rates_at_its_edges(mated, non_mated, block):
    summary = ScoreSummary()
    for kind, scores in ((True, mated), (False, non_mated)):
        for start in range(0, len(scores), block):
            summary.add(scores[start : start + block], mated=kind)
    curve = summary.curve()
    assert (curve.mated, curve.non_mated) == (len(mated), len(non_mated))
    assert (curve.fmr[0], curve.fnmr[0], curve.fmr[-1], curve.fnmr[-1]) == (1, 0, 0, 1)
    for threshold, fmr, fnmr in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
        assert (fmr, fnmr) == counted(mated, non_mated, threshold)


@given(st.lists(COARSE, min_size=1, max_size=30), st.lists(COARSE, min_size=1, max_size=30))
def test_a_summary_of_scores_on_its_edges_is_the_whole_curve(mated, non_mated):
    summary, curve = ScoreSummary(), det_curve(mated, non_mated)
    summary.add(mated, mated=True)
    summary.add(non_mated, mated=False)
    told = summary.curve()
    assert told.thresholds[:-1] == pytest.approx(curve.thresholds[:-1])
    assert told.fmr.tolist() == curve.fmr.tolist()
    assert told.fnmr.tolist() == curve.fnmr.tolist()
    assert told.thresholds[-1] - told.thresholds[-2] == 1 / STEPS
    assert summary.d_prime() == pytest.approx(d_prime(mated, non_mated), nan_ok=True, rel=1e-6)


@given(SCORES, SCORES, st.integers(1, 40))
def test_histograms_count_every_score_once(mated, non_mated, bins):
    summary = ScoreSummary()
    summary.add(mated, mated=True)
    summary.add(non_mated, mated=False)
    for told in (histogram(mated, non_mated, bins=bins), summary.histogram(bins=bins)):
        assert told.mated.sum() == len(mated)
        assert told.non_mated.sum() == len(non_mated)
        assert len(told.edges) == len(told.mated) + 1 <= bins + 1
        for low, high, count in zip(told.edges[:-1], told.edges[1:], told.mated, strict=True):
            inside = sum(low <= score < high or score == high == told.edges[-1] for score in mated)
            assert count == inside


def test_rounding_past_one_counts_as_one():
    summary = ScoreSummary()
    summary.add([1 + 1e-12], mated=True)
    summary.add([-1 - 1e-12], mated=False)
    assert summary.curve().at(1.0) == (0, 0)
    with pytest.raises(UsageError):
        summary.add([math.nan], mated=True)
    with pytest.raises(UsageError, match="no mated"):
        ScoreSummary().curve()

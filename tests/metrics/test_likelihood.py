"""Likelihood ratios cost what they should, and cohorts are subtracted; against sklearn and plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.errors import UsageError
from facecli.metrics.likelihood import (
    WeightedScores,
    bounds,
    cllr,
    cohort_norm,
    evidence_weight,
    fit_line,
    min_cllr,
    pav,
)

SCORES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=30)


def weighted(scores, weights=None):
    values = np.asarray(scores, np.float64)
    return WeightedScores(values, np.ones(len(values)) if weights is None else np.asarray(weights, np.float64))


def test_the_cost_is_the_papers_formula():
    """By hand: LR 10 for a mated and 0.1 for a non-mated one."""
    assert cllr([1.0], [-1.0]) == pytest.approx(math.log2(1.1))
    assert cllr([0.0], [0.0]) == pytest.approx(1.0)
    assert cllr([math.inf], [-math.inf]) == 0
    assert cllr([-3.0], [3.0]) == pytest.approx(math.log2(1001))
    assert cllr([1.0, 2.0], [-1.0], weights=([3.0, 1.0], [1.0])) == pytest.approx(
        (0.75 * math.log2(1.1) + 0.25 * math.log2(1.01) + math.log2(1.1)) / 2
    )


@given(SCORES, SCORES)
@settings(max_examples=150, deadline=None)
def test_no_calibration_beats_pav(mated, non_mated):
    best = min_cllr(mated, non_mated)
    assert 0 <= best <= 1 + 1e-9
    for slope, intercept in ((0, 0), (1, 0), (5, -1), (20, -8)):
        line = [[slope * s + intercept for s in kind] for kind in (mated, non_mated)]
        assert best <= cllr(*line) + 1e-9


@given(SCORES, SCORES)
@settings(max_examples=100, deadline=None)
def test_pav_is_sklearns_isotonic_regression(mated, non_mated):
    from sklearn.isotonic import IsotonicRegression

    scores = np.concatenate([mated, non_mated])
    label = np.repeat([1.0, 0.0], [len(mated), len(non_mated)])
    weight = np.where(label == 1, 1 / len(mated), 1 / len(non_mated))
    theirs = IsotonicRegression(y_min=0, y_max=1).fit(scores, label, sample_weight=weight).predict(scores)
    ours = np.concatenate(pav(mated, non_mated))
    assert 1 / (1 + 10.0 ** -np.clip(ours, -300, 300)) == pytest.approx(theirs, abs=1e-6)


@given(SCORES, SCORES)
@settings(max_examples=100, deadline=None)
def test_a_higher_score_never_weighs_less(mated, non_mated):
    same, other = pav(mated, non_mated)
    both = sorted(zip([*mated, *non_mated], [*same, *other], strict=True))
    assert all(a[1] <= b[1] for a, b in pairwise(both))


@pytest.mark.parametrize("seed", range(5))
def test_the_line_is_sklearns_logistic_regression(seed):
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(seed)
    mated, non_mated = generator.normal(0.6, 0.15, 80), generator.normal(0.1, 0.12, 400)
    own = generator.uniform(0.5, 2, 80), generator.uniform(0.5, 2, 400)
    slope, intercept = fit_line(weighted(mated, own[0]), weighted(non_mated, own[1]))
    weight = np.concatenate([one / one.sum() / 2 for one in own])
    theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    theirs.fit(np.concatenate([mated, non_mated])[:, None], np.repeat([1, 0], [80, 400]), sample_weight=weight * 1000)
    assert slope * math.log(10) == pytest.approx(float(theirs.coef_[0, 0]), rel=1e-2)
    assert intercept * math.log(10) == pytest.approx(float(theirs.intercept_[0]), rel=1e-2)


def test_scores_that_are_log_likelihood_ratios_already_stay_what_they_are():
    """Normal scores with equal spread have a straight line, known in closed form."""
    generator = np.random.default_rng(3)
    mated, non_mated = generator.normal(0.6, 0.1, 200_000), generator.normal(0.2, 0.1, 200_000)
    slope, intercept = fit_line(weighted(mated), weighted(non_mated))
    assert slope * math.log(10) == pytest.approx(0.4 / 0.01, rel=0.02)
    assert -intercept / slope == pytest.approx(0.4, abs=0.003)
    line = [slope * kind + intercept for kind in (mated, non_mated)]
    assert cllr(*line) == pytest.approx(min_cllr(mated, non_mated), abs=1e-3)


def test_scores_without_overlap_have_a_finite_line_held_by_the_people():
    weight = evidence_weight(weighted([0.8, 0.9]), weighted([0.1, 0.2]), mated_people=30, pairs_of_people=30_000)
    assert math.isfinite(weight.slope)
    assert weight.log10_lr(1.0) == pytest.approx(4.0)
    assert weight.log10_lr(-1.0) == pytest.approx(-1.0)
    assert weight.log10_lr(0.5) == pytest.approx(0.0, abs=0.2)


def test_scores_that_say_the_opposite_say_nothing():
    assert fit_line(weighted([0.1, 0.2, 0.3]), weighted([0.7, 0.8, 0.9])) == (0.0, 0.0)


def test_bounds_are_the_rule_of_3():
    assert bounds(300, 3_000_000) == pytest.approx((-2.0, 6.0))
    assert bounds(0, 0) == (0.0, 0.0)


@pytest.mark.parametrize(("mated", "non_mated"), [([], [0.1]), ([0.1], []), ([0.5, 0.5], [0.5])])
def test_a_line_needs_both_kinds_and_scores_that_differ(mated, non_mated):
    with pytest.raises(UsageError, match="likelihood ratios need"):
        fit_line(weighted(mated), weighted(non_mated))


# --- cohorts ---------------------------------------------------------------------------------------------------------


def units(seed, count):
    vectors = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("top", [None, 5])
def test_normalised_scores_are_those_of_a_loop(top):
    vectors, cohort = units(1, 6), units(2, 40)
    norm = cohort_norm(vectors, cohort, top=top)
    for a in range(6):
        for b in range(6):
            raw = float(vectors[a] @ vectors[b])
            sides = []
            for side in (a, b):
                against = sorted((float(vectors[side] @ c) for c in cohort), reverse=True)[:top]
                mean = sum(against) / len(against)
                spread = math.sqrt(sum((x - mean) ** 2 for x in against) / len(against))
                sides.append((raw - mean) / spread)
            assert float(norm.z(raw, a)) == pytest.approx(sides[0], abs=1e-4)
            assert float(norm.t(raw, b)) == pytest.approx(sides[1], abs=1e-4)
            assert float(norm.s(raw, a, b)) == pytest.approx(sum(sides) / 2, abs=1e-4)
            assert float(norm.s(raw, a, b)) == float(norm.s(raw, b, a))


def test_a_cohort_of_one_is_none():
    with pytest.raises(UsageError, match="at least two"):
        cohort_norm(units(1, 3), units(2, 1))
    with pytest.raises(UsageError, match="different faces"):
        cohort_norm(units(1, 3), np.repeat(units(2, 1), 4, axis=0))

"""Intervals cover the truth as often as they say, and nothing is stated that the data can't show."""

from __future__ import annotations

import math
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from facecli.errors import SetupError, UsageError
from facecli.metrics import intervals
from facecli.metrics.intervals import (
    Method,
    Resampling,
    claimable,
    clopper_pearson,
    of_all_pairs,
    of_pairs,
    of_people,
    people_bootstrap,
    quotient,
    rate,
    resampled,
    rule_of_3,
    supported,
)

COUNTS = st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(COUNTS, st.sampled_from([0.9, 0.95, 0.99]))
def test_clopper_and_pearson_agree_with_scipys_test(counts, confidence):
    expected = binomtest(*counts).proportion_ci(confidence, method="exact")
    assert clopper_pearson(*counts, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("truth", [0.002, 0.05, 0.5])
def test_the_exact_interval_covers_the_truth_often_enough(truth):
    errors = np.arange(301)
    covered = [low <= truth <= high for low, high in (clopper_pearson(int(k), 300) for k in errors)]
    assert binom.pmf(errors, 300, truth) @ covered >= 0.95


def test_published_intervals():
    """1.7 errors of 100 would be nothing to quote; 3 of 100 is in every table: 0.62 % to 8.52 %."""
    assert clopper_pearson(3, 100) == pytest.approx((0.00623, 0.08518), abs=1e-5)
    assert rule_of_3(300) == pytest.approx(3 / 300, rel=0.01)
    assert rule_of_3(30_000) < 1e-4 < rule_of_3(29_000)
    assert rule_of_3(0) == 1


def test_thirty_errors_must_be_expected():
    assert supported(1e-4, 300_000)
    assert not supported(1e-4, 299_999)
    assert claimable(1e-4, 30_000)
    assert not claimable(1e-4, 29_000)


def test_no_error_is_a_bound_and_no_number():
    none = rate(0, 600)
    assert (none.value, none.low, none.high, none.method) == (None, 0, rule_of_3(600), Method.RULE_OF_3)
    fewer = rate(0, 600, units=20)
    assert fewer.high == rule_of_3(20)
    everything = rate(600, 600)
    assert (everything.value, everything.low, everything.high) == (None, 1 - rule_of_3(600), 1)
    assert none.complement() == everything
    nothing = rate(0, 0)
    assert (nothing.value, nothing.low, nothing.high, nothing.method) == (None, 0, 1, Method.NONE)


@given(COUNTS)
def test_a_rate_lies_in_its_interval_and_its_opposite_mirrors_it(counts):
    told = rate(*counts)
    assert 0 <= told.low <= counts[0] / counts[1] <= told.high <= 1
    opposite = told.complement()
    assert (opposite.low, opposite.high) == (1 - told.high, 1 - told.low)
    assert (told.value is None) == (counts[0] in {0, counts[1]}) == (opposite.value is None)


def test_a_bootstrap_of_few_errors_is_widened():
    low, high = clopper_pearson(2, 100)
    assert (rate(2, 100, over_people=(0.019, 0.021)).low, rate(2, 100, over_people=(0.019, 0.021)).high) == (low, high)
    wide = rate(2, 100, over_people=(0.0, 0.5), units=10)
    assert (wide.low, wide.high, wide.method) == (0.0, 0.5, Method.PEOPLE)


@pytest.mark.parametrize("counts", [(2, 1), (-1, 5), (1, 0)])
def test_more_errors_than_trials_are_refused(counts):
    with pytest.raises(UsageError):
        rate(*counts)
    with pytest.raises(UsageError):
        clopper_pearson(*counts)


def test_each_round_draws_as_many_people_as_there_are(monkeypatch):
    drawn = list(resampled(30, 100, seed=1, cells=30))
    assert [row for rows, _ in drawn for row in rows] == list(range(100))
    assert all((counts.sum(axis=1) == 30).all() for _, counts in drawn)
    monkeypatch.setattr(intervals, "BLOCK_CELLS", 210)
    pieces = list(resampled(30, 100, seed=1, cells=30))
    assert len(pieces) == 15
    assert np.array_equal(np.concatenate([c for _, c in pieces]), np.concatenate([c for _, c in drawn]))


PEOPLE = 6
TIMES = st.lists(st.lists(st.integers(0, 3), min_size=PEOPLE, max_size=PEOPLE), min_size=1, max_size=4)
PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda p: p[0] != p[1]), max_size=20)


@given(TIMES, PAIRS)
def test_what_belongs_to_two_people_counts_as_often_as_both_were_drawn(times, pairs):
    first, second = [p for p, _ in pairs], [q for _, q in pairs]
    expected = [sum(row[p] * row[q] for p, q in pairs) for row in times]
    assert of_pairs(first, second, PEOPLE)(np.array(times, float)).tolist() == expected
    weighted = of_pairs(first, second, PEOPLE, [2.5] * len(pairs))(np.array(times, float))
    assert weighted == pytest.approx([2.5 * value for value in expected])


@given(TIMES, st.lists(st.integers(0, 4), min_size=PEOPLE, max_size=PEOPLE))
def test_all_pairs_are_counted_without_listing_them(times, sizes):
    expected = [sum(row[p] * sizes[p] * row[q] * sizes[q] for p, q in combinations(range(PEOPLE), 2)) for row in times]
    assert of_all_pairs(sizes)(np.array(times, float)).tolist() == expected
    alone = [sum(n * size for n, size in zip(row, sizes, strict=True)) for row in times]
    assert of_people(sizes)(np.array(times, float)).tolist() == alone


def test_the_bootstrap_is_the_quantile_of_the_rounds():
    errors, trials = np.array([3, 0, 1, 2.0]), np.array([5, 4, 3, 0.0])
    drawn = np.concatenate([times for _, times in resampled(4, 200, seed=3, cells=4)])
    rates = [
        sum(t * e for t, e in zip(row, errors, strict=True)) / sum(t * n for t, n in zip(row, trials, strict=True))
        for row in drawn
        if row @ trials
    ]
    told = people_bootstrap(quotient(of_people(errors), of_people(trials)), 4, Resampling(200, 0.9, 3))
    assert told == pytest.approx(tuple(np.quantile(rates, [0.05, 0.95])))


def test_rounds_without_a_trial_are_left_out():
    assert people_bootstrap(lambda times: np.full(len(times), math.nan), 3) == (0.0, 1.0)
    with pytest.raises(UsageError):
        Resampling(rounds=0)


@settings(max_examples=1)
@given(st.just(7))
def test_people_who_are_alike_make_the_interval_wider_than_trials_would(seed):
    """40 people with 25 comparisons each, which all fail or all succeed: 40 trials, not 1,000."""
    failing = np.random.default_rng(seed).random(40) < 0.3
    low, high = people_bootstrap(quotient(of_people(failing * 25), of_people(np.full(40, 25))), 40)
    told = rate(int(failing.sum()) * 25, 1000, over_people=(low, high))
    assert told.high - told.low > 3 * np.subtract(*clopper_pearson(told.errors, 1000)[::-1])


@pytest.mark.parametrize("module", ["scipy", "scipy.special"])
def test_without_scipy_a_sentence_says_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SetupError) as told:
        clopper_pearson(1, 2)
    assert told.value.hint == "pip install 'facecli[evaluate]'"

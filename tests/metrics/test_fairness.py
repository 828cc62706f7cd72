"""Error rates by group, against loops that anyone can read."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.errors import UsageError
from facecli.metrics import inequity
from facecli.metrics.fairness import LEAST_PEOPLE, differentials
from facecli.metrics.grouped import PairList, all_pairs, listed
from facecli.metrics.intervals import Resampling

FEW = Resampling(rounds=60)
GROUPS = ("left", "right")


def crowd(seed=0, people=40, by_image=False):
    """Draw people; those of the second group look alike more often."""
    generator = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), generator.integers(1, 4, people))
    group = generator.integers(2, size=len(person)) if by_image else person % 2
    centres = generator.standard_normal((people, 6)) + (np.arange(people) % 2)[:, None]
    vectors = centres[person] + 0.4 * generator.standard_normal((len(person), 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, person, group


def counted(vectors, person, group, threshold):
    """Count (errors, trials) of every kind, pair by pair."""
    matches, misses = {}, {}
    for a, b in combinations(range(len(person)), 2):
        score = float(vectors[a] @ vectors[b])
        cell = tuple(sorted((int(group[a]), int(group[b]))))
        table = misses if person[a] == person[b] else matches
        wrong = score < threshold if person[a] == person[b] else score >= threshold
        errors, trials = table.get(cell, (0, 0))
        table[cell] = errors + wrong, trials + 1
    return matches, misses


@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.9])
def test_rates_within_and_between_groups_are_those_of_a_loop(by_image, threshold):
    vectors, person, group = crowd(by_image=by_image)
    matches, misses = counted(vectors, person, group, threshold)
    comparisons = all_pairs(vectors, person, group, GROUPS, floor=0.2)
    found = differentials(comparisons, threshold, target=0.1, resampling=FEW)
    for number, one in enumerate(found.groups):
        assert (one.fmr.errors, one.fmr.trials) == matches[number, number]
        assert (one.fnmr.errors, one.fnmr.trials) == misses[number, number]
        assert one.images == (group == number).sum()
        assert one.people == len(set(person[group == number].tolist()))
    [cross] = found.cross
    assert (cross.first, cross.second) == GROUPS
    assert (cross.fmr.errors, cross.fmr.trials) == matches[0, 1]
    assert comparisons.mated_across == misses.get((0, 1), (0, 0))[1]


@pytest.mark.parametrize("by_image", [False, True])
def test_a_list_of_all_pairs_says_what_all_pairs_say(by_image):
    vectors, person, group = crowd(seed=3, by_image=by_image)
    first, second = np.triu_indices(len(person), 1)
    scores = np.einsum("ij,ij->i", vectors[first], vectors[second])
    pairs = PairList(scores, person[first] == person[second], first, second, person, group)
    whole = all_pairs(vectors, person, group, GROUPS, floor=-1.0)
    one, other = (differentials(c, 0.8, target=0.05, resampling=FEW) for c in (listed(pairs, GROUPS), whole))
    for left, right in zip(one.groups, other.groups, strict=True):
        assert left.fmr == right.fmr
        assert left.fnmr == right.fnmr
        assert left.threshold == pytest.approx(right.threshold)
        assert left.mated_shift == pytest.approx(right.mated_shift)
        assert left.non_mated_shift == pytest.approx(right.non_mated_shift)
    assert one.cross == other.cross
    assert one.fmr == other.fmr
    assert one.garbe == other.garbe


def test_a_pair_that_is_called_mated_names_one_person():
    pairs = PairList(np.ones(1), np.ones(1, bool), np.array([0]), np.array([1]), np.arange(2), np.zeros(2, int))
    with pytest.raises(UsageError, match="called mated"):
        listed(pairs, ("all",))


def test_shifts_are_means_less_the_mean_of_all():
    vectors, person, group = crowd(seed=5)
    scores = vectors @ vectors.T
    upper = np.triu(np.ones_like(scores, bool), 1)
    inner = group[:, None] == group[None, :]
    for mated, name in ((True, "mated_shift"), (False, "non_mated_shift")):
        kind = upper & inner & ((person[:, None] == person[None, :]) == mated)
        found = differentials(all_pairs(vectors, person, group, GROUPS, floor=0.0), 0.5, target=0.1, resampling=FEW)
        for number, one in enumerate(found.groups):
            mine = kind & (group == number)[:, None]
            assert getattr(one, name) == pytest.approx(scores[mine].mean() - scores[kind].mean())


def test_the_own_threshold_is_the_lowest_that_holds_the_target():
    vectors, person, group = crowd(seed=6, people=60)
    found = differentials(all_pairs(vectors, person, group, GROUPS, floor=0.0), 0.9, target=0.05, resampling=FEW)
    for number, one in enumerate(found.groups):
        for threshold, kept in ((one.threshold, True), (np.nextafter(one.threshold, -1), False)):
            errors, trials = counted(vectors, person, group, threshold)[0][number, number]
            assert (errors / trials <= 0.05) == kept
        assert one.threshold_bound >= one.threshold
    assert found.worst is max(found.groups, key=lambda one: one.threshold)
    assert found.worst.name == "right"


def test_a_bootstrap_round_counts_a_comparison_as_often_as_its_people():
    """The interval of a rate is that of a plain loop over the same draws."""
    from facecli.metrics.intervals import resampled

    vectors, person, group = crowd(seed=7, people=24)
    found = differentials(all_pairs(vectors, person, group, GROUPS, floor=0.0), 0.7, target=0.05, resampling=FEW)
    rates = []
    for _, block in resampled(24, FEW.rounds, seed=FEW.seed, cells=24):
        for times in block:
            errors = trials = 0.0
            for a, b in combinations(range(len(person)), 2):
                if person[a] != person[b] and group[a] == group[b] == 1:
                    weight = times[person[a]] * times[person[b]]
                    trials += weight
                    errors += weight * (vectors[a] @ vectors[b] >= 0.7)
            rates.append(errors / trials)
    low, high = np.quantile(rates, [0.025, 0.975])
    assert found.groups[1].fmr.low <= low + 1e-12
    assert found.groups[1].fmr.high == pytest.approx(max(high, found.groups[1].fmr.high))
    assert found.groups[1].fmr.high >= high - 1e-12


def test_a_real_difference_is_hardly_ever_dealt_by_chance_and_none_is_often():
    vectors, person, group = crowd(seed=8, people=80)
    real = differentials(all_pairs(vectors, person, group, GROUPS, floor=0.0), 0.8, target=0.05, resampling=FEW)
    assert real.fmr.by_chance == pytest.approx(1 / 61)
    dealt = np.random.default_rng(1).permutation(80)[person] % 2
    none = differentials(all_pairs(vectors, person, dealt, GROUPS, floor=0.0), 0.8, target=0.05, resampling=FEW)
    assert none.fmr.by_chance > 0.05


def test_where_a_person_has_several_groups_nothing_is_said_of_chance():
    found = differentials(all_pairs(*crowd(by_image=True), GROUPS, floor=0.0), 0.8, target=0.05, resampling=FEW)
    assert found.fmr.by_chance is None


def test_a_small_group_is_told_and_left_out_of_the_figures():
    vectors, person, group = crowd(people=60)
    group = np.where(person < LEAST_PEOPLE - 1, 2, group)
    found = differentials(
        all_pairs(vectors, person, group, (*GROUPS, "few"), floor=0.0), 0.8, target=0.05, resampling=FEW
    )
    assert [one.counted for one in found.groups] == [True, True, False]
    assert found.compared == GROUPS
    assert len(found.cross) == 3
    rates = [one.fmr.value for one in found.groups[:2]]
    assert found.fmr.max_min.value == pytest.approx(max(rates) / min(rates))


def test_one_group_has_nothing_to_be_compared_with():
    vectors, person, _ = crowd()
    found = differentials(
        all_pairs(vectors, person, np.zeros_like(person), ("all",), floor=0.0), 0.8, target=0.05, resampling=FEW
    )
    assert found.cross == ()
    assert found.garbe.value is found.fdr.value is found.fmr.gini.value is found.fmr.by_chance is None


def test_a_group_without_errors_has_a_bound_and_no_ratio():
    vectors, person, group = crowd()
    found = differentials(all_pairs(vectors, person, group, GROUPS, floor=0.0), 0.99999, target=0.05, resampling=FEW)
    assert [one.fmr.value for one in found.groups] == [None, None]
    assert all(one.fmr.high > 0 for one in found.groups)
    assert found.fmr.max_min.value is None
    assert found.fmr.gini.value == 0


def test_what_can_not_be_known_is_refused():
    comparisons = all_pairs(*crowd(), GROUPS, floor=0.5)
    with pytest.raises(UsageError, match="were not kept"):
        differentials(comparisons, 0.4, target=0.1)
    with pytest.raises(UsageError, match="no error rate"):
        differentials(comparisons, 0.6, target=0)


# --- the figures -----------------------------------------------------------------------------------------------------

RATES = st.lists(st.just(0.0) | st.floats(1e-12, 1), min_size=2, max_size=8)


@given(RATES)
@settings(max_examples=200, deadline=None)
def test_gini_is_the_papers_formula(rates):
    count, mean = len(rates), sum(rates) / len(rates)
    total = sum(abs(a - b) for a in rates for b in rates)
    expected = count / (count - 1) * total / (2 * count**2 * mean) if mean else 0
    value = float(inequity.gini(rates))
    assert value == pytest.approx(expected, abs=1e-9)
    assert 0 <= value <= 1 + 1e-9


def test_figures_of_known_rates():
    """By hand: two groups, one with twice and thrice the other's rates."""
    fmr, fnmr = [1e-4, 2e-4], [0.03, 0.01]
    assert float(inequity.gini(fmr)) == pytest.approx(1 / 3)
    assert float(inequity.garbe(fmr, fnmr)) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert float(inequity.fairness_discrepancy_rate(fmr, fnmr)) == pytest.approx(1 - (1e-4 + 0.02) / 2)
    assert float(inequity.max_min(fmr)) == pytest.approx(2)
    assert float(inequity.max_geomean(fmr)) == pytest.approx(math.sqrt(2))


@given(RATES)
@settings(max_examples=200, deadline=None)
def test_equal_rates_are_equal_by_every_figure_and_order_does_not_matter(rates):
    same = [rates[0]] * len(rates)
    assert float(inequity.gini(same)) == pytest.approx(0, abs=1e-9)
    assert float(inequity.fairness_discrepancy_rate(same, same)) == 1
    for figure in (inequity.gini, inequity.max_min, inequity.max_geomean, inequity.apart):
        forth, back = (float(figure(order)) for order in (rates, rates[::-1]))
        assert forth == pytest.approx(back, nan_ok=True)


def test_a_ratio_to_nothing_is_undefined():
    assert math.isnan(float(inequity.max_min([0.0, 0.1])))
    assert math.isnan(float(inequity.max_geomean([0.0, 0.1])))
    assert float(inequity.gini([0.0, 0.1])) == pytest.approx(1)
    assert float(inequity.gini([0.0, 0.0])) == 0

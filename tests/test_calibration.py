"""Thresholds keep what they promise; every number is checked against loops that anyone can read."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli import calibration
from facecli.calibration import (
    Procedure,
    Unit,
    choose,
    choose_unchecked,
    compare_all,
    fmr_bound,
    fnmr_interval,
    halves,
    measure,
)
from facecli.errors import UnsupportedPointError, UsageError
from facecli.metrics import intervals
from facecli.metrics.intervals import resampled


def crowd(people, images, *, seed=0, dimension=24, noise=0.5):
    """Draw people as directions, and their photographs around them."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(people), images)
    centres = generator.standard_normal((people, dimension))
    vectors = centres[owners] + noise * generator.standard_normal((len(owners), dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), [f"person {owner:04d}" for owner in owners]


def all_pairs(vectors, people):
    """Return every pair of photographs as (score, first person, second person), by the plainest loop."""
    names = sorted(set(people))
    exact = vectors.astype(np.float64)
    return [
        (float(exact[a] @ exact[b]), *sorted((names.index(people[a]), names.index(people[b]))))
        for a, b in combinations(range(len(people)), 2)
    ]


def naive_fmr(pairs, images, threshold, counts, unit):
    """Return the FMR of one bootstrap round, term by term as the module's docstring has it."""
    above, drawn = 0.0, 0.0
    for i, j in combinations(range(len(images)), 2):
        weight = counts[i] * counts[j] * (images[i] * images[j] if unit is Unit.IMAGES else 1)
        hits = sum(1 for score, a, b in pairs if (a, b) == (i, j) and score >= threshold)
        above += weight * hits / (images[i] * images[j])
        drawn += weight
    return above / drawn if drawn else 0.0


@pytest.fixture
def small():
    return crowd(9, [1, 4, 2, 1, 3, 2, 1, 2, 5], seed=3, dimension=6)


@pytest.fixture
def kept_whole(monkeypatch, small):
    """Comparisons of the small crowd, none of them left out."""
    monkeypatch.setattr(calibration, "_floor", lambda *_, **__: -1.0)
    return compare_all(*small)


def test_every_pair_of_photographs_is_compared_once(small, kept_whole):
    pairs = all_pairs(*small)
    assert sorted(kept_whole.mated) == pytest.approx(sorted(s for s, i, j in pairs if i == j), abs=1e-12)
    expected = sorted(((s, i, j) for s, i, j in pairs if i != j), reverse=True)
    assert kept_whole.scores == pytest.approx([s for s, _, _ in expected], abs=1e-12)
    ends = [sorted(pair) for pair in zip(kept_whole.first.tolist(), kept_whole.second.tolist(), strict=True)]
    assert ends == [[i, j] for _, i, j in expected]


def test_the_order_of_the_photographs_does_not_matter(small):
    vectors, people = small
    order = np.random.default_rng(1).permutation(len(people))
    shuffled = compare_all(vectors[order], [people[i] for i in order], loosest=0.3)
    straight = compare_all(vectors, people, loosest=0.3)
    targets = [0.3, 0.1]
    assert choose_unchecked(shuffled, targets, Procedure()) == choose_unchecked(straight, targets, Procedure())


def test_blocks_change_nothing(small, monkeypatch):
    whole = compare_all(*small, loosest=0.2)
    chosen = choose_unchecked(whole, [0.2, 0.05], Procedure(rounds=50))
    for module in (calibration, intervals):
        monkeypatch.setattr(module, "BLOCK_CELLS", 70)
    pieces = compare_all(*small, loosest=0.2)
    assert np.array_equal(np.sort(whole.mated), np.sort(pieces.mated))
    assert whole.scores == pytest.approx(pieces.scores, abs=1e-15)
    assert choose_unchecked(pieces, [0.2, 0.05], Procedure(rounds=50)) == chosen


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.3, 0.6, 1.0])
def test_the_rate_is_the_plain_one(small, kept_whole, unit, threshold):
    expected = naive_fmr(all_pairs(*small), kept_whole.images.tolist(), threshold, [1] * 9, unit)
    assert kept_whole.fmr(threshold, unit) == pytest.approx(expected, abs=1e-12)


def test_pairs_are_counted_by_people_and_by_images(kept_whole):
    assert kept_whole.pairs(Unit.PEOPLE) == 36
    assert kept_whole.pairs(Unit.IMAGES) == (21**2 - sum(n * n for n in (1, 4, 2, 1, 3, 2, 1, 2, 5))) // 2


def test_a_hundred_photographs_of_one_person_count_as_one_photograph_would():
    """Every copy scores alike, so by people nothing changes; by images the copies rule."""
    vectors, people = crowd(12, 1, seed=5, dimension=4)
    many = np.concatenate([vectors, np.repeat(vectors[:1], 99, axis=0)]), people + people[:1] * 99
    one, hundred = compare_all(vectors, people, loosest=0.3), compare_all(*many, loosest=0.3)
    threshold = max(one.floor, hundred.floor, 0.4)
    assert hundred.fmr(threshold, Unit.PEOPLE) == pytest.approx(one.fmr(threshold, Unit.PEOPLE))
    assert hundred.fmr(threshold, Unit.IMAGES) != pytest.approx(one.fmr(threshold, Unit.IMAGES))


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("target", [0.4, 0.1])
def test_the_threshold_is_the_smallest_that_enough_rounds_keep(small, kept_whole, unit, target):
    procedure = Procedure(rounds=40, confidence=0.9, safety=0.5, units=(unit,), seed=7)
    pairs, images = all_pairs(*small), kept_whole.images.tolist()
    draws = np.concatenate([counts for _, counts in resampled(9, 40, seed=7, cells=9)])

    def kept(threshold):
        rates = [naive_fmr(pairs, images, threshold, counts, unit) for counts in draws]
        return sum(rate <= 0.5 * target + 1e-12 for rate in rates) >= 36

    (threshold,) = choose_unchecked(kept_whole, [target], procedure)
    just_looser = max(s for s in kept_whole.scores if s < threshold)
    assert kept(threshold)
    assert not kept(just_looser)
    assert threshold - just_looser > 0
    exact = math.nextafter(just_looser, 2)
    assert exact <= threshold <= exact + 2e-4


def test_two_units_give_the_stricter_threshold(kept_whole):
    each = [choose_unchecked(kept_whole, [0.2], Procedure(units=(unit,)))[0] for unit in Unit]
    assert choose_unchecked(kept_whole, [0.2], Procedure(units=tuple(Unit))) == [max(each)]


def test_a_person_is_never_paired_with_his_own_copy():
    """Two people, each unlike the other: rounds that draw one of them twice hold no pair, so there is no error."""
    vectors = np.eye(2, dtype=np.float32)
    comparisons = compare_all(vectors, ["a", "b"])
    assert fmr_bound(comparisons, 0.5, Unit.PEOPLE, Procedure(rounds=50)) == 0.0


def test_a_floor_too_high_makes_thresholds_stricter_never_looser(small, monkeypatch):
    exact = compare_all(*small, loosest=0.3)
    monkeypatch.setattr(calibration, "_floor", lambda *_, **__: 0.9)
    cut = compare_all(*small)
    assert choose_unchecked(cut, [0.3], Procedure())[0] >= max(0.9, choose_unchecked(exact, [0.3], Procedure())[0])
    with pytest.raises(UsageError, match=r"below 0\.9 were not kept"):
        cut.fmr(0.5, Unit.PEOPLE)


def test_measured_points_state_what_the_data_show():
    vectors, people = crowd(120, [1, 2, 3] * 40, seed=2)
    comparisons = compare_all(vectors, people, loosest=0.05)
    procedure = Procedure(rounds=300)
    loose, strict = measure(comparisons, [0.01, 0.05], procedure)
    assert (loose.fmr, strict.fmr) == (0.05, 0.01)
    assert loose.threshold < strict.threshold
    for point in (loose, strict):
        assert point.fmr_people_pairs < point.fmr_bound <= point.fmr / 2
        assert point.fmr_people_pairs == comparisons.fmr(point.threshold, Unit.PEOPLE)
        assert point.fmr_image_pairs == comparisons.fmr(point.threshold, Unit.IMAGES)
        assert point.fnmr == (comparisons.mated < point.threshold).mean()
        assert point.threshold == round(point.threshold, 4)
        low, high = fnmr_interval(comparisons, point.threshold, procedure)
        assert 0 <= low <= point.fnmr <= high <= 1


def test_the_promise_holds_on_people_who_did_not_set_the_threshold():
    vectors, people = crowd(300, 2, seed=4)
    comparisons = compare_all(vectors, people)
    kept = []
    for half in halves(300, 20, seed=1):
        (threshold,) = choose_unchecked(comparisons.only(half), [0.01], Procedure(rounds=200))
        kept.append(comparisons.only(~half).fmr(threshold, Unit.PEOPLE) <= 0.01)
    assert all(kept)


def test_part_of_the_people_is_compared_as_if_they_were_alone(small, kept_whole):
    vectors, people = small
    chosen = np.array([True, False, True, True, False, True, True, False, True])
    names = sorted(set(people))
    stay = [chosen[names.index(person)] for person in people]
    alone = compare_all(vectors[stay], [p for p, keep in zip(people, stay, strict=True) if keep])
    part = kept_whole.only(chosen)
    assert part.images.tolist() == alone.images.tolist()
    assert part.scores == pytest.approx(alone.scores, abs=1e-15)
    assert sorted(part.mated) == pytest.approx(sorted(alone.mated), abs=1e-15)
    assert part.fmr(0.2, Unit.PEOPLE) == pytest.approx(alone.fmr(0.2, Unit.PEOPLE))


def test_halves_share_nobody_and_repeat_with_the_seed():
    first, again = (list(halves(11, 4, seed=9)) for _ in range(2))
    assert all(half.sum() == 5 for half in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_a_rate_that_the_people_cannot_support_is_refused():
    """The rule of 30 at half the target: 300 people have 44,850 pairs, 224 errors at 1e-2 and 2 at 1e-4."""
    comparisons = compare_all(*crowd(300, 1))
    assert len(choose(comparisons, [1e-2], Procedure(rounds=20))) == 1
    with pytest.raises(UnsupportedPointError, match=r"300 people can't support FMR 0\.0001: .* 2\.2 of their 44,850"):
        choose(comparisons, [1e-2, 1e-4], Procedure())


def test_the_development_set_reaches_one_in_ten_thousand_and_no_further():
    """1,156 people: 33 pairs at half of 1e-4, 3 at half of 1e-5."""
    comparisons = compare_all(*crowd(1156, 1, dimension=8))
    calibration.require_support(comparisons, 1e-4, Procedure())
    with pytest.raises(UnsupportedPointError, match="1e-05"):
        choose(comparisons, [1e-5], Procedure())


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_what_is_no_rate_is_refused(kept_whole, target):
    with pytest.raises(UsageError, match="no error rate"):
        choose(kept_whole, [target], Procedure())


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"confidence": 1.0}, {"confidence": 0.0}, {"safety": 0.0}, {"safety": 1.1}, {"units": ()}]
)
def test_a_procedure_without_meaning_is_refused(wrong):
    with pytest.raises(UsageError, match="is no procedure"):
        Procedure(**wrong)


def test_templates_that_are_not_finite_or_have_no_name_are_refused(small):
    vectors, people = small
    with pytest.raises(UsageError, match="21 templates of 20 names"):
        compare_all(vectors, people[:-1])
    broken = vectors.copy()
    broken[3, 1] = np.nan
    with pytest.raises(UsageError, match="finite"):
        compare_all(broken, people)


def test_one_person_alone_has_no_stranger(small):
    vectors, _ = small
    with pytest.raises(UsageError, match="at least two people"):
        compare_all(vectors, ["the same"] * len(vectors))


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_missed_matches_are_counted_by_images_and_by_people(small, kept_whole, threshold):
    own = {}
    for score, i, j in all_pairs(*small):
        if i == j:
            own.setdefault(i, []).append(score < threshold)
    every = [missed for person in own.values() for missed in person]
    assert kept_whole.fnmr(threshold) == pytest.approx(sum(every) / len(every))
    by_people = sum(sum(person) / len(person) for person in own.values()) / len(own)
    assert kept_whole.fnmr(threshold, Unit.PEOPLE) == pytest.approx(by_people)


def test_people_with_one_photograph_each_have_no_mated_rate():
    comparisons = compare_all(*crowd(20, 1))
    assert math.isnan(comparisons.fnmr(0.5))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), targets=st.lists(st.floats(0.01, 0.5), min_size=2, max_size=4, unique=True))
def test_a_stricter_target_never_gets_a_looser_threshold(seed, targets):
    comparisons = compare_all(*crowd(15, 2, seed=seed), loosest=0.3)
    chosen = choose_unchecked(comparisons, sorted(targets), Procedure(rounds=40))
    assert chosen == sorted(chosen, reverse=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), thresholds=st.lists(st.floats(-1, 1), min_size=2, max_size=5))
def test_the_rate_falls_as_the_threshold_rises(seed, thresholds):
    comparisons = compare_all(*crowd(12, 2, seed=seed), loosest=0.3)
    known = sorted(t for t in thresholds if t >= comparisons.floor)
    for unit in Unit:
        rates = [comparisons.fmr(t, unit) for t in known]
        assert rates == sorted(rates, reverse=True)

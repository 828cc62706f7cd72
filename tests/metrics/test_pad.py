"""Presentation attack metrics: as a loop over presentations counts them, whatever the scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import UsageError
from facecli.metrics.pad import PadScores, bpcer_at_apcer, pad_curve, point_at, points_at, thinned

# Few distinct values, so that ties between species and kinds come up all the time.
score = st.one_of(st.integers(-3, 3).map(float), st.floats(-1, 1))
some_scores = st.lists(score, min_size=1, max_size=12)
some_attacks = st.dictionaries(st.sampled_from(["print", "replay", "mask", "<b>"]), some_scores, min_size=1)


def share(scores, threshold):
    """The part that is taken for bona fide, counted one by one."""
    taken = 0
    for one in scores:
        if one >= threshold:
            taken += 1
    return taken / len(scores)


def every_threshold(bona_fide, attacks):
    return [*sorted({*bona_fide, *(s for scores in attacks.values() for s in scores)}), math.inf]


@given(some_scores, some_attacks)
def test_the_curve_is_what_a_loop_counts(bona_fide, attacks):
    curve = pad_curve(bona_fide, attacks)
    assert curve.species == tuple(sorted(attacks))
    assert len(curve.thresholds) == len(every_threshold(bona_fide, attacks))
    for index, threshold in enumerate(curve.thresholds):
        assert curve.bpcer[index] == pytest.approx(1 - share(bona_fide, threshold), abs=1e-12)
        for row, name in enumerate(curve.species):
            assert curve.apcer[row, index] == pytest.approx(share(attacks[name], threshold), abs=1e-12)


@given(some_scores, some_attacks)
def test_apcer_falls_and_bpcer_rises_with_the_threshold(bona_fide, attacks):
    curve = pad_curve(bona_fide, attacks)
    assert (np.diff(curve.apcer, axis=1) <= 0).all()
    assert (np.diff(curve.bpcer) >= 0).all()
    assert (curve.apcer[:, 0] == 1).all()
    assert (curve.apcer[:, -1] == 0).all()
    assert (curve.bpcer[0], curve.bpcer[-1]) == (0, 1)


@given(some_scores, some_attacks, st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.5, 1.0]))
def test_bpcer_at_an_apcer_is_the_least_that_any_threshold_gives(bona_fide, attacks, target):
    """Every species must keep the target: a good one makes up for no bad one."""
    keeping = [
        threshold
        for threshold in every_threshold(bona_fide, attacks)
        if max(share(scores, threshold) for scores in attacks.values()) <= target
    ]
    bpcer, threshold = bpcer_at_apcer(pad_curve(bona_fide, attacks), target)
    assert bpcer == pytest.approx(min(1 - share(bona_fide, one) for one in keeping), abs=1e-12)
    assert threshold == keeping[0] or (keeping[0] == math.inf and threshold > max(bona_fide))


@st.composite
def whole_systems(draw):
    """Presentations with a detector's score and a comparison's."""
    bona_fide = draw(st.lists(st.tuples(score, score), min_size=1, max_size=12))
    attacks = draw(
        st.dictionaries(
            st.sampled_from(["print", "replay"]), st.lists(st.tuples(score, score), min_size=1, max_size=12), min_size=1
        )
    )
    return bona_fide, attacks


@given(whole_systems(), score, score)
def test_iapar_and_riapar_are_what_a_loop_counts(system, threshold, match_threshold):
    bona_fide, attacks = system
    point = point_at(_pad_scores(*system), threshold, match_threshold=match_threshold)
    refused = sum(1 for pad, match in bona_fide if not (pad >= threshold and match >= match_threshold))
    assert (point.frr.errors, point.frr.trials) == (refused, len(bona_fide))
    for species in point.species:
        through = sum(1 for pad, match in attacks[species.name] if pad >= threshold and match >= match_threshold)
        assert (species.iapar.errors, species.iapar.trials) == (through, len(attacks[species.name]))
        expected = through / len(attacks[species.name]) + refused / len(bona_fide)
        assert species.riapar == pytest.approx(expected, abs=1e-12)
        assert species.iapar.errors <= species.apcer.errors, "what matches must first have passed the detector"


def _pad_scores(bona_fide, attacks) -> PadScores:
    return PadScores(
        bona_fide=np.array([pad for pad, _ in bona_fide]),
        attacks={name: np.array([pad for pad, _ in rows]) for name, rows in attacks.items()},
        bona_fide_match=np.array([match for _, match in bona_fide]),
        attacks_match={name: np.array([match for _, match in rows]) for name, rows in attacks.items()},
    )


def test_the_worst_species_comes_first_and_has_an_exact_interval():
    scores = PadScores(
        np.array([0.9] * 8 + [0.1] * 2), {"mask": np.array([0.8] * 3 + [0.2] * 7), "print": np.zeros(10)}
    )
    point = point_at(scores, 0.5)
    assert [one.name for one in point.species] == ["mask", "print"]
    assert point.worst.apcer.value == 0.3
    # Clopper and Pearson (1934) for 3 of 10 at 95 %.
    assert (point.worst.apcer.low, point.worst.apcer.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)
    assert point.bpcer.value == 0.2
    assert point.species[1].apcer.value is None, "no error in ten is no rate of 0"
    assert point.species[1].apcer.high == pytest.approx(1 - 0.05**0.1)
    assert point.worst.iapar is None
    assert point.frr is None


def test_a_target_says_when_the_attacks_are_too_few_to_show_it():
    few = PadScores(np.ones(50), {"print": np.zeros(299), "mask": np.zeros(40)})
    assert [point.shown for point in points_at(few)] == [True, False, False]
    enough = PadScores(np.ones(50), {"print": np.zeros(299)})
    assert [point.shown for point in points_at(enough)] == [True, True, True]


@pytest.mark.parametrize(
    ("bona_fide", "attacks", "told"),
    [
        ([], {"print": [0.1]}, "no bona fide"),
        ([0.1], {}, "no attack"),
        ([0.1], {"print": []}, "no attack"),
        ([math.nan], {"print": [0.1]}, "not finite"),
    ],
)
def test_what_can_not_be_counted_is_refused(bona_fide, attacks, told):
    with pytest.raises(UsageError, match=told):
        pad_curve(bona_fide, attacks)


def test_a_rate_that_is_exactly_the_target_keeps_it():
    """1 - 19/20 is a hair above 0.05 in floating point; the count of one in twenty is not."""
    curve = pad_curve([0.9] * 10, {"print": [0.1] * 19 + [0.5]})
    assert bpcer_at_apcer(curve, 0.05) == (0.0, 0.5)


def test_a_thinned_curve_keeps_exact_rates_and_both_ends():
    curve = pad_curve(np.linspace(0, 1, 5000), {"print": np.linspace(-0.5, 0.5, 5000)})
    thin = thinned(curve, most=100)
    assert len(thin.thresholds) == 100
    assert (thin.bpcer[0], thin.bpcer[-1], thin.apcer[0, 0], thin.apcer[0, -1]) == (0, 1, 1, 0)
    places = np.searchsorted(curve.thresholds, thin.thresholds)
    assert np.array_equal(curve.bpcer[places], thin.bpcer)
    short = pad_curve([1.0], {"print": [0.0]})
    assert np.array_equal(thinned(short).thresholds, short.thresholds)

"""Searches are judged as a loop over all probes would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from facecli.errors import UsageError
from facecli.metrics.identification import cmc, fnir_at_fpir, identification_curve, joined, searches

COARSE = st.integers(-6, 6).map(lambda n: n / 6)  # many ties


@st.composite
def galleries(draw):
    """Draw (scores, own): mated and non-mated probes, at least one of each, against up to six people."""
    people, probes = draw(st.integers(1, 6)), draw(st.integers(2, 12))
    cells = draw(st.lists(COARSE, min_size=people * probes, max_size=people * probes))
    own = draw(st.lists(st.integers(-1, people - 1), min_size=probes - 2, max_size=probes - 2))
    return np.array(cells).reshape(probes, people), np.array([0, -1, *own])


def naive_rank(row, own):
    return 1 + sum(1 for person, score in enumerate(row) if person != own and score >= row[own])


@given(galleries())
def test_ranks_are_counted_against_the_system(gallery):
    scores, own = gallery
    found = searches(scores, own)
    assert found.rank.tolist() == [naive_rank(row, p) for row, p in zip(scores, own, strict=True) if p >= 0]
    assert found.own.tolist() == [row[p] for row, p in zip(scores, own, strict=True) if p >= 0]
    assert found.best.tolist() == [max(row) for row, p in zip(scores, own, strict=True) if p < 0]


@given(galleries())
def test_rank_k_rates_rise_to_one(gallery):
    scores, own = gallery
    rates = cmc(searches(scores, own))
    ranks = [naive_rank(row, p) for row, p in zip(scores, own, strict=True) if p >= 0]
    assert rates.tolist() == [sum(r <= k for r in ranks) / len(ranks) for k in range(1, scores.shape[1] + 1)]
    assert rates[-1] == 1


def test_scikit_learn_counts_the_same_top_k():
    generator = np.random.default_rng(3)
    scores, own = generator.standard_normal((200, 12)), generator.integers(12, size=200)
    rates = cmc(searches(scores, own))
    for k in (1, 3, 11):
        assert rates[k - 1] == pytest.approx(top_k_accuracy_score(own, scores, k=k, labels=range(12)))


@given(galleries(), st.integers(1, 3), COARSE)
def test_open_set_rates_are_what_a_loop_counts(gallery, rank, threshold):
    scores, own = gallery
    curve = identification_curve(searches(scores, own), rank=rank)
    for at in [*curve.thresholds.tolist(), threshold]:
        strangers = [max(row) >= at for row, p in zip(scores, own, strict=True) if p < 0]
        missed = [
            not (row[p] >= at and naive_rank(row, p) <= rank) for row, p in zip(scores, own, strict=True) if p >= 0
        ]
        assert curve.at(at) == (sum(strangers) / len(strangers), sum(missed) / len(missed))
    assert (np.diff(curve.fpir) <= 0).all()
    assert (np.diff(curve.fnir) >= 0).all()
    assert (curve.fpir[-1], curve.fnir[-1]) == (0, 1)


@given(galleries(), st.sampled_from([1.0, 0.5, 0.25, 0.0]))
def test_the_threshold_of_a_rate_is_the_lowest_that_keeps_it(gallery, target):
    curve = identification_curve(searches(*gallery))
    fnir, threshold = fnir_at_fpir(curve, target)
    assert curve.at(threshold) == (pytest.approx(0, abs=target), fnir)
    assert all(curve.at(t)[0] > target for t in curve.thresholds if t < threshold)


@given(galleries())
def test_blocks_of_probes_change_nothing(gallery):
    scores, own = gallery
    whole, pieces = (
        searches(scores, own),
        joined([searches(scores[n : n + 1], own[n : n + 1]) for n in range(len(own))]),
    )
    for name in ("own", "rank", "best"):
        assert getattr(whole, name).tolist() == getattr(pieces, name).tolist()


def test_what_can_not_be_measured_is_refused():
    with pytest.raises(UsageError, match="enrolled"):
        cmc(searches([[0.5]], [-1]))
    with pytest.raises(UsageError, match="strangers"):
        identification_curve(searches([[0.5]], [0]))
    with pytest.raises(UsageError):
        joined([])
    assert math.isinf(searches(np.zeros((1, 0)), [-1]).best[0])

"""All pairs in blocks are the same comparisons as a list of them, and both are what a loop counts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from facecli.errors import UsageError
from facecli.evaluate.embedding import Templates
from facecli.evaluate.protocols import Image
from facecli.evaluate.trials import Crossed, Listed
from facecli.metrics import pairs
from facecli.metrics.curves import d_prime
from facecli.types import Quality


def templates(sizes=(3, 1, 4, 2, 1, 5), *, seed=0, failed=()):
    """Draw people as directions, and their photographs around them, in a shuffled order."""
    generator = np.random.default_rng(seed)
    owner = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = generator.standard_normal((len(sizes), 16))
    vectors = centres[owner] + 0.8 * generator.standard_normal((len(owner), 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    images = tuple(Image(f"{n}.png", f"P{person}") for n, person in enumerate(owner))
    kept = [n for n in range(len(owner)) if n not in failed]
    row = np.full(len(owner), -1, np.int64)
    row[kept] = np.arange(len(kept))
    return Templates(images, row, vectors[kept], (Quality(1, 50, 0, 1),) * len(kept), ())


def all_pairs(given):
    """Return (score, first image, second image) of every pair, by the plainest loop."""
    exact = given.vectors.astype(np.float64)
    there = [n for n in range(len(given.images)) if given.row[n] >= 0]
    return [
        (float(exact[given.row[a]] @ exact[given.row[b]]), given.images[a], given.images[b])
        for a, b in combinations(there, 2)
    ]


def listed(given):
    names = sorted({image.person for image in given.images})
    found = all_pairs(given)
    return Listed(
        scores=np.array([score for score, _, _ in found]),
        mated=np.array([a.person == b.person for _, a, b in found]),
        first=np.array([names.index(a.person) for _, a, _ in found]),
        second=np.array([names.index(b.person) for _, _, b in found]),
        people=names,
        sources=np.array([(a.source, b.source) for _, a, b in found]),
    )


@pytest.fixture(params=[(), (0, 5)])
def both(request, monkeypatch):
    monkeypatch.setattr(pairs, "CELLS", 40)
    monkeypatch.setattr(pairs.blocks, "__kwdefaults__", {"cells": 40})
    given = templates(failed=request.param)
    return listed(given), Crossed(given), all_pairs(given)


def test_rates_are_what_a_loop_counts(both):
    _, crossed, found = both
    mated = [score for score, a, b in found if a.person == b.person]
    other = [score for score, a, b in found if a.person != b.person]
    curve = crossed.curve
    assert (curve.mated, curve.non_mated) == (len(mated), len(other))
    for threshold, fmr, fnmr in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
        assert fmr == sum(score >= threshold for score in other) / len(other)
        assert fnmr == sum(score < threshold for score in mated) / len(mated)
    assert crossed.d_prime == pytest.approx(d_prime(mated, other))
    assert crossed.histogram.mated.sum() == len(mated)


def test_a_list_and_blocks_agree(both):
    one, crossed, _ = both
    assert one.units == crossed.units
    assert (one.independent, crossed.independent) == (False, False)
    for threshold in crossed.curve.thresholds:
        assert one.curve.at(threshold) == crossed.curve.at(threshold)
    for count in (1, 7, 100):
        for ours, theirs in zip(one.worst(count), crossed.worst(count), strict=True):
            assert [pair.score for pair in ours] == pytest.approx([pair.score for pair in theirs])
            assert [{pair.first, pair.second} for pair in ours] == [{pair.first, pair.second} for pair in theirs]
            assert [{p.first_person, p.second_person} for p in ours] == [
                {p.first_person, p.second_person} for p in theirs
            ]


def test_people_drawn_again_count_as_a_loop_counts_them(both):
    one, crossed, found = both
    thresholds = np.array([0.0, 0.25, 0.5])
    times = np.random.default_rng(1).integers(0, 3, size=(5, len(crossed.people))).astype(float)
    drawn = [dict(zip(crossed.people, row, strict=True)) for row in times]

    def counted(mated, low, high):
        kept = [
            (a.person, b.person) for score, a, b in found if (a.person == b.person) == mated and low <= score < high
        ]
        return [sum(row[a] * (1 if mated else row[b]) for a, b in kept) for row in drawn]

    for trials in (one, crossed):
        told = trials.by_people(thresholds)
        assert told.non_mated(times).tolist() == counted(False, -2, 2)
        assert told.mated(times).tolist() == counted(True, -2, 2)
        for n, (low, high) in enumerate([(0.0, 0.25), (0.25, 0.5), (0.5, 2)]):
            assert told.non_mated_levels[n](times).tolist() == counted(False, low, high)
            assert told.mated_levels[n](times).tolist() == counted(True, low, high)


def test_trials_are_independent_where_nobody_comes_twice():
    people = {"people": ["a", "b", "c", "d"], "sources": None}
    scores, mated = np.array([0.9, 0.8, 0.1, 0.2]), np.array([True, True, False, False])
    once = Listed(scores, mated, np.array([0, 1, 0, 2]), np.array([0, 1, 1, 3]), **people)
    twice = Listed(scores, mated, np.array([0, 1, 0, 1]), np.array([0, 1, 1, 3]), **people)
    assert (once.independent, twice.independent) == (True, False)
    assert (once.units, twice.units) == ((2, 2), (2, 2))
    assert Listed(scores, mated, None, None, [], None).independent
    with pytest.raises(UsageError):
        Listed(scores, mated, None, None, [], None).by_people(np.array([0.5]))


@pytest.mark.parametrize("sizes", [(3,), (1, 1, 1), (1,)])
def test_too_few_people_are_refused(sizes):
    with pytest.raises(UsageError):
        Crossed(templates(sizes))

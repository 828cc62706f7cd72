"""The score has one value, whoever computes it, and its other forms convert both ways."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facecli import match
from facecli.errors import UsageError
from facecli.types import Fusion, Metric

SCORES = st.floats(-1, 1)


def unit(rng, count, dimension=128):
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exact(a, b):
    """The inner product in rational arithmetic."""
    return sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0))


def small(dimension):
    """Vectors no longer than 1, of all magnitudes down to denormals."""
    limit = float(np.float32(1 / math.sqrt(dimension + 1)))
    return hnp.arrays(np.float32, dimension, elements=st.floats(-limit, limit, width=32))


@given(small(16), small(16))
def test_a_score_is_the_exact_inner_product_rounded_once(a, b):
    assert match.score(a, b) == float(exact(a, b))


@given(small(16), small(16), st.permutations(range(16)))
def test_a_score_is_symmetric_and_knows_no_order(a, b, order):
    assert match.score(a, b) == match.score(b, a) == match.score(a[order], b[order])


def test_a_score_knows_no_stride_or_batch():
    rng = np.random.default_rng(1)
    a, b = unit(rng, 50), unit(rng, 50)
    strided = np.asfortranarray(np.repeat(b, 2, axis=1))[:, ::2]
    for one, other, apart in zip(a, b, strided, strict=True):
        assert match.score(one, other) == match.score(one.copy(), apart)


def test_a_score_against_oneself_is_one_to_rounding_and_never_more():
    for vector in unit(np.random.default_rng(2), 500):
        assert 1 - 1e-6 < match.score(vector, vector) <= 1
        assert -1 <= match.score(vector, -vector) < -1 + 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_score_from_what_is_not_finite(bad):
    [a, b] = unit(np.random.default_rng(3), 2)
    a[5] = bad
    with pytest.raises(ValueError, match=r"finite|inf"):
        match.score(a, b)
    b[5] = 0
    with pytest.raises(ValueError, match=r"finite|inf"):
        match.score(a, b)


def test_no_score_is_clipped_out_of_vectors_that_are_too_long():
    [a] = unit(np.random.default_rng(4), 1)
    with pytest.raises(ValueError, match="unit length"):
        match.score(2 * a, a)


def test_shapes_and_types_must_fit():
    [a] = unit(np.random.default_rng(5), 1)
    for other in (a[:64], a[None], a.astype(np.float64)):
        with pytest.raises(ValueError, match="float32 vectors of one length"):
            match.score(a, other)


def test_templates_are_checked_at_the_boundary():
    good = unit(np.random.default_rng(6), 3)
    assert match.checked(good, 128) is good
    assert len(match.checked(good[:0], 128)) == 0
    for bad, reason in [
        (good[:, :64], "expected float32 templates"),
        (good[0], "expected float32 templates"),
        (good.astype(np.float64), "expected float32 templates"),
        (good * np.float32(np.nan), "not finite"),
        (good * 0, "unit length; one is off by 1"),
        (good * np.float32(1.002), "unit length"),
    ]:
        with pytest.raises(ValueError, match=reason):
            match.checked(bad, 128)


@given(st.lists(SCORES, min_size=1, max_size=20), st.randoms())
def test_fusion_knows_no_order_and_stays_among_the_scores(scores, random):
    shuffled = random.sample(scores, len(scores))
    for fusion in Fusion:
        assert match.fuse(scores, fusion) == match.fuse(shuffled, fusion)
        assert min(scores) - 1e-15 <= match.fuse(scores, fusion) <= max(scores) + 1e-15


def test_fusion_by_value():
    assert match.fuse([0.2, 0.6], Fusion.MAX) == 0.6
    assert match.fuse([0.2, 0.6], Fusion.MEAN) == 0.4
    with pytest.raises(ValueError, match="no score"):
        match.fuse([], Fusion.MAX)


@pytest.mark.parametrize(
    ("metric", "score", "value"),
    [
        (Metric.COSINE, 0.363, 0.363),
        (Metric.ANGULAR, 1, 0),
        (Metric.ANGULAR, 0, 90),
        (Metric.ANGULAR, -1, 180),
        (Metric.EUCLIDEAN, 1, 0),
        (Metric.EUCLIDEAN, 0.5, 1),
        (Metric.EUCLIDEAN, -1, 2),
    ],
)
def test_forms_by_value(metric, score, value):
    assert match.shown(score, metric) == pytest.approx(value, abs=1e-12)
    assert match.as_score(value, metric) == pytest.approx(score, abs=1e-12)


@given(SCORES, st.sampled_from(Metric))
def test_a_form_converts_back(score, metric):
    assert match.as_score(match.shown(score, metric), metric) == pytest.approx(score, abs=1e-12)


@given(SCORES, SCORES, st.sampled_from([Metric.ANGULAR, Metric.EUCLIDEAN]))
def test_a_closer_score_is_never_shown_as_farther(one, other, metric):
    near, far = max(one, other), min(one, other)
    assert match.shown(near, metric) <= match.shown(far, metric)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Metric.COSINE, 1.01),
        (Metric.COSINE, -1.01),
        (Metric.ANGULAR, -0.1),
        (Metric.ANGULAR, 180.1),
        (Metric.EUCLIDEAN, 2.01),
        (Metric.EUCLIDEAN, -0.01),
        *((metric, math.nan) for metric in Metric),
        *((metric, math.inf) for metric in Metric),
    ],
)
def test_a_value_outside_its_range_is_a_usage_error(metric, value):
    with pytest.raises(UsageError, match=f"is no {metric}"):
        match.as_score(value, metric)

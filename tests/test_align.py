"""The similarity transform is the closed-form least-squares one; the crop depends on the face, not the resolution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.align import align, similarity
from facecli.errors import QualityError
from facecli.opencv import load_cv2
from facecli.testing import TEMPLATE

POINTS = np.array(TEMPLATE, np.float32)


def umeyama(source, target):
    """The published algorithm, by singular values (PAMI 1991, equations 40 to 42)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = u @ sign @ vt * (d * np.diag(sign)).sum() / a.var(0).sum()
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


@given(st.integers(0, 10_000))
def test_it_equals_the_published_algorithm(seed):
    source = POINTS + np.random.default_rng(seed).normal(0, 9, (5, 2)) * 2
    assert np.allclose(similarity(source, POINTS), umeyama(source.astype(float), POINTS.astype(float)), atol=1e-6)


@given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-500, 500))
def test_a_turned_scaled_and_moved_template_is_brought_back(degrees, scale, move):
    angle = np.radians(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = POINTS.astype(np.float64) @ linear.T + move
    matrix = similarity(moved, POINTS)
    assert np.allclose(moved @ matrix[:, :2].T + matrix[:, 2], POINTS, atol=1e-3)


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.full((5, 2), np.inf)])
def test_points_without_extent_are_refused(points):
    with pytest.raises(QualityError, match="can't be aligned"):
        similarity(points, POINTS)


def scene():
    luck = np.random.default_rng(5)
    return load_cv2().resize(luck.integers(0, 256, (14, 14, 3), dtype=np.uint8), (112, 112))


def test_points_on_the_template_leave_the_picture_as_it_is():
    assert np.array_equal(align(scene(), POINTS, size=(112, 112), template=POINTS), scene())


@pytest.mark.parametrize("factor", [2, 5, 16])
def test_the_crop_does_not_depend_on_the_resolution(factor):
    large = load_cv2().resize(scene(), None, fx=factor, fy=factor, interpolation=load_cv2().INTER_LINEAR)
    crop = align(large, (POINTS + 0.5) * factor - 0.5, size=(112, 112), template=POINTS)
    assert np.abs(crop.astype(int) - scene())[2:-2, 2:-2].mean() < 1.5


def test_fine_texture_averages_out_instead_of_being_sampled():
    board = (np.indices((1120, 1120)).sum(0) % 2 * 255).astype(np.uint8)
    crop = align(np.repeat(board[..., None], 3, 2), POINTS * 10, size=(112, 112), template=POINTS)
    assert abs(int(crop[20:-20, 20:-20].min()) - 127) <= 2
    assert abs(int(crop[20:-20, 20:-20].max()) - 128) <= 2


def test_a_face_turned_upside_down_is_set_upright():
    turned = np.ascontiguousarray(scene()[::-1, ::-1])
    crop = align(turned, 111 - POINTS, size=(112, 112), template=POINTS)
    assert np.abs(crop.astype(int) - scene()).max() <= 2


def test_what_lies_outside_the_frame_is_black():
    crop = align(np.full((112, 112, 3), 255, np.uint8), POINTS + 56, size=(112, 112), template=POINTS)
    assert crop[0, 0].tolist() == [255, 255, 255]
    assert crop[-1, -1].tolist() == [0, 0, 0]
    far = align(np.full((20, 20, 3), 255, np.uint8), POINTS * 9 + 5000, size=(112, 112), template=POINTS)
    assert far.max() == 0

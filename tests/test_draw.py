"""A drawing shows each face's box, points and number, and leaves the photograph as it was."""

import numpy as np
import pytest

from facecli.detect import DetectOptions
from facecli.draw import draw_faces
from facecli.testing import FakeDetector, drawn_photo
from facecli.types import Box, Face


def test_the_photograph_is_left_as_it_was():
    photo = drawn_photo(1, 2)
    before = photo.pixels.copy()
    draw_faces(photo.pixels, FakeDetector().detect(photo.pixels, DetectOptions()))
    assert np.array_equal(photo.pixels, before)


def test_the_box_is_drawn_where_the_face_is():
    photo = drawn_photo(1)
    (face,) = FakeDetector().detect(photo.pixels, DetectOptions())
    drawn = draw_faces(photo.pixels, [face])
    x, y = round(face.box.x), round(face.box.y + face.box.height / 2)
    assert drawn[y, x].tolist() == [60, 200, 60]
    assert not np.array_equal(drawn, photo.pixels)


@pytest.mark.parametrize("box", [Box(-50, -50, 40, 40), Box(0, 0, 1, 1), Box(90, 90, 500, 500)])
def test_a_face_that_leaves_the_frame_can_be_drawn(box):
    image = np.full((100, 100, 3), 255, np.uint8)
    points = np.full((5, 2), -20.0, np.float32)
    assert draw_faces(image, [Face(box, points, 0.5)]).shape == image.shape


def test_no_face_is_no_drawing():
    image = np.full((10, 10, 3), 7, np.uint8)
    assert np.array_equal(draw_faces(image, []), image)

"""The stand-ins behave as they say: same answer always, one person close to himself, people apart."""

import numpy as np
import pytest

from facecli.detect import DetectOptions
from facecli.errors import ModelIntegrityError
from facecli.pipeline import Pipeline
from facecli.testing import FakeDetector, FakeEmbedder, drawn_photo


def vector(*args, **kwargs):
    return Pipeline(FakeDetector(), FakeEmbedder()).sample(drawn_photo(*args, **kwargs)).vector


def test_drawings_are_the_same_always():
    assert drawn_photo(7, noise=5.0).sha256 == drawn_photo(7, noise=5.0).sha256
    assert np.array_equal(vector(7, noise=5.0), vector(7, noise=5.0))


def test_a_person_is_close_to_himself_whatever_the_size_and_less_so_with_noise():
    assert float(vector(7) @ vector(7, side_px=200)) > 0.999
    assert 0.5 < float(vector(7) @ vector(7, noise=20.0, name="b")) < 0.999


def test_people_are_apart():
    vectors = np.stack([vector(person) for person in range(60)])
    scores = (vectors @ vectors.T)[np.triu_indices(60, 1)]
    assert abs(float(scores.mean())) < 0.1
    assert float((scores > 0.8).mean()) < 0.02


def test_the_detector_counts_what_is_drawn():
    for people in range(4):
        photo = drawn_photo(*range(people))
        assert len(FakeDetector().detect(photo.pixels, DetectOptions())) == people
    assert FakeDetector(score=0.3).detect(drawn_photo(1).pixels, DetectOptions()) == []


def test_two_names_are_two_models():
    assert FakeEmbedder().pin == FakeEmbedder().pin
    assert FakeEmbedder("a").pin != FakeEmbedder("b").pin


def test_a_blank_crop_has_no_template():
    with pytest.raises(ModelIntegrityError):
        FakeEmbedder().embed([_blank()])


def _blank():
    crop = np.full((112, 112, 3), 127, np.uint8)
    crop[::2] += 1
    return crop

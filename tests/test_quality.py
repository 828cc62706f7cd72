"""Four measures, each with a floor; a refusal names the measured value, the limit, the remedy and the override."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import QualityError
from facecli.opencv import load_cv2
from facecli.quality import QualityLimits, check, measure, sharpness
from facecli.types import Box, Face, Quality

GOOD = Quality(detection=0.93, eye_distance_px=40.0, cut=0.0, sharpness=0.1)


def refusal(**changes):
    values = {name: getattr(GOOD, name) for name in ("detection", "eye_distance_px", "cut", "sharpness")} | changes
    with pytest.raises(QualityError) as caught:
        check(Quality(**values), QualityLimits(), "a.jpg")
    return caught.value


def test_a_good_face_passes():
    check(GOOD, QualityLimits(), "a.jpg")


@pytest.mark.parametrize(
    ("changes", "measured", "option"),
    [
        ({"detection": 0.71}, "0.710", "--min-detection"),
        ({"eye_distance_px": 9.5}, "9.5 px", "--min-eye-distance"),
        ({"cut": 0.25}, "25.0%", "--max-cut"),
        ({"sharpness": 0.004}, "0.0040", "--min-sharpness"),
    ],
)
def test_each_refusal_names_its_value_and_its_override(changes, measured, option):
    error = refusal(**changes)
    assert error.message.startswith("a.jpg ")
    assert measured in error.message
    assert option in error.hint


@pytest.mark.parametrize("name", ["detection", "eye_distance_px", "cut", "sharpness"])
def test_a_measure_that_is_no_number_is_refused(name):
    refusal(**{name: float("nan")})


def test_a_limit_itself_passes():
    limits = QualityLimits()
    check(
        Quality(limits.min_detection, limits.min_eye_distance_px, limits.max_cut, limits.min_sharpness), limits, "a.jpg"
    )


def face(box, eyes=((30.0, 40.0), (60.0, 80.0))):
    points = np.array([*eyes, (45, 50), (35, 60), (55, 60)], np.float32)
    return Face(box=box, points=points, score=0.9)


def test_the_measures_of_a_face():
    image, crop = np.zeros((100, 200, 3), np.uint8), np.zeros((112, 112, 3), np.uint8)
    quality = measure(image, face(Box(-20, 10, 80, 40)), crop)
    assert quality == Quality(detection=0.9, eye_distance_px=50.0, cut=0.25, sharpness=0.0)
    assert measure(image, face(Box(150, 80, 100, 40)), crop).cut == 0.75
    assert measure(image, face(Box(500, 80, 10, 10)), crop).cut == 1.0
    assert measure(image, face(Box(5, 5, 0, 10)), crop).cut == 1.0


def crop_of(seed):
    luck = np.random.default_rng(seed)
    return load_cv2().resize(luck.integers(60, 190, (40, 40, 3), dtype=np.uint8), (112, 112))


@given(st.integers(0, 99))
def test_the_more_blur_the_less_sharpness(seed):
    values = [
        sharpness(load_cv2().GaussianBlur(crop_of(seed), (0, 0), sigma) if sigma else crop_of(seed))
        for sigma in (0, 1, 2, 3)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 5 * values[2]


def test_contrast_and_brightness_do_not_count():
    crop = crop_of(1)
    flat = (crop.astype(float) * 0.5 + 60).round().astype(np.uint8)
    assert sharpness(flat) == pytest.approx(sharpness(crop), rel=0.1)


def test_a_blank_crop_is_not_sharp():
    assert sharpness(np.full((112, 112, 3), 90, np.uint8)) == 0.0


@pytest.mark.shared
@pytest.mark.weights
def test_a_blurred_photograph_is_refused_and_the_photograph_itself_passes(shared, yunet, sface):
    from facecli.image import read_photo
    from facecli.pipeline import Pipeline
    from facecli.types import Photo

    pipeline = Pipeline(yunet, sface)
    photo = read_photo(str(shared / "lfw-dev/lfw/Abba_Eban/Abba_Eban_0001.jpg"))
    pipeline.prepare(photo)
    blurred = load_cv2().GaussianBlur(photo.pixels, (0, 0), 5)
    with pytest.raises(QualityError, match="blurred"):
        pipeline.prepare(Photo(pixels=blurred, name="b", sha256="", format="png"))

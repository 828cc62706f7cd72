"""The order of the stages, which face is meant, and that the two halves give what the whole gives."""

import dataclasses

import numpy as np
import pytest

from facecli.detect import DetectOptions
from facecli.errors import NoFaceError, QualityError, SeveralFacesError
from facecli.pipeline import Pipeline, select
from facecli.quality import QualityLimits
from facecli.testing import FAKE_INPUT, FakeDetector, FakeEmbedder, drawn_photo
from facecli.types import Box, Face, FacePolicy, Photo


def pipeline(**kwargs):
    return Pipeline(FakeDetector(), FakeEmbedder(), **kwargs)


def test_a_photograph_becomes_a_sample():
    photo = drawn_photo(1)
    sample = pipeline().sample(photo)
    assert (sample.photo, sample.photo_sha256) == (photo.name, photo.sha256)
    assert sample.crop.shape == (112, 112, 3)
    assert np.linalg.norm(sample.vector.astype(float)) == pytest.approx(1)
    assert sample.quality == pipeline().measure(photo, sample.face)


def test_no_face_is_an_error_and_an_empty_list():
    assert pipeline().faces(drawn_photo()) == []
    for attempt in (pipeline().sample, pipeline().samples):
        with pytest.raises(NoFaceError, match=r"no face found in empty\.png"):
            attempt(drawn_photo(name="empty.png"))


def test_several_faces_stop_with_how_to_go_on():
    with pytest.raises(SeveralFacesError, match="shows 2 faces") as caught:
        pipeline().sample(drawn_photo(1, 2))
    for option in ("--faces largest", "--faces center", "--faces all"):
        assert option in caught.value.hint


def test_every_face_is_a_sample_of_its_own():
    found = pipeline().samples(drawn_photo(1, 2, 3))
    alone = [pipeline().sample(drawn_photo(person)) for person in (1, 2, 3)]
    assert [float(a.vector @ b.vector) for a, b in zip(found, alone, strict=True)] == pytest.approx([1, 1, 1], abs=1e-3)


def test_the_halves_give_what_the_whole_gives():
    photos = [drawn_photo(person, name=f"{person}") for person in range(5)]
    prepared = [pipeline().prepare(photo) for photo in photos]
    for sample, photo in zip(pipeline().embed(prepared), photos, strict=True):
        whole = pipeline().sample(photo)
        assert np.array_equal(sample.vector, whole.vector)
        assert np.array_equal(sample.crop, whole.crop)
        assert (sample.photo, sample.quality) == (whole.photo, whole.quality)


def test_a_poor_face_stops_before_the_embedder():
    strict = pipeline(quality_limits=QualityLimits(min_eye_distance_px=1000))
    for attempt in (strict.sample, strict.samples, strict.prepare):
        with pytest.raises(QualityError, match=r"drawn\.png shows the face too small"):
            attempt(drawn_photo(1))


def test_quality_does_not_depend_on_the_embedders_crop():
    class Larger(FakeEmbedder):
        inputs = (
            dataclasses.replace(
                FAKE_INPUT, width_px=224, height_px=224, points=tuple((x * 2, y * 2) for x, y in FAKE_INPUT.points)
            ),
        )

    prepared = Pipeline(FakeDetector(), Larger()).prepare(drawn_photo(1))
    assert prepared.crop.shape == (224, 224, 3)
    assert prepared.quality == pipeline().prepare(drawn_photo(1)).quality


def test_options_reach_the_detector():
    assert pipeline(detect_options=DetectOptions(min_face_px=113)).faces(drawn_photo(1)) == []


def face(x, y, side, score=0.9):
    return Face(box=Box(x, y, side, side), points=np.zeros((5, 2), np.float32), score=score)


PHOTO = Photo(pixels=np.zeros((100, 200, 3), np.uint8), name="-", sha256="", format="png")
FACES = [face(0, 0, 20, 0.95), face(90, 40, 20, 0.7), face(150, 20, 50, 0.8)]


def test_which_face_is_meant():
    assert select(FACES, FacePolicy.LARGEST, PHOTO) is FACES[2]
    assert select(FACES, FacePolicy.CENTER, PHOTO) is FACES[1]
    assert select(FACES[:1], FacePolicy.ONE, PHOTO) is FACES[0]
    with pytest.raises(SeveralFacesError, match="standard input shows 3 faces"):
        select(FACES, FacePolicy.ONE, PHOTO)


@pytest.mark.parametrize("policy", [FacePolicy.ONE, FacePolicy.LARGEST, FacePolicy.CENTER])
def test_no_policy_finds_a_face_where_none_is(policy):
    with pytest.raises(NoFaceError):
        select([], policy, PHOTO)


def test_all_names_no_single_face():
    with pytest.raises(ValueError, match="no single face"):
        select(FACES, FacePolicy.ALL, PHOTO)


@pytest.mark.weights
@pytest.mark.photographs
def test_two_photographs_of_one_person_are_closer_than_of_two_people(yunet, sface, photographs_folder):
    from facecli.image import read_photo

    real = Pipeline(yunet, sface)
    names = ("person_a_1", "person_a_2", "person_b_1", "person_b_2", "impostor_1", "impostor_2")
    vectors = {name: real.sample(read_photo(str(photographs_folder / f"{name}.jpg"))).vector for name in names}
    scores = {(a, b): float(vectors[a] @ vectors[b]) for a in names for b in names if a < b}
    mated = {pair: scores.pop(pair) for pair in (("person_a_1", "person_a_2"), ("person_b_1", "person_b_2"))}
    assert min(mated.values()) > 0.5
    assert max(scores.values()) < 0.3

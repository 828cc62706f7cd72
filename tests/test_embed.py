"""One embedder that does what its manifest says, gives unit vectors that no batch size changes, and fails closed."""

from types import SimpleNamespace

import numpy as np
import pytest

from facecli.embed import OnnxEmbedder, as_tensor
from facecli.errors import ModelIntegrityError
from facecli.manifest import InputSpec
from facecli.runtime import Device


def spec(colour="BGR", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), *, mirror=False):
    return InputSpec(4, 2, colour, mean, scale, points=((0.0, 0.0),), mirror=mirror)


class Network:
    """Answers with a given function of the input."""

    device = Device("cpu")

    def __init__(self, answer):
        self.answer, self.batches = answer, []

    def run(self, tensor):
        self.batches.append(len(tensor))
        return [self.answer(tensor).astype(np.float32)]


def embedder(answer, *, dimension=3, mirror=False, **kwargs):
    manifest = SimpleNamespace(name="tiny", dimension=dimension, input=spec(mirror=mirror), pin=lambda: "pin")
    return OnnxEmbedder(Network(answer), manifest, **kwargs)


def crops(count):
    return list(np.random.default_rng(2).integers(0, 256, (count, 2, 4, 3), dtype=np.uint8))


def test_colour_order_mean_and_scale_are_the_specs():
    crop = np.zeros((2, 4, 3), np.uint8)
    crop[..., 0], crop[..., 1], crop[..., 2] = 10, 20, 30  # BGR
    plain = as_tensor([crop], spec())
    assert (plain.shape, plain.dtype) == ((1, 3, 2, 4), np.float32)
    assert plain[0, :, 0, 0].tolist() == [10, 20, 30]
    turned = as_tensor([crop], spec("RGB", (1.0, 2.0, 3.0), (0.5, 1.0, 2.0)))
    assert turned[0, :, 1, 3].tolist() == [14.5, 18, 14]


def test_templates_have_unit_length_and_the_order_of_the_crops():
    found = embedder(lambda t: t.mean(axis=(2, 3)), batch=4).embed(crops(9))
    assert (found.shape, found.dtype) == ((9, 3), np.float32)
    assert np.allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=1e-7)
    means = np.stack(crops(9)).mean(axis=(1, 2))
    assert np.allclose(found, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6)


def test_a_mirrored_template_is_the_mean_direction_of_both_and_the_same_for_the_mirrored_face():
    def left_column(tensor):
        return tensor[:, :, :, 0].mean(axis=2)

    faces = crops(5)
    turned = [face[:, ::-1] for face in faces]
    a, b = embedder(left_column).embed(faces).astype(float), embedder(left_column).embed(turned).astype(float)
    mean = (a + b) / np.linalg.norm(a + b, axis=1, keepdims=True)
    both = embedder(left_column, mirror=True, batch=2)
    assert np.allclose(both.embed(faces), mean, atol=1e-6)
    assert np.array_equal(both.embed(faces), both.embed(turned))


def test_batches_are_no_larger_than_said():
    one = embedder(lambda t: t.mean(axis=(2, 3)), batch=4)
    one.embed(crops(9))
    assert one._session.batches == [4, 4, 1]


def test_no_crops_are_no_templates():
    assert embedder(lambda t: t).embed([]).shape == (0, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e-9])
def test_a_vector_without_direction_fails_closed(value):
    with pytest.raises(ModelIntegrityError, match="tiny gave no usable vector"):
        embedder(lambda t: np.full((len(t), 3), value)).embed(crops(1))


def test_one_bad_vector_fails_the_batch():
    with pytest.raises(ModelIntegrityError):
        embedder(lambda t: np.where(np.arange(len(t))[:, None] == 1, np.nan, 1.0) * np.ones(3)).embed(crops(3))


def test_another_dimension_fails():
    with pytest.raises(ModelIntegrityError, match="gave 3 values, its manifest says 5"):
        embedder(lambda t: t.mean(axis=(2, 3)), dimension=5).embed(crops(1))


@pytest.mark.parametrize("bad", [np.zeros((3, 4, 3), np.uint8), np.zeros((2, 4, 3), np.float32)])
def test_a_crop_of_another_shape_or_type_is_refused(bad):
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        embedder(lambda t: t).embed([bad])


@pytest.mark.weights
def test_the_real_templates_do_not_depend_on_the_batch(sface):
    crops = list(np.random.default_rng(4).integers(0, 256, (9, 112, 112, 3), dtype=np.uint8))
    alone = np.concatenate([sface.embed([crop]) for crop in crops])
    for batch in (2, 4, 9):
        assert np.array_equal(OnnxEmbedder(sface._session, sface._manifest, batch=batch).embed(crops), alone)

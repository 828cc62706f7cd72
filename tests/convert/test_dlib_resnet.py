"""dlib's network, read from its own format, computes the same; a damaged file is one error and nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from dlib_file import ThinNetwork, header, integer
from graphs import run
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.convert import convert
from facecli.convert.dlib_dat import read_layers
from facecli.errors import ModelIntegrityError

RECIPE = "dlib-resnet-1"
THIN = ThinNetwork(0)


@pytest.mark.parametrize("channels", [(2, 3, 3, 4, 4), (3, 5, 5, 7, 9), (1, 1, 1, 1, 1)])
def test_it_computes_what_the_file_says(channels):
    network = ThinNetwork(1, channels)
    images = np.random.default_rng(2).normal(size=(2, 3, 150, 150)).astype(np.float32)
    outputs = run(convert(RECIPE, network.file), images)[0]
    np.testing.assert_allclose(outputs, [network(image) for image in images], rtol=1e-4, atol=1e-5)


def test_both_versions_of_the_first_layer_are_read():
    old = ThinNetwork(3, first_version=2)
    assert convert(RECIPE, old.file) == convert(RECIPE, ThinNetwork(3).file)


def test_the_graph_takes_any_batch_and_says_what_it_takes():
    graph = onnx.load_from_string(convert(RECIPE, THIN.file)).graph
    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)]
    assert shapes == [["batch", 3, 150, 150], ["batch", 5]]


def test_the_layers_are_as_many_as_dlib_has():
    assert len(read_layers(THIN.file)) == 108


@pytest.mark.parametrize("cut", [0, 1, 17, 300, 2000, len(THIN.file) // 2, len(THIN.file) - 1])
def test_a_cut_file_is_refused(cut):
    with pytest.raises(ModelIntegrityError, match="not dlib's face recognition network"):
        convert(RECIPE, THIN.file[:cut])


def test_a_file_that_goes_on_is_refused():
    with pytest.raises(ModelIntegrityError, match="goes on"):
        convert(RECIPE, THIN.file + b"\0")


def test_a_tensor_of_an_impossible_size_takes_no_memory():
    monstrous = header() + integer(5) + b"con_4" + integer(2) + 4 * integer(2**60)
    with pytest.raises(ModelIntegrityError, match="in the middle of a field"):
        convert(RECIPE, monstrous)


def test_weights_that_are_no_numbers_are_refused():
    position = THIN.file.index(b"con_4") + 40
    for value in (np.nan, np.inf):
        damaged = bytearray(THIN.file)
        damaged[position : position + 4] = np.float32(value).tobytes()
        with pytest.raises(ModelIntegrityError, match="not finite"):
            convert(RECIPE, bytes(damaged))


def test_layers_in_an_impossible_order_are_refused():
    swapped = [THIN.layers[1], THIN.layers[0], *THIN.layers[2:]]
    swapped[0] += integer(1)
    swapped[1] = swapped[1].removesuffix(integer(1))
    with pytest.raises(ModelIntegrityError, match="affine"):
        convert(RECIPE, header() + b"".join(swapped))


@given(st.integers(0, len(THIN.file) - 1), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_ends_in_a_network_or_in_one_error(position, flip):
    damaged = bytearray(THIN.file)
    damaged[position] ^= flip
    try:
        assert convert(RECIPE, bytes(damaged))
    except ModelIntegrityError as error:
        assert "\n" not in error.message  # noqa: PT017 - either outcome is right


@pytest.mark.weights
def test_it_agrees_with_dlib_itself(dlib_file):
    """On ten random chips, and ten drawn ones: dlib's descriptors are not normalised, and neither are these."""
    dlib = pytest.importorskip("dlib")
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(convert(RECIPE, dlib_file.read_bytes()), options, providers=["CPUExecutionProvider"])
    peer = dlib.face_recognition_model_v1(str(dlib_file))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (10, 150, 150, 3), dtype=np.uint8)
    smooth = rng.integers(0, 256, (10, 5, 5, 3), dtype=np.uint8).repeat(30, 1).repeat(30, 2)
    chips = np.concatenate([noise, smooth])
    tensor = (chips.astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)) / 256
    ours = session.run(None, {"image": np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))})[0]
    theirs = np.array([peer.compute_face_descriptor(chip) for chip in chips])
    assert np.abs(ours - theirs).max() < 1e-5
    assert not np.allclose(np.linalg.norm(ours, axis=1), 1, atol=0.02)

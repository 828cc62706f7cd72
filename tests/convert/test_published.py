"""The published files, converted, give what OpenCV makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import run
from onnx import ModelProto, numpy_helper

from facecli.convert import blockquant, convert
from facecli.runtime import RuntimeOptions, open_session

pytestmark = pytest.mark.weights


def by_hand(model: ModelProto) -> dict[str, np.ndarray]:
    """Decode every block-quantised weight again: axis moved last, padded to whole blocks, one product."""
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        settings = {a.name: a.i for a in node.attribute}
        x, scale, zero = (np.moveaxis(known[name], settings["axis"], -1) for name in node.input)
        block = settings["block_size"]
        length = x.shape[-1]
        padded = np.pad(x.astype(np.float32), [*[(0, 0)] * (x.ndim - 1), (0, -length % block)])
        blocks = padded.reshape(*scale.shape, block)
        values = (blocks - zero.astype(np.float32)[..., None]) * scale[..., None]
        found[node.output[0]] = np.moveaxis(values.reshape(*x.shape[:-1], -1)[..., :length], -1, settings["axis"])
    return found


@pytest.mark.parametrize("name", ["yunet_file", "sface_file"])
def test_every_weight_is_decoded_to_the_last_bit(name, request):
    source = request.getfixturevalue(name).read_bytes()
    model = ModelProto.FromString(source)
    expected = by_hand(model)
    blockquant.decode_weights(model)
    decoded = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert len(expected) in {64, 29}
    assert all(np.array_equal(decoded[key], value) for key, value in expected.items())


def test_sface_gives_the_template_that_opencv_computes(sface_file, tmp_path, monkeypatch):
    """OpenCV refuses the raw file, so it gets the decoded one, with PReLU as published."""
    import cv2

    from facecli.convert import prelu

    x = np.random.default_rng(0).uniform(0, 255, (1, 3, 112, 112)).astype(np.float32)
    ours = run(convert("blockquant-1", sface_file.read_bytes()), x)[0]
    monkeypatch.setattr(prelu, "split_prelu", lambda model: None)
    path = tmp_path / "sface.onnx"
    path.write_bytes(convert("blockquant-1", sface_file.read_bytes()))
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(x)
    theirs = network.forward()
    assert ours.shape == (1, 128)
    np.testing.assert_allclose(ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs), rtol=0, atol=1e-5)


def test_yunet_finds_what_opencv_finds_in_the_raw_file(yunet_file):
    """Outputs of the raw file in OpenCV, at the size that it was published for and at another one."""
    import cv2

    converted = convert("blockquant-fcn-1", yunet_file.read_bytes())
    for height, width in ((640, 640), (224, 320)):
        image = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        image = image.repeat(8, 0).repeat(8, 1)
        tensor = image.astype(np.float32).transpose(2, 0, 1)[None]
        network = cv2.dnn.readNetFromONNX(str(yunet_file))
        network.setInput(tensor)
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
        for ours, theirs in zip(run(converted, tensor), network.forward(names), strict=True):
            np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=0, atol=2e-4)


def test_a_batch_of_photographs_gives_what_each_gives_alone(yunet_file):
    converted = convert("blockquant-fcn-1", yunet_file.read_bytes())
    images = np.random.default_rng(2).uniform(0, 255, (3, 3, 64, 96)).astype(np.float32)
    together = run(converted, images)
    alone = [run(converted, image[None]) for image in images]
    for i, output in enumerate(together):
        assert np.array_equal(output, np.concatenate([single[i] for single in alone]))


@pytest.mark.parametrize(
    ("name", "recipe", "shape"),
    [
        ("sface_file", "blockquant-1", (3, 112, 112)),
        ("yunet_file", "blockquant-fcn-1", (3, 160, 224)),
        ("dlib_file", "dlib-resnet-1", (3, 150, 150)),
    ],
)
def test_results_are_the_same_to_the_last_bit_however_it_runs(name, recipe, shape, request, tmp_path):
    """Threads, batch size, and a graph from the cache change no bit: P9 of the targets."""
    path = tmp_path / "model.onnx"
    path.write_bytes(convert(recipe, request.getfixturevalue(name).read_bytes()))
    images = np.random.default_rng(3).normal(0, 1, (3, *shape)).astype(np.float32)
    expected = None
    for threads in (1, 2):
        for cache in (None, tmp_path / "cache", tmp_path / "cache"):
            session = open_session(path, RuntimeOptions("cpu", threads, cache))
            for batch in (1, 2, 3):
                parts = [session.run(images[start : start + batch]) for start in range(0, 3, batch)]
                outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
                expected = expected or outputs
                assert all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))


def test_a_flipped_bit_in_the_cached_weights_is_never_run(sface_file, tmp_path):
    path = tmp_path / "sface.onnx"
    path.write_bytes(convert("blockquant-1", sface_file.read_bytes()))
    options = RuntimeOptions("cpu", cache=tmp_path / "cache")
    x = np.random.default_rng(0).uniform(0, 255, (1, 3, 112, 112)).astype(np.float32)
    expected = open_session(path, options).run(x)[0]
    (entry,) = options.cache.iterdir()
    weights = bytearray((entry / "weights.bin").read_bytes())
    weights[3] ^= 0x40
    (entry / "weights.bin").write_bytes(weights)
    assert np.array_equal(open_session(path, options).run(x)[0], expected)
    assert (entry / "weights.bin").read_bytes()[3] == weights[3] ^ 0x40

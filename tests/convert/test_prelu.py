"""PReLU as two convolutions and a relu is still PReLU."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import embedder, graph, run, weights
from onnx import helper

from facecli.convert.prelu import split_prelu


def prelu(slope, shape=(1, 3, 8, 8)):
    return graph([helper.make_node("PRelu", ["x", "a"], ["y"])], [weights("a", slope)], shape=shape)


def test_it_computes_prelu():
    slope = np.array([0.25, -0.5, 1.5], np.float32).reshape(3, 1, 1)
    x = np.random.default_rng(0).normal(0, 3, (1, 3, 8, 8)).astype(np.float32)
    model = prelu(slope)
    split_prelu(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Conv", "Conv", "Add"]
    np.testing.assert_allclose(run(model, x)[0], np.where(x > 0, x, slope * x), rtol=0, atol=2e-6)


def test_an_embedder_gives_the_same_templates():
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8))
    before, model = run(embedder(), x)[0], embedder()
    split_prelu(model)
    np.testing.assert_allclose(run(model, x)[0], before, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("slope", "shape"),
    [
        (np.array([0.5], np.float32), (1, 3, 8, 8)),
        (np.full((3, 8, 8), 0.5, np.float32), (1, 3, 8, 8)),
        (np.full((8, 1, 1), 0.5, np.float32), (8, 8, 8)),
    ],
    ids=["one slope", "a slope for each pixel", "not feature maps"],
)
def test_another_kind_of_prelu_is_left_alone(slope, shape):
    model = prelu(slope, shape)
    split_prelu(model)
    assert [node.op_type for node in model.graph.node] == ["PRelu"]

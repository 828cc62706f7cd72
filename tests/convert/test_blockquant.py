"""Decoded weights are what the ONNX standard says they are, held against a loop that reads like its text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from graphs import graph, run, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from facecli.convert.blockquant import decode_weights
from facecli.convert.onnx_graph import lower_opset
from facecli.errors import ModelIntegrityError


def by_the_standard(x, scale, zero, axis, block):
    """y[i] = (x[i] - zero[i']) * scale[i'], where i' is i with its index on the axis divided by the block."""
    y = np.empty(x.shape, np.float32)
    for index in itertools.product(*map(range, x.shape)):
        if scale.ndim == 0:
            where = ()
        elif block:
            where = tuple(i // block if a == axis else i for a, i in enumerate(index))
        else:
            where = (index[axis],)
        y[index] = (np.float32(int(x[index]) - int(zero[where]))) * scale[where]
    return y


def quantised(x, scale, zero, axis=1, block=0, *, target=None):
    """A graph whose only weight is quantised; it adds the weight's sum to the image."""
    nodes = [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=axis, block_size=block)]
    initializers = [weights("q", x), weights("s", scale), weights("z", zero)]
    if target is not None:
        nodes.append(helper.make_node("Reshape", ["d", "t"], ["r"]))
        initializers.append(weights("t", np.array(target, np.int64)))
    nodes.append(helper.make_node("ReduceSum", ["r" if target is not None else "d"], ["sum"], keepdims=0))
    nodes.append(helper.make_node("Add", ["x", "sum"], ["y"]))
    return graph(nodes, initializers)


def decoded(model, name="d"):
    decode_weights(model)
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}[name]


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9)),
    axis=st.sampled_from([0, 1]),
    block=st.integers(1, 5),
    kind=st.sampled_from([np.int8, np.uint8]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_blocks_are_decoded_as_the_standard_has_it(shape, axis, block, kind, seed):
    rng = np.random.default_rng(seed)
    limits = np.iinfo(kind)
    blocks = tuple(-(-n // block) if a == axis else n for a, n in enumerate(shape))
    x = rng.integers(limits.min, limits.max + 1, shape).astype(kind)
    zero = rng.integers(limits.min, limits.max + 1, blocks).astype(kind)
    scale = rng.uniform(1e-4, 0.1, blocks).astype(np.float32)
    assert np.array_equal(decoded(quantised(x, scale, zero, axis, block)), by_the_standard(x, scale, zero, axis, block))


def test_one_dimensional_blocks_are_decoded():
    """onnxruntime itself fails on these, and YuNet's biases are such."""
    x = np.arange(-5, 5, dtype=np.int8)
    scale, zero = np.array([0.5, 2, 4], np.float32), np.array([1, 0, -1], np.int8)
    assert decoded(quantised(x, scale, zero, axis=0, block=4)).tolist() == [-3, -2.5, -2, -1.5, -2, 0, 2, 4, 16, 20]


@pytest.mark.parametrize("per_axis", [False, True])
def test_whole_tensors_and_axes_are_decoded(per_axis):
    x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    scale = np.array([0.5, 1, 2, 3], np.float32) if per_axis else np.array(0.25, np.float32)
    zero = np.array([1, 2, 3, 4], np.uint8) if per_axis else np.array(5, np.uint8)
    assert np.array_equal(decoded(quantised(x, scale, zero)), by_the_standard(x, scale, zero, 1, 0))


def test_the_reshape_behind_is_carried_out_too():
    x = np.arange(24, dtype=np.int8).reshape(2, 12)
    scale, zero = np.ones((2, 3), np.float32), np.zeros((2, 3), np.int8)
    model = quantised(x, scale, zero, 1, 4, target=(0, -1, 2, 2))
    assert decoded(model, "r").tolist() == x.reshape(2, 3, 2, 2).tolist()
    assert [node.op_type for node in model.graph.node] == ["ReduceSum", "Add"]


def test_the_graph_computes_what_it_computed():
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (2, 12)).astype(np.int8)
    model = quantised(x, rng.uniform(0.01, 1, (2, 3)).astype(np.float32), np.zeros((2, 3), np.int8), 1, 4)
    image = rng.normal(size=(1, 3, 8, 8))
    before = run(model, image)[0]
    decode_weights(model)
    assert np.array_equal(run(model, image)[0], before)


@pytest.mark.parametrize("blocks", [(2, 2), (2, 4), (1, 3)])
def test_scales_that_do_not_fit_are_refused(blocks):
    x = np.zeros((2, 12), np.int8)
    model = quantised(x, np.ones(blocks, np.float32), np.zeros(blocks, np.int8), 1, 4)
    if blocks == (1, 3):
        model.graph.initializer[1].CopyFrom(weights("s", np.ones((3, 3), np.float32)))
    with pytest.raises(ModelIntegrityError, match="does not fit its scales"):
        decode_weights(model)


def test_quantised_activations_are_refused():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = graph(nodes, [weights("s", np.float32(0.5)), weights("z", np.int8(0))])
    with pytest.raises(ModelIntegrityError, match="more than its weights"):
        decode_weights(model)


def test_a_decoded_model_is_declared_in_the_opset_that_every_provider_runs():
    weight = weights("w", np.ones((2, 3, 1, 1), np.float32))
    plain = graph([helper.make_node("Conv", ["x", "w"], ["y"])], [weight])
    lower_opset(plain)
    assert plain.opset_import[0].version == 17
    newer = graph([helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Gelu", ["c"], ["y"])], [weight])
    lower_opset(newer)
    assert newer.opset_import[0].version == 21


def test_an_attribute_that_the_older_opset_lacks_keeps_the_newer_one():
    scales = weights("s", np.array([1, 1, 2, 2], np.float32))
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], antialias=1, mode="linear")
    model = graph([node], [scales])
    lower_opset(model)
    assert model.opset_import[0].version == 21

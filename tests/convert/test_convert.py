"""Recipes: what goes in, what comes out, what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import embedder, graph, run, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from facecli.convert import RECIPES, convert
from facecli.errors import ModelIntegrityError


def shape_of(value) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def detector():
    """A fully convolutional network whose output is reshaped with a batch of 1 spelt out, as YuNet's is."""
    node = helper.make_node
    rng = np.random.default_rng(2)
    return graph(
        [
            node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
            node("Reshape", ["t", "to"], ["y"]),
        ],
        [weights("w", rng.normal(size=(4, 3, 3, 3)).astype(np.float32)), weights("to", np.array([1, -1, 4], np.int64))],
    )


def quantised_embedder():
    """The embedder with its convolution's weights in blocks of nine, as the published files have them."""
    model = embedder()
    rng = np.random.default_rng(6)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
    model.graph.initializer.remove(weight)
    model.graph.initializer.extend(
        [
            weights("q", rng.integers(-128, 128, (16, 27)).astype(np.int8)),
            weights("s", rng.uniform(0.001, 0.01, (16, 3)).astype(np.float32)),
            weights("z", rng.integers(-5, 5, (16, 3)).astype(np.int8)),
            weights("to", np.array([16, 3, 3, 3], np.int64)),
        ]
    )
    decode = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1, block_size=9),
        helper.make_node("Reshape", ["d", "to"], ["w"]),
    ]
    nodes = [*decode, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


SOURCES = {
    "none-1": embedder().SerializeToString(),
    "none-fcn-1": detector().SerializeToString(),
    "blockquant-1": quantised_embedder().SerializeToString(),
}


def test_a_quantised_network_computes_what_it_computed():
    x = np.random.default_rng(7).normal(size=(1, 3, 8, 8))
    before = run(SOURCES["blockquant-1"], x)[0]
    np.testing.assert_allclose(
        run(convert("blockquant-1", SOURCES["blockquant-1"]), x)[0], before, rtol=1e-5, atol=1e-4
    )


def test_an_unknown_recipe_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ModelIntegrityError, match="blockquant-9") as caught:
        convert("blockquant-9", embedder().SerializeToString())
    assert all(recipe in caught.value.hint for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("source", [b"", b"nonsense", b"\x00" * 1000])
def test_a_file_of_another_kind_is_refused(recipe, source):
    with pytest.raises(ModelIntegrityError):
        convert(recipe, source)


def test_the_batch_becomes_free_and_a_batch_is_its_single_images():
    converted = convert("none-1", embedder().SerializeToString())
    model = onnx.load_from_string(converted)
    assert shape_of(model.graph.input[0]) == ["batch", 3, 8, 8]
    assert shape_of(model.graph.output[0]) == ["batch", 5]
    x = np.random.default_rng(3).normal(size=(4, 3, 8, 8))
    single = np.concatenate([run(embedder(), image[None])[0] for image in x])
    np.testing.assert_allclose(run(converted, x)[0], single, rtol=1e-5, atol=1e-4)


def test_a_network_with_a_fixed_batch_stays_as_it_is():
    """A Reshape to (3, 64) mixes images once there are several: the batch must stay 1."""
    nodes = [helper.make_node("Reshape", ["x", "to"], ["y"])]
    converted = convert("none-1", graph(nodes, [weights("to", np.array([3, 64], np.int64))]).SerializeToString())
    assert shape_of(onnx.load_from_string(converted).graph.input[0]) == [1, 3, 8, 8]


def test_a_reshape_that_gathers_pieces_of_one_image_is_not_taken_for_a_batch():
    """Image -> four windows -> image, as window attention has it: (4, ...) to (1, ...) must stay (1, ...)."""
    nodes = [
        helper.make_node("Reshape", ["x", "windows"], ["w"]),
        helper.make_node("Reshape", ["w", "image"], ["y"]),
    ]
    shapes = [weights("windows", np.array([4, 3, 4, 4], np.int64)), weights("image", np.array([1, 3, 8, 8], np.int64))]
    converted = convert("none-1", graph(nodes, shapes).SerializeToString())
    x = np.random.default_rng(8).normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert np.array_equal(run(converted, x)[0], x)


def test_weights_that_only_a_nested_graph_reads_are_kept():
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    then, other = (
        helper.make_graph([helper.make_node("Add", ["x", name], ["z"])], name, [], [value]) for name in ("a", "b")
    )
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    numbers = [weights("c", np.array(True)), weights("a", np.float32([1])), weights("b", np.float32([2]))]
    converted = convert("none-1", graph(nodes, numbers).SerializeToString())
    assert np.array_equal(run(converted, np.zeros((1, 3, 8, 8)))[0], np.ones((1, 3, 8, 8)))


def test_height_and_width_are_freed_only_where_the_recipe_says_so():
    source = detector().SerializeToString()
    fixed, free = (onnx.load_from_string(convert(recipe, source)) for recipe in ("none-1", "none-fcn-1"))
    assert shape_of(fixed.graph.input[0]) == ["batch", 3, 8, 8]
    assert shape_of(free.graph.input[0]) == ["batch", 3, "height", "width"]
    larger = np.random.default_rng(4).normal(size=(2, 3, 12, 16))
    assert run(free, larger)[0].shape == (2, 6 * 8, 4)
    assert np.array_equal(run(free, larger[:, :, :8, :8])[0], run(fixed, larger[:, :, :8, :8])[0])


def test_weights_that_pose_as_inputs_and_weights_that_nothing_reads_are_dropped():
    model = embedder()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [16, 3, 3, 3]))
    model.graph.input.append(helper.make_tensor_value_info("unread", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(weights("left over", np.zeros(3, np.float32)))
    converted = onnx.load_from_string(convert("none-1", model.SerializeToString()))
    assert [value.name for value in converted.graph.input] == ["x"]
    assert "left over" not in {tensor.name for tensor in converted.graph.initializer}


def test_the_same_file_converts_to_the_same_bytes():
    source = embedder().SerializeToString()
    assert convert("none-1", source) == convert("none-1", source)


def test_what_is_converted_stays_as_it_is_when_it_is_converted_again():
    once = convert("none-1", embedder().SerializeToString())
    x = np.random.default_rng(5).normal(size=(2, 3, 8, 8))
    assert np.array_equal(run(convert("none-1", once), x)[0], run(once, x)[0])


def test_no_passenger_survives_in_another_file():
    model = embedder()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    for recipe in RECIPES[:-1]:
        with pytest.raises(ModelIntegrityError, match="another file"):
            convert(recipe, model.SerializeToString())


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((1, 8, 8, 3), TensorProto.FLOAT), ((1, 3, 8), TensorProto.FLOAT), ((1, 3, 8, 8), TensorProto.FLOAT16)],
    ids=["channels last", "no image", "half precision"],
)
def test_a_network_that_takes_no_float32_image_is_refused(shape, kind):
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [], shape=shape)
    model.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(ModelIntegrityError, match="float32 image"):
        convert("none-1", model.SerializeToString())


def test_a_network_of_two_inputs_is_refused():
    other = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 8])
    model = graph([helper.make_node("Add", ["x", "z"], ["y"])], [], extra_inputs=[other])
    with pytest.raises(ModelIntegrityError, match="2 inputs"):
        convert("none-1", model.SerializeToString())


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("NoSuchOperator", ["x"], ["y"]),
        helper.make_node("Relu", ["nowhere"], ["y"]),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ],
    ids=["unknown operator", "dangling input", "contradicting shapes"],
)
def test_a_broken_graph_is_refused_in_one_line(node):
    model = graph([helper.make_node("Relu", ["x"], ["r"]), node], [weights("w", np.zeros((4, 3, 3, 3), np.float32))])
    with pytest.raises(ModelIntegrityError) as caught:
        convert("none-1", model.SerializeToString())
    assert "\n" not in caught.value.message


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bytes_end_in_a_network_or_in_one_error(data):
    damaged = bytearray(SOURCES[recipe := data.draw(st.sampled_from(sorted(SOURCES)))])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert convert(recipe, bytes(damaged))
    except ModelIntegrityError as error:
        assert "\n" not in error.message  # noqa: PT017 - either outcome is right

"""Only graphs that stay inside their own file, and inside the ONNX standard, may run."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from facecli.errors import ModelIntegrityError
from facecli.onnx_safety import check_graph, read_graph


def model(*nodes, initializers=()) -> ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Relu", ["x"], ["y"])],
        "tiny",
        [value("x", TensorProto.FLOAT, [1, 2])],
        [value("y", TensorProto.FLOAT, [1, 2])],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def elsewhere() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "shadow.bin"
    return tensor


def nested(inner, depth: int):
    """Wrap a node in ``depth`` levels of If."""
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    empty = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "else", [], [value])
    for _ in range(depth):
        branch = helper.make_graph([inner], "branch", [], [value])
        inner = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=empty)
    return inner


def test_an_ordinary_graph_passes():
    assert read_graph(model().SerializeToString()).graph.name == "tiny"


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\xff" * 100, b"<html></html>"])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(ModelIntegrityError, match="not an ONNX model"):
        check_graph(data)


def test_a_cut_file_is_refused():
    data = model(initializers=[numpy_helper.from_array(np.ones(64, np.float32), "w")]).SerializeToString()
    with pytest.raises(ModelIntegrityError, match="not an ONNX model"):
        check_graph(data[: len(data) // 2])


@pytest.mark.parametrize(
    "dangerous",
    [
        model(initializers=[elsewhere()]),
        model(helper.make_node("Constant", [], ["y"], value=elsewhere())),
        model(nested(helper.make_node("Constant", [], ["y"], value=elsewhere()), 3)),
    ],
    ids=["initialiser", "attribute", "nested graph"],
)
def test_a_tensor_in_another_file_is_refused(dangerous):
    with pytest.raises(ModelIntegrityError, match="another file"):
        check_graph(dangerous.SerializeToString())


def test_a_location_without_the_external_flag_is_refused():
    """The two fields are independent in the format; either is a reason."""
    tensor = elsewhere()
    tensor.data_location = TensorProto.DEFAULT
    with pytest.raises(ModelIntegrityError, match="another file"):
        check_graph(model(initializers=[tensor]).SerializeToString())


@pytest.mark.parametrize("depth", [0, 2])
def test_a_custom_operator_is_refused(depth):
    custom = helper.make_node("Anything", ["x"], ["y"], domain="com.example")
    with pytest.raises(ModelIntegrityError, match=r"com\.example"):
        check_graph(model(nested(custom, depth)).SerializeToString())


def test_a_custom_domain_that_is_only_declared_is_refused():
    declared = model()
    declared.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(ModelIntegrityError, match=r"com\.example"):
        check_graph(declared.SerializeToString())


def test_a_model_with_functions_of_its_own_is_refused():
    with_function = model()
    body = [helper.make_node("Relu", ["x"], ["y"])]
    opsets = [helper.make_opsetid("", 21)]
    with_function.functions.append(helper.make_function("com.example", "f", ["x"], ["y"], body, opsets))
    with pytest.raises(ModelIntegrityError, match="functions"):
        check_graph(with_function.SerializeToString())


def test_graphs_nested_without_end_are_refused():
    with pytest.raises(ModelIntegrityError, match="deeply"):
        check_graph(model(nested(helper.make_node("Relu", ["x"], ["y"]), 17)).SerializeToString())

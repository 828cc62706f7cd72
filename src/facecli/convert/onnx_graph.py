"""The conversion of an ONNX file, pass by pass: each takes the parsed model and changes it in place.

The passes are small and stand in reading order: decode quantised weights, drop what is not used, free the batch size,
write PReLU fast, check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import ModelIntegrityError
from facecli.onnx_safety import nested_graphs, read_graph

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

_OLDEST_IR = 8
"""Since version 4 an initialiser need not be an input, too; 8 is what every onnxruntime in use reads."""


_COMMON_OPSET = 17
"""Every provider of every onnxruntime that facecli runs with has all kernels of this one."""
_UNCHANGED_SINCE = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Constant", "Conv", "Dropout", "Flatten"),
        *("Gemm", "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "PRelu", "Pad", "Relu", "Reshape"),
        *("Resize", "Sigmoid", "Sub", "Transpose"),
    }
)
"""Operators whose later versions only take more data types, or have more attributes."""


def convert_onnx(source: bytes, *, quantised: bool, any_size: bool) -> bytes:
    """Convert an ONNX file to the form that facecli runs.

    Parameters
    ----------
    source
        The published ONNX file.
    quantised
        Whether its weights are block-quantised and shall be decoded to float32.
    any_size
        Whether the network is fully convolutional, so that height and width may be freed.

    Returns
    -------
    bytes
        The converted ONNX file.

    Raises
    ------
    ModelIntegrityError
        The file is no ONNX graph, unsafe, or not one that takes a float32 image ``(batch, 3, height, width)``.
    """
    try:
        return _passed(read_graph(source), quantised=quantised, any_size=any_size)
    except (ValueError, TypeError, LookupError) as error:
        # The onnx package meets damage with whatever its inner functions raise: a number that is no data type is a
        # KeyError, a name that is no text a UnicodeDecodeError, a shape that is too large a ValueError.
        raise ModelIntegrityError("the ONNX model is damaged: its parts do not fit together") from error


def _passed(model: ModelProto, *, quantised: bool, any_size: bool) -> bytes:
    """Take a model through all passes."""
    from facecli.convert.blockquant import decode_weights
    from facecli.convert.prelu import split_prelu

    model.ir_version = max(model.ir_version, _OLDEST_IR)
    if quantised:
        decode_weights(model)
        lower_opset(model)
    drop_unused(model)
    image_input(model)
    free_shape(model, any_size=any_size)
    split_prelu(model)
    drop_unused(model)
    return finish(model)


def lower_opset(model: ModelProto) -> None:
    """Declare a decoded model in the opset that all providers run, where that says the same.

    Only weights in blocks need opset 21. CUDA lacks kernels of the versions that come with it (of ``Resize``, for one,
    in releases before 2026), and a network that may not fall back to the CPU could not be loaded there.
    """
    from onnx import defs

    (declared,) = (entry for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    for node in model.graph.node:
        if node.op_type not in _UNCHANGED_SINCE:
            return
        if not {a.name for a in node.attribute} <= set(defs.get_schema(node.op_type, _COMMON_OPSET, "").attributes):
            return
    declared.version = min(declared.version, _COMMON_OPSET)


def constants(model: ModelProto) -> dict[str, TensorProto]:
    """Return the initialisers by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def drop_unused(model: ModelProto) -> None:
    """Drop initialisers that no node reads, and graph inputs that no node reads or that are weights.

    An input that is a weight would let a caller replace it, and keeps onnxruntime from folding it.
    """
    graph = model.graph
    read = {name for inner in nested_graphs(graph) for node in inner.node for name in node.input}
    read |= {value.name for inner in nested_graphs(graph) for value in inner.output}
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    names = {tensor.name for tensor in weights}
    inputs = [value for value in graph.input if value.name in read and value.name not in names]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(weights)
    graph.input.extend(inputs)


def image_input(model: ModelProto) -> ValueInfoProto:
    """Return the graph's one input.

    Raises
    ------
    ModelIntegrityError
        It is not a float32 image of three channels, channels first.
    """
    from onnx import TensorProto

    if len(model.graph.input) != 1:
        raise ModelIntegrityError(f"the ONNX model has {len(model.graph.input)} inputs where one image is expected")
    value: ValueInfoProto = model.graph.input[0]
    tensor = value.type.tensor_type
    shape = tensor.shape.dim
    if tensor.elem_type != TensorProto.FLOAT or len(shape) != 4 or shape[1].dim_value not in {0, 3}:
        raise ModelIntegrityError("the ONNX model's input is not a float32 image (batch, 3, height, width)")
    return value


def free_shape(model: ModelProto, *, any_size: bool) -> None:
    """Make the batch size free, and height and width where ``any_size``; a graph that fixes its batch stays as it is.

    Parameters
    ----------
    model
        Changed in place: input, output shapes, and the target shapes of ``Reshape`` that spell out a batch of 1.
    any_size
        Whether height and width are freed: true only where the manifest says so, because a graph does not tell whether
        a number in it stands for channels or for positions.
    """
    from onnx import ModelProto

    freed = ModelProto()
    freed.CopyFrom(model)
    shape = image_input(freed).type.tensor_type.shape.dim
    if shape[0].dim_value:
        _free_reshapes(freed)
        shape[0].dim_param = "batch"
    if any_size:
        shape[2].dim_param, shape[3].dim_param = "height", "width"
    if any_size or _is_batched(freed):
        model.CopyFrom(freed)
    _settle_shapes(model)


def _is_batched(model: ModelProto) -> bool:
    """Tell whether the batch axis runs through to every output."""
    trial = type(model)()
    trial.CopyFrom(model)
    try:
        _settle_shapes(trial)
    except ModelIntegrityError:
        return False
    shapes = [value.type.tensor_type.shape.dim for value in trial.graph.output]
    return all(shape and not shape[0].HasField("dim_value") for shape in shapes)


def _settle_shapes(model: ModelProto) -> None:
    """Forget the shapes that were noted for the old input, and note the outputs' anew."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = _infer(model)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)


def _free_reshapes(model: ModelProto) -> None:
    """Turn target shapes (1, ...) of single images into (0, ...), "as the input has it"; nodes may share one target."""
    from onnx import numpy_helper

    known = constants(model)
    values = _infer(model, strict=False).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*values.input, *values.value_info)}
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.input[1] not in known or _zero_is_zero(node):
            continue
        source, target = shapes.get(node.input[0]), numpy_helper.to_array(known[node.input[1]]).copy()
        if source and source[0].dim_value == 1 and target.size > 1 and target[0] == 1:
            target[0] = 0
            node.input[1] = f"{node.output[0]}_shape_of_any_batch"
            model.graph.initializer.append(numpy_helper.from_array(target, node.input[1]))


def _zero_is_zero(node: NodeProto) -> bool:
    """Tell whether a Reshape takes 0 for an empty axis instead of for the input's own size."""
    return any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute)


def _infer(model: ModelProto, *, strict: bool = True) -> ModelProto:
    """Infer shapes: strictly all of them, or as many as can be known."""
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict, data_prop=strict)
    except (shape_inference.InferenceError, ValueError) as error:
        raise ModelIntegrityError(f"the ONNX model contradicts itself: {_first_line(error)}") from error


def finish(model: ModelProto) -> bytes:
    """Check a converted model and write it, the same bytes every time.

    Parameters
    ----------
    model
        The model, after all passes.

    Returns
    -------
    bytes
        The ONNX file.

    Raises
    ------
    ModelIntegrityError
        The graph breaks the ONNX standard or its shapes contradict each other.
    """
    from onnx import checker

    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise ModelIntegrityError(f"the ONNX model breaks the standard: {_first_line(error)}") from error
    _infer(model)
    converted: bytes = model.SerializeToString(deterministic=True)
    return converted


def _first_line(error: Exception) -> str:
    """Keep one line of a message that onnx spreads over many."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

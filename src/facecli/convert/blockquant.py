"""Decode block-quantised weights: ``DequantizeLinear`` nodes on constants become float32 initialisers.

The arithmetic is the ONNX standard's: ``y = (x - zero_point) * scale`` with one scale for the whole tensor, for each
index of an axis, or (since opset 21) for each block of ``block_size`` indices of an axis. onnxruntime computes it at
every start, and fails on one-dimensional blocks; decoded once, the graph is an ordinary one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import ModelIntegrityError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

_QUANTISED = frozenset({"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"})


def decode_weights(model: ModelProto) -> None:
    """Replace every ``DequantizeLinear`` of constants, and the ``Reshape`` behind it, by a float32 initialiser.

    Parameters
    ----------
    model
        Changed in place.

    Raises
    ------
    ModelIntegrityError
        The shapes of weights and scales do not fit, or the graph quantises more than constants.
    """
    from onnx import numpy_helper

    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    decoded: dict[str, NDArray[np.generic]] = {}
    rest: list[NodeProto] = []
    for node in model.graph.node:
        value = _value(node, known | decoded)
        if value is None:
            rest.append(node)
        else:
            decoded[node.output[0]] = value
    left = sorted({node.op_type for node in rest} & _QUANTISED)
    if left:
        raise ModelIntegrityError(f"the ONNX model quantises more than its weights ({left[0]}); that is not supported")
    del model.graph.node[:]
    model.graph.node.extend(rest)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in decoded.items())


def _value(node: NodeProto, known: dict[str, NDArray[np.generic]]) -> NDArray[np.generic] | None:
    """Compute a node where it decodes or reshapes constants, else return None."""
    if node.op_type not in {"DequantizeLinear", "Reshape"} or not all(name in known for name in node.input if name):
        return None
    operands = [known[name] for name in node.input if name]
    try:
        return _dequantised(node, *operands) if node.op_type == "DequantizeLinear" else _reshaped(*operands)
    except (ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise ModelIntegrityError(f"the ONNX model's weight {node.output[0]!r} does not fit its scales") from error


def _dequantised(
    node: NodeProto,
    weights: NDArray[np.generic],
    scale: NDArray[np.generic],
    zero_point: NDArray[np.generic] | None = None,
) -> NDArray[np.float32]:
    """Return ``(weights - zero_point) * scale`` in float32."""
    import numpy as np

    settings = {attribute.name: attribute.i for attribute in node.attribute}
    axis, block = settings.get("axis", 1), settings.get("block_size", 0)
    values = weights.astype(np.float32)  # whole numbers of 8 or 16 bits: exact
    if zero_point is not None:
        values = values - _spread(zero_point.astype(np.float32), values.shape, axis, block)
    with np.errstate(over="raise", invalid="raise"):
        return values * _spread(scale.astype(np.float32), values.shape, axis, block)


def _spread(parameter: NDArray[np.float32], shape: tuple[int, ...], axis: int, block: int) -> NDArray[np.float32]:
    """Give each weight its own scale or zero point: an array that broadcasts to ``shape``."""
    import numpy as np

    if parameter.size == 1 and parameter.ndim <= 1:
        return parameter.reshape(())
    if not block:
        return np.broadcast_to(
            parameter.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))]), shape
        )
    if parameter.shape[axis] != -(-shape[axis] // block):
        raise ValueError("the number of blocks does not fit the number of weights")
    whole = np.repeat(parameter, block, axis=axis).take(range(shape[axis]), axis=axis)
    return np.broadcast_to(whole, shape)


def _reshaped(data: NDArray[np.generic], target: NDArray[np.generic]) -> NDArray[np.generic]:
    """Reshape a constant as ONNX has it: 0 keeps the axis, -1 takes the rest."""
    return data.reshape([data.shape[i] if size == 0 else int(size) for i, size in enumerate(target.tolist())])

"""Tiny ONNX graphs, a few KB each, that stand for the published ones."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


def weights(name: str, values) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def graph(nodes, initializers, *, shape=(1, 3, 8, 8), outputs=("y",), extra_inputs=(), opset=21) -> ModelProto:
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "tiny",
        [value("x", TensorProto.FLOAT, shape), *extra_inputs],
        [value(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def embedder(seed: int = 0) -> ModelProto:
    """Convolution, PReLU, a Reshape that spells out a batch of 1, a matrix product: a face embedder in small."""
    rng = np.random.default_rng(seed)
    node = helper.make_node
    return graph(
        [
            node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("PRelu", ["c", "a"], ["p"]),
            node("Reshape", ["p", "flat"], ["f"]),
            node("MatMul", ["f", "m"], ["y"]),
        ],
        [
            weights("w", rng.normal(size=(16, 3, 3, 3)).astype(np.float32)),
            weights("a", rng.uniform(-0.5, 1.5, (16, 1, 1)).astype(np.float32)),
            weights("flat", np.array([1, -1], np.int64)),
            weights("m", rng.normal(size=(16 * 64, 5)).astype(np.float32)),
        ],
    )


def run(model: bytes | ModelProto, x) -> list[np.ndarray]:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: np.asarray(x, np.float32)})

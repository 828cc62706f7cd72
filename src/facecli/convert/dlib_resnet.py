"""dlib's face recognition network (a ResNet of 29 convolutions, CC0) as an ONNX graph.

The graph takes what dlib's network takes after its input layer: RGB ``(batch, 3, 150, 150)``, already
``(x - mean) / 256`` (the manifest says so), and gives 128 values that are *not* normalised, as dlib does. Its own rule,
a euclidean distance below 0.6, is about those.

Each affine layer is folded into the convolution before it. Where dlib adds two tensors of different size it extends the
smaller one with zeros: channels at the end, rows below, columns on the right.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from facecli.convert.dlib_dat import Addition, Affine, Convolution, FullyConnected, Pool, Relu, read_layers
from facecli.errors import ModelIntegrityError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import NodeProto, TensorProto

    from facecli.convert.dlib_dat import Layer

_SIDE_PX = 150
_OPSET = 17
"""All that the graph needs, and old enough for every onnxruntime in use."""
_IR_VERSION = 8


def convert_dlib(source: bytes) -> bytes:
    """Convert ``dlib_face_recognition_resnet_model_v1.dat`` to ONNX.

    Parameters
    ----------
    source
        The whole file.

    Returns
    -------
    bytes
        An ONNX file; its outputs agree with dlib's to 1e-5.

    Raises
    ------
    ModelIntegrityError
        The file is damaged, or another network.
    """
    from onnx import TensorProto, helper

    from facecli.convert.onnx_graph import finish

    layers = fold_affine(read_layers(source))
    network = _Network()
    for layer in layers:
        network.add(layer)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        network.nodes,
        "dlib_face_recognition_resnet_v1",
        [value(_Network.input, TensorProto.FLOAT, ["batch", 3, _SIDE_PX, _SIDE_PX])],
        [value(network.at, TensorProto.FLOAT, ["batch", network.shape[0]])],
        network.weights,
    )
    opset = [helper.make_opsetid("", _OPSET)]
    return finish(helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="facecli"))


def fold_affine(layers: list[Layer]) -> list[Layer]:
    """Scale each convolution's weights and biases by the affine layer behind it, in double precision.

    Parameters
    ----------
    layers
        As the file has them.

    Returns
    -------
    list of Layer
        The same function, without affine layers.

    Raises
    ------
    ModelIntegrityError
        An affine layer stands elsewhere, or its channels are not the convolution's.
    """
    folded: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Affine):
            folded.append(layer)
            continue
        before = folded.pop() if folded else None
        if not isinstance(before, Convolution) or before.biases.size != layer.gamma.size:
            raise ModelIntegrityError("the dlib network has an affine layer that does not follow its convolution")
        folded.append(_scaled(before, layer))
    return folded


def _scaled(convolution: Convolution, affine: Affine) -> Convolution:
    """Multiply and shift the outputs of a convolution."""
    gamma = affine.gamma.astype("float64")
    weights = convolution.weights * gamma.reshape(-1, 1, 1, 1)
    biases = convolution.biases * gamma + affine.beta
    return replace(convolution, weights=weights.astype("float32"), biases=biases.astype("float32"))


class _Network:
    """The graph while it grows: ``at`` is the value reached, ``shape`` its channels, height and width."""

    input = "image"

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.at = self.input
        self.shape = (3, _SIDE_PX, _SIDE_PX)
        self._block = (self.at, self.shape)
        self._branch: tuple[str, tuple[int, int, int]] | None = None

    def add(self, layer: Layer) -> None:
        """Append one layer of the file."""
        match layer:
            case Convolution():
                self._convolution(layer)
            case Relu():
                self._relu()
            case Pool(window=0):
                self._node("GlobalAveragePool", self.at)
                self.shape = (self.shape[0], 1, 1)
            case Pool(kind="avg"):
                self._pool_branch(layer)
            case Pool():
                self._pool(layer)
                self._block = (self.at, self.shape)
            case Addition():
                self._addition()
            case FullyConnected():
                self._fully_connected(layer)

    def _convolution(self, layer: Convolution) -> None:
        filters, channels, height, width = layer.weights.shape
        self._expect(channels == self.shape[0], "a convolution takes another number of channels than there are")
        operands = (self._weight("weights", layer.weights), self._weight("biases", layer.biases))
        pads, strides = [layer.padding] * 4, [layer.stride] * 2
        self._node("Conv", self.at, *operands, kernel_shape=[height, width], pads=pads, strides=strides)
        self._resize(filters, height, layer.stride, layer.padding)

    def _relu(self) -> None:
        after_addition = self.nodes[-1].op_type == "Add" if self.nodes else False
        self._node("Relu", self.at)
        if after_addition:
            self._block = (self.at, self.shape)

    def _pool(self, layer: Pool) -> None:
        window, strides = [layer.window] * 2, [layer.stride] * 2
        kind = "MaxPool" if layer.kind == "max" else "AveragePool"
        self._node(kind, self.at, kernel_shape=window, strides=strides)
        self._resize(self.shape[0], layer.window, layer.stride, 0)

    def _pool_branch(self, layer: Pool) -> None:
        """Pool the block's input: the main branch is kept for the addition that follows."""
        self._expect(self._branch is None, "it pools a branch twice")
        self._branch = (self.at, self.shape)
        self.at, self.shape = self._block
        self._pool(layer)

    def _addition(self) -> None:
        """Add the block's input, or what its pooling made of it, to the main branch."""
        other = self._branch or self._block
        self._branch = None
        sizes = tuple(max(pair) for pair in zip(self.shape, other[1], strict=True))
        operands = [self._extended(*value, sizes) for value in ((self.at, self.shape), other)]
        self._node("Add", *operands)
        self.shape = (sizes[0], sizes[1], sizes[2])

    def _extended(self, name: str, shape: tuple[int, int, int], sizes: tuple[int, ...]) -> str:
        """Extend a value with zeros, at the end of each axis."""
        import numpy as np

        if shape == sizes:
            return name
        ends = [size - length for size, length in zip(sizes, shape, strict=True)]
        return self._new("Pad", name, self._weight("pads", np.array([0, 0, 0, 0, 0, *ends], np.int64)))

    def _fully_connected(self, layer: FullyConnected) -> None:
        self._expect(self.shape == (layer.weights.shape[0], 1, 1), "its last layer takes another number of channels")
        self._node("Flatten", self.at)
        self._node("MatMul", self.at, self._weight("weights", layer.weights))
        self.shape = (layer.weights.shape[1], 1, 1)

    def _resize(self, channels: int, window: int, stride: int, padding: int) -> None:
        """Follow the size of an image through a window that moves over it."""
        height, width = ((side + 2 * padding - window) // stride + 1 for side in self.shape[1:])
        self._expect(min(channels, height, width) >= 1, "a layer of it leaves no image")
        self.shape = (channels, height, width)

    def _node(self, kind: str, *inputs: str, **settings: int | list[int]) -> None:
        """Append a node and stand at its output."""
        self.at = self._new(kind, *inputs, **settings)

    def _new(self, kind: str, *inputs: str, **settings: int | list[int]) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [name])
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(settings.items()))
        self.nodes.append(node)
        return name

    def _weight(self, kind: str, values: NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = f"{kind}_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def _expect(self, condition: bool, reason: str) -> None:  # noqa: FBT001 - it reads as the assertion that it is
        if not condition:
            raise ModelIntegrityError(f"the file is not dlib's face recognition network: {reason}")

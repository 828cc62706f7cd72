"""Read dlib's own file format, as far as its face recognition network needs it. Nothing of dlib is used.

The format (dlib's ``serialize.h`` and ``dnn/layers.h``) has no lengths to skip by, so every field must be understood:

- an integer is a control byte (0x80: negative; low nibble: number of bytes), then the magnitude, little-endian;
- a float is two integers, mantissa and exponent: ``m * 2**e``;
- a boolean is the character ``0`` or ``1``; a string is its length and its bytes;
- a tensor is the integer 2, four dimensions, and raw little-endian float32; an alias, the *shape* of a slice of a
  tensor, is the integer 1 and four dimensions.

Every read is bounded by the bytes that are there, so a cut or hostile file ends in one error and takes no memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import ModelIntegrityError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOSS = b"loss_metric_2"
_INPUT = b"input_rgb_image_sized"
_VERSIONS = 130
"""Version numbers of the nested layer types, outermost first; the last is the first layer's."""
_LAYERS = 108
_LONGEST_STRING = 64


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with the affine layer still apart.

    Attributes
    ----------
    weights, biases
        ``(filters, channels, height, width)`` and ``(filters,)``.
    stride, padding
        The same in both directions.
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class Affine:
    """``gamma * x + beta`` for each channel."""

    gamma: NDArray[np.float32]
    beta: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Relu:
    """``max(x, 0)``."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pooling without padding; a window of 0 is the whole image."""

    kind: str
    window: int
    stride: int


@dataclass(frozen=True, slots=True)
class Addition:
    """The end of a residual block."""


@dataclass(frozen=True, slots=True)
class FullyConnected:
    """``x @ weights``, weights ``(inputs, outputs)``, without a bias."""

    weights: NDArray[np.float32]


Layer = Convolution | Affine | Relu | Pool | Addition | FullyConnected


def read_layers(data: bytes) -> list[Layer]:
    """Read ``dlib_face_recognition_resnet_model_v1.dat``.

    Parameters
    ----------
    data
        The whole file.

    Returns
    -------
    list of Layer
        In the order of computation. The pooling of a block's other branch stands directly before its addition.

    Raises
    ------
    ModelIntegrityError
        The file is cut, has more than the network, or is no such network.
    """
    reader = _Reader(data)
    first = _read_header(reader)
    layers: list[Layer] = []
    for number in range(_LAYERS):
        layers.append(_read_layer(reader))
        reader.skip_layer_state()
        if number == 0 and first == 3:
            reader.integer()
    reader.expect_end()
    return layers


def _read_header(reader: _Reader) -> int:
    """Read all before the layers; return the version of the first one."""
    reader.expect(reader.integer() == 1 and reader.string() == _LOSS, "it does not begin as a metric network does")
    reader.floats(2)
    versions = [reader.integer() for _ in range(_VERSIONS)]
    reader.expect(reader.string() == _INPUT, "its input is not a colour image")
    reader.floats(3)
    reader.expect((reader.integer(), reader.integer()) == (150, 150), "its input is not 150 x 150 pixels")
    return versions[-1]


def _read_layer(reader: _Reader) -> Layer:
    """Read one layer's kind and payload."""
    kind = reader.string()
    if kind == b"con_4":
        return _read_convolution(reader)
    if kind == b"affine_":
        return _read_affine(reader)
    if kind in {b"max_pool_2", b"avg_pool_2"}:
        return _read_pool(reader, kind.decode().partition("_")[0])
    if kind == b"fc_2":
        return _read_fully_connected(reader)
    reader.expect(kind in {b"relu_", b"add_prev_"}, f"it has a layer of the unknown kind {kind!r}")
    return Relu() if kind == b"relu_" else Addition()


def _read_convolution(reader: _Reader) -> Convolution:
    """Read parameters (filters, then biases), geometry, the shapes of both, and four learning rates."""
    parameters = reader.tensor()
    filters, height, width, stride_y, stride_x, pad_y, pad_x = (reader.integer() for _ in range(7))
    shape, bias_shape = reader.alias(), reader.alias()
    reader.floats(4)
    square = stride_y == stride_x and pad_y == pad_x and stride_y >= 1 and pad_y >= 0
    reader.expect(square, "a convolution of it is not the same in both directions")
    fits = (shape[0], *shape[2:]) == (filters, height, width) and math.prod(bias_shape) == filters
    count = math.prod(shape)
    reader.expect(fits and parameters.size == count + filters, "a convolution's parameters do not fit its shape")
    return Convolution(parameters[:count].reshape(shape), parameters[count:], stride_y, pad_y)


def _read_affine(reader: _Reader) -> Affine:
    """Read gamma and beta in one tensor, the shapes of both, and the mode (0: behind a convolution)."""
    parameters = reader.tensor()
    shapes, mode = (reader.alias(), reader.alias()), reader.integer()
    channels = math.prod(shapes[0])
    fits = mode == 0 and shapes[0] == shapes[1] and parameters.size == 2 * channels
    reader.expect(fits, "an affine layer's parameters do not fit its shape")
    return Affine(parameters[:channels], parameters[channels:])


def _read_pool(reader: _Reader, kind: str) -> Pool:
    """Read window, stride and padding, each for both directions."""
    height, width, stride_y, stride_x, pad_y, pad_x = (reader.integer() for _ in range(6))
    plain = height == width >= 0 and stride_y == stride_x >= 1 and pad_y == pad_x == 0
    reader.expect(plain, "a pooling of it is not square, or is padded")
    return Pool(kind, height, stride_y)


def _read_fully_connected(reader: _Reader) -> FullyConnected:
    """Read sizes, parameters, the shapes of weights and biases, the mode (1: no bias), and four learning rates."""
    outputs, inputs = reader.integer(), reader.integer()
    parameters = reader.tensor()
    shape, _, mode = reader.alias(), reader.alias(), reader.integer()
    reader.floats(4)
    fits = mode == 1 and shape == (inputs, outputs, 1, 1) and parameters.size == inputs * outputs
    reader.expect(fits, "the last layer's parameters do not fit its shape")
    return FullyConnected(parameters.reshape(inputs, outputs))


class _Reader:
    """The fields of the format, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def expect(self, condition: bool, reason: str) -> None:  # noqa: FBT001 - it reads as the assertion that it is
        """Refuse the file unless ``condition`` holds."""
        if not condition:
            raise ModelIntegrityError(f"the file is not dlib's face recognition network: {reason}")

    def expect_end(self) -> None:
        """Refuse bytes after the last layer."""
        self.expect(self._at == len(self._data), "it goes on after the last layer")

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self.expect(count <= len(self._data) - self._at, f"it ends at byte {len(self._data)}, in the middle of a field")
        self._at += count
        return self._data[self._at - count : self._at]

    def integer(self) -> int:
        """Read an integer of up to eight bytes."""
        control = self.take(1)[0]
        count = control & 0x0F
        self.expect(1 <= count <= 8 and not control & 0x70, f"byte {self._at - 1} does not begin an integer")
        magnitude = int.from_bytes(self.take(count), "little")
        return -magnitude if control & 0x80 else magnitude

    def floats(self, count: int) -> None:
        """Pass over floats: nothing here needs them."""
        for _ in range(2 * count):
            self.integer()

    def string(self) -> bytes:
        """Read a short string."""
        length = self.integer()
        self.expect(0 <= length <= _LONGEST_STRING, "a name in it has an impossible length")
        return self.take(length)

    def tensor(self) -> NDArray[np.float32]:
        """Read a tensor's values, flat."""
        import numpy as np

        self.expect(self.integer() == 2, "a tensor of it is of an unknown version")
        values = np.frombuffer(self.take(4 * math.prod(self._shape())), dtype="<f4").astype(np.float32)
        self.expect(bool(np.isfinite(values).all()), "a weight of it is not finite")
        return values

    def alias(self) -> tuple[int, int, int, int]:
        """Read the shape of a slice of a tensor."""
        self.expect(self.integer() == 1, "a shape in it is of an unknown version")
        return self._shape()

    def skip_layer_state(self) -> None:
        """Pass over what every layer carries for training: three booleans and three tensors."""
        self.expect(set(self.take(3)) <= {ord("0"), ord("1")}, f"byte {self._at - 3} does not begin three booleans")
        for _ in range(3):
            self.tensor()

    def _shape(self) -> tuple[int, int, int, int]:
        """Read four dimensions."""
        shape = (self.integer(), self.integer(), self.integer(), self.integer())
        self.expect(min(shape) >= 0, "a tensor of it has a negative size")
        return shape

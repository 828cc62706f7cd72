"""Write dlib's file format, and compute its network in plain numpy: an oracle that shares no code with ours."""

from __future__ import annotations

import math

import numpy as np

STAGES = ((False, 3), (True, 3), (True, 2), (True, 2), (True, 0))
"""For each stage: whether it begins with a block that halves the image, and how many plain blocks follow."""


def integer(value: int) -> bytes:
    magnitude = abs(value)
    count = max(1, (magnitude.bit_length() + 7) // 8)
    return bytes([count | (0x80 if value < 0 else 0)]) + magnitude.to_bytes(count, "little")


def real(value: float) -> bytes:
    mantissa, exponent = math.frexp(value)
    return integer(int(mantissa * 2**24)) + integer(exponent - 24)


def string(value: bytes) -> bytes:
    return integer(len(value)) + value


def tensor(values) -> bytes:
    flat = np.asarray(values, "<f4").reshape(-1)
    shape = (flat.size, 1, 1, 1) if flat.size else (0, 0, 0, 0)
    return integer(2) + b"".join(map(integer, shape)) + flat.tobytes()


def alias(*shape: int) -> bytes:
    return integer(1) + b"".join(map(integer, shape))


STATE = b"110" + 3 * tensor([])
RATES = real(1.0) + real(1.0) + real(1.0) + real(0.0)


def header(first_version: int = 3) -> bytes:
    versions = b"".join(integer(2) for _ in range(129)) + integer(first_version)
    image = string(b"input_rgb_image_sized") + real(122.782) + real(117.001) + real(104.298) + integer(150) * 2
    return integer(1) + string(b"loss_metric_2") + real(0.04) + real(0.6) + versions + image


def convolution(weights, biases, stride: int, padding: int) -> bytes:
    geometry = (*weights.shape[:1], *weights.shape[2:], stride, stride, padding, padding)
    parameters = tensor(np.concatenate([weights.reshape(-1), biases]))
    shapes = alias(*weights.shape) + alias(1, len(biases), 1, 1)
    return string(b"con_4") + parameters + b"".join(map(integer, geometry)) + shapes + RATES


def affine(gamma, beta) -> bytes:
    shape = alias(1, len(gamma), 1, 1)
    return string(b"affine_") + tensor(np.concatenate([gamma, beta])) + shape + shape + integer(0)


def pool(kind: bytes, window: int, stride: int) -> bytes:
    return string(kind) + b"".join(map(integer, (window, window, stride, stride, 0, 0)))


def fully_connected(weights) -> bytes:
    inputs, outputs = weights.shape
    shapes = alias(inputs, outputs, 1, 1) + alias(0, 0, 0, 0)
    return string(b"fc_2") + integer(outputs) + integer(inputs) + tensor(weights) + shapes + integer(1) + RATES


class ThinNetwork:
    """dlib's network with a handful of channels: its layers as the file has them, and its function."""

    def __init__(self, seed: int, channels: tuple[int, ...] = (2, 3, 3, 4, 4), first_version: int = 3) -> None:
        self._random = np.random.default_rng(seed)
        self.layers: list[bytes] = []
        self.steps: list[tuple] = []
        self._conv(3, channels[0], side=7, stride=2, padding=0)
        self._relu()
        self._push(pool(b"max_pool_2", 3, 2), ("max", 3, 2))
        before = channels[0]
        for (halves, plain), after in zip(STAGES, channels, strict=True):
            if halves:
                self._block(before, after, halves=True)
            for _ in range(plain):
                self._block(after, after, halves=False)
            before = after
        self._push(pool(b"avg_pool_2", 0, 1), ("mean",))
        weights = self._random.normal(size=(before, 5)).astype(np.float32)
        self._push(fully_connected(weights), ("dot", weights))
        extra = integer(1) if first_version == 3 else b""
        self.layers[0] += extra
        self.file = header(first_version) + b"".join(self.layers)

    def _push(self, layer: bytes, step: tuple) -> None:
        self.layers.append(layer + STATE)
        self.steps.append(step)

    def _conv(self, before: int, after: int, *, side: int, stride: int, padding: int) -> None:
        shape = (after, before, side, side)
        weights = self._random.normal(0, 1 / math.sqrt(before * side**2), shape).astype(np.float32)
        biases, beta = self._random.normal(0, 0.3, (2, after)).astype(np.float32)
        gamma = self._random.uniform(0.5, 1.5, after).astype(np.float32)
        self._push(convolution(weights, biases, stride, padding), ("conv", weights, biases, stride, padding))
        self._push(affine(gamma, beta), ("affine", gamma, beta))

    def _relu(self) -> None:
        self._push(string(b"relu_"), ("relu",))

    def _block(self, before: int, after: int, *, halves: bool) -> None:
        self.steps.append(("remember",))
        self._conv(before, after, side=3, stride=2 if halves else 1, padding=0 if halves else 1)
        self._relu()
        self._conv(after, after, side=3, stride=1, padding=1)
        if halves:
            self._push(pool(b"avg_pool_2", 2, 2), ("halve",))
        self._push(string(b"add_prev_"), ("add",))
        self._relu()

    def __call__(self, image) -> np.ndarray:
        """Compute the network in double precision on ``(3, 150, 150)``."""
        x = kept = np.asarray(image, np.float64)
        for kind, *with_ in self.steps:
            if kind == "remember":
                kept = x
            elif kind == "halve":
                kept = windows(kept, 2, 2).mean((-2, -1))
            elif kind == "add":
                x = added(x, kept)
            else:
                x = STEPS[kind](x, *with_)
        return x


def windows(x, side: int, stride: int):
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::stride, ::stride]


def convolved(x, weights, biases, stride: int, padding: int):
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    summed = np.einsum("chwij,fcij->fhw", windows(padded, weights.shape[-1], stride), weights)
    return summed + biases[:, None, None]


def added(a, b):
    whole = np.zeros(np.maximum(a.shape, b.shape))
    for part in (a, b):
        whole[tuple(slice(n) for n in part.shape)] += part
    return whole


STEPS = {
    "conv": convolved,
    "affine": lambda x, gamma, beta: x * gamma[:, None, None] + beta[:, None, None],
    "relu": lambda x: np.maximum(x, 0),
    "max": lambda x, side, stride: windows(x, side, stride).max((-2, -1)),
    "mean": lambda x: x.mean((1, 2)),
    "dot": lambda x, weights: x @ weights,
}

"""Crops to templates: an ONNX embedder that does what its manifest says, and several of them fused into one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from facecli.errors import ModelIntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.manifest import FusedManifest, InputSpec, Manifest
    from facecli.runtime import Device, Session
    from facecli.types import Image, ModelPin, Vectors

_MIN_NORM = 1e-6


class Embedder(Protocol):
    """Turns aligned crops into templates."""

    @property
    def pin(self) -> ModelPin:
        """Exactly which embedder it is."""

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The crops that it wants of every face, at least one."""

    @property
    def device(self) -> Device:
        """Where it runs."""

    def embed(self, *crops: Sequence[Image]) -> Vectors:
        """Return one template of unit length for each face, ``(count, dimension)``.

        Parameters
        ----------
        crops
            For each of :attr:`inputs`, in order, the aligned BGR crops of all faces.
        """


class OnnxEmbedder:
    """An embedder that a manifest describes.

    Parameters
    ----------
    session
        Runs the network: NCHW float32 to ``(count, dimension)``.
    manifest
        Size, colour order, mean, scale and dimension.
    batch
        How many crops go through the network at once; templates do not depend on it on the CPU.
    """

    def __init__(self, session: Session, manifest: Manifest, *, batch: int = 16) -> None:
        self._session = session
        self._manifest = manifest
        self._batch = batch

    @property
    def pin(self) -> ModelPin:
        """Exactly which embedder it is."""
        return self._manifest.pin()

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The one crop that it wants."""
        return self._manifest.inputs

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self._session.device

    def embed(self, *crops: Sequence[Image]) -> Vectors:
        """Return one template for each crop.

        Parameters
        ----------
        crops
            One sequence: aligned, BGR uint8 ``(height, width, 3)`` of the manifest's size.

        Returns
        -------
        Vectors
            ``(count, dimension)`` float32, each row of unit length.

        Raises
        ------
        ValueError
            A crop has another shape or type.
        ModelIntegrityError
            The network gave no usable vector: another dimension, NaN, infinity, or zero. No template, no match.
        """
        import numpy as np

        (faces,) = crops
        dimension = self._manifest.dimension or 0
        if not faces:
            return np.empty((0, dimension), np.float32)
        parts = []
        for start in range(0, len(faces), self._batch):
            tensor = as_tensor(faces[start : start + self._batch], self._manifest.input)
            unit = self._unit(self._run(tensor))
            if self._manifest.input.mirror:
                unit = self._unit(unit + self._unit(self._run(np.ascontiguousarray(tensor[..., ::-1]))))
            parts.append(unit)
        return np.concatenate(parts)

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network says of each crop, ``(count, values)``."""
        raw: NDArray[np.float32] = self._session.run(tensor)[0].reshape(len(tensor), -1)
        return raw

    def _unit(self, raw: NDArray[np.float32]) -> Vectors:
        """Scale to unit length in float64, then round once; refuse what has no direction."""
        import numpy as np

        name, dimension = self._manifest.name, self._manifest.dimension
        if raw.shape[1] != dimension:
            raise ModelIntegrityError(f"the model {name} gave {raw.shape[1]} values, its manifest says {dimension}")
        wide = raw.astype(np.float64)
        norms = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
        if not (np.isfinite(norms).all() and (norms > _MIN_NORM).all()):
            raise ModelIntegrityError(
                f"the model {name} gave no usable vector (not finite, or zero)",
                hint="run facecli doctor; with --device cuda, try --device cpu",
            )
        unit: Vectors = (wide / norms).astype(np.float32)
        return unit


class FusedEmbedder:
    """Several embedders as one: a template whose cosine is the weighted sum of the parts' cosines.

    With the parts' templates a_i of unit length and weights w_i that sum to 1, the template is the concatenation of
    sqrt(w_i) a_i: it has unit length, and the inner product of two such templates is ``sum(w_i * cos_i)``. So fusing
    scores needs nothing but a longer vector: the gallery, the index and the thresholds know of one model.

    Parameters
    ----------
    parts
        The embedders, in the manifest's order.
    manifest
        Names the parts and their weights.
    """

    def __init__(self, parts: Sequence[Embedder], manifest: FusedManifest) -> None:
        self._parts = tuple(parts)
        self._manifest = manifest

    @property
    def pin(self) -> ModelPin:
        """Made of the parts' pins and weights."""
        return self._manifest.pin()

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The parts' crops."""
        return self._manifest.inputs

    @property
    def device(self) -> Device:
        """Where the first part runs; all are opened with the same options."""
        return self._parts[0].device

    def embed(self, *crops: Sequence[Image]) -> Vectors:
        """Return one template for each face; see the class.

        Raises
        ------
        ValueError
            There are not as many sequences of crops as parts, or they differ in length.
        ModelIntegrityError
            A part gave no usable vector: the others don't make up for it.
        """
        import numpy as np

        vectors = [
            math.sqrt(part.weight) * embedder.embed(faces).astype(np.float64)
            for embedder, part, faces in zip(self._parts, self._manifest.parts, crops, strict=True)
        ]
        fused: Vectors = np.concatenate(vectors, axis=1).astype(np.float32)
        return fused


def as_tensor(crops: Sequence[Image], spec: InputSpec) -> NDArray[np.float32]:
    """Return the network's input ``(count, 3, height, width)``: colour order, mean and scale as the spec says.

    Raises
    ------
    ValueError
        A crop has another shape or type.
    """
    import numpy as np

    wanted = (spec.height_px, spec.width_px, 3)
    for crop in crops:
        if crop.shape != wanted or crop.dtype != np.uint8:
            raise ValueError(f"a crop must be uint8 of shape {wanted}, not {crop.dtype} of shape {crop.shape}")
    pixels = np.stack(crops).astype(np.float32)
    if spec.colour == "RGB":
        pixels = pixels[..., ::-1]
    scaled = (pixels - np.asarray(spec.mean, np.float32)) * np.asarray(spec.scale, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

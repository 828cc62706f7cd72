"""Bring a model of one's own: ``facecli models add``.

Three ways. The published file of a model that facecli knows, for a machine without a network: its sha256 says which. A
manifest (TOML) with the file it describes: the sha256 must agree. Or, for an embedder of ArcFace's kind (112x112,
five-point template), the ONNX file and a few facts; its dimension is read from the graph and a manifest is written.
Each time the file is copied into the cache, and refused where it isn't safe to run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import ModelIntegrityError, UsageError
from facecli.files import make_private_folder, replacing
from facecli.manifest import (
    Colour,
    InputSpec,
    Licence,
    Manifest,
    ModelFile,
    Triple,
    bundled_folder,
    read_manifest,
)
from facecli.manifest_reader import FILE_NAME, MODEL_NAME, manifest_of, toml_of
from facecli.onnx_safety import read_graph

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto, ValueInfoProto

    from facecli.registry import Registry

ARCFACE_SIDE_PX = 112
ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


@dataclass(frozen=True, slots=True)
class Description:
    """What must be said of an embedder of ArcFace's kind; the rest is read from its file.

    Attributes
    ----------
    name
        Lower case, not one that facecli has.
    licence
        Name of the licence.
    commercial_use
        Whether it permits commercial use; if it doesn't, adding the model is no acceptance.
    colour
        Channel order that the network wants.
    mean, scale
        ``x' = (x - mean) * scale`` with x in 0..255, one value a channel.
    title, licence_url
        For people.
    """

    name: str
    licence: str
    commercial_use: bool
    colour: Colour = "RGB"
    mean: Triple = (127.5, 127.5, 127.5)
    scale: Triple = (1 / 127.5, 1 / 127.5, 1 / 127.5)
    title: str = ""
    licence_url: str = ""


def add_known(registry: Registry, file: Path) -> Manifest | None:
    """Take over the published file of a model that facecli knows, instead of fetching it.

    Returns
    -------
    Manifest or None
        The model whose file it is; None where it is no known model's.

    Raises
    ------
    UsageError
        The file can't be read.
    OutputError
        It can't be written.
    """
    data = _read(file)
    sha256 = hashlib.sha256(data).hexdigest()
    members = (member for model in registry.all() for member in model.members)
    manifest = next((known for known in members if known.file.sha256 == sha256), None)
    if manifest is not None:
        _keep(registry, manifest, data)
    return manifest


def add_onnx(registry: Registry, file: Path, description: Description) -> Manifest:
    """Describe an ONNX embedder of ArcFace's kind, and copy it into the cache.

    Parameters
    ----------
    registry
        Where it is added.
    file
        The ONNX file.
    description
        What can't be read from it.

    Raises
    ------
    UsageError
        The name is taken or unfit, or the file can't be read.
    ModelIntegrityError
        It is no ONNX model, unsafe, or not of ArcFace's kind; the message says what was expected.
    OutputError
        It can't be written.
    """
    _require_free(registry, description.name)
    data = _read(file)
    dimension = _dimension(_checked(data, file.name), file.name)
    manifest = Manifest(
        name=description.name,
        task="embed",
        title=description.title or f"{file.name}, added by the user",
        paper="",
        licence=Licence(description.licence, description.commercial_use, description.licence_url or "unknown", ""),
        file=ModelFile(_file_name(file, description.name), hashlib.sha256(data).hexdigest(), len(data), "onnx"),
        sources=(),
        conversion="none-1",
        input=InputSpec(
            ARCFACE_SIDE_PX, ARCFACE_SIDE_PX, description.colour, description.mean, description.scale, ARCFACE_POINTS
        ),
        dimension=dimension,
        measurement=None,
        known_answer=None,
    )
    return _store(registry, manifest, toml_of(manifest), data)


def add_manifest(registry: Registry, manifest_file: Path, file: Path | None = None) -> Manifest:
    """Take over a manifest that the user wrote, with the file that it describes.

    Parameters
    ----------
    registry
        Where it is added.
    manifest_file
        The TOML file; its stem is the model's name.
    file
        The published file, where it can't be fetched from the manifest's sources.

    Raises
    ------
    ConfigError
        The manifest is wrong.
    UsageError
        Its name is taken, or a file can't be read.
    ModelIntegrityError
        The file is not the one that the manifest names, or unsafe.
    OutputError
        It can't be written.
    """
    manifest = read_manifest(manifest_file)
    _require_free(registry, manifest.name)
    if file is None and not manifest.sources:
        raise UsageError(
            f"{manifest_file} names no place to fetch {manifest.file.name} from", hint="give the file as well"
        )
    data = None if file is None else _read(file)
    if data is not None and hashlib.sha256(data).hexdigest() != manifest.file.sha256:
        raise ModelIntegrityError(f"{file} is not the file that {manifest_file} names: its sha256 differs")
    if file is not None and data is not None and manifest.file.format == "onnx":
        _checked(data, file.name)
    return _store(registry, manifest, manifest_file.read_text(encoding="utf-8"), data)


def _store(registry: Registry, manifest: Manifest, text: str, data: bytes | None) -> Manifest:
    """Write the file, then its manifest: a model that is listed is there."""
    import tomllib

    path = registry.user_manifests / f"{manifest.name}.toml"
    manifest_of(tomllib.loads(text), path)
    make_private_folder(registry.user_manifests)
    if data is not None:
        _keep(registry, manifest, data)
    with replacing(path) as stream:
        stream.write(text.encode())
    return manifest


def _keep(registry: Registry, manifest: Manifest, data: bytes) -> None:
    make_private_folder(registry.folder)
    with replacing(registry.source_path(manifest)) as stream:
        stream.write(data)


def _require_free(registry: Registry, name: str) -> None:
    if not MODEL_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be a model's name", hint="use lower-case letters, digits, `.`, `_` and `-`, at most 64"
        )
    if any((folder / f"{name}.toml").exists() for folder in (bundled_folder(), registry.user_manifests)):
        raise UsageError(f"there is a model named {name!r} already", hint="choose another name")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror or error}") from error


def _file_name(file: Path, name: str) -> str:
    """Keep the file's name where it is fit for every system."""
    return file.name if FILE_NAME.fullmatch(file.name) else f"{name}.onnx"


def _checked(data: bytes, name: str) -> ModelProto:
    """Read a graph that is safe to run, or say which file isn't."""
    try:
        return read_graph(data)
    except ModelIntegrityError as error:
        raise ModelIntegrityError(f"{name} can't be added: {error.message}", hint=error.hint) from error


def _dimension(model: ModelProto, name: str) -> int:
    """Return the length of a template, and refuse a graph that isn't of ArcFace's kind."""
    side = ARCFACE_SIDE_PX
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_shape(value) for value in model.graph.input if value.name not in weights]
    outputs = [_shape(value) for value in model.graph.output]
    if [shape[1:] for shape in inputs] not in ([(3, side, side)], [(3, None, None)]) or len(outputs) != 1:
        raise ModelIntegrityError(
            f"{name} is no embedder of ArcFace's kind: one float32 input of N x 3 x {side} x {side} and one output of"
            f" N x dimension were expected, but it takes {inputs} and gives {outputs}",
            hint="write a manifest for it instead: docs/models.md",
        )
    (shape,) = outputs
    if len(shape) != 2 or shape[1] is None:
        raise ModelIntegrityError(
            f"{name} doesn't say how long its templates are: its output's shape is {shape}",
            hint="write a manifest for it instead: docs/models.md",
        )
    return shape[1]


def _shape(value: ValueInfoProto) -> tuple[int | None, ...]:
    """Sizes, None where the graph leaves one open; empty where the values aren't float32."""
    from onnx import TensorProto

    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        return ()
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)

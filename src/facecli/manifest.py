"""What facecli knows of a model: one TOML file each, read strictly.

A manifest names the published file (sha256, size), its licence, the places to fetch it from, how it becomes an ONNX
graph that onnxruntime runs, what happens to the pixels before it, and the operating points measured for it. Everything
else in the program reads these values; nothing guesses them from a graph. A new model of a known kind is a new file and
no Python.

The layout is told by example in ``models/sface.toml`` and key by key in ``docs/models.md``. A key that is unknown,
missing or of the wrong type is a :class:`~facecli.errors.ConfigError` that names the file and the key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from facecli.errors import ConfigError
from facecli.types import ModelPin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facecli.sources import Source

SCHEMA = 1
ALIGNMENT = "similarity-1"
"""How a face reaches the template: part of every pin. Raise it when :mod:`facecli.align` changes what it returns."""
FUSION = "concatenated-1"
"""How the templates of a fused model's parts become one: part of its pin."""

Task: TypeAlias = Literal["detect", "embed"]
FileFormat: TypeAlias = Literal["onnx", "dlib-dat"]
Colour: TypeAlias = Literal["BGR", "RGB"]
Status: TypeAlias = Literal["provisional", "calibrated"]
Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The published file: exactly these bytes, or the model isn't used.

    Attributes
    ----------
    name
        File name, without a folder.
    sha256
        In hexadecimal, lower case.
    size
        Bytes.
    format
        What the bytes are.
    """

    name: str
    sha256: str
    size: int
    format: FileFormat


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What happens to pixels before the network: ``x' = (x - mean) * scale`` with x in 0..255.

    Attributes
    ----------
    width_px, height_px
        Of the input; for a detector, the size its graph was published with.
    colour
        Channel order that the network wants; ``mean`` and ``scale`` are in this order too.
    mean, scale
        One value a channel.
    points
        Alignment template: where the five landmarks of :data:`facecli.types.Points` come to lie, as (x, y) in pixels of
        the input. Empty for a detector.
    mirror
        Whether an embedder looks at the crop's mirror image too: its template is then the mean direction of both, for
        twice the time.
    """

    width_px: int
    height_px: int
    colour: Colour
    mean: Triple
    scale: Triple
    points: tuple[tuple[float, float], ...]
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which terms the weights may be used.

    Attributes
    ----------
    name
        SPDX identifier where there is one.
    commercial_use
        True only where the publisher clearly permits it; otherwise the licence must be accepted before fetching.
    url
        Where the terms stand.
    note
        What a reader should know besides; may be empty.
    """

    name: str
    commercial_use: bool
    url: str
    note: str


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """One operating point of an embedder.

    Attributes
    ----------
    fmr
        The target: false match rate that the threshold stands for.
    threshold
        Cosine; accept is ``score >= threshold``.
    fmr_bound
        One-sided 95 % upper bound of the false match rate at the threshold, by pair of people.
    fmr_people_pairs, fmr_image_pairs
        Observed false match rate with every pair of people, or of images, weighted once.
    fnmr
        Observed false non-match rate.
    """

    fmr: float
    threshold: float
    fmr_bound: float
    fmr_people_pairs: float
    fmr_image_pairs: float
    fnmr: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """On what the operating points were measured, and how.

    Attributes
    ----------
    data
        Name of the data set.
    people, images, people_pairs, image_pairs
        Its size; pairs are of different people.
    date
        ISO 8601, of the measurement.
    status
        ``"provisional"`` until calibrated on the deployment's own data.
    method
        One sentence.
    points
        Strictest last.
    """

    data: str
    people: int
    images: int
    people_pairs: int
    image_pairs: int
    date: str
    status: Status
    method: str
    points: tuple[MeasuredPoint, ...]


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The embedding of a fixed input, which exposes a swapped colour order, another alignment or a changed provider.

    Attributes
    ----------
    input
        Name of the input, such as ``"ramp-1"``; the code that draws it knows it by that name.
    tolerance
        Greatest allowed difference of any value.
    values
        The template of unit length, or its first values.
    """

    input: str
    tolerance: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that facecli knows of one model; see the module's docstring.

    Attributes
    ----------
    name
        Lower case; the stem of the TOML file.
    task
        ``"detect"`` or ``"embed"``.
    title, paper
        For people: what it is, and where it is described.
    licence, file, sources, input
        See their classes. ``sources`` are tried in order; it is empty for a model that the user added from a file.
    conversion
        Recipe and its version, such as ``"blockquant-1"``; ``"none-1"`` runs the published graph.
    dimension
        Length of a template; None for a detector.
    measurement, known_answer
        None where nobody has measured: decisions then need an explicit threshold.
    """

    name: str
    task: Task
    title: str
    paper: str
    licence: Licence
    file: ModelFile
    sources: tuple[Source, ...]
    conversion: str
    input: InputSpec
    dimension: int | None
    measurement: Measurement | None
    known_answer: KnownAnswer | None

    @property
    def members(self) -> tuple[Manifest, ...]:
        """The models of one file each that it is made of: itself."""
        return (self,)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What each of its members wants: one input."""
        return (self.input,)

    def pin(self) -> ModelPin:
        """Return what a gallery must remember of this embedder.

        Raises
        ------
        ValueError
            The model is no embedder.
        """
        if self.dimension is None:
            raise ValueError(f"{self.name} is no embedder: it makes no templates to pin")
        return ModelPin(
            name=self.name,
            source_sha256=self.file.sha256,
            conversion=self.conversion,
            preprocessing_sha256=preprocessing_sha256(self.input),
            dimension=self.dimension,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One embedder of a fused one.

    Attributes
    ----------
    model
        Of one file; a fused model can't be a part.
    weight
        Of its cosine in the fused one, above 0; all weights sum to 1.
    """

    model: Manifest
    weight: float


@dataclass(frozen=True, slots=True)
class FusedManifest:
    """An embedder made of others, without a file of its own; see :class:`facecli.embed.FusedEmbedder`.

    Attributes
    ----------
    name, title, paper, measurement, known_answer
        As of :class:`Manifest`.
    parts
        At least two, in the order of their values in a template.
    """

    name: str
    title: str
    paper: str
    parts: tuple[Part, ...]
    measurement: Measurement | None
    known_answer: KnownAnswer | None

    @property
    def task(self) -> Task:
        """Always ``"embed"``."""
        return "embed"

    @property
    def members(self) -> tuple[Manifest, ...]:
        """The models of one file each that it is made of."""
        return tuple(part.model for part in self.parts)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What each of its members wants."""
        return tuple(model.input for model in self.members)

    @property
    def dimension(self) -> int:
        """The sum of the parts'."""
        return sum(model.dimension or 0 for model in self.members)

    @property
    def conversion(self) -> str:
        """How the parts become one; another rule gets another name."""
        return FUSION

    @property
    def licence(self) -> Licence:
        """All of the parts' licences, joined as SPDX joins them."""
        licences = tuple(dict.fromkeys(model.licence for model in self.members))
        return Licence(
            name=" AND ".join(dict.fromkeys(licence.name for licence in licences)),
            commercial_use=all(licence.commercial_use for licence in licences),
            url=" ".join(licence.url for licence in licences),
            note=" ".join(licence.note for licence in licences if licence.note),
        )

    def pin(self) -> ModelPin:
        """Return what a gallery must remember: it differs wherever a part's pin, a weight or the order does."""
        pins = [model.pin() for model in self.members]
        weighted = [[pin.preprocessing_sha256, part.weight] for pin, part in zip(pins, self.parts, strict=True)]
        return ModelPin(
            name=self.name,
            source_sha256=_sha256_of_json([[pin.source_sha256, pin.conversion] for pin in pins]),
            conversion=self.conversion,
            preprocessing_sha256=_sha256_of_json(weighted),
            dimension=self.dimension,
        )


Model: TypeAlias = Manifest | FusedManifest
"""A model under one name, of one file or fused; both tell name, task, licence, dimension, inputs, points and pin."""


def preprocessing_sha256(spec: InputSpec) -> str:
    """Return the SHA-256 of everything that happens to pixels, as canonical JSON (sorted keys, no spaces)."""
    facts = {"alignment": ALIGNMENT, **asdict(spec)}
    if not spec.mirror:
        del facts["mirror"]  # pins are older than it
    return _sha256_of_json(facts)


def _sha256_of_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def bundled_folder() -> Path:
    """Return the folder of the manifests that come with facecli: inside the wheel, or beside ``src`` in a checkout."""
    here = Path(__file__).resolve()
    inside = here.parent / "models"
    return inside if inside.is_dir() else here.parents[2] / "models"


def read_model(path: Path) -> Model:
    """Read one manifest strictly, of one file or fused; the parts' manifests lie beside it, or come with facecli.

    Raises
    ------
    ConfigError
        As of :func:`read_manifest`.
    """
    return model_of(_read_toml(path), path)


def model_of(data: Mapping[str, object], path: Path) -> Model:
    """Turn a manifest's parsed TOML into the model that it would be at ``path``; raises as :func:`read_model`."""
    from facecli.manifest_reader import fused_of, manifest_of

    def part(name: str) -> Manifest:
        bundled = bundled_folder() / f"{name}.toml"  # facecli's own wins, as everywhere
        return read_manifest(bundled if bundled.is_file() else path.with_name(bundled.name))

    return fused_of(data, path, part) if "parts" in data else manifest_of(data, path)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a model of one file strictly.

    Raises
    ------
    ConfigError
        The file can't be read, is no TOML, or a key is unknown, missing or wrong; the message names file and key.
    """
    from facecli.manifest_reader import manifest_of

    return manifest_of(_read_toml(path), path)


def _read_toml(path: Path) -> Mapping[str, object]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't read the model manifest {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the model manifest {path} is no valid TOML: {error}") from error


def manifests(extra: Path | None = None) -> Mapping[str, Model]:
    """Read every manifest that comes with facecli, and those of the user's folder.

    Parameters
    ----------
    extra
        Folder of ``facecli models add``; it need not exist.

    Returns
    -------
    Mapping
        By name, sorted.

    Raises
    ------
    ConfigError
        A manifest is wrong, or the user's folder names a model that facecli already has.
    """
    found = {path.stem: read_model(path) for path in sorted(bundled_folder().glob("*.toml"))}
    for path in sorted(extra.glob("*.toml")) if extra is not None else ():
        if path.stem in found:
            raise ConfigError(
                f"{path} describes a model named {path.stem!r}, which facecli already has",
                hint="rename that file and its `name`, or remove it",
            )
        found[path.stem] = read_model(path)
    return dict(sorted(found.items()))

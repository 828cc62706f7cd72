"""``facecli models``: which networks there are, under which licence, and whether they are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _fetching, _options, _output, _render
from facecli.errors import ExitStatus, UsageError
from facecli.manifest import FusedManifest, Manifest
from facecli.sources import PackageSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.manifest import Model
    from facecli.registry import Registry
    from facecli.sources import Source

accept_license = click.option(
    "--accept-license",
    is_flag=True,
    help="Accept the licences of these models where they are not free for commercial use.",
)


@click.group("models")
def models_command() -> None:
    """List, fetch and add models.

    Weights are not part of facecli: they are fetched once, checked by their sha256, converted, and kept in your cache.

    \b
    Examples:
      facecli models list
      facecli models fetch yunet sface
      facecli models info sface
    """


@models_command.command("list")
@_options.as_json
@_options.configured(*_options.MODELS)
def list_command(engine: Engine, *, as_json: bool) -> ExitStatus:
    """List every known model: task, dimension, licence, size, presence on this machine.

    \b
    Examples:
      facecli models list
      facecli models list --json | jq -r 'select(.commercial_use) | .name'
    """
    registry = engine.registry
    manifests = registry.all()
    if as_json:
        for manifest in manifests:
            _output.emit("models.list", _summary(registry, manifest))
        return ExitStatus.ACCEPTED
    rows = [
        (
            m.name,
            m.task,
            str(m.dimension or "-"),
            m.licence.name if m.licence.commercial_use else f"{m.licence.name} (must be accepted)",
            f"{_size(m) / 1e6:.1f} MB",
            registry.state(m),
            m.title,
        )
        for m in manifests
    ]
    _output.table(("name", "task", "dimension", "licence", "size", "here", "title"), rows)
    return ExitStatus.ACCEPTED


@models_command.command("info")
@click.argument("name")
@_options.as_json
@_options.configured(*_options.MODELS)
def info_command(engine: Engine, name: str, *, as_json: bool) -> ExitStatus:
    """Tell all that is known of a model: licence, sources, preprocessing, operating points and the data behind them.

    \b
    Example:
      facecli models info sface
    """
    registry = engine.registry
    manifest = registry.model(name)
    if as_json:
        _output.emit("models.info", {**_summary(registry, manifest), **_details(manifest)})
        return ExitStatus.ACCEPTED
    for heading, value in _told(registry, manifest):
        _output.say(f"{heading:<15}{value}")
    return ExitStatus.ACCEPTED


@models_command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@accept_license
@_options.configured(*_options.MODELS)
def fetch_command(engine: Engine, names: tuple[str, ...], *, accept_license: bool) -> ExitStatus:
    """Fetch models, check their sha256 and convert them; what is here already is only checked.

    \b
    Examples:
      facecli models fetch yunet sface
      facecli models fetch dlib
    """
    registry = engine.registry_for_fetching(
        progress=_fetching.shown,
        accept_licences=frozenset(_members(engine, names) if accept_license else ()),
    )
    for name in names:
        model = registry.make_ready(name)
        _output.say(f"{name}: ready ({model.licence.name}, {_size(model) / 1e6:.1f} MB)")
    return ExitStatus.ACCEPTED


@models_command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_options.configured(*_options.RUNTIME)
def build_command(engine: Engine, names: tuple[str, ...]) -> ExitStatus:
    """Convert models that are here and optimise them for this machine, so that the first decision is fast.

    \b
    Example (in the recipe of a machine image):
      facecli models fetch yunet sface && facecli models build yunet sface
    """
    for name in _members(engine, names):
        session = engine.session(engine.registry.manifest(name))
        _output.say(f"{name}: built for {session.device}")
    return ExitStatus.ACCEPTED


@models_command.command("add")
@click.argument("file", metavar="FILE")
@click.option("--manifest", metavar="FILE.toml", help="The manifest that describes FILE.")
@click.option("--name", help="What to call an ONNX embedder of ArcFace's kind (112x112, five points).")
@click.option("--license", "licence", help="Name of its licence.")
@click.option(
    "--commercial-use/--no-commercial-use", default=False, help="Whether that licence permits commercial use."
)
@click.option("--colour", type=click.Choice(["RGB", "BGR"]), default="RGB", show_default=True, help="Channel order.")
@click.option("--mean", type=float, default=127.5, show_default=True, help="x' = (x - mean) / divisor, x in 0..255.")
@click.option("--divisor", type=float, default=127.5, show_default=True, help="See --mean.")
@_options.configured(*_options.MODELS)
def add_command(
    engine: Engine,
    file: str,
    *,
    manifest: str | None,
    name: str | None,
    licence: str | None,
    commercial_use: bool,
    colour: str,
    mean: float,
    divisor: float,
) -> ExitStatus:
    """Bring a model from a file: one that facecli knows (no network needed), or one of your own.

    \b
    Examples:
      facecli models add face_recognition_sface_2021dec_int8bq.onnx
      facecli models add mine.onnx --name mine --license MIT --commercial-use
      facecli models add mine.onnx --manifest mine.toml
    """
    from facecli import model_add

    registry, path = engine.registry, Path(file)
    if manifest is not None:
        added = model_add.add_manifest(registry, Path(manifest), path)
    elif name is not None:
        if licence is None:
            raise UsageError("--license is missing: under which terms may this model be used?")
        if not divisor or divisor != divisor:  # noqa: PLR0124 (NaN is what differs from itself)
            raise UsageError("--divisor must be a number other than 0")
        description = model_add.Description(
            name,
            licence,
            commercial_use,
            "RGB" if colour == "RGB" else "BGR",
            (mean, mean, mean),
            (1 / divisor, 1 / divisor, 1 / divisor),
        )
        added = model_add.add_onnx(registry, path, description)
    else:
        known = model_add.add_known(registry, path)
        if known is None:
            raise UsageError(
                f"{file} is the file of no model that facecli knows",
                hint="describe it: --name and --license for an embedder of ArcFace's kind, else --manifest",
            )
        added = known
    _output.say(f"{added.name}: added ({added.licence.name})")
    return ExitStatus.ACCEPTED


def _members(engine: Engine, names: Sequence[str]) -> list[str]:
    """Name the models of one file each that these models are made of, each once."""
    return list(dict.fromkeys(member.name for name in names for member in engine.registry.model(name).members))


def _size(model: Model) -> int:
    """Return the bytes of all files that a model needs."""
    return sum(member.file.size for member in model.members)


def _summary(registry: Registry, manifest: Model) -> dict[str, Json]:
    """Return the facts of the list as data."""
    return {
        "name": manifest.name,
        "task": manifest.task,
        "title": manifest.title,
        "dimension": manifest.dimension,
        "licence": manifest.licence.name,
        "commercial_use": manifest.licence.commercial_use,
        "size": _size(manifest),
        "sha256": manifest.file.sha256 if isinstance(manifest, Manifest) else None,
        "state": registry.state(manifest),
        "measured": manifest.measurement is not None,
    }


def _details(manifest: Model) -> dict[str, Json]:
    """Return the rest as data."""
    measurement = manifest.measurement
    points: list[Json] = [
        {
            "fmr": p.fmr,
            "threshold": p.threshold,
            "fmr_bound": p.fmr_bound,
            "fmr_people_pairs": p.fmr_people_pairs,
            "fmr_image_pairs": p.fmr_image_pairs,
            "fnmr": p.fnmr,
        }
        for p in (measurement.points if measurement else ())
    ]
    return {
        "paper": manifest.paper,
        "licence_url": manifest.licence.url,
        "licence_note": manifest.licence.note,
        "conversion": manifest.conversion,
        **_made_of(manifest),
        "model": _render.pin_json(manifest.pin()) if manifest.dimension else None,
        "measurement": None
        if measurement is None
        else {
            "data": measurement.data,
            "people": measurement.people,
            "images": measurement.images,
            "people_pairs": measurement.people_pairs,
            "image_pairs": measurement.image_pairs,
            "date": measurement.date,
            "status": measurement.status,
            "method": measurement.method,
            "points": points,
        },
    }


def _made_of(model: Model) -> dict[str, Json]:
    """Return, as data, the models that it is made of, or where its file comes from and what it wants."""
    if isinstance(model, FusedManifest):
        parts: list[Json] = [{"model": part.model.name, "weight": part.weight} for part in model.parts]
        return {"parts": parts}
    sources: list[Json] = [_place(source) for source in model.sources]
    spec = model.input
    return {
        "sources": sources,
        "input": {"size_px": [spec.width_px, spec.height_px], "colour": spec.colour, "mirror": spec.mirror},
    }


def _files_told(model: Model) -> list[tuple[str, str]]:
    """Return headed lines on the file and what it wants, or on the models that it is made of."""
    if isinstance(model, FusedManifest):
        return [("part", f"{part.model.name}, weight {part.weight:g}: {part.model.title}") for part in model.parts]
    spec = model.input
    return [
        ("file", f"{model.file.name}, {model.file.size:,} bytes"),
        ("sha256", model.file.sha256),
        *(("source", _place(source)) for source in model.sources),
        ("conversion", model.conversion),
        (
            "input",
            f"{spec.width_px}x{spec.height_px} {spec.colour}, (x - {spec.mean}) * {spec.scale}"
            + (", and mirrored" if spec.mirror else ""),
        ),
    ]


def _told(registry: Registry, manifest: Model) -> list[tuple[str, str]]:
    """Return headed lines for a person to read."""
    licence, measurement = manifest.licence, manifest.measurement
    lines = [
        ("name", manifest.name),
        ("title", manifest.title),
        ("task", manifest.task + (f", {manifest.dimension} values" if manifest.dimension else "")),
        ("paper", manifest.paper),
        ("licence", f"{licence.name}, {'free for' if licence.commercial_use else 'NOT free for'} commercial use"),
        *(("", url) for url in licence.url.split()),
        *((("", licence.note),) if licence.note else ()),
        ("here", registry.state(manifest)),
        *_files_told(manifest),
    ]
    if measurement is None:
        return lines if manifest.dimension is None else [*lines, ("measured", "no: decisions need --threshold")]
    lines += [
        ("measured", f"{measurement.data}, {measurement.date} ({measurement.status})"),
        ("", f"{measurement.people:,} people, {measurement.people_pairs:,} pairs of them"),
        ("", f"{measurement.images:,} photographs, {measurement.image_pairs:,} non-mated pairs of them"),
        ("", measurement.method),
    ]
    for p in measurement.points:
        seen = f"seen {p.fmr_people_pairs:.2g} by people, {p.fmr_image_pairs:.2g} by photographs"
        lines.append(
            (f"FMR {p.fmr:g}", f"score >= {p.threshold:.4f}   {seen}, 95 % bound {p.fmr_bound:.2g}, FNMR {p.fnmr:.2%}")
        )
    return lines


def _place(source: Source) -> str:
    """Say where a file can be had."""
    if isinstance(source, PackageSource):
        return f"package {source.requirement}, {source.member}"
    return source.url

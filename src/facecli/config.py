"""Settings, and where each came from: flag > environment (``FACECLI_*``) > TOML file > default.

A door must not open because of a typing error, so an unknown key in the file *or* an unknown ``FACECLI_`` variable is
an error, and so is a value out of range. A threshold given by hand is no setting: only a flag can give it.
"""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, get_args, get_type_hints

from facecli.errors import ConfigError
from facecli.types import FacePolicy, Fusion, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "FACECLI_"
CONFIG_VARIABLE = "FACECLI_CONFIG"
"""Names another TOML file than the default one."""

WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

Value = str | int | float | bool | Path


def default_cache() -> Path:
    """Return the user's cache folder for facecli: weights, converted models, optimised graphs."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("facecli", appauthor=False))


def default_gallery() -> Path:
    """Return the gallery that is used when none is named."""
    import platformdirs

    return Path(platformdirs.user_data_dir("facecli", appauthor=False)) / "gallery"


def default_models() -> Path:
    """Return the folder of the user's own model manifests and of the licences that he accepted."""
    import platformdirs

    return Path(platformdirs.user_data_dir("facecli", appauthor=False)) / "models"


def default_config() -> Path:
    """Return the TOML file that is read when ``FACECLI_CONFIG`` names none."""
    import platformdirs

    return Path(platformdirs.user_config_dir("facecli", appauthor=False)) / "config.toml"


@dataclass(frozen=True, slots=True)
class About:
    """What a setting means, and its range, both ends included."""

    text: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; one immutable value is handed to the engine.

    ``None`` leaves the choice to the part concerned, which has measured it.
    """

    model: Annotated[str, About("the embedder, by its manifest's name")] = "sface"
    detector: Annotated[str, About("the face detector, by its manifest's name")] = "yunet"
    gallery: Annotated[Path, About("folder of the gallery")] = field(default_factory=default_gallery)
    cache: Annotated[Path, About("folder for weights and converted models")] = field(default_factory=default_cache)
    models: Annotated[Path, About("folder of your own model manifests")] = field(default_factory=default_models)
    device: Annotated[str, About("where networks run: auto, cpu, cuda or cuda:N")] = "auto"
    threads: Annotated[int, About("threads of one network run; 0 chooses", 0, 1024)] = 0
    offline: Annotated[bool, About("never touch the network")] = False
    faces: Annotated[FacePolicy, About("which face of a photograph is meant")] = FacePolicy.ONE
    metric: Annotated[Metric, About("how comparisons are shown")] = Metric.COSINE
    fusion: Annotated[Fusion, About("how the scores against a person's templates become one")] = Fusion.MAX
    fmr: Annotated[float, About("false match rate that a 1:1 decision promises", 0, 1)] = 1e-4
    fpir: Annotated[float, About("false positive identification rate that a search promises", 0, 1)] = 0.01
    duplicate_fpir: Annotated[float, About("rate of strangers that enrolment takes for duplicates", 0, 1)] = 0.001
    strict: Annotated[bool, About("refuse operating points that the data can't support")] = False
    detect_side: Annotated[int | None, About("longest side in px at which faces are sought", 32, 16384)] = None
    min_score: Annotated[float | None, About("detector confidence from which something is a face", 0, 1)] = None
    min_face: Annotated[float | None, About("smallest face in px that counts", 0)] = None
    turn: Annotated[bool, About("look at a photograph turned when it shows no face upright")] = True
    min_detection: Annotated[float | None, About("quality floor: detector confidence", 0, 1)] = None
    min_eye_distance: Annotated[float | None, About("quality floor: inter-eye distance in px", 0)] = None
    max_cut: Annotated[float | None, About("quality ceiling: fraction of the face outside the frame", 0, 1)] = None
    min_sharpness: Annotated[float | None, About("quality floor: sharpness of the aligned face", 0)] = None
    max_pixels: Annotated[int, About("largest photograph accepted, in pixels", 1)] = 100_000_000
    max_bytes: Annotated[int, About("largest file accepted, in bytes", 1)] = 100_000_000
    wait: Annotated[float, About("seconds to wait for another process that changes the gallery", 0, 86400)] = 10.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings and, for each, where its value came from (``flag``, ``FACECLI_X``, the file's path, or ``default``)."""

    settings: Settings
    origins: Mapping[str, str]


@cache
def _annotations() -> Mapping[str, object]:
    """Evaluate the annotations of :class:`Settings`, once."""
    return get_type_hints(Settings, include_extras=True)


def declared(name: str) -> tuple[type, About]:
    """Return a setting's type (without ``None``) and what is said of it."""
    kind, told = get_args(_annotations()[name])
    return next(t for t in (get_args(kind) or (kind,)) if t is not NoneType), told


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the TOML file that is read, whether or not it is there."""
    named = (os.environ if environ is None else environ).get(CONFIG_VARIABLE)
    return Path(named) if named else default_config()


def load(flags: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Configuration:
    """Resolve all settings.

    Parameters
    ----------
    flags
        Values given on the command line; those that are ``None`` were not given.
    environ
        The environment; the process's own when not given.

    Raises
    ------
    ConfigError
        An unknown key, a value of the wrong type or out of range, an unreadable file. The message names the place.
    """
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for origin, key, value in _given(flags, environ, path):
        values[key] = _convert(key, value, origin)
        origins[key] = origin
    settings = Settings(**values)  # type: ignore[arg-type]
    return Configuration(settings, {f.name: origins.get(f.name, "default") for f in fields(Settings)})


def _given(flags: Mapping[str, object], environ: Mapping[str, str], path: Path) -> Iterator[tuple[str, str, object]]:
    """Yield (origin, setting, value) of all that was set anywhere, the weakest origin first."""
    for key, value in _read_file(path, must_exist=CONFIG_VARIABLE in environ).items():
        yield str(path), key, value
    for variable, text in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            yield variable, variable.removeprefix(PREFIX).swapcase(), text
    for key, value in flags.items():
        if value is not None:
            yield "flag", key, value


def _read_file(path: Path, *, must_exist: bool) -> dict[str, object]:
    """Read the TOML file; a default file that isn't there is empty."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if must_exist:
            raise ConfigError(f"{CONFIG_VARIABLE} names {path}, which does not exist") from error
        return {}
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error


def _convert(key: str, value: object, origin: str) -> Value:
    """Bring a value from any origin to the type of its setting, and check its range."""
    if key not in Settings.__dataclass_fields__:
        known = ", ".join(f.name for f in fields(Settings))
        raise ConfigError(f"{origin}: there is no setting {key!r}", hint=f"the settings are {known}")
    kind, told = declared(key)
    try:
        converted = _as(kind, value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: {key} = {value!r} must be {_expected(kind)}") from error
    if isinstance(converted, (int, float)) and not told.low <= converted <= told.high:
        raise ConfigError(f"{origin}: {key} = {value!r} is out of range ({told.low:g} to {told.high:g})")
    return converted


def _as(kind: type, value: object) -> Value:
    """Convert without guessing: a boolean is no number, a fraction no integer, and text is parsed strictly."""
    if kind is bool:
        return _as_bool(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Path)):
        raise TypeError(value)
    if kind is Path:
        return Path(str(value)).expanduser()
    if kind is float:
        return float(str(value))
    if kind is int:
        return int(str(value))
    if not isinstance(value, str):
        raise TypeError(value)
    return kind(value) if issubclass(kind, StrEnum) else value


def _as_bool(value: object) -> bool:
    """Accept TOML's booleans and the usual words."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in WORDS:
        raise ValueError(value)
    return WORDS[value.lower()]


def _expected(kind: type) -> str:
    """Name a type as a person would."""
    if issubclass(kind, StrEnum):
        return "one of " + ", ".join(kind)
    return {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}.get(kind, "text")

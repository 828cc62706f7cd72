"""Options that several commands share; each setting is declared once, in :mod:`facecli.config`."""

from __future__ import annotations

import functools
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from facecli import config
from facecli.cli import _output
from facecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")

MODELS = ("cache", "models", "offline")
RUNTIME = (*MODELS, "device", "threads")
DETECTION = (*RUNTIME, "detector", "detect_side", "min_score", "min_face", "turn", "max_pixels", "max_bytes")
QUALITY = ("min_detection", "min_eye_distance", "max_cut", "min_sharpness")
PIPELINE = ("model", "faces", *DETECTION, *QUALITY)
GALLERY = ("gallery", "wait")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line, instead of text.")

threshold = click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Decide at this value (in the unit of --metric) instead of an error rate; it is marked unsourced.",
)


def stdin_once(_context: click.Context, _parameter: click.Parameter, images: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a second ``-`` among photographs: the first would leave nothing for it to read.

    Raises
    ------
    UsageError
        There is one.
    """
    if images.count("-") > 1:
        raise UsageError(
            "standard input can be read only once, and - stands for it twice", hint="a file of that name is ./-"
        )
    return images


def configured(*names: str) -> Callable[[Callable[Concatenate[Engine, P], R]], Callable[..., R]]:
    """Give a command the flags of these settings, and hand it an engine made from all settings.

    The command's first parameter is the engine; the flags themselves don't reach it.
    """

    def decorate(command: Callable[Concatenate[Engine, P], R]) -> Callable[..., R]:
        def with_engine(*args: P.args, **kwargs: P.kwargs) -> R:
            flags = {name: kwargs.pop(name) for name in names}
            engine = _engine(flags)
            try:
                return command(engine, *args, **kwargs)
            finally:
                if engine.fell_back:
                    _output.note(f"facecli: {engine.fell_back}")

        result: Callable[..., R] = functools.update_wrapper(with_engine, command)
        for name in reversed(names):
            result = _flag(name)(result)
        return result

    return decorate


def _engine(flags: dict[str, object]) -> Engine:
    """Make the engine; weights may be fetched only where a person is there to see it."""
    from facecli.cli._fetching import shown
    from facecli.engine import Engine

    configuration = config.load(flags)
    interactive = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
    return Engine(configuration, may_fetch=interactive, progress=shown if interactive else None)


def _flag(name: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Make the click option of a setting."""
    kind, told = config.declared(name)
    spelled = "--" + name.replace("_", "-")
    if kind is bool:
        spelled = f"{spelled}/--no-{name.replace('_', '-')}"
    return click.option(
        spelled,
        name,
        type=_click_type(kind, told),
        default=None,
        help=f"{told.text[0].upper()}{told.text[1:]}.",
        metavar="PATH" if kind is Path else None,
    )


def _click_type(kind: type, told: config.About) -> click.ParamType[object] | None:
    """Let Click check what it can, so that its message names the flag."""
    if kind is bool:
        return None
    if issubclass(kind, StrEnum):
        return click.Choice([member.value for member in kind])
    low, high = (bound if math.isfinite(bound) else None for bound in (told.low, told.high))
    if kind is int:
        return click.IntRange(None if low is None else int(low), None if high is None else int(high))
    return click.FloatRange(low, high) if kind is float else click.STRING

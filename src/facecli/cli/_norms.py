"""``--cohort``, ``--norm`` and ``--nearest`` of ``facecli evaluate folder``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from facecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.engine import Engine
    from facecli.evaluate.norms import Norming
    from facecli.evaluate.running import Conduct, Evaluation

R = TypeVar("R")


def options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options, handed to it as ``cohort``, ``norm`` and ``nearest``."""
    for option in (
        click.option("--nearest", type=click.IntRange(2), metavar="N", help="Use the N most similar of the cohort."),
        click.option("--norm", type=click.Choice(["z", "t", "s"]), help="Normalise by one side, or (s) by both."),
        click.option(
            "--cohort",
            metavar="FOLDER",
            help="Measure scores normalised by these strangers, too; one sub-folder a person.",
        ),
    ):
        command = option(command)
    return command


def norming(cohort: str | None, norm: str | None, nearest: int | None) -> Norming | None:
    """Return how scores are normalised; None where they aren't.

    Raises
    ------
    UsageError
        There is no cohort to normalise by.
    """
    if cohort is None:
        if norm is not None or nearest is not None:
            raise UsageError("--norm and --nearest need strangers to normalise by", hint="give them with --cohort")
        return None
    from facecli.evaluate.norms import Norm, Norming

    return Norming(Norm(norm or "s"), nearest)


def measured(engine: Engine, evaluation: Evaluation, cohort: str, chosen: Norming, conduct: Conduct) -> Evaluation:
    """Embed the cohort, and return the evaluation with normalised scores."""
    from facecli.evaluate.embedding import embed_images
    from facecli.evaluate.norms import normalised
    from facecli.evaluate.protocols import read_folder

    images = read_folder(Path(cohort)).images
    step = conduct.step(f"embedding the cohort ({engine.settings.model})", len(images))
    templates = embed_images(engine, images, keep=conduct.keep, step=step)
    return normalised(evaluation, templates, chosen, resampling=conduct.resampling)

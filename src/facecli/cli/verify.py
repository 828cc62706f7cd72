"""``facecli verify``: one person against one claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _render
from facecli.errors import ExitStatus, UsageError
from facecli.match import as_score

if TYPE_CHECKING:
    from facecli.engine import Engine


@click.command("verify")
@click.argument("images", nargs=-1, required=True, metavar="PROBE [REFERENCE]", callback=_options.stdin_once)
@click.option("--as", "name", metavar="NAME", help="Compare with this enrolled person instead of a second photograph.")
@_options.threshold
@_options.as_json
@_options.configured(*_options.PIPELINE, *_options.GALLERY, "metric", "fusion", "fmr", "strict")
def verify_command(
    engine: Engine, images: tuple[str, ...], *, name: str | None, threshold: float | None, as_json: bool
) -> ExitStatus:
    """Decide whether two faces are the same person's.

    Compares the face on PROBE with the face on REFERENCE, or with the person enrolled as NAME. Exit status 0 means
    accepted, 1 that the faces don't match; any other status that no decision was possible, and its number says why.

    \b
    Examples:
      facecli verify -- "$PHOTO" passport.jpg
      facecli verify --as alice -- "$PHOTO"
      facecli verify --fmr 1e-3 --json -- a.jpg b.jpg
      camera-still | facecli verify --as alice -
    """
    cosine = None if threshold is None else as_score(threshold, engine.settings.metric)
    if name is None:
        if len(images) != 2:
            raise UsageError("verify compares two photographs, or one with --as NAME", hint="facecli verify -- A B")
        decision = engine.verify(*images, threshold=cosine)
    else:
        if len(images) != 1:
            raise UsageError(f"verify --as NAME takes one photograph, not {len(images)}")
        decision = engine.verify_as(images[0], name, threshold=cosine)
    _render.decision(decision, engine, as_json=as_json)
    return ExitStatus.ACCEPTED if decision else ExitStatus.REFUSED

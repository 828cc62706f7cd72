"""``facecli identify``: one person among all enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output, _render
from facecli.match import as_score
from facecli.recognition import identify

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.errors import ExitStatus


@click.command("identify")
@click.argument("images", nargs=-1, required=True, metavar="PROBE...", callback=_options.stdin_once)
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many candidates to show.")
@_options.threshold
@_options.as_json
@_options.configured(*_options.PIPELINE, *_options.GALLERY, "metric", "fusion", "fmr", "fpir", "strict")
def identify_command(
    engine: Engine, images: tuple[str, ...], *, top: int, threshold: float | None, as_json: bool
) -> ExitStatus:
    """Find out who is on a photograph.

    Searches the gallery for the face on each PROBE and prints the most similar people. Exit status 0 means that every
    face was recognised, 1 that one is unknown. The threshold depends on how many templates are searched: a search in a
    large gallery gives a stranger many chances.

    \b
    Examples:
      facecli identify --top 5 -- "$PHOTO"
      facecli identify --faces all --json -- group.jpg
      facecli identify --json -- *.jpg | jq -r '.candidates[0].name'
    """
    cosine = None if threshold is None else as_score(threshold, engine.settings.metric)
    accepted = True

    with engine.gallery() as gallery:
        rules = engine.rules(threshold=cosine)

        def show(source: str) -> None:
            nonlocal accepted
            found = identify(engine.faces_of(source), gallery, rules, top=top)
            accepted = accepted and bool(found) and all(found)
            for identification in found:
                _render.identification(identification, engine, as_json=as_json)

        failed = _output.each("identify", images, show, as_json=as_json)
    return _output.status_of(failed, inputs=len(images), accepted=accepted)

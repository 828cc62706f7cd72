"""``facecli compare``: every photograph against every other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output
from facecli.cli.evaluate import watching
from facecli.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.evaluate.embedding import Templates
    from facecli.evaluate.matrix import Step
    from facecli.evaluate.protocols import Image


@click.command("compare")
@click.argument("images", nargs=-1, metavar="IMAGE...", callback=_options.stdin_once)
@click.option(
    "--from", "source", metavar="PATH", help="A folder with one sub-folder a person, or a CSV file with name and image."
)
@click.option("--out", metavar="PATH", help="Write to this file, whose ending says how: .csv, .ndjson or .npz.")
@click.option("--fresh", is_flag=True, help="Embed every photograph anew, and keep no templates in the cache.")
@_options.as_json
@_options.configured(*_options.PIPELINE)
def compare_command(
    engine: Engine, images: tuple[str, ...], *, source: str | None, out: str | None, fresh: bool, as_json: bool
) -> ExitStatus:
    """Compare every photograph with every other one, for other tools.

    Prints each pair once with its score, or with --out writes a file: .csv and .ndjson hold the pairs as `facecli
    evaluate scores` reads them, .npz the whole matrix. Nothing is decided; thousands of photographs need little memory.

    \b
    Examples:
      facecli compare a.jpg b.jpg c.jpg
      facecli compare --from people/ --out scores.csv
      facecli compare --from people/ --out matrix.npz
    """
    from facecli.evaluate.embedding import embed_images
    from facecli.evaluate.matrix import format_of, write_matrix
    from facecli.files import replacing

    listed = _listed(images, source)
    kind = None if out is None else format_of(Path(out))
    with watching() as watch:
        templates = embed_images(
            engine, listed, keep=not fresh, step=lambda done: watch("embedding", done, len(listed))
        )
        _told(templates, as_json=as_json)

        def step(done: int) -> None:
            watch("comparing", done, len(templates.vectors))

        if out is None or kind is None:
            _print(templates, step, as_json=as_json)
        else:
            with replacing(Path(out)) as stream:
                write_matrix(stream, templates, kind, step=step)
    return ExitStatus.SOME_FAILED if templates.failures else ExitStatus.ACCEPTED


def _listed(images: tuple[str, ...], source: str | None) -> tuple[Image, ...]:
    """Return the photographs, from the command line or from a folder."""
    from facecli.evaluate.protocols import Image, read_folder

    if source is not None:
        if images:
            raise UsageError("--from brings its own photographs; give no others")
        return read_folder(Path(source)).images
    if len(images) < 2:
        raise UsageError("compare needs at least two photographs", hint="facecli compare a.jpg b.jpg")
    return tuple(Image(image, "") for image in images)


def _told(templates: Templates, *, as_json: bool) -> None:
    """Name the photographs that can't be compared."""
    for failure in templates.failures:
        _output.note(f"not compared: {failure.message}")
        if as_json:
            _output.emit(
                "compare", {"source": failure.source, "error": {"kind": failure.kind, "message": failure.message}}
            )
    if len(templates.vectors) < 2:
        raise UsageError("nothing can be compared: fewer than two photographs gave a template")


def _print(templates: Templates, step: Step, *, as_json: bool) -> None:
    """Print each pair once."""
    from facecli.evaluate.matrix import scored_pairs

    for first, second, score in scored_pairs(templates, step=step):
        if as_json:
            _output.emit("compare", {"first": first.source, "second": second.source, "score": score})
        else:
            _output.tabbed(first.source, second.source, f"{score:.10f}")

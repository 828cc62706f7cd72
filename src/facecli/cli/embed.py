"""``facecli embed``: templates for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output, _render

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.errors import ExitStatus
    from facecli.types import Sample


@click.command("embed")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", callback=_options.stdin_once)
@click.option("--out", metavar="OUT.npy", help="Write the vectors as one NumPy array (float32, a row a face).")
@_options.as_json
@_options.configured(*_options.PIPELINE)
def embed_command(engine: Engine, images: tuple[str, ...], *, out: str | None, as_json: bool) -> ExitStatus:
    """Compute the templates of faces.

    Prints one JSON object a face with its unit vector, or with --out writes a NumPy array and prints which row is
    whose. A template is biometric data: keep it as you would keep the photograph.

    \b
    Examples:
      facecli embed alice.jpg | jq '.vector | length'
      facecli embed --faces largest --out vectors.npy -- *.jpg
    """
    samples: list[Sample] = []

    def show(source: str) -> None:
        for sample in engine.faces_of(source):
            _show(sample, engine, row=None if out is None else len(samples), as_json=as_json)
            samples.append(sample)

    failed = _output.each("embed", images, show, as_json=as_json or out is None)
    if out is not None and samples:
        _write(Path(out), samples)
    return _output.status_of(failed, inputs=len(images), accepted=True)


def _show(sample: Sample, engine: Engine, *, row: int | None, as_json: bool) -> None:
    """Print one face: with its vector, or with the row it has in the array."""
    if row is not None and not as_json:
        _output.tabbed(str(row), sample.photo)
        return
    vector: dict[str, _output.Json] = (
        {"vector": [float(value) for value in sample.vector]} if row is None else {"row": row}
    )
    _output.emit("embed", {**_render.sample_json(sample), "status": 0, **_render.provenance(engine), **vector})


def _write(path: Path, samples: list[Sample]) -> None:
    """Write all vectors, or nothing."""
    import numpy as np

    from facecli.files import replacing

    with replacing(path) as stream:
        np.save(stream, np.stack([sample.vector for sample in samples]), allow_pickle=False)

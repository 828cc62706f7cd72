"""``facecli detect``: the first stage on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output, _render
from facecli.errors import ExitStatus, NoFaceError, UsageError

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.types import Face, Photo, Quality


@click.command("detect")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", callback=_options.stdin_once)
@click.option("--draw", metavar="OUT.png", help="Write the photograph with boxes and points drawn in.")
@_options.as_json
@_options.configured(*_options.DETECTION)
def detect_command(engine: Engine, images: tuple[str, ...], *, draw: str | None, as_json: bool) -> ExitStatus:
    """Find the faces of photographs.

    Prints a line for each face: photograph, number, box (x y width height in px), confidence, inter-eye distance in px,
    sharpness. Exit status 3 where there is no face.

    \b
    Examples:
      facecli detect group.jpg --draw found.png
      facecli detect --json -- *.jpg | jq '.faces | length'
    """
    if draw is not None and len(images) != 1:
        raise UsageError("--draw takes one photograph at a time")

    def show(source: str) -> None:
        photo, found = engine.detections(source)
        if not found:
            raise NoFaceError(f"no face found in {_output.source_name(source)}")
        if draw is not None:
            _draw(photo, [face for face, _ in found], Path(draw))
        _show(source, found, as_json=as_json)

    failed = _output.each("detect", images, show, as_json=as_json)
    return _output.status_of(failed, inputs=len(images), accepted=True)


def _draw(photo: Photo, faces: list[Face], path: Path) -> None:
    """Write the drawing."""
    from facecli.draw import draw_faces
    from facecli.image import write_png

    write_png(path, draw_faces(photo.pixels, faces))


def _show(source: str, found: list[tuple[Face, Quality]], *, as_json: bool) -> None:
    """Print the faces of one photograph."""
    if as_json:
        faces: list[_output.Json] = [
            {**_render.face_json(face), "quality": _render.quality_json(quality)} for face, quality in found
        ]
        _output.emit("detect", {"source": source, "status": 0, "faces": faces})
        return
    for number, (face, quality) in enumerate(found, 1):
        box = face.box
        _output.say(
            f"{source}  {number}  {box.x:.0f} {box.y:.0f} {box.width:.0f} {box.height:.0f}  {face.score:.3f}  "
            f"eyes {quality.eye_distance_px:.0f} px  sharpness {quality.sharpness:.2f}"
            + (f"  turned {face.turned_deg} deg" if face.turned_deg else "")
        )

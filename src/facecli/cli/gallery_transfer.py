"""``facecli gallery export`` and ``import``: people on their way between galleries, or to themselves."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from facecli.cli import _options, _output
from facecli.errors import ExitStatus, UsageError
from facecli.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.engine import Engine

FORMATS = ("ndjson", "npz")


@click.command("export")
@click.argument("file")
@click.option("--person", metavar="NAME", help="Only this person: all that is held on him.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By default what the file's name ends in.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@_options.configured(*_options.GALLERY)
def export_command(engine: Engine, file: str, *, person: str | None, form: str | None, force: bool) -> ExitStatus:
    """Write people and their templates to a file, for another gallery or for the person concerned.

    NDJSON: a header, a line for each template, a trailer with a checksum; .npz: numpy arrays. - is standard output.
    The file holds faces, unprotected: it is readable by you alone.

    \b
    Examples:
      facecli gallery export people.ndjson
      facecli gallery export people.npz
      facecli gallery export --person alice - | head -2
    """
    from facecli.gallery.transfer import export

    as_npz = form == "npz" if form else file.endswith(".npz")
    if file == "-" and as_npz:
        raise UsageError("an .npz file can't go to standard output", hint="give it a name")
    settings = engine.settings
    with _writing(file, force=force) as stream:
        header = export(settings.gallery, stream, wait_s=settings.wait, person=person, as_npz=as_npz)
    if file != "-":
        people, templates = (
            _output.plural(header.people, "person", "people"),
            _output.plural(header.templates, "template"),
        )
        _output.say(f"{file}: {people}, {templates} of {header.pin.name}")
    return ExitStatus.ACCEPTED


@click.command("import")
@click.argument("file")
@click.option("--merge", is_flag=True, help="Add to people of the same name, although they were enrolled apart.")
@_options.as_json
@_options.configured(*_options.GALLERY)
def import_command(engine: Engine, file: str, *, merge: bool, as_json: bool) -> ExitStatus:
    """Add the people of an exported file to the gallery, which is made where there is none.

    All of the file is checked before anything is changed. Templates that a person has already are left out, so an
    import that was interrupted is simply run again. Faces are not judged: see facecli gallery health. - is standard
    input.

    \b
    Examples:
      facecli gallery import people.ndjson
      ssh door1 facecli gallery export - | facecli gallery import -
    """
    from facecli.gallery.transfer import Source, create_for, import_

    settings = engine.settings
    with _reading(file) as stream, _output.counting("importing", unit="templates") as step:
        source = Source(stream, file)
        if not settings.gallery.exists():
            create_for(settings.gallery, source, wait_s=settings.wait)
        done = import_(settings.gallery, source, wait_s=settings.wait, merge=merge, step=step)
    if as_json:
        counts: dict[str, _output.Json] = {"people": done.people, "added": done.added, "known": done.known}
        _output.emit("gallery.import", {"file": file, **counts, "status": 0})
    else:
        known = f", {done.known:,} were there already" if done.known else ""
        _output.say(f"imported {done.people:,} new people, {done.added:,} templates{known}")
    return ExitStatus.ACCEPTED


@contextmanager
def _writing(file: str, *, force: bool) -> Iterator[BinaryIO]:
    """Open what is written to."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if not file or path.is_dir():
        raise UsageError("a file's name is needed", hint="is a variable of the shell not set?")
    if path.exists() and not force:
        raise UsageError(f"there is a file at {file} already", hint="choose another name, or add --force")
    with replacing(path) as stream:
        yield stream


@contextmanager
def _reading(file: str) -> Iterator[BinaryIO]:
    """Open what is read, twice over; standard input goes to a file that has no name and is gone with us."""
    if file == "-":
        with tempfile.TemporaryFile() as held:
            shutil.copyfileobj(sys.stdin.buffer, held)
            yield held
        return
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file at {file}", hint="is the path right?")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from error
    with stream:
        yield stream

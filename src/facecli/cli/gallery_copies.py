"""``facecli gallery snapshot``, ``restore`` and ``compact``: whole copies, and the size of the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output
from facecli.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.gallery.snapshot import Copy


@click.command("snapshot")
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@_options.as_json
@_options.configured(*_options.GALLERY)
def snapshot_command(engine: Engine, file: str, *, force: bool, as_json: bool) -> ExitStatus:
    """Copy the whole gallery into one file, while it may be in use, and verify the copy.

    The file holds faces, as the gallery does: it is readable by you alone, and who is removed from the gallery later
    is still in it.

    \b
    Examples:
      facecli gallery snapshot backup/door-2026-11-24.snapshot
      facecli gallery snapshot --force latest.snapshot --json
    """
    from facecli.gallery.snapshot import snapshot

    target, settings = _path(file), engine.settings
    with _output.counting("copying", unit="steps") as step:
        made = snapshot(settings.gallery, target, wait_s=settings.wait, force=force, step=step)
    if as_json:
        _output.emit("gallery.snapshot", {"file": file, **_copy_json(made)})
    else:
        _output.say(f"{file}: {_contents(made)}, {made.size_bytes:,} bytes, sha256 {made.sha256}")
    return ExitStatus.ACCEPTED


@click.command("restore")
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace the gallery that is there, and all that it holds.")
@_options.as_json
@_options.configured(*_options.GALLERY)
def restore_command(engine: Engine, file: str, *, force: bool, as_json: bool) -> ExitStatus:
    """Put a snapshot in the place of the gallery, in one step; a damaged snapshot is refused.

    Processes that have the gallery open see the old one or the new one, never a mixture.

    \b
    Examples:
      facecli gallery restore latest.snapshot
      facecli gallery restore latest.snapshot --force --gallery /srv/door/gallery
    """
    from facecli.gallery.snapshot import restore

    source, settings = _path(file), engine.settings
    with _output.counting("restoring", unit="steps") as step:
        made = restore(source, settings.gallery, wait_s=settings.wait, force=force, step=step)
    if as_json:
        _output.emit("gallery.restore", {"file": file, "people": made.people, "templates": made.templates, "status": 0})
    else:
        _output.say(f"restored {_contents(made)} from {file}")
    return ExitStatus.ACCEPTED


@click.command("compact")
@_options.as_json
@_options.configured(*_options.GALLERY)
def compact_command(engine: Engine, *, as_json: bool) -> ExitStatus:
    """Give back the room that removed people left in the gallery's file.

    Takes as much memory as the file is large. A crash on the way changes nothing.

    \b
    Example:
      facecli gallery compact
    """
    from facecli.gallery.snapshot import compact

    before, after = compact(engine.settings.gallery, wait_s=engine.settings.wait)
    if as_json:
        _output.emit("gallery.compact", {"bytes_before": before, "bytes_after": after, "status": 0})
    else:
        _output.say(f"{before:,} bytes before, {after:,} now")
    return ExitStatus.ACCEPTED


def _path(file: str) -> Path:
    """Refuse an empty name, which would be the working folder."""
    if not file:
        raise UsageError("the file's name is empty", hint="is a variable of the shell not set?")
    return Path(file)


def _contents(made: Copy) -> str:
    """Say what a copy holds."""
    return f"{made.people:,} people, {made.templates:,} templates"


def _copy_json(made: Copy) -> dict[str, Json]:
    """Return a copy as data."""
    numbers: dict[str, Json] = {"people": made.people, "templates": made.templates, "bytes": made.size_bytes}
    return {**numbers, "sha256": made.sha256, "status": 0}

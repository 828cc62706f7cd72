"""``facecli gallery check``: find what is damaged, and mend what can be mended."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output
from facecli.errors import ExitStatus, UsageError
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.gallery.check import Findings, Remedy
    from facecli.types import ModelPin


@contextmanager
def bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for long work; what is yielded is told how much is done, of how much."""
    with _output.progress(unit=unit) as progress:
        task = progress.add_task(what, total=None, rate="-")

        def step(done: int, total: int) -> None:
            speed = progress.tasks[task].speed
            progress.update(task, completed=done, total=total, rate=f"{speed:,.0f}" if speed else "-")

        yield step


@click.command("check")
@click.option(
    "--repair", is_flag=True, help="Make again what is derived: index, permissions, counters, leftover files."
)
@click.option(
    "--quarantine",
    metavar="FOLDER",
    help="With --repair: copy damaged rows to this new folder, then take them out of the gallery.",
)
@_options.as_json
@_options.configured(*_options.GALLERY, "models")
def check_command(engine: Engine, *, repair: bool, quarantine: str | None, as_json: bool) -> ExitStatus:
    """Look for damage in the gallery: every row, index, log, permission and count.

    Nothing is changed without --repair, and no template is ever dropped without --quarantine. Exit status 0: nothing
    is wrong, or all of it was mended; 9: something is damaged.

    \b
    Examples:
      facecli gallery check
      facecli gallery check --repair
      facecli gallery check --repair --quarantine damaged/
      facecli gallery check --json | jq -r 'select(.kind) | .what'
    """
    from facecli.gallery.repair import repair as mend

    if quarantine is not None and not (repair and quarantine):
        raise UsageError("--quarantine takes a folder, and goes with --repair")
    found = _look(engine, "checking")
    done: list[str] = []
    left = found
    if repair and found.faults:
        where = None if quarantine is None else Path(quarantine)
        done = mend(engine.settings.gallery, found, wait_s=engine.settings.wait, quarantine=where)
        left = _look(engine, "checking again")
    (_tell_json if as_json else _tell)(found, done, left)
    return ExitStatus.GALLERY if left.faults else ExitStatus.ACCEPTED


def _look(engine: Engine, what: str) -> Findings:
    """Check the gallery, with a bar."""
    from facecli.gallery.check import check

    def known(name: str) -> ModelPin | None:
        from facecli.errors import FacecliError

        try:
            ours = engine.manifest if name == engine.settings.model else engine.registry.model(name)
            return ours.pin()
        except FacecliError:
            return None

    with bar(what, "templates") as step:
        return check(engine.settings.gallery, wait_s=engine.settings.wait, known=known, step=step)


def _tell(found: Findings, done: list[str], left: Findings) -> None:
    """Say what was found and done, a line each."""
    for note in found.notes:
        _output.note(f"note: {note}")
    for fault in found.faults:
        _output.say(f"{_place(fault.file)}: {fault.what}", colour="red")
    for sentence in done:
        _output.say(f"repaired: {sentence}", colour="green")
    checked = f"{left.people:,} people, {left.templates:,} templates"
    if not left.faults:
        _output.say(f"{checked}: {'all is well now' if found.faults else 'no fault'}")
        return
    _output.say(f"{checked}: {len(left.faults)} {'fault' if len(left.faults) == 1 else 'faults'}")
    for remedy in dict.fromkeys(fault.remedy for fault in left.faults):
        _output.note(f"  {_advice(remedy)}")


def _tell_json(found: Findings, done: list[str], left: Findings) -> None:
    """Print a line for each fault, then the summary."""
    for fault in found.faults:
        row: dict[str, Json] = {"table": fault.row[0], "key": fault.row[1]} if fault.row else {}
        told: dict[str, Json] = {"kind": fault.kind, "file": fault.file, "what": visible(fault.what), **row}
        _output.emit("gallery.check", {**told, "remedy": fault.remedy.value, "left": fault in left.faults})
    repaired: list[Json] = [*done]
    notes: list[Json] = [*found.notes]
    summary: dict[str, Json] = {"people": left.people, "templates": left.templates, "faults": len(left.faults)}
    status = ExitStatus.GALLERY if left.faults else ExitStatus.ACCEPTED
    _output.emit("gallery.check", {"summary": summary, "repaired": repaired, "notes": notes, "status": int(status)})


def _place(file: str) -> str:
    """Name a file of the gallery."""
    return "the folder" if file == "." else file


def _advice(remedy: Remedy) -> str:
    """Say what to do about faults of a kind."""
    return {
        "repair": "what is derived can be made again: facecli gallery check --repair",
        "quarantine": "damaged rows can be copied out and removed: facecli gallery check --repair --quarantine FOLDER",
        "model": "that model's own release is needed: see facecli models list, and --model",
        "restore": "the rest needs an earlier copy: facecli gallery restore FILE --force",
    }[remedy.value]

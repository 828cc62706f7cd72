"""Everything that is printed. Data on stdout, all else on stderr; no untrusted byte reaches a terminal as it is.

A line is passed through :func:`facecli.names.visible` whole, so a file name or a person's name can carry no escape
sequence out; colours are put around it afterwards. JSON is pure ASCII, one object a line (NDJSON).
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from facecli.errors import ExitStatus, FacecliError
from facecli.names import inert, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.progress import Progress

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

DECIDING = {"verify", "identify", "liveness"}
"""Commands whose JSON always says whether it accepted, failures included."""


PER_INPUT = {
    ExitStatus.NO_FACE,
    ExitStatus.SEVERAL_FACES,
    ExitStatus.LOW_QUALITY,
    ExitStatus.UNREADABLE_INPUT,
}
"""Failures that concern one photograph: others can still be worked on."""


def say(text: str, *, colour: str | None = None, bold: bool = False) -> None:
    """Print one line of results."""
    line = visible(text)
    if (colour or bold) and _in_colour(sys.stdout.isatty()):
        line = click.style(line, fg=colour, bold=bold)
    click.echo(line)


def note(text: str) -> None:
    """Print one line about the work itself, on stderr."""
    click.echo(visible(text), err=True)


def complain(message: str, *, hint: str = "") -> None:
    """Print an error and, below it, what to do now."""
    note(f"facecli: {message}")
    if hint:
        note(f"  {hint}")


def emit(command: str, payload: Mapping[str, Json]) -> None:
    """Print one JSON object, versioned by its schema.

    Raises
    ------
    ValueError
        A number is not finite: JSON has no such thing, and no decision may rest on one.
    """
    click.echo(json.dumps({"schema": f"facecli.{command}/1", **payload}, allow_nan=False))


def emit_failure(command: str, error: FacecliError, **about: str) -> None:
    """Print the JSON object of an input that failed; ``about`` says which, as ``source`` and ``name``."""
    payload: dict[str, Json] = {**({"accepted": False} if command in DECIDING else {}), **about}
    told: dict[str, Json] = {"kind": _kind(error), "message": error.message, "hint": error.hint}
    emit(command, {**payload, "status": int(error.status), "error": told})


def _kind(error: FacecliError) -> str:
    """Return an error's name as scripts know it: ``NoFaceError`` is ``no-face``."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def flush() -> None:
    """Write out what is buffered, so that a full disk or a closed pipe is noticed while it can still be told."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; to a pipe it is tab-separated and has no headings, so that ``cut`` and ``awk`` can read it."""
    if not sys.stdout.isatty():
        for row in rows:
            tabbed(*row)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading)
    for row in rows:
        drawn.add_row(*(Text(visible(cell)) for cell in row))
    Console(no_color=not _in_colour(terminal=True), highlight=False).print(drawn)


def tabbed(*cells: str) -> None:
    """Print one line of tab-separated cells for other programs.

    A cell that a spreadsheet would run as a formula is made inert: names can't begin so, but photographs are called
    what strangers please.
    """
    click.echo("\t".join(inert(visible(cell)) for cell in cells))


@contextmanager
def progress(*, unit: str) -> Iterator[Progress]:
    """Show a bar with rate and time left on stderr; where that is no terminal, nothing is drawn."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=not _in_colour(terminal=True), highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[rate]}} {unit}/s", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar


@contextmanager
def counting(what: str, *, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for long work; what is yielded is told how much is done, and of how much."""
    with progress(unit=unit) as bar:
        task = bar.add_task(what, total=None, rate="-")

        def step(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}" if speed else "-")

        yield step


def _in_colour(terminal: bool) -> bool:  # noqa: FBT001
    """Honour NO_COLOR (no-color.org): any value, but not an empty one."""
    return terminal and not os.environ.get("NO_COLOR")


def ask(question: str) -> None:
    """Ask a person at the terminal to confirm, on stderr; anything but yes ends the command as interrupted."""
    click.confirm(visible(question), abort=True, err=True)


def plural(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def source_name(source: str) -> str:
    """Name a photograph in a sentence."""
    return "standard input" if source == "-" else source


def each(command: str, sources: Sequence[str], work: Callable[[str], None], *, as_json: bool) -> list[ExitStatus]:
    """Do something with each photograph; of several, one that fails is told of and the others go on.

    Returns
    -------
    list of ExitStatus
        Of those that failed.
    """
    failed = []
    for source in sources:
        try:
            work(source)
        except FacecliError as error:
            if len(sources) == 1 or error.status not in PER_INPUT:
                raise
            failed.append(error.status)
            complain(error.message, hint=error.hint)
            if as_json:
                emit_failure(command, error, source=source)
    return failed


def status_of(failed: Sequence[ExitStatus], *, inputs: int, accepted: bool) -> ExitStatus:
    """Return the exit status of one or several inputs: failures first, then the decision.

    A single input keeps its own failure; of several, some of which failed, the status is 11.
    """
    if failed:
        return failed[0] if inputs == 1 else ExitStatus.SOME_FAILED
    return ExitStatus.ACCEPTED if accepted else ExitStatus.REFUSED

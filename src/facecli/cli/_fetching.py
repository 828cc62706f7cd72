"""Show downloads to the person at the terminal."""

from __future__ import annotations

import sys

import click

from facecli.names import visible


def shown(what: str, done: int, total: int | None) -> None:
    """Draw one line on stderr that says what is fetched and how far it is; see :data:`facecli.download.Progress`."""
    amount = f"{done / 1e6:.1f} MB" if total is None else f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
    finished = total is not None and done >= total
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{visible(what)}  {amount}", err=True, nl=finished)
    elif finished or done == 0:
        click.echo(f"{visible(what)}  {amount}", err=True)

"""Write docs/cli.md: the help of every command, as a terminal of 80 columns shows it.

Usage::

    python tools/make_cli_reference.py [--check]

``--check`` writes nothing and fails where the page is not what the program says; ``make golden`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli._root import root

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 78
"""Click leaves two of 80 columns free."""

INTRODUCTION = """\
# Every command

Written by `make golden` from what `--help` says; a test holds the two equal. The exit statuses are in the
[README](../README.md#exit-status). Options come from a flag, else from `FACECLI_…` in the environment, else from the
TOML file, else from the default (`facecli config show`).
"""


def commands() -> Iterator[tuple[click.Context, click.Command]]:
    """Yield every command with a context that knows its full name, groups before what is in them."""
    yield from _below(click.Context(root, info_name="facecli", terminal_width=WIDTH), root)


def _below(context: click.Context, command: click.Command) -> Iterator[tuple[click.Context, click.Command]]:
    """Yield a command and those below it."""
    yield context, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is None:
                raise KeyError(name)
            yield from _below(click.Context(below, info_name=name, parent=context, terminal_width=WIDTH), below)


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for context, command in commands():
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page, or compare it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    return 0 if PAGE.read_text(encoding="utf-8") == page() else 1


if __name__ == "__main__":
    sys.exit(main())

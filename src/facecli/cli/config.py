"""``facecli config``: what is set, and where."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli import config
from facecli.cli import _options, _output
from facecli.errors import ExitStatus

if TYPE_CHECKING:
    from facecli.cli._output import Json


@click.group("config")
def config_command() -> None:
    """Show the settings and where each comes from.

    Settings come from a flag, else the environment (FACECLI_DEVICE=cuda), else a TOML file, else the default.

    \b
    Example:
      facecli config show
    """


@config_command.command("show")
@_options.as_json
def show_command(*, as_json: bool) -> ExitStatus:
    """Show every setting, its value and its origin.

    \b
    Examples:
      facecli config show
      FACECLI_DEVICE=cpu facecli config show --json | jq .settings.device
    """
    loaded = config.load({})
    values = {f.name: getattr(loaded.settings, f.name) for f in fields(loaded.settings)}
    if as_json:
        told: dict[str, Json] = {
            name: {"value": str(v) if isinstance(v, Path) else v, "origin": loaded.origins[name]}
            for name, v in values.items()
        }
        _output.emit("config", {"file": str(config.config_path()), "settings": told})
        return ExitStatus.ACCEPTED
    rows = [
        (name, "(chosen by measurement)" if v is None else str(v), loaded.origins[name], config.declared(name)[1].text)
        for name, v in values.items()
    ]
    _output.table(("setting", "value", "origin", "meaning"), rows)
    return ExitStatus.ACCEPTED

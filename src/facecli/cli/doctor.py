"""``facecli doctor``: whether it works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output
from facecli.errors import ExitStatus

if TYPE_CHECKING:
    from facecli.engine import Engine

MARKS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "fail": ("FAIL", "red")}


@click.command("doctor")
@_options.as_json
@_options.configured("model", "detector", *_options.RUNTIME, *_options.GALLERY)
def doctor_command(engine: Engine, *, as_json: bool) -> ExitStatus:
    """Check this installation, device, models and gallery.

    Looks at libraries, the device that is really in use, every byte of the models, a known-answer test, and the
    gallery. Exit status 0 where nothing is broken, else the status of the first failure.

    \b
    Examples:
      facecli doctor
      facecli doctor --device cuda
      facecli doctor --json | jq -r 'select(.health == "fail") | .remedy'
    """
    from facecli.doctor import Health, examine

    status = ExitStatus.ACCEPTED
    for check in examine(engine):
        if check.health is Health.FAIL and status is ExitStatus.ACCEPTED:
            status = check.status
        if as_json:
            told: dict[str, _output.Json] = {"name": check.name, "health": str(check.health), "detail": check.detail}
            _output.emit("doctor", {**told, "remedy": check.remedy})
            continue
        mark, colour = MARKS[check.health]
        _output.say(f"{mark}  {check.name:<14} {check.detail}", colour=colour)
        if check.remedy:
            _output.say(f"      {'':<14} {check.remedy}")
    return status

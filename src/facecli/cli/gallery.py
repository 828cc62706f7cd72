"""``facecli gallery``: look after the enrolled people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output, _render
from facecli.cli.gallery_care import check_command, health_command, stats_command
from facecli.cli.gallery_copies import compact_command, restore_command, snapshot_command
from facecli.cli.gallery_transfer import export_command, import_command
from facecli.errors import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.gallery import Person


@click.group("gallery")
def gallery_command() -> None:
    """Look after the enrolled people.

    \b
    Examples:
      facecli gallery list
      facecli gallery show alice
      facecli gallery rename alice "Alice Liddell"
      facecli gallery remove alice
      facecli gallery check
    """


SORTED_BY: dict[str, Callable[[Person], tuple[object, ...]]] = {
    "name": lambda person: (person.name,),
    "templates": lambda person: (person.templates, person.name),
    "enrolled": lambda person: (person.enrolled_at, person.id),
}


@gallery_command.command("list")
@click.option("--like", metavar="TEXT", help="Only people whose name contains TEXT.")
@click.option("--sort", type=click.Choice(list(SORTED_BY)), default="name", show_default=True, help="In which order.")
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many at the start.")
@click.option("--limit", type=click.IntRange(0), help="Show so many at the most.")
@_options.as_json
@_options.configured(*_options.GALLERY)
def list_command(
    engine: Engine, *, like: str | None, sort: str, reverse: bool, offset: int, limit: int | None, as_json: bool
) -> ExitStatus:
    """List everyone enrolled: name, number of templates, time of enrolment.

    \b
    Examples:
      facecli gallery list
      facecli gallery list --sort enrolled --reverse --limit 10
      facecli gallery list --like ali --json | jq -r .name
    """
    with engine.stored_gallery() as gallery:
        people = sorted(gallery.people(like=like), key=SORTED_BY[sort], reverse=reverse)
    people = people[offset : None if limit is None else offset + limit]
    if as_json:
        for person in people:
            _output.emit("gallery.list", _person_json(person))
    else:
        _output.table(("name", "templates", "enrolled"), [(p.name, str(p.templates), p.enrolled_at) for p in people])
    return ExitStatus.ACCEPTED


@gallery_command.command("show")
@click.argument("name")
@_options.as_json
@_options.configured(*_options.GALLERY)
def show_command(engine: Engine, name: str, *, as_json: bool) -> ExitStatus:
    """Show one person's templates: source, quality, time; never the vectors.

    \b
    Example:
      facecli gallery show alice
    """
    with engine.stored_gallery() as gallery:
        person, templates = gallery.person(name), gallery.templates(name)
        pin = gallery.pin
    if as_json:
        rows: list[Json] = [
            {
                "id": t.id,
                "source": t.source,
                "sha256": t.source_sha256,
                "enrolled_at": t.enrolled_at,
                "quality": _render.quality_json(t.quality),
            }
            for t in templates
        ]
        _output.emit("gallery.show", {**_person_json(person), "model": _render.pin_json(pin), "rows": rows})
        return ExitStatus.ACCEPTED
    _output.say(
        f"{person.name}: {_output.plural(person.templates, 'template')} of {pin.name}, enrolled {person.enrolled_at}"
    )
    _output.table(
        ("id", "source", "eyes px", "sharpness", "detection", "enrolled"),
        [
            (
                str(t.id),
                t.source,
                f"{t.quality.eye_distance_px:.0f}",
                f"{t.quality.sharpness:.2f}",
                f"{t.quality.detection:.3f}",
                t.enrolled_at,
            )
            for t in templates
        ],
    )
    return ExitStatus.ACCEPTED


@gallery_command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Don't ask, even at a terminal.")
@_options.configured(*_options.GALLERY)
def remove_command(engine: Engine, names: tuple[str, ...], *, yes: bool) -> ExitStatus:
    """Remove people and all their templates. At a terminal it asks first.

    \b
    Example:
      facecli gallery remove --yes alice bob
    """
    with engine.stored_gallery(writable=True) as gallery:
        people = [gallery.person(name) for name in names]
        templates = sum(person.templates for person in people)
        if not yes and sys.stdin.isatty():
            what = people[0].name if len(people) == 1 else f"{len(people)} people"
            _output.ask(f"remove {what} with {_output.plural(templates, 'template')}?")
        for person in people:
            gallery.remove(person.name)
            _output.say(f"removed {person.name}")
    return ExitStatus.ACCEPTED


@gallery_command.command("rename")
@click.argument("old")
@click.argument("new")
@_options.configured(*_options.GALLERY)
def rename_command(engine: Engine, old: str, new: str) -> ExitStatus:
    """Give a person another name; templates stay as they are.

    \b
    Example:
      facecli gallery rename alice "Alice Liddell"
    """
    with engine.stored_gallery(writable=True) as gallery:
        person = gallery.rename(old, new)
    _output.say(f"renamed {old} to {person.name}")
    return ExitStatus.ACCEPTED


def _person_json(person: Person) -> dict[str, Json]:
    """Return a person as data."""
    return {
        "name": person.name,
        "templates": person.templates,
        "enrolled_at": person.enrolled_at,
        "status": 0,
    }


for _command in (
    *(stats_command, health_command, check_command),
    *(export_command, import_command, snapshot_command, restore_command, compact_command),
):
    gallery_command.add_command(_command)

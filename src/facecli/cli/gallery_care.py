"""``facecli gallery check``, ``stats`` and ``health``: what is damaged, what there is, and what is worth a look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _options, _output, _render
from facecli.errors import ExitStatus, UsageError
from facecli.match import as_score
from facecli.names import visible

if TYPE_CHECKING:
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.gallery.check import Findings, Remedy
    from facecli.gallery.health import Health
    from facecli.types import ModelPin
    from facecli.upkeep import Checkup


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

    with _output.counting(what, unit="templates") as step:
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


@click.command("stats")
@_options.as_json
@_options.configured(*_options.GALLERY)
def stats_command(engine: Engine, *, as_json: bool) -> ExitStatus:
    """Say what the gallery holds, in numbers.

    \b
    Examples:
      facecli gallery stats
      facecli gallery stats --json | jq .people
    """
    from facecli.gallery.health import stats

    found = stats(engine.settings.gallery, wait_s=engine.settings.wait)
    size = sum(found.size_bytes.values())
    if as_json:
        files: dict[str, Json] = {**found.size_bytes}
        counts: dict[str, Json] = {"people": found.people, "templates": found.templates, "single": found.single}
        about: dict[str, Json] = {"created_at": found.created_at, "generation": found.generation}
        told = {**counts, "most": found.most, **about, "bytes": size, "files": files}
        _output.emit("gallery.stats", {**told, "model": _render.pin_json(found.pin), "status": 0})
        return ExitStatus.ACCEPTED
    rows = [
        ("people", f"{found.people:,}"),
        ("templates", f"{found.templates:,}"),
        ("most templates of one person", f"{found.most:,}"),
        ("people with one template", f"{found.single:,}"),
        ("model", f"{found.pin.name} {found.pin.source_sha256[:12]}, {found.pin.dimension} values"),
        ("created", found.created_at),
        ("changes", f"{found.generation:,}"),
        ("bytes", f"{size:,}"),
    ]
    _output.table(("what", "how much"), rows)
    return ExitStatus.ACCEPTED


@click.command("health")
@_options.threshold
@_options.as_json
@_options.configured("model", *_options.QUALITY, *_options.GALLERY, "metric", "fmr", "duplicate_fpir", "models")
def health_command(engine: Engine, *, threshold: float | None, as_json: bool) -> ExitStatus:
    """Find what is worth a look: people who look alike, templates unlike their person, weak enrolments.

    Compares every template with every other, by the operating points of enrolment: two people at the duplicate check's
    may be one person; a template below the 1:1 point disagrees with its person. Nothing is changed.

    \b
    Examples:
      facecli gallery health
      facecli gallery health --json | jq -r 'select(.kind == "look-alike") | [.name, .other] | @tsv'
    """
    from facecli.upkeep import checkup

    cosine = None if threshold is None else as_score(threshold, engine.settings.metric)
    with _output.counting("comparing", unit="steps") as step:
        found = checkup(engine, threshold=cosine, step=step)
    if as_json:
        _health_json(found)
    else:
        _health(found.health)
    return ExitStatus.ACCEPTED


def _health(health: Health) -> None:
    """Print a line for each thing worth a look, then the sums."""
    rows = [("look-alike", pair.one.name, pair.other.name, f"score {pair.score:.4f}") for pair in health.look_alikes]
    rows += [
        ("outlier", one.person.name, f"{one.template} {one.source}", f"best score {one.score:.4f}")
        for one in health.outliers
    ]
    rows += [("weak", one.person.name, f"{one.template} {one.source}", one.why) for one in health.weak]
    rows += [("single", name, "-", "one template only") for name in health.single]
    if rows:
        _output.table(("what", "name", "other or template", "why"), rows)
    counts = (
        (len(health.look_alikes), "pairs who look alike"),
        (len(health.outliers), "outliers"),
        (len(health.weak), "weak templates"),
        (len(health.single), "people with one template"),
    )
    told = ", ".join(f"{count:,} {what}" for count, what in counts)
    _output.note(f"{health.people:,} people, {health.templates:,} templates: {told}")


def _health_json(found: Checkup) -> None:
    """Print an object for each thing worth a look, then the summary with the operating points."""
    health = found.health
    for pair in health.look_alikes:
        told: dict[str, Json] = {"name": pair.one.name, "other": pair.other.name, "score": pair.score}
        _output.emit("gallery.health", {"kind": "look-alike", **told})
    for one in health.outliers:
        told = {"name": one.person.name, "template": one.template, "source": one.source, "score": one.score}
        _output.emit("gallery.health", {"kind": "outlier", **told})
    for poor in health.weak:
        told = {"name": poor.person.name, "template": poor.template, "source": poor.source, "why": poor.why}
        _output.emit("gallery.health", {"kind": "weak", **told})
    for name in health.single:
        _output.emit("gallery.health", {"kind": "single", "name": name})
    summary: dict[str, Json] = {
        "people": health.people,
        "templates": health.templates,
        "look_alikes": len(health.look_alikes),
        "outliers": len(health.outliers),
        "weak": len(health.weak),
        "single": len(health.single),
    }
    points: dict[str, Json] = {
        "duplicate": _render.point_json(found.duplicate),
        "own": _render.point_json(found.own),
    }
    _output.emit("gallery.health", {"summary": summary, "operating_points": points, "status": 0})

"""``facecli enroll``: let people into the gallery."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.bulk import enrol_many, items_in
from facecli.cli import _options, _output
from facecli.engine import one_face
from facecli.enrolment import Duplicates, EnrolmentRules
from facecli.errors import ExitStatus, UsageError
from facecli.match import as_score
from facecli.names import person_name

if TYPE_CHECKING:
    from facecli.bulk import BulkReport
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.enrolment import Enrolment, Suspect


@click.command("enroll")
@click.argument("name", required=False)
@click.argument("images", nargs=-1, metavar="IMAGE...", callback=_options.stdin_once)
@click.option(
    "--from", "source", metavar="PATH", help="Enrol many: a folder with one sub-folder a person, or a CSV file."
)
@click.option("--allow-duplicate", is_flag=True, help="Enrol a face that is another person's already.")
@click.option(
    "--duplicates",
    type=click.Choice([member.value for member in Duplicates]),
    help="What to do with a face that looks like another "
    "person's. One photograph: refuse. With --from: report, for review.",
)
@click.option("--force", is_flag=True, help="Enrol a further face that does not match the person's own.")
@_options.threshold
@_options.as_json
@_options.configured(*_options.PIPELINE, *_options.GALLERY, "metric", "fmr", "duplicate_fpir")
def enroll_command(
    engine: Engine,
    name: str | None,
    images: tuple[str, ...],
    *,
    source: str | None,
    allow_duplicate: bool,
    duplicates: str | None,
    force: bool,
    threshold: float | None,
    as_json: bool,
) -> ExitStatus:
    """Add a person to the gallery from one or more photographs.

    Each photograph must show exactly one face (or say which one with --faces). A face that is another person's already
    is refused, and so is a further face that does not match the person's own, or one of poor quality; each refusal
    names the option that overrides it. Nothing is retrained: the person can be verified and identified at once.

    \b
    Examples:
      facecli enroll alice alice1.jpg alice2.jpg
      facecli enroll --from people/            # people/alice/*.jpg, people/bob/*.jpg, ...
      facecli enroll --from staff.csv --json   # columns: name,image
    """
    one_face(engine.settings.faces)
    if allow_duplicate:
        duplicates = Duplicates.ALLOW
    rules = EnrolmentRules(
        decisions=engine.rules(threshold=None if threshold is None else as_score(threshold, engine.settings.metric)),
        duplicate_fpir=engine.settings.duplicate_fpir,
        duplicates=Duplicates(duplicates or (Duplicates.REPORT if source else Duplicates.REFUSE)),
        force=force,
    )
    if source is None:
        return _enrol_one(engine, name, images, rules, as_json=as_json)
    if not source:
        raise UsageError("--from has an empty value", hint="is a variable of the shell not set?")
    if name is not None:
        raise UsageError("--from brings its own names and photographs; give no others")
    return _enrol_many(engine, Path(source), rules, as_json=as_json)


def _enrol_one(
    engine: Engine, name: str | None, images: tuple[str, ...], rules: EnrolmentRules, *, as_json: bool
) -> ExitStatus:
    """Enrol one person and say so."""
    if name is None or not images:
        raise UsageError("enroll needs a name and at least one photograph", hint="facecli enroll alice alice.jpg")
    name = person_name(name)
    done = engine.enrol(name, *images, rules=rules)
    if as_json:
        _output.emit("enroll", _enrolment_json(name, done))
    else:
        already = f", {done.known} were there already" if done.known else ""
        total = done.person.templates if done.person else 0
        _output.say(f"enrolled {name}: {_output.plural(done.added, 'template')} added{already}, {total} in all")
    for suspect in done.suspects:
        _output.note(_suspicion(name, suspect))
    return ExitStatus.ACCEPTED


def _enrol_many(engine: Engine, source: Path, rules: EnrolmentRules, *, as_json: bool) -> ExitStatus:
    """Enrol everyone in a folder or CSV file, with a bar, and sum up."""
    items = items_in(source)
    with _output.progress(unit="photographs") as bar:
        task = bar.add_task("enrolling", total=len(items), rate="-")

        def step(report: BulkReport) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=report.photographs, rate=f"{speed:.1f}" if speed else "-")

        report = enrol_many(engine, items, rules, step=step)
        step(report)
    if as_json:
        _report_json(report)
    else:
        _report_text(report)
    return ExitStatus.SOME_FAILED if report.refused else ExitStatus.ACCEPTED


def _report_text(report: BulkReport) -> None:
    """Sum up a bulk run for a person to read; what was refused goes to stderr, one line each."""
    for name, photo, error in report.refused:
        which = name if photo in error.message else f"{name} {photo}"
        _output.note(f"refused {which}: {error.message}")
    for name, suspect in report.suspects:
        _output.note(_suspicion(name, suspect))
    _output.say(
        f"enrolled {_output.plural(report.people, 'person', 'people')}, {_output.plural(report.added, 'template')}"
    )
    if report.known:
        _output.say(f"left out {_output.plural(report.known, 'photograph')} enrolled before")
    if report.suspects:
        _output.say(
            f"to review: {_output.plural(len(report.suspects), 'face')} that may be enrolled under another name"
        )
    for status, count in sorted(Counter(error.status for _, _, error in report.refused).items()):
        _output.say(f"refused {_output.plural(count, 'photograph')}: {_REASONS.get(status, status.name.lower())}")


_REASONS = {
    ExitStatus.REFUSED: "another person's face, or not the person's own",
    ExitStatus.USAGE: "the name can't be used",
    ExitStatus.NO_FACE: "no face",
    ExitStatus.SEVERAL_FACES: "several faces (choose with --faces largest or --faces center)",
    ExitStatus.LOW_QUALITY: "quality too low",
    ExitStatus.UNREADABLE_INPUT: "unreadable",
}


def _report_json(report: BulkReport) -> None:
    """Print a line for each photograph refused and each suspect, then the summary."""
    for name, photo, error in report.refused:
        _output.emit_failure("enroll", error, source=photo, name=name)
    for name, suspect in report.suspects:
        _output.emit("enroll", {"name": name, "suspect": _suspect_json(suspect)})
    summary: dict[str, Json] = {
        "people": report.people,
        "added": report.added,
        "known": report.known,
        "refused": len(report.refused),
        "suspects": len(report.suspects),
    }
    _output.emit("enroll", {"summary": summary, "status": 11 if report.refused else 0})


def _enrolment_json(name: str, done: Enrolment) -> dict[str, Json]:
    """Return what one enrolment did as data."""
    suspects: list[Json] = [_suspect_json(suspect) for suspect in done.suspects]
    total = done.person.templates if done.person else 0
    return {
        "name": name,
        "status": 0,
        "added": done.added,
        "known": done.known,
        "templates": total,
        "suspects": suspects,
    }


def _suspect_json(suspect: Suspect) -> dict[str, Json]:
    """Return a suspected duplicate as data."""
    return {
        "source": suspect.photo,
        "other": suspect.other.person.name,
        "score": suspect.other.score,
        "threshold": suspect.point.threshold,
    }


def _suspicion(name: str, suspect: Suspect) -> str:
    """Say that a face may be enrolled under two names."""
    return (
        f"review: {suspect.photo}, enrolled as {name}, looks like {suspect.other.person.name} "
        f"(score {suspect.other.score:.4f}, duplicate from {suspect.point.threshold:.4f})"
    )

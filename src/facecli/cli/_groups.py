"""``--groups`` and ``--group-by`` of ``facecli evaluate``: the bias report as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from facecli.cli import _evaluation, _output, _render
from facecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facecli.cli._evaluation_files import Wanted
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.evaluate.groups import BiasReport, Grouping, GroupSamples
    from facecli.evaluate.report import Section
    from facecli.evaluate.running import Evaluation
    from facecli.evaluate.verification import VerificationReport
    from facecli.metrics.fairness import Figure, GroupRates, Spread
    from facecli.metrics.intervals import Rate, Resampling

R = TypeVar("R")

HEADINGS = ("group", "people", "photographs", "FTA", "FMR", "95 % interval", "FNMR", "95 % interval")
SHIFTS = ("group", "mated shift", "non-mated shift", "own threshold", "95 % bound", "eyes px", "sharpness", "detection")


def options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options ``--groups`` and ``--group-by``, handed to it as ``groups`` and ``group_by``."""
    groups = click.option(
        "--groups",
        metavar="CSV",
        help="Also report by groups of people: a table with the column image (the end of a photograph's path) and one "
        "for each attribute.",
    )
    by = click.option(
        "--group-by",
        metavar="COLUMNS",
        help="The attributes that make a group, separated by commas; by default all of the table.",
    )
    return groups(by(command))


def grouping(groups: str | None, group_by: str | None) -> Grouping | None:
    """Read the table of labels; None where none was given.

    Raises
    ------
    UsageError
        It can't be read, lacks a column, or ``--group-by`` stands alone.
    """
    if groups is None:
        if group_by is not None:
            raise UsageError("--group-by needs the table of labels", hint="give it with --groups labels.csv")
        return None
    from facecli.evaluate.groups import grouping_of
    from facecli.evaluate.protocols import read_groups

    by = [name.strip() for name in (group_by or "").split(",") if name.strip()]
    labels = read_groups(Path(groups), by)
    found = by or sorted({name for told in labels.values() for name in told})
    return grouping_of(groups, labels, found)


def grouped(
    engine: Engine, evaluation: Evaluation, chosen: Grouping | None, resampling: Resampling | None
) -> Evaluation:
    """Add the bias report at the 1:1 operating point that is deployed to an evaluation, where groups are given."""
    if chosen is None:
        return evaluation
    from facecli.evaluate.groups import bias_report

    found = bias_report(evaluation, chosen, engine.deployed_rules().for_pair(), resampling=resampling)
    return replace(evaluation, report=replace(evaluation.report, groups=found))


def sections(reports: Sequence[VerificationReport], wanted: Wanted) -> list[Section]:
    """Return what the page says of groups; nothing where no page is asked for."""
    if wanted.report is None or all(report.groups is None for report in reports):
        return []
    from facecli.evaluate.group_page import group_section
    from facecli.evaluate.report import distinct

    return [
        group_section(report.groups, report.provenance.model, number)
        for number, report in enumerate(distinct(reports))
        if report.groups is not None
    ]


def show(report: BiasReport) -> None:
    """Print the bias report."""
    found = report.differentials
    _output.say("")
    _output.say(f"by {', '.join(report.by)} ({report.source})", bold=True)
    _output.say(f"  at {found.threshold:.4f}: {_render.promise(report.point)}")
    rows = list(zip(found.groups, report.samples, strict=True))
    _output.table(HEADINGS, [_rates(group, samples) for group, samples in rows])
    _output.table(SHIFTS, [_shifts(group, samples) for group, samples in rows])
    if found.cross:
        _output.say("impostors of one group against people of another")
        _output.table(
            ("groups", "FMR", "95 % interval", "counted"),
            [
                (
                    f"{one.first} x {one.second}",
                    _evaluation.value(one.fmr),
                    _evaluation.interval(one.fmr),
                    _counted(one.fmr),
                )
                for one in found.cross
            ],
        )
    if len(found.compared) > 1:
        _output.say(f"differences between {', '.join(found.compared)}")
        _output.table(("", "FMR", "95 % interval", "FNMR", "95 % interval"), _figures(report))
    for sentence in report.sentences:
        _output.say(f"- {sentence}")


def _rates(group: GroupRates, samples: GroupSamples) -> tuple[str, ...]:
    """Return one group's error rates."""
    people = f"{group.people:,}" + ("" if group.counted else " (too few)")
    shown = [text for one in (group.fmr, group.fnmr) for text in (_evaluation.value(one), _evaluation.interval(one))]
    return group.name, people, f"{group.images:,}", _evaluation.value(samples.fta), *shown


def _shifts(group: GroupRates, samples: GroupSamples) -> tuple[str, ...]:
    """Return how one group's scores and photographs differ."""
    numbers = [(group.threshold, ".4f"), (group.threshold_bound, ".4f")]
    numbers += [(samples.eye_distance_px, ".0f"), (samples.sharpness, ".2f"), (samples.detection, ".3f")]
    shown = ["-" if number is None else format(number, spec) for number, spec in numbers]
    mark = "" if group.supported else " (can't show the target)"
    return group.name, _shift(group.mated_shift), _shift(group.non_mated_shift), shown[0], shown[1] + mark, *shown[2:]


def _shift(number: float | None) -> str:
    """Write how far a group's mean score lies from everybody's; a sign in front would look like a formula."""
    if number is None:
        return "-"
    return f"{abs(number):.4f} {'higher' if number >= 0 else 'lower'}"


def _counted(rate: Rate) -> str:
    return f"{rate.errors:,} / {rate.trials:,}"


def _figures(report: BiasReport) -> list[tuple[str, ...]]:
    """Return the figures of inequity."""
    found = report.differentials
    rows = [
        (name, *_figure(getattr(found.fmr, key)), *_figure(getattr(found.fnmr, key)))
        for name, key in (("max / min", "max_min"), ("max / geometric mean", "max_geomean"), ("Gini", "gini"))
    ]
    chance = ["-" if one.by_chance is None else f"{one.by_chance:.1%}" for one in (found.fmr, found.fnmr)]
    return [
        *rows,
        ("as much by chance", chance[0], "", chance[1], ""),
        ("GARBE (0 is equal)", *_figure(found.garbe), "", ""),
        ("FDR (1 is equal)", *_figure(found.fdr), "", ""),
    ]


def _figure(figure: Figure) -> tuple[str, str]:
    """Write a figure with its interval."""
    if figure.low is None or figure.high is None:
        return "undefined", ""
    shown = "undefined" if figure.value is None else f"{figure.value:.3f}"
    return shown, f"{figure.low:.3f} to {figure.high:.3f}"


def bias_json(report: BiasReport) -> dict[str, Json]:
    """Return the bias report as data."""
    found = report.differentials
    return {
        "source": report.source,
        "by": list(report.by),
        "operating_point": _render.point_json(report.point),
        "groups": [_group_json(*both) for both in zip(found.groups, report.samples, strict=True)],
        "cross": [
            {"first": one.first, "second": one.second, "fmr": _evaluation.rate_json(one.fmr)} for one in found.cross
        ],
        "compared": list(found.compared),
        "fmr": _spread_json(found.fmr),
        "fnmr": _spread_json(found.fnmr),
        "garbe": asdict(found.garbe),
        "fdr": asdict(found.fdr),
        "unlabelled": report.unlabelled,
        "sentences": list(report.sentences),
    }


def _group_json(group: GroupRates, samples: GroupSamples) -> dict[str, Json]:
    """Return one group as data."""
    return {
        "name": group.name,
        "people": group.people,
        "images": group.images,
        "fta": _evaluation.rate_json(samples.fta),
        "fmr": _evaluation.rate_json(group.fmr),
        "fnmr": _evaluation.rate_json(group.fnmr),
        "mated_shift": group.mated_shift,
        "non_mated_shift": group.non_mated_shift,
        "own_threshold": group.threshold,
        "own_threshold_bound": group.threshold_bound,
        "supported": group.supported,
        "counted": group.counted,
        "quality": {
            "detection": samples.detection,
            "eye_distance_px": samples.eye_distance_px,
            "sharpness": samples.sharpness,
        },
    }


def _spread_json(spread: Spread) -> dict[str, Json]:
    """Return how far rates differ as data."""
    told: dict[str, Json] = asdict(spread)
    return told

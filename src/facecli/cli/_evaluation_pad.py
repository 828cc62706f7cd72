"""``facecli evaluate pad``: what an evaluation of presentation attack detection found, as text and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _evaluation, _evaluation_files, _options, _output
from facecli.errors import ExitStatus
from facecli.metrics.pad import thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.cli._evaluation_files import Wanted
    from facecli.cli._output import Json
    from facecli.evaluate.pad import PadReport
    from facecli.metrics.intervals import Rate
    from facecli.metrics.pad import PadPoint, SpeciesRates

HEADINGS = ("at", "rate", "value", "95 % interval", "counted", "threshold")


@click.command("pad")
@click.argument("sources", nargs=-1, required=True, metavar="SCORES...")
@click.option("--threshold", type=float, metavar="X", help="Also report at the threshold that is deployed.")
@click.option(
    "--match-threshold",
    type=float,
    metavar="X",
    help="The comparison's threshold: with a column match_score it gives IAPAR and RIAPAR of the whole system.",
)
@_evaluation_files.of_scores
@_options.as_json
def pad_command(
    sources: tuple[str, ...],
    *,
    threshold: float | None,
    match_threshold: float | None,
    files: Wanted,
    as_json: bool,
) -> ExitStatus:
    """Measure presentation attack detection from the scores of any detector (ISO/IEC 30107-3).

    The columns of the CSV, TSV or NDJSON file are score (higher is more bona fide; empty where the detector gave no
    answer), label (bona-fide or attack), species (of an attack: print, replay, mask) and, of a whole system,
    match_score. APCER is told for each species and is the system's for the worst; there is no average of them. Every
    presentation is taken as independent.

    \b
    Examples:
      facecli evaluate pad detector.csv --report pad.html
      facecli evaluate pad system.csv --threshold 0.5 --match-threshold 0.36 --json
    """
    from facecli.evaluate.pad import pad_report, read_pad_scores

    reports = [
        pad_report(path, read_pad_scores(path), threshold=threshold, match_threshold=match_threshold)
        for path in map(Path, sources)
    ]
    for report in reports:
        if as_json:
            _output.emit("evaluate", pad_json(report))
        else:
            show(report)
    _evaluation_files.write_pad(files, reports)
    return ExitStatus.ACCEPTED


def show(report: PadReport) -> None:
    """Print one report."""
    curve = report.curve
    attacks = ", ".join(f"{count:,} {name}" for name, count in zip(curve.species, curve.attacks, strict=True))
    _output.say(f"{report.data}: {curve.bona_fide:,} bona fide presentations; attacks: {attacks}", bold=True)
    points = [*report.points, *([report.deployed] if report.deployed else [])]
    rows = [row for point in points for row in _rows(point)]
    rows += [
        ("", f"no answer, {name or 'bona fide'}", *_told(silent), "")
        for name, silent in report.silent.items()
        if silent.errors
    ]
    _output.table(HEADINGS, rows)
    few = [f"{point.target:.0%}" for point in report.points if not point.shown]
    if few:
        _output.say(f"too few attacks of some species to show APCER {', '.join(few)} at all (rule of 3)")
    _output.say("intervals: Clopper-Pearson; every presentation is taken as independent")


def _rows(point: PadPoint) -> list[tuple[str, ...]]:
    """Return the figures at one threshold, the worst species first."""
    at = "deployed" if point.target is None else f"APCER {point.target:.0%}"
    threshold = f"{point.threshold:.4f}"
    rows: list[tuple[str, ...]] = [(at, "BPCER", *_told(point.bpcer), threshold)]
    rows += [(at, f"APCER {one.name}", *_told(one.apcer), threshold) for one in point.species]
    if point.frr is not None:
        rows.append((at, "FRR of the system", *_told(point.frr), threshold))
    for one in point.species:
        if one.iapar is not None:
            rows.append((at, f"IAPAR {one.name}", *_told(one.iapar), threshold))
        if one.riapar is not None:
            rows.append((at, f"RIAPAR {one.name}", _evaluation.percent(one.riapar), "", "", threshold))
    return rows


def _told(rate: Rate) -> tuple[str, str, str]:
    """Write a rate, its interval, and what was counted."""
    return _evaluation.value(rate), _evaluation.interval(rate), f"{rate.errors:,} / {rate.trials:,}"


def pad_json(report: PadReport) -> dict[str, Json]:
    """Return a report as data."""
    curve = thinned(report.curve)
    return {
        "kind": "pad",
        "status": 0,
        "system": report.system,
        "data": report.data,
        "date": report.date,
        "versions": dict(report.versions),
        "bona_fide": curve.bona_fide,
        "attacks": dict(zip(curve.species, curve.attacks, strict=True)),
        "match_threshold": report.match_threshold,
        "points": [_point_json(point) for point in report.points],
        "deployed": None if report.deployed is None else _point_json(report.deployed),
        "no_answer": {name or "bona fide": _evaluation.rate_json(silent) for name, silent in report.silent.items()},
        "curve": {
            "thresholds": curve.thresholds.tolist(),
            "bpcer": curve.bpcer.tolist(),
            "apcer": {name: rates.tolist() for name, rates in zip(curve.species, curve.apcer, strict=True)},
        },
    }


def _point_json(point: PadPoint) -> dict[str, Json]:
    """Return the figures at one threshold as data."""
    return {
        "target_apcer": point.target,
        "threshold": point.threshold,
        "supported": point.shown,
        "bpcer": _evaluation.rate_json(point.bpcer),
        "frr": None if point.frr is None else _evaluation.rate_json(point.frr),
        "species": _species_json(point.species),
    }


def _species_json(species: Sequence[SpeciesRates]) -> list[Json]:
    """Return what each species does as data, the worst first."""
    return [
        {
            "name": one.name,
            "apcer": _evaluation.rate_json(one.apcer),
            "iapar": None if one.iapar is None else _evaluation.rate_json(one.iapar),
            "riapar": one.riapar,
        }
        for one in species
    ]

"""What an evaluation found, as text and as JSON: the same facts in both, each figure with its interval and trials."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from facecli.cli import _output
from facecli.evaluate.verification import Support
from facecli.evaluate.wording import percent as percent  # noqa: PLC0414 (for the other commands that write rates)
from facecli.metrics.curves import thinned
from facecli.metrics.intervals import RULE_OF_30, Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.cli._output import Json
    from facecli.evaluate.identification import IdentificationReport, SearchPoint
    from facecli.evaluate.verification import (
        Accuracy,
        EqualError,
        Failure,
        Point,
        Provenance,
        ScoredPair,
        VerificationReport,
    )
    from facecli.metrics.intervals import Rate

    Row = tuple[str, str, str, str, str, str]
    """What, its value, its interval, what was counted, the threshold, and a remark."""

HEADINGS = ("", "value", "95 % interval", "counted", "threshold", "")


def show(reports: Sequence[VerificationReport]) -> None:
    """Print reports on the same data as one table, the models' figures one below the other."""
    for failure in reports[0].failures:
        _output.note(f"no template: {failure.message}")
    where = reports[0].provenance
    _output.say(f"{where.data}: {comparisons(reports[0])}", bold=True)
    _tabulate([(report.provenance.model, _rows(report)) for report in reports])
    _remarks(reports)


def comparisons(report: VerificationReport) -> str:
    """Say what was compared."""
    where, curve = report.provenance, report.curve
    people = f" of {where.people:,} people" if where.people else ""
    lost = f"; {report.lost:,} could not be made" if report.lost else ""
    return f"{curve.mated:,} mated and {curve.non_mated:,} non-mated comparisons{people} ({where.protocol}{lost})"


def _rows(report: VerificationReport) -> list[Row]:
    """Return the figures of one report, always in the same order."""
    rows = []
    if report.provenance.images:
        rows.append(_rate_row("failures to acquire (FTA)", report.fta))
    if report.fte is not None:
        rows.append(_rate_row("failures to enrol (FTE)", report.fte))
    if report.accuracy is not None:
        rows.extend(_accuracy_rows(report.accuracy))
    rows.append(_equal_error_row(report.eer))
    rows.append(("d'", f"{report.d_prime:.2f}", "", "", "", ""))
    rows.extend(_measured_row(f"TAR at FMR {point.target:g}", point) for point in report.points)
    if report.used is not None:
        rows.append(_measured_row("TAR in use", report.used, promised=True))
    return rows


def _rate_row(what: str, rate: Rate, *, threshold: str = "", remark: str = "") -> Row:
    return what, value(rate), interval(rate), f"{rate.errors:,} / {rate.trials:,}", threshold, remark


def _accuracy_rows(accuracy: Accuracy) -> list[Row]:
    """Return the accuracy by folds, and at the best threshold."""
    folds = accuracy.folds
    spread = f"standard error {percent(folds.standard_error)}"
    return [
        _rate_row(f"accuracy, {len(folds.accuracies)} folds", accuracy.rate, remark=spread),
        (
            "accuracy, best threshold",
            percent(accuracy.best),
            "",
            "",
            f"{accuracy.best_threshold:.4f}",
            "optimistic: chosen on the same data",
        ),
    ]


def _equal_error_row(found: EqualError) -> Row:
    """Return the equal error rate."""
    shown = f"< {percent(found.high)}" if found.value is None else percent(found.value)
    ends = "" if found.value is None else between(found.low, found.high)
    return "equal error rate (EER)", shown, ends, "", f"{found.threshold:.4f}", ""


def _measured_row(what: str, point: Point, *, promised: bool = False) -> Row:
    """Return what was measured at a threshold."""
    if point.threshold is None or point.fmr is None or point.fnmr is None:
        return what, "-", "", "", "", "too few people to show it"
    accepted, there = point.fnmr.complement(), f"FMR {_with_interval(point.fmr)}, {_errors(point.fmr)}"
    if point.support is Support.BOUND:
        return _bound_row(what, f">= {percent(accepted.low)}", accepted, point.threshold, f"bound; {there}")
    if promised:
        there = f"promised FMR {point.target:g}; {there}"
    return _rate_row(what, accepted, threshold=f"{point.threshold:.4f}", remark=there)


def _errors(rate: Rate) -> str:
    """Count a rate's errors."""
    return f"{rate.errors:,} error{'' if rate.errors == 1 else 's'}"


def _bound_row(what: str, shown: str, rate: Rate, threshold: float, remark: str) -> Row:
    """Return a rate of which only a bound is known."""
    return what, shown, "", f"{rate.errors:,} / {rate.trials:,}", f"{threshold:.4f}", remark


def show_searches(reports: Sequence[IdentificationReport]) -> None:
    """Print reports of searches in the same data as one table, the models' figures one below the other."""
    for failure in reports[0].failures:
        _output.note(f"no template: {failure.message}")
    first = reports[0]
    probes = f"{_mated(first):,} mated and {_strangers(first):,} non-mated probes"
    lost = f"; {first.lost:,} probes of people who could not be enrolled" if first.lost else ""
    enrolled = f"{first.templates:,} templates of {first.enrolled:,} people"
    _output.say(f"{first.provenance.data}: {probes}, {enrolled} ({first.provenance.protocol}{lost})", bold=True)
    _tabulate([(report.provenance.model, _search_rows(report)) for report in reports])
    rates = [rate for report in reports for rate in _search_rates(report)]
    bounds = any(point.support is not Support.NUMBER for point in first.points)
    _how_to_read(rates, "people are drawn again among the probes; the gallery stays", bounds=bounds)


def _mated(report: IdentificationReport) -> int:
    return report.ranks[0].rate.trials


def _strangers(report: IdentificationReport) -> int:
    return report.curve.non_mated if report.curve else 0


def _search_rates(report: IdentificationReport) -> list[Rate]:
    """Return every rate that is shown."""
    points = [*report.points, *([report.used] if report.used else [])]
    found = [rate for point in points for rate in (point.fpir, point.fnir) if rate is not None]
    return [*(one.rate for one in report.ranks), *found]


def _search_rows(report: IdentificationReport) -> list[Row]:
    """Return the figures of one report, always in the same order."""
    rows = [
        _rate_row("failures to acquire (FTA)", report.fta),
        _rate_row("failures to enrol (FTE)", report.fte),
        *(_rate_row(f"rank-{one.rank} identification rate", one.rate) for one in report.ranks),
        *(_search_row(f"FNIR at FPIR {point.target:g}", point) for point in report.points),
    ]
    if report.used is not None:
        rows.append(_search_row("FNIR in use", report.used, promised=True))
    return rows


def _search_row(what: str, point: SearchPoint, *, promised: bool = False) -> Row:
    """Return what was measured at a threshold."""
    if point.threshold is None or point.fpir is None or point.fnir is None:
        return what, "-", "", "", "", "too few strangers to show it"
    there = f"FPIR {_with_interval(point.fpir)}, {point.fpir.errors:,} / {point.fpir.trials:,}"
    if point.support is Support.BOUND:
        return _bound_row(what, f"<= {percent(point.fnir.high)}", point.fnir, point.threshold, f"bound; {there}")
    if promised:
        there = f"promised FPIR {point.target:g}; {there}"
    return _rate_row(what, point.fnir, threshold=f"{point.threshold:.4f}", remark=there)


def _tabulate(columns: Sequence[tuple[str, list[Row]]]) -> None:
    """Print the same rows of one or several models."""
    several = len(columns) > 1
    table = [
        (row[0], *([model] if several else []), *row[1:])
        for same in zip(*([(model, row) for row in rows] for model, rows in columns), strict=True)
        for model, row in same
    ]
    _output.table((HEADINGS[0], *(["model"] if several else []), *HEADINGS[1:]), table)


def _how_to_read(rates: Sequence[Rate], independence: str, *, bounds: bool) -> None:
    """Say how to read what stands above, as far as it is there."""
    methods = sorted({str(rate.method) for rate in rates} - {Method.NONE, Method.RULE_OF_3})
    _output.say(f"intervals: {', '.join(methods) or 'none'}; {independence}")
    if bounds or any(rate.value is None for rate in rates):
        _output.say("<, <=, > and >= are bounds (95 %): the data can't show a number there (rules of 3 and of 30)")
    if any(rate.value is not None and rate.few for rate in rates):
        _output.say(f"~ stands for fewer than {RULE_OF_30} errors: more data could move the number by 30 % or more")


def _remarks(reports: Sequence[VerificationReport]) -> None:
    """Say how to read what stands above, as far as it is there."""
    rates = [rate for report in reports for rate in _all_rates(report)]
    bounds = any(point.support is not Support.NUMBER for point in reports[0].points)
    _how_to_read(rates, _trials_said(reports[0]), bounds=bounds)


def _trials_said(report: VerificationReport) -> str:
    """Say what was taken for independent."""
    point = next((p for p in report.points if p.fmr is not None and p.fnmr is not None), None)
    if point is None or point.fmr is None or point.fnmr is None or report.provenance.people is None:
        return "every comparison is taken as independent"
    return f"{point.fnmr.units:,} people are in mated and {point.fmr.units:,} pairs of people in non-mated comparisons"


def _all_rates(report: VerificationReport) -> list[Rate]:
    """Return every rate that is shown."""
    points = [rate for point in report.points for rate in (point.fmr, point.fnmr) if rate is not None]
    return [*points, *([report.accuracy.rate] if report.accuracy else [])]


def value(rate: Rate) -> str:
    """Write a rate, or the bound that stands in its place."""
    if rate.value is not None:
        return f"~{percent(rate.value)}" if rate.few else percent(rate.value)
    if rate.trials == 0:
        return "-"
    return f"< {percent(rate.high)}" if rate.errors == 0 else f"> {percent(rate.low)}"


def interval(rate: Rate) -> str:
    """Write a rate's interval; a bound has none."""
    return "" if rate.value is None else between(rate.low, rate.high)


def between(low: float, high: float) -> str:
    """Write an interval in percent."""
    ends = [percent(end).removesuffix(" %") for end in (low, high)]
    return f"{ends[0]} to {ends[1]} %"


def _with_interval(rate: Rate) -> str:
    """Write a rate with its interval behind it, where it has one."""
    return value(rate) if rate.value is None else f"{value(rate)} ({interval(rate)})"


def report_json(report: VerificationReport) -> dict[str, Json]:
    """Return a report as data."""
    curve = thinned(report.curve)
    return {
        "kind": "verification",
        "status": 0,
        "title": report.title,
        "provenance": provenance_json(report.provenance),
        "mated": report.curve.mated,
        "non_mated": report.curve.non_mated,
        "lost": report.lost,
        "fta": rate_json(report.fta),
        "fte": None if report.fte is None else rate_json(report.fte),
        "failures": [failure_json(failure) for failure in report.failures],
        "eer": {**asdict(report.eer), "method": str(report.eer.method)},
        "d_prime": report.d_prime if math.isfinite(report.d_prime) else None,
        "accuracy": None if report.accuracy is None else _accuracy_json(report.accuracy),
        "points": [_point_json(point) for point in report.points],
        "used": None if report.used is None else _point_json(report.used),
        "curve": {"thresholds": curve.thresholds.tolist(), "fmr": curve.fmr.tolist(), "fnmr": curve.fnmr.tolist()},
        "histogram": {
            "edges": report.histogram.edges.tolist(),
            "mated": report.histogram.mated.tolist(),
            "non_mated": report.histogram.non_mated.tolist(),
        },
        "false_matches": [_pair_json(pair) for pair in report.false_matches],
        "false_non_matches": [_pair_json(pair) for pair in report.false_non_matches],
    }


def searches_json(report: IdentificationReport) -> dict[str, Json]:
    """Return a report of searches as data."""
    curve = report.curve
    return {
        "kind": "identification",
        "status": 0,
        "title": report.title,
        "provenance": provenance_json(report.provenance),
        "enrolled": report.enrolled,
        "templates": report.templates,
        "mated": _mated(report),
        "non_mated": _strangers(report),
        "lost": report.lost,
        "fta": rate_json(report.fta),
        "fte": rate_json(report.fte),
        "failures": [failure_json(failure) for failure in report.failures],
        "ranks": [{"rank": one.rank, **rate_json(one.rate)} for one in report.ranks],
        "cmc": report.cmc.tolist(),
        "points": [_search_point_json(point) for point in report.points],
        "used": None if report.used is None else _search_point_json(report.used),
        "curve": None
        if curve is None
        else {"thresholds": curve.thresholds.tolist(), "fpir": curve.fpir.tolist(), "fnir": curve.fnir.tolist()},
        "false_positives": [_pair_json(pair) for pair in report.false_positives],
        "misses": [_pair_json(pair) for pair in report.misses],
    }


def _search_point_json(point: SearchPoint) -> dict[str, Json]:
    """Return an operating point of a search as data."""
    return {
        "target": point.target,
        "support": str(point.support),
        "threshold": point.threshold,
        "fpir": None if point.fpir is None else rate_json(point.fpir),
        "fnir": None if point.fnir is None else rate_json(point.fnir),
    }


def rate_json(rate: Rate) -> dict[str, Json]:
    """Return a rate as data; ``value`` is null where only the bound is supported."""
    return {
        "value": rate.value,
        "errors": rate.errors,
        "trials": rate.trials,
        "low": rate.low,
        "high": rate.high,
        "method": str(rate.method),
        "units": rate.units,
    }


def provenance_json(where: Provenance) -> dict[str, Json]:
    """Return where figures come from as data."""
    return {
        "model": where.model,
        "pin": None if where.pin is None else asdict(where.pin),
        "device": where.device,
        "versions": dict(where.versions),
        "settings": dict(where.settings),
        "data": where.data,
        "protocol": where.protocol,
        "people": where.people,
        "images": where.images,
        "date": where.date,
    }


def failure_json(failure: Failure) -> dict[str, Json]:
    """Return a failure to acquire as data."""
    return {"source": failure.source, "kind": failure.kind, "message": failure.message}


def _point_json(point: Point) -> dict[str, Json]:
    """Return an operating point as data."""
    return {
        "target": point.target,
        "support": str(point.support),
        "threshold": point.threshold,
        "fmr": None if point.fmr is None else rate_json(point.fmr),
        "fnmr": None if point.fnmr is None else rate_json(point.fnmr),
        "tar": None if point.fnmr is None else rate_json(point.fnmr.complement()),
    }


def _accuracy_json(accuracy: Accuracy) -> dict[str, Json]:
    """Return the accuracy by folds as data."""
    folds = accuracy.folds
    return {
        **rate_json(accuracy.rate),
        "folds": [
            {"accuracy": share, "threshold": threshold}
            for share, threshold in zip(folds.accuracies, folds.thresholds, strict=True)
        ],
        "mean": folds.mean,
        "standard_error": folds.standard_error,
        "best": accuracy.best,
        "best_threshold": accuracy.best_threshold,
    }


def _pair_json(pair: ScoredPair) -> dict[str, Json]:
    """Return one comparison as data."""
    told: dict[str, Json] = asdict(pair)
    return told

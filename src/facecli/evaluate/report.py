"""A 1:1 evaluation as one page: figures, tables, the worst comparisons with their faces, and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facecli.evaluate import plots, sheets
from facecli.evaluate.page import (
    Html,
    document,
    element,
    figure,
    heading,
    joined,
    paragraph,
    stats,
    table,
    text,
    two_lines,
)
from facecli.evaluate.report_parts import (
    conjunction,
    failure_table,
    header,
    own_names,
    pair_grid,
    provenance_table,
    write_page,
)
from facecli.evaluate.verification import Support
from facecli.evaluate.wording import (
    NOTHING,
    counted,
    equal_error_parts,
    percent,
    point_fnmr_parts,
    rate_parts,
    round_percent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from facecli.evaluate.report_parts import Crop
    from facecli.evaluate.verification import Point, VerificationReport


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that others add, such as rates by group.

    Attributes
    ----------
    title
        Its heading.
    body
        What stands below it.
    """

    title: str
    body: Html


def write_report(
    path: Path, reports: Sequence[VerificationReport], *, crop: Crop | None = None, more: Sequence[Section] = ()
) -> None:
    """Write the page of one or several evaluations of the same data.

    Parameters
    ----------
    path
        The file; it is readable by its owner alone.
    reports
        One for each model or setting.
    crop
        Gives the aligned faces of the worst comparisons; without it there are none in the page.
    more
        Further parts, which come before the worst comparisons.

    Raises
    ------
    SetupError
        matplotlib or scipy is not installed.
    OutputError
        The file can't be written.
    """
    write_page(path, report_html(reports, crop=crop, more=more))


def report_html(
    reports: Sequence[VerificationReport], *, crop: Crop | None = None, more: Sequence[Section] = ()
) -> str:
    """Return the page that :func:`write_report` writes."""
    named = distinct(reports)
    return document(
        f"{named[0].title} – face verification",
        [
            header(_title(named), named[0].provenance, crop),
            *(_glance(report, alone=len(named) == 1) for report in named),
            _figures(named),
            *(_points(report, alone=len(named) == 1) for report in named),
            *(joined([heading(section.title), section.body]) for section in more),
            *(_worst(report, crop, _suffix(report, named)) for report in named),
            *(failure_table(report.failures, suffix=_suffix(report, named)) for report in named),
            provenance_table([report.provenance for report in named]),
            _reading(),
            element("footer", text(f"facecli, {named[0].provenance.date}. Terms and figures as in ISO/IEC 19795-1.")),
        ],
    )


def distinct(reports: Sequence[VerificationReport]) -> tuple[VerificationReport, ...]:
    """Give each report a model's name of its own, see :func:`facecli.evaluate.report_parts.own_names`."""
    names = own_names([report.provenance for report in reports])
    return tuple(
        replace(report, provenance=replace(report.provenance, model=name))
        for report, name in zip(reports, names, strict=True)
    )


def _title(reports: Sequence[VerificationReport]) -> str:
    """Name the page."""
    return reports[0].title if len(reports) == 1 else f"{reports[0].provenance.data}: {len(reports)} systems"


def _glance(report: VerificationReport, *, alone: bool) -> Html:
    """Give the figures that matter most."""
    curve = report.curve
    items = [
        _best_point(report),
        ("Equal error rate", *equal_error_parts(report.eer)),
        (
            "Decidability d′",
            f"{report.d_prime:.2f}" if math.isfinite(report.d_prime) else NOTHING,
            "distance of the two kinds of scores",
        ),
    ]
    if report.accuracy is not None:
        items.append(("Accuracy by folds", *rate_parts(report.accuracy.rate)))
    if report.fta.trials:
        people = f", {counted(report.fte)} people" if report.fte is not None else ""
        items.append(("Failure to acquire", rate_parts(report.fta)[0], f"{counted(report.fta)} photographs{people}"))
    lost = f", {report.lost:,} not made" if report.lost else ""
    items.append(("Comparisons", f"{curve.mated + curve.non_mated:,}", f"{curve.mated:,} of them mated{lost}"))
    title = heading("At a glance" if alone else report.provenance.model)
    return joined([title, stats(items)])


def _best_point(report: VerificationReport) -> tuple[str, str, str]:
    """Return FNMR at the lowest target of which the data support a number, else of which they support a bound."""
    for wanted in (Support.NUMBER, Support.BOUND):
        for point in reversed(report.points):
            if point.support is wanted:
                return (f"FNMR at FMR {round_percent(point.target)}", *point_fnmr_parts(point))
    return "FNMR", NOTHING, "too few comparisons for any FMR"


def _figures(reports: Sequence[VerificationReport]) -> Html:
    """Draw them all."""
    trades = [plots.verification_trade_off(report) for report in reports]

    def trade_off(draw: Callable[[Axes], None]) -> Callable[[], Figure]:
        def drawn() -> Figure:
            sheet = sheets.new_figure(5.4, 4.6)
            draw(sheet.add_subplot())
            return sheet

        return drawn

    names = ", ".join(report.provenance.model for report in reports)
    det = sheets.inline_svg(
        trade_off(lambda axes: plots.draw_det(axes, trades, x_name="False match rate", y_name="False non-match rate")),
        name="det",
    )
    roc = sheets.inline_svg(trade_off(lambda axes: plots.draw_roc(axes, trades)), name="roc")
    pair = joined(
        [
            figure(det, told=f"Detection error trade-off of {names}", caption="Normal-deviate axes; lower is better."),
            figure(roc, told=f"Receiver operating characteristic of {names}", caption="Higher is better."),
        ]
    )
    note = (
        "Lines are thin where fewer than 30 errors stand behind a rate: there the truth may well lie 30 % off. Dots "
        "are the targets of which the data support a number, with their 95 % intervals."
    )
    drawn = [_histogram(report, number) for number, report in enumerate(reports)]
    return joined([heading("Trade-offs"), element("div", pair, kind="figures"), paragraph(note, kind="soft"), *drawn])


def _histogram(report: VerificationReport, number: int) -> Html:
    """Draw the scores of one system."""

    def drawn() -> Figure:
        sheet = sheets.new_figure(11, 2.7)
        title = f"Scores: {report.provenance.model}"
        plots.draw_histogram(
            sheet.add_subplot(), report.histogram, title=title, threshold=plots.marked_threshold(report)
        )
        return sheet

    told = f"Histogram of mated and non-mated scores of {report.provenance.model}"
    return figure(sheets.inline_svg(drawn, name=f"scores-{number}"), told=told)


def _points(report: VerificationReport, *, alone: bool) -> Html:
    """Give the error rates at each target FMR."""
    title = "Error rates at target false match rates" + ("" if alone else f": {report.provenance.model}")
    headings = ("Target FMR", "Threshold", "FMR", "FNMR", "True accept rate", "False matches", "False non-matches")
    rows = [_point_row(round_percent(point.target), point) for point in report.points]
    if report.used is not None:
        rows.append(_point_row(f"{round_percent(report.used.target)}, in use", report.used))
    return joined([heading(title), table(headings, rows, numbers=range(1, 7)), _points_note(report)])


def _point_row(name: str, point: Point) -> list[Html]:
    """Give one target."""
    target = text(name)
    if point.fmr is None or point.fnmr is None or point.threshold is None:
        return [target, *[text(NOTHING)] * 6]
    fmr = two_lines(*rate_parts(point.fmr))
    counts = [text(counted(rate)) for rate in (point.fmr, point.fnmr)]
    threshold = text(f"{point.threshold:.4f}")
    if point.support is Support.NUMBER:
        accept = two_lines(*rate_parts(point.fnmr.complement()))
        return [target, threshold, fmr, two_lines(*rate_parts(point.fnmr)), accept, *counts]
    accept = text(f"at least {percent(1 - point.fnmr.high)}")
    return [target, threshold, fmr, two_lines(*point_fnmr_parts(point)), accept, *counts]


def _points_note(report: VerificationReport) -> Html:
    """Say what the data can't show."""
    nothing = [round_percent(point.target) for point in report.points if point.support is Support.NOTHING]
    bounds = [round_percent(point.target) for point in report.points if point.support is Support.BOUND]
    told = []
    if bounds:
        told.append(
            f"At {conjunction(bounds)} the comparisons are too few to measure FMR (the rule of 30). That the target is "
            "met is shown, with 95 % confidence, by a stricter threshold; what FNMR would be at the target itself is "
            "at most what it is there."
        )
    if nothing:
        told.append(f"Of FMR {conjunction(nothing)} these comparisons are too few to say anything.")
    return joined(paragraph(sentence, kind="soft") for sentence in told)


def _worst(report: VerificationReport, crop: Crop | None, suffix: str) -> Html:
    """Show the comparisons that went wrong, or were closest to it."""
    told = ("The worst false matches, or what came nearest.", "The worst false non-matches; wrong labels, too.")
    return joined(
        [
            pair_grid(f"Highest scores of two people{suffix}", told[0], report.false_matches, crop),
            pair_grid(f"Lowest scores of one person{suffix}", told[1], report.false_non_matches, crop),
        ]
    )


def _suffix(report: VerificationReport, reports: Sequence[VerificationReport]) -> str:
    """Return what tells a system's headings from another's."""
    return "" if len(reports) == 1 else f": {report.provenance.model}"


def _reading() -> Html:
    """Say how to read the page."""
    return joined(
        [
            heading("How to read this"),
            paragraph(
                "Mated comparisons are of two photographs of one person, non-mated ones of two people. FMR is the part "
                "of the non-mated ones that are accepted, FNMR the part of the mated ones that are not; accept is "
                "score ≥ threshold. Below each rate stands its 95 % interval: Clopper and Pearson's where comparisons "
                "are independent, by a bootstrap over people where they are not."
            ),
            paragraph(
                "“~” stands for fewer than 30 errors: more data could well move the number by 30 %. A rate without "
                "errors is not 0: “<” gives what the number of trials excludes (the rule of 3). The "
                "figures hold for people, photographs and conditions like those evaluated, and for no others."
            ),
        ]
    )

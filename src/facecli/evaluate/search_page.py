"""A 1:N evaluation as one page and as one figure: rank curve, FPIR against FNIR, and the searches that fared worst."""

from __future__ import annotations

from dataclasses import replace
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
)
from facecli.evaluate.verification import Support
from facecli.evaluate.wording import NOTHING, counted, percent, rate_parts, round_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from facecli.evaluate.identification import IdentificationReport, SearchPoint
    from facecli.evaluate.report_parts import Crop

_MOST_RANKS = 20
"""A rank curve is read at its beginning."""


def distinct(reports: Sequence[IdentificationReport]) -> tuple[IdentificationReport, ...]:
    """Give each report a model's name of its own, see :func:`facecli.evaluate.report_parts.own_names`."""
    names = own_names([report.provenance for report in reports])
    return tuple(
        replace(report, provenance=replace(report.provenance, model=name))
        for report, name in zip(reports, names, strict=True)
    )


def search_figure(reports: Sequence[IdentificationReport]) -> Figure:
    """Draw the rank curves and, with strangers, FPIR against FNIR. To be called within :func:`sheets.style`."""
    open_set = [report for report in reports if report.curve is not None]
    sheet = sheets.new_figure(9.6 if open_set else 5.2, 4.6)
    draw_ranks(sheet.add_subplot(1, 2 if open_set else 1, 1), reports)
    if open_set:
        draw_det(sheet.add_subplot(1, 2, 2), open_set)
    return sheet


def draw_ranks(axes: Axes, reports: Sequence[IdentificationReport]) -> None:
    """Draw the rank curves."""
    plots.draw_ranks(axes, [(report.provenance.model, report.cmc[:_MOST_RANKS]) for report in reports])


def draw_det(axes: Axes, reports: Sequence[IdentificationReport]) -> None:
    """Draw FPIR against FNIR of the systems that were searched for strangers, too."""
    trades = [
        plots.TradeOff(
            report.provenance.model, curve.fpir, curve.fnir, curve.non_mated, curve.mated, marks=_marks(report)
        )
        for report in reports
        if (curve := report.curve) is not None
    ]
    plots.draw_det(axes, trades, x_name="False positive identification rate", y_name="False negative id. rate")
    axes.set_title("DET of searches")


def _marks(report: IdentificationReport) -> tuple[tuple[float, float, float, float], ...]:
    """Return the points of which the data support a number, with their intervals."""
    return tuple(
        (point.fpir.value, point.fnir.value, point.fnir.low, point.fnir.high)
        for point in report.points
        if point.support is Support.NUMBER and point.fpir and point.fnir and point.fpir.value and point.fnir.value
    )


def search_html(reports: Sequence[IdentificationReport], *, crop: Crop | None = None) -> str:
    """Return the page of one or several systems that searched the same data."""
    named = distinct(reports)
    place = named[0].provenance
    title = named[0].title if len(named) == 1 else f"{place.data}: {len(named)} systems"
    return document(
        f"{title} – face identification",
        [
            header(title, place, crop),
            *(_glance(report, alone=len(named) == 1) for report in named),
            _figures(named),
            *(_rates(report, _suffix(report, named)) for report in named),
            *(_worst(report, crop, _suffix(report, named)) for report in named),
            *(failure_table(report.failures, suffix=_suffix(report, named)) for report in named),
            provenance_table([report.provenance for report in named]),
            _reading(),
            element("footer", text(f"facecli, {place.date}. Terms and figures as in ISO/IEC 19795-1.")),
        ],
    )


def _suffix(report: IdentificationReport, reports: Sequence[IdentificationReport]) -> str:
    """Return what tells a system's headings from another's."""
    return "" if len(reports) == 1 else f": {report.provenance.model}"


def _glance(report: IdentificationReport, *, alone: bool) -> Html:
    """Give the figures that matter most."""
    first = report.ranks[0]
    items = [(f"Rank-{first.rank} identification rate", *rate_parts(first.rate))]
    if report.used is not None and report.used.fpir is not None and report.used.fnir is not None:
        promised = f"{round_percent(report.used.target)} promised" if report.used.target else ""
        items.append(("FPIR in use", rate_parts(report.used.fpir)[0], promised))
        items.append(("FNIR in use", *rate_parts(report.used.fnir)))
    items.append(("Enrolled", f"{report.enrolled:,}", f"people, {report.templates:,} templates"))
    strangers = report.curve.non_mated if report.curve else 0
    lost = f", {report.lost:,} left out" if report.lost else ""
    items.append(("Probes", f"{first.rate.trials + strangers:,}", f"{strangers:,} of them strangers{lost}"))
    items.append(("Failure to acquire", rate_parts(report.fta)[0], f"{counted(report.fta)} probes"))
    return joined([heading("At a glance" if alone else report.provenance.model), stats(items)])


def _figures(reports: Sequence[IdentificationReport]) -> Html:
    """Draw them all."""
    names = ", ".join(report.provenance.model for report in reports)
    open_set = [report for report in reports if report.curve is not None]

    def ranks() -> Figure:
        sheet = sheets.new_figure(5.4, 4.6)
        draw_ranks(sheet.add_subplot(), reports)
        return sheet

    def det() -> Figure:
        sheet = sheets.new_figure(5.4, 4.6)
        draw_det(sheet.add_subplot(), open_set)
        return sheet

    drawn = [
        figure(
            sheets.inline_svg(ranks, name="cmc"),
            told=f"Identification rate by rank of {names}",
            caption="How often the person sought is among the first so many, whatever the score.",
        )
    ]
    if open_set:
        told = "Strangers taken for somebody against people not found; thin where fewer than 30 errors stand behind it."
        drawn.append(figure(sheets.inline_svg(det, name="det"), told=f"FPIR against FNIR of {names}", caption=told))
    return joined([heading("Curves"), element("div", joined(drawn), kind="figures")])


def _rates(report: IdentificationReport, suffix: str) -> Html:
    """Give rank-k rates, and the error rates at each target FPIR."""
    ranks = [[text(f"{one.rank}"), two_lines(*rate_parts(one.rate)), text(counted(one.rate))] for one in report.ranks]
    parts = [
        heading(f"Identification rate by rank{suffix}"),
        table(("Rank", "Identification rate", "Found"), ranks, numbers=(1, 2)),
        heading(f"Error rates with strangers{suffix}"),
    ]
    if not report.points:
        return joined([*parts, paragraph("No stranger was among the probes, so FPIR can't be told.", kind="soft")])
    rows = [_row(round_percent(point.target), point) for point in report.points]
    if report.used is not None:
        rows.append(_row("in use", report.used))
    headings = ("Target FPIR", "Threshold", "FPIR", "FNIR", "Strangers taken for somebody", "People not found")
    few = [round_percent(point.target) for point in report.points if point.support is not Support.NUMBER]
    parts.append(table(headings, rows, numbers=range(1, 6)))
    if few:
        told = f"The strangers are too few to measure FPIR {conjunction(few)}: a bound stands there, or nothing."
        parts.append(paragraph(told, kind="soft"))
    return joined(parts)


def _row(target: str, point: SearchPoint) -> list[Html]:
    """Give one operating point."""
    if point.fpir is None or point.fnir is None or point.threshold is None:
        return [text(target), *[text(NOTHING)] * 5]
    fnir = rate_parts(point.fnir) if point.support is Support.NUMBER else (f"at most {percent(point.fnir.high)}", "")
    return [
        text(target),
        text(f"{point.threshold:.4f}"),
        two_lines(*rate_parts(point.fpir)),
        two_lines(*fnir),
        text(counted(point.fpir)),
        text(counted(point.fnir)),
    ]


def _worst(report: IdentificationReport, crop: Crop | None, suffix: str) -> Html:
    """Show the searches that went wrong, or were closest to it."""
    told = (
        "The photograph, and the person whom the search took it for.",
        "The photograph, and the person who should have been found.",
    )
    return joined(
        [
            pair_grid(f"Strangers most like somebody{suffix}", told[0], report.false_positives, crop),
            pair_grid(f"People hardest to find{suffix}", told[1], report.misses, crop),
        ]
    )


def _reading() -> Html:
    """Say how to read the page."""
    return joined(
        [
            heading("How to read this"),
            paragraph(
                "A mated probe shows somebody who is enrolled, a stranger nobody. FPIR is the part of the strangers' "
                "searches that return anybody, FNIR the part of the mated searches that do not return the person "
                "sought. Both hang on how many people are enrolled: with more of them, FPIR rises."
            ),
            paragraph(
                "Below each rate stands its 95 % interval. “~” stands for fewer than 30 errors. A rate without errors "
                "is not 0: “<” gives what the number of trials excludes (the rule of 3). The figures hold for people, "
                "photographs and conditions like those evaluated, and for no others."
            ),
        ]
    )

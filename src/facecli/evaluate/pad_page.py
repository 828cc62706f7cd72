"""An evaluation of presentation attack detection as one page and as one figure."""

from __future__ import annotations

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
from facecli.evaluate.wording import NOTHING, counted, percent, rate_parts, round_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from facecli.evaluate.pad import PadReport
    from facecli.metrics.pad import PadPoint, SpeciesRates


def pad_figure(reports: Sequence[PadReport]) -> Figure:
    """Draw for each system its DET by species, and its scores. To be called within :func:`sheets.style`."""
    sheet = sheets.new_figure(10, 4.4 * len(reports))
    grid = sheet.add_gridspec(len(reports), 2)
    for row, report in enumerate(reports):
        draw_det(sheet.add_subplot(grid[row, 0]), report)
        draw_scores(sheet.add_subplot(grid[row, 1]), report)
    return sheet


def draw_det(axes: Axes, report: PadReport) -> None:
    """Draw APCER of each species against BPCER."""
    trades = plots.pad_trade_offs(report.curve)
    plots.draw_det(axes, trades, x_name="APCER", y_name="BPCER")
    axes.set_title(sheets.label(f"DET by species: {report.system}"), parse_math=False)


def draw_scores(axes: Axes, report: PadReport) -> None:
    """Draw the scores of bona fide presentations and of each species, each as a share of its own kind."""
    chosen = report.deployed or report.points[0]
    told = "deployed" if chosen.target is None else f"APCER {round_percent(chosen.target)}"
    kinds = [("bona fide", report.scores.bona_fide), *sorted(report.scores.attacks.items())]
    plots.draw_kinds(axes, kinds, title=f"Scores: {report.system}", threshold=(chosen.threshold, told))


def pad_html(reports: Sequence[PadReport]) -> str:
    """Return the page."""
    alone = len(reports) == 1
    title = f"{reports[0].system}: presentation attack detection" if alone else "Presentation attack detection"
    return document(
        title,
        [
            heading(title, level=1),
            paragraph(", ".join(report.data for report in reports) + f", {reports[0].date}", kind="soft"),
            *(_system(report, number, alone=alone) for number, report in enumerate(reports)),
            _reading(),
            element("footer", text(f"{_versions(reports[0])}. Terms and figures as in ISO/IEC 30107-3.")),
        ],
    )


def _system(report: PadReport, number: int, *, alone: bool) -> Html:
    """Tell everything about one system."""

    def drawn() -> Figure:
        return _half(lambda axes: draw_det(axes, report))

    def scores() -> Figure:
        return _half(lambda axes: draw_scores(axes, report))

    figures = [
        figure(
            sheets.inline_svg(drawn, name=f"det-{number}"),
            told=f"APCER of each species against BPCER of {report.system}",
            caption="Normal-deviate axes; lower is better. Thin where fewer than 30 errors stand behind a rate.",
        ),
        figure(
            sheets.inline_svg(scores, name=f"scores-{number}"),
            told=f"Scores of bona fide presentations and attacks of {report.system}",
            caption="Each as a share of its own kind.",
        ),
    ]
    points = [*report.points, *([report.deployed] if report.deployed else [])]
    return joined(
        [
            heading("At a glance" if alone else report.system),
            stats(_glance(report)),
            element("div", joined(figures), kind="figures"),
            *(_point(point) for point in points),
            _silent(report),
        ]
    )


def _half(draw: object) -> Figure:
    """Return a sheet of half a page's width."""
    sheet = sheets.new_figure(5.4, 4.6)
    if callable(draw):
        draw(sheet.add_subplot())
    return sheet


def _glance(report: PadReport) -> list[tuple[str, str, str]]:
    """Give the figures that matter most."""
    items = [(f"BPCER at {_at(point)}", *rate_parts(point.bpcer)) for point in report.points]
    if report.deployed is not None:
        worst = report.deployed.worst
        items.append((f"APCER deployed, {worst.name}", *rate_parts(worst.apcer)))
        items.append(("BPCER deployed", *rate_parts(report.deployed.bpcer)))
    attacks = sum(report.curve.attacks)
    items.append(("Presentations", f"{report.curve.bona_fide + attacks:,}", f"{attacks:,} of them attacks"))
    return items


def _at(point: PadPoint) -> str:
    """Name a point."""
    return "the deployed threshold" if point.target is None else f"APCER {round_percent(point.target)}"


def _point(point: PadPoint) -> Html:
    """Give the error rates at one threshold."""
    whole = point.frr is not None
    headings = ("Species", "APCER", "Attacks taken for bona fide", *(("IAPAR", "RIAPAR") if whole else ()))
    rows = [_species(one, whole=whole) for one in point.species]
    bpcer, between = rate_parts(point.bpcer)
    told = f"Threshold {point.threshold:.4f}. BPCER {bpcer}" + (f" ({between})" if between else "")
    told += f", {counted(point.bpcer)} bona fide presentations."
    if point.frr is not None:
        told += f" FRR of the whole system {rate_parts(point.frr)[0]}, {counted(point.frr)}."
    few = "" if point.shown else " The attacks of some species are too few to show that APCER at all (the rule of 3)."
    title = f"At {_at(point)}"
    return joined([heading(title, level=3), paragraph(told + few, kind="soft"), _wide(headings, rows)])


def _wide(headings: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    return table(headings, rows, numbers=range(1, len(headings)))


def _species(one: SpeciesRates, *, whole: bool) -> list[Html]:
    """Tell what one species does."""
    cells = [text(one.name), two_lines(*rate_parts(one.apcer)), text(counted(one.apcer))]
    if whole:
        cells.append(text(NOTHING) if one.iapar is None else two_lines(*rate_parts(one.iapar)))
        cells.append(text(NOTHING if one.riapar is None else percent(one.riapar)))
    return cells


def _silent(report: PadReport) -> Html:
    """Tell how often the detector gave no answer."""
    rows = [
        [text(name or "bona fide"), two_lines(*rate_parts(silent)), text(counted(silent))]
        for name, silent in report.silent.items()
        if silent.errors
    ]
    if not rows:
        return Html("")
    return joined([heading("No answer", level=3), _wide(("Presentations", "Without an answer", "Counted"), rows)])


def _reading() -> Html:
    """Say how to read the page."""
    return joined(
        [
            heading("How to read this"),
            paragraph(
                "APCER is the part of a species' attacks that are taken for bona fide; the system's is that of its "
                "worst species, and no average is made. BPCER is the part of the bona fide presentations that are "
                "taken for attacks. IAPAR is the part of the attacks that pass the detector and match the person "
                "attacked; RIAPAR is IAPAR + FRR, so that refusing everybody does not look safe."
            ),
            paragraph(
                "Intervals are Clopper and Pearson's at 95 %, as if presentations were independent; where one person "
                "or one instrument was presented often, the truth may lie further off. “~” stands for fewer than 30 "
                "errors. The figures hold for the species that were tested, and say nothing of others."
            ),
        ]
    )


def _versions(report: PadReport) -> str:
    return ", ".join(f"{name} {version}" for name, version in report.versions)

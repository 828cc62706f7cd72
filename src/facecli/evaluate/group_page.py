"""The bias report on the page: each group's error rates with their intervals, and what they show in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.evaluate import sheets
from facecli.evaluate.page import figure, heading, joined, paragraph, table, text, two_lines
from facecli.evaluate.report import Section
from facecli.evaluate.sheets import INK, SERIES, label
from facecli.evaluate.wording import NOTHING, counted, rate_parts, round_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

    from facecli.evaluate.groups import BiasReport, GroupSamples
    from facecli.evaluate.page import Html
    from facecli.metrics.fairness import Figure, GroupRates
    from facecli.metrics.intervals import Rate

LEAST = 1e-7
"""Where a logarithmic axis ends for a rate whose interval reaches 0."""


def group_section(report: BiasReport, model: str, number: int) -> Section:
    """Return the part of the page that tells one model's rates by group.

    Parameters
    ----------
    report
        What was found.
    model
        Its name.
    number
        Tells the figures of several models on one page apart.
    """
    found = report.differentials
    drawn = sheets.inline_svg(lambda: groups_figure(report), name=f"groups-{number}")
    parts = [
        paragraph(
            f"By {', '.join(report.by)} ({report.source}), at the threshold {found.threshold:.4f} that is deployed for "
            f"FMR {round_percent(found.target)}."
        ),
        figure(drawn, told=f"False match rate and false non-match rate of each group, {model}"),
        _rates(report),
        heading("Scores and photographs", level=3),
        _shifts(report),
    ]
    if found.cross:
        parts += [heading("Impostors of one group against people of another", level=3), _cross(report)]
    if len(found.compared) > 1:
        parts += [heading(f"Differences between {', '.join(found.compared)}", level=3), _figures(report)]
    parts += [paragraph(sentence) for sentence in report.sentences]
    return Section(f"Groups of people: {model}", joined(parts))


def groups_figure(report: BiasReport) -> Sheet:
    """Draw each group's FMR and FNMR with their intervals; open marks are bounds."""
    groups = report.differentials.groups
    sheet = sheets.new_figure(11, 1.2 + 0.34 * len(groups))
    left, right = sheet.subplots(1, 2, sharey=True)
    _draw(left, [group.fmr for group in groups], SERIES[1], "False match rate, %")
    left.axvline(100 * report.differentials.target, color=INK, linewidth=0.8, dashes=(3, 2))
    _draw(right, [group.fnmr for group in groups], SERIES[0], "False non-match rate, %")
    left.set_yticks(range(len(groups)), [label(group.name) for group in groups])
    for name in left.get_yticklabels():
        name.set_parse_math(False)
    left.set_ylim(len(groups) - 0.4, -0.6)
    return sheet


def _draw(axes: Axes, rates: Sequence[Rate], colour: str, name: str) -> None:
    """Draw rates one below the other, each with its interval."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    for place, one in enumerate(rates):
        if not one.trials:
            continue
        low, high = (100 * max(end, LEAST) for end in (one.low, one.high))
        axes.plot([low, high], [place, place], color=colour, linewidth=1.4)
        at = high if one.value is None else 100 * max(one.value, LEAST)
        axes.plot(
            [at], [place], "o", color=colour, markersize=5, markerfacecolor="none" if one.value is None else colour
        )
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda _value, _: "")
    axes.set_xlabel(name)


def _rates(report: BiasReport) -> Html:
    """Give each group's error rates."""
    headings = ("Group", "People", "Photographs", "FTA", "FMR", "False matches", "FNMR", "False non-matches")
    rows = [
        [
            two_lines(group.name, "" if group.counted else "too few to be compared"),
            text(f"{group.people:,}"),
            text(f"{group.images:,}"),
            two_lines(*rate_parts(samples.fta)),
            two_lines(*rate_parts(group.fmr)),
            text(counted(group.fmr)),
            two_lines(*rate_parts(group.fnmr)),
            text(counted(group.fnmr)),
        ]
        for group, samples in zip(report.differentials.groups, report.samples, strict=True)
    ]
    return table(headings, rows, numbers=range(1, len(headings)))


def _shifts(report: BiasReport) -> Html:
    """Give how each group's scores and photographs differ."""
    headings = ("Group", "Mated shift", "Non-mated shift", "Own threshold", "Eyes, px", "Sharpness", "Detection")
    both = zip(report.differentials.groups, report.samples, strict=True)
    return table(headings, [_shift_row(*one) for one in both], numbers=range(1, len(headings)))


def _shift_row(group: GroupRates, samples: GroupSamples) -> list[Html]:
    own = two_lines(NOTHING, "")
    if group.threshold is not None and group.threshold_bound is not None:
        remark = "" if group.supported else ", can't show the target"
        own = two_lines(f"{group.threshold:.4f}", f"95 %: {group.threshold_bound:.4f}{remark}")
    numbers = [(group.mated_shift, "+.4f"), (group.non_mated_shift, "+.4f")]
    quality = [(samples.eye_distance_px, ".0f"), (samples.sharpness, ".2f"), (samples.detection, ".3f")]
    told = [text(NOTHING if n is None else format(n, spec)) for n, spec in numbers + quality]
    return [text(group.name), *told[:2], own, *told[2:]]


def _cross(report: BiasReport) -> Html:
    """Give the false match rates between groups."""
    rows = [
        [text(f"{one.first} × {one.second}"), two_lines(*rate_parts(one.fmr)), text(counted(one.fmr))]
        for one in report.differentials.cross
    ]
    return table(("Groups", "FMR", "False matches"), rows, numbers=(1, 2))


def _figures(report: BiasReport) -> Html:
    """Give the figures of inequity."""
    found = report.differentials
    rows = [
        [text(name), _figure(getattr(found.fmr, key)), _figure(getattr(found.fnmr, key))]
        for name, key in (
            ("Highest over lowest rate", "max_min"),
            ("Highest rate over geometric mean", "max_geomean"),
            ("Gini coefficient (0 is equal)", "gini"),
        )
    ]
    chance = [text(NOTHING if one.by_chance is None else f"{one.by_chance:.1%}") for one in (found.fmr, found.fnmr)]
    rows += [
        [text("As much by chance"), *chance],
        [text("GARBE (0 is equal), both"), _figure(found.garbe), text("")],
        [text("FDR (1 is equal), both"), _figure(found.fdr), text("")],
    ]
    return table(("", "FMR", "FNMR"), rows, numbers=(1, 2))


def _figure(one: Figure) -> Html:
    """Tell a figure and its interval."""
    if one.low is None or one.high is None:
        return two_lines("undefined", "")
    shown = "undefined" if one.value is None else f"{one.value:.3f}"
    return two_lines(shown, f"{one.low:.3f} to {one.high:.3f}")

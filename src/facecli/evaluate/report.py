"""An evaluation as one page: figures, tables, the worst comparisons with their faces, and where it all comes from.

A page with faces in it is biometric data: it says so at the top, is readable by its owner alone, and can be made
without them.
"""

from __future__ import annotations

from collections import Counter
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
    jpeg,
    paragraph,
    stats,
    table,
    text,
    two_lines,
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

    from facecli.evaluate.verification import Failure, Point, ScoredPair, VerificationReport

    Crop = Callable[[str], bytes | None]
    """From a photograph's path to its aligned face as JPEG; None where there is none."""

FACES_NOTICE = (
    "This page holds photographs of faces. They are biometric data: keep it as carefully as the photographs themselves "
    "and send it to nobody who may not see them. With --no-faces it is made without."
)
NO_FACES_NOTICE = "Made without faces. Names of files and people are in it all the same."
_MOST_FAILURES = 100
_MOST_PAIRS = 12


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


def write_page(path: Path, page: str) -> None:
    """Write a page, readable by its owner alone.

    Raises
    ------
    OutputError
        The file can't be written.
    """
    from facecli.files import replacing

    with replacing(path) as stream:
        stream.write(page.encode("utf-8"))


def report_html(
    reports: Sequence[VerificationReport], *, crop: Crop | None = None, more: Sequence[Section] = ()
) -> str:
    """Return the page that :func:`write_report` writes."""
    named = distinct(reports)
    return document(
        f"{named[0].title} – face verification",
        [
            _header(named),
            element("div", paragraph(FACES_NOTICE if crop else NO_FACES_NOTICE), kind="notice"),
            *(_glance(report, alone=len(named) == 1) for report in named),
            _figures(named),
            *(_points(report, alone=len(named) == 1) for report in named),
            *(joined([heading(section.title), section.body]) for section in more),
            *(_worst(report, crop, alone=len(named) == 1) for report in named),
            *(_failures(report, alone=len(named) == 1) for report in named),
            _provenance(named),
            _reading(),
            element("footer", text(f"facecli, {named[0].provenance.date}. Terms and figures as in ISO/IEC 19795-1.")),
        ],
    )


def distinct(reports: Sequence[VerificationReport]) -> tuple[VerificationReport, ...]:
    """Give each report a model's name of its own: where two are alike, by the settings that differ, else by number."""
    names = [report.provenance.model for report in reports]
    shared = set.intersection(*(set(report.provenance.settings) for report in reports))
    told = []
    for report, name in zip(reports, names, strict=True):
        own = [f"{key} {value}" for key, value in report.provenance.settings if (key, value) not in shared]
        told.append(f"{name} ({', '.join(own)})" if own and names.count(name) > 1 else name)
    told = [f"{name} ({place})" if told.count(name) > 1 else name for place, name in enumerate(told, 1)]
    return tuple(
        replace(report, provenance=replace(report.provenance, model=name))
        for report, name in zip(reports, told, strict=True)
    )


def _header(reports: Sequence[VerificationReport]) -> Html:
    """Say what was evaluated."""
    where = reports[0].provenance
    people = f"{where.people:,} people, " if where.people is not None else ""
    images = f"{where.images:,} photographs" if where.images else ""
    told = ", ".join(part for part in (f"{people}{images}", where.protocol, where.date) if part)
    title = reports[0].title if len(reports) == 1 else f"{where.data}: {len(reports)} systems"
    return joined([heading(title, level=1), paragraph(told, kind="soft")])


def _glance(report: VerificationReport, *, alone: bool) -> Html:
    """Give the figures that matter most."""
    curve = report.curve
    items = [
        _best_point(report),
        ("Equal error rate", *equal_error_parts(report.eer)),
        ("Decidability d′", f"{report.d_prime:.2f}", "distance of the two kinds of scores"),
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
        plots.draw_histogram(sheet.add_subplot(), report.histogram, title=title, threshold=plots.tightest(report))
        return sheet

    told = f"Histogram of mated and non-mated scores of {report.provenance.model}"
    return figure(sheets.inline_svg(drawn, name=f"scores-{number}"), told=told)


def _points(report: VerificationReport, *, alone: bool) -> Html:
    """Give the error rates at each target FMR."""
    title = "Error rates at target false match rates" + ("" if alone else f": {report.provenance.model}")
    headings = ("Target FMR", "Threshold", "FMR", "FNMR", "True accept rate", "False matches", "False non-matches")
    rows = [_point_row(point) for point in report.points]
    return joined([heading(title), table(headings, rows, numbers=range(1, 7)), _points_note(report)])


def _point_row(point: Point) -> list[Html]:
    """Give one target."""
    target = text(round_percent(point.target))
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
            f"At {_and(bounds)} the comparisons are too few to measure FMR (the rule of 30). That the target is met is "
            "shown by a threshold that no non-mated comparison reached (the rule of 3); what FNMR would be at the "
            "target itself is at most what it is there."
        )
    if nothing:
        told.append(f"Of FMR {_and(nothing)} these comparisons are too few to say anything.")
    return joined(paragraph(sentence, kind="soft") for sentence in told)


def _worst(report: VerificationReport, crop: Crop | None, *, alone: bool) -> Html:
    """Show the comparisons that went wrong, or were closest to it."""
    suffix = "" if alone else f": {report.provenance.model}"
    parts = []
    for title, told, pairs in (
        ("Highest scores of two people", "The worst false matches, or what came nearest.", report.false_matches),
        (
            "Lowest scores of one person",
            "The worst false non-matches; wrong labels, too.",
            report.false_non_matches,
        ),
    ):
        if any(pair.first or pair.second for pair in pairs):
            items = Html("".join(_pair(pair, crop) for pair in pairs[:_MOST_PAIRS]))
            parts += [heading(f"{title}{suffix}"), paragraph(told, kind="soft"), element("ul", items, kind="pairs")]
    return joined(parts)


def _pair(pair: ScoredPair, crop: Crop | None) -> Html:
    """Show one comparison."""
    sides = ((pair.first, pair.first_person), (pair.second, pair.second_person))
    faces = element("div", Html("".join(_face(source, crop) for source, _ in sides)), kind="faces") if crop else ""
    names = "".join(element("small", text(_named(source, person))) for source, person in sides)
    return element("li", Html(f"{faces}<b>{text(f'{pair.score:.4f}')}</b>{names}"))


def _face(source: str, crop: Crop | None) -> Html:
    """Return the aligned face of a photograph, or say that there is none."""
    content = crop(source) if crop and source else None
    return jpeg(content, told=source) if content else element("span", text("no face to show"))


def _named(source: str, person: str) -> str:
    """Name a photograph by its last two parts, which is what tells it from others."""
    short = "/".join(source.replace("\\", "/").split("/")[-2:])
    return short if not person or person in short else f"{person}: {short}"


def _failures(report: VerificationReport, *, alone: bool) -> Html:
    """List the photographs that gave no template."""
    if not report.failures:
        return Html("")
    kinds = Counter(failure.kind for failure in report.failures)
    told = ", ".join(f"{count:,} {kind.removesuffix('Error')}" for kind, count in kinds.most_common())
    title = "Failures to acquire" + ("" if alone else f": {report.provenance.model}")
    shown = report.failures[:_MOST_FAILURES]
    rest = len(report.failures) - len(shown)
    parts = [
        heading(title),
        paragraph(f"Photographs of which no template could be made: {told}.", kind="soft"),
        table(("Photograph", "What went wrong"), [_failure_row(failure) for failure in shown]),
    ]
    return joined(parts + ([paragraph(f"And {rest:,} more.", kind="soft")] if rest else []))


def _failure_row(failure: Failure) -> list[Html]:
    return [text(failure.source), text(failure.message)]


def _provenance(reports: Sequence[VerificationReport]) -> Html:
    """Say where the figures come from, one column for each system."""
    rows: list[tuple[str, list[Html]]] = [
        ("Data", [text(report.provenance.data) for report in reports]),
        ("Protocol", [text(report.provenance.protocol) for report in reports]),
        ("Date", [text(report.provenance.date) for report in reports]),
    ]
    pins = [report.provenance.pin for report in reports]
    if any(pins):
        for name, value in (
            ("Weights, SHA-256", lambda pin: pin.source_sha256),
            ("Preprocessing, SHA-256", lambda pin: pin.preprocessing_sha256),
            ("Conversion", lambda pin: pin.conversion),
            ("Template", lambda pin: f"{pin.dimension} values"),
        ):
            rows.append((name, [element("code", text(value(pin))) if pin else text(NOTHING) for pin in pins]))
        rows.append(("Device", [text(report.provenance.device) for report in reports]))
    rows += _by_name([report.provenance.settings for report in reports])
    rows += _by_name([report.provenance.versions for report in reports])
    headings = ("", *(report.provenance.model for report in reports))
    return joined([heading("Provenance"), table(headings, [[text(name), *cells] for name, cells in rows])])


def _by_name(columns: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, list[Html]]]:
    """Put (name, value) of several systems into rows."""
    names = dict.fromkeys(name for column in columns for name, _ in column)
    found = [dict(column) for column in columns]
    return [(name, [text(column.get(name, NOTHING)) for column in found]) for name in names]


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


def _and(parts: Sequence[str]) -> str:
    """Join parts as a sentence does."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

"""Figures of error rates: DET on normal-deviate axes, ROC, score histograms, rank curves.

Each line has a colour and a dash of its own, so that colour is never alone. A line is thin where fewer than 30 errors
stand behind a rate (the rule of 30), for its end is often one comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from facecli.evaluate.sheets import INK, SERIES, SOFT, label, new_figure
from facecli.evaluate.verification import Support
from facecli.evaluate.wording import round_percent
from facecli.metrics.intervals import RULE_OF_30, scipy_special

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from facecli.evaluate.verification import VerificationReport
    from facecli.metrics.curves import Histogram
    from facecli.metrics.pad import PadCurve

    Floats = NDArray[np.float64]

DASHES: tuple[tuple[float | None, ...], ...] = (
    (None, None),
    (5, 1.6),
    (1.2, 1.4),
    (6, 1.6, 1.2, 1.6),
    (3, 1.2),
    (8, 2),
)
"""A dash for each colour, in points; none is a solid line."""
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_STEADY = 10
"""So many false matches must stand behind the part of an ROC that decides how far down it is drawn."""
_STEPS_ACROSS = 700
"""A curve needs no more points than can be told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class TradeOff:
    """One system's two error rates against each other.

    Attributes
    ----------
    label
        The system; may come from outside.
    x, y
        Rates, ``(k,)`` each.
    x_trials, y_trials
        How many trials stand behind each.
    marks
        ``(x, y, y_low, y_high)`` of points whose interval is known.
    """

    label: str
    x: Floats
    y: Floats
    x_trials: int
    y_trials: int
    marks: tuple[tuple[float, float, float, float], ...] = ()


def verification_trade_off(report: VerificationReport) -> TradeOff:
    """Return FMR and FNMR of a 1:1 evaluation, with the points of which the data support a number."""
    marks = tuple(
        (point.fmr.value, point.fnmr.value, point.fnmr.low, point.fnmr.high)
        for point in report.points
        if point.support is Support.NUMBER and point.fmr and point.fnmr and point.fmr.value and point.fnmr.value
    )
    curve = report.curve
    return TradeOff(report.provenance.model, curve.fmr, curve.fnmr, curve.non_mated, curve.mated, marks)


def pad_trade_offs(curve: PadCurve) -> tuple[TradeOff, ...]:
    """Return APCER of each species against BPCER."""
    return tuple(
        TradeOff(name, rates, curve.bpcer, trials, curve.bona_fide)
        for name, rates, trials in zip(curve.species, curve.apcer, curve.attacks, strict=True)
    )


def draw_det(axes: Axes, trades: Sequence[TradeOff], *, x_name: str, y_name: str) -> None:
    """Draw error rates on normal-deviate axes (Martin et al. 1997): normal scores make straight lines.

    Parameters
    ----------
    axes
        To draw on.
    trades
        The systems.
    x_name, y_name
        What the rates are called.
    """
    import numpy as np

    probit = scipy_special().ndtri
    equal = max(_at_equality(trade) for trade in trades)
    low_x, high_x = _limits([trade.x_trials for trade in trades], max(equal, 0.02))
    low_y, high_y = _limits([trade.y_trials for trade in trades], equal)
    for number, trade in enumerate(trades):
        inside = (trade.x > 0) & (trade.x < 1) & (trade.y > 0) & (trade.y < 1)
        firm = inside & _firm(trade)
        x, y = probit(np.where(inside, trade.x, np.nan)), probit(np.where(inside, trade.y, np.nan))
        _line(axes, x, y, firm, number)
        for mark_x, mark_y, low, high in trade.marks:
            ends = probit(np.array([mark_y, max(low, low_y), min(high, high_y)]))
            _mark(axes, float(probit(mark_x)), ends, number)
    if not any(((trade.x > 0) & (trade.x < 1) & (trade.y > 0) & (trade.y < 1)).any() for trade in trades):
        told = "no threshold has errors of both kinds"
        axes.text(0.5, 0.5, told, transform=axes.transAxes, ha="center", color=SOFT)
    ends = probit(np.array([max(low_x, low_y), min(high_x, high_y)]))
    axes.plot(ends, ends, color=SOFT, linewidth=0.5, dashes=(1, 3), zorder=1)
    for setter, limits, ticks in (
        (axes.set_xlim, (low_x, high_x), axes.set_xticks),
        (axes.set_ylim, (low_y, high_y), axes.set_yticks),
    ):
        setter(*probit(np.array(limits)))
        shown = [tick for tick in _TICKS if limits[0] <= tick <= limits[1]]
        ticks(probit(np.array(shown)), [_tick(tick) for tick in shown])
    axes.set(title="DET", xlabel=f"{x_name}, %", ylabel=f"{y_name}, %")
    _legend(axes, [trade.label for trade in trades], "upper right")


def draw_roc(axes: Axes, trades: Sequence[TradeOff]) -> None:
    """Draw the true accept rate against FMR, the latter on a logarithmic axis."""
    import numpy as np

    low = min(0.1, *(10.0 ** np.floor(np.log10(1 / trade.x_trials)) for trade in trades))
    lowest = 1.0
    for number, trade in enumerate(trades):
        inside = trade.x > 0
        x = np.log10(np.where(inside, trade.x, np.nan))
        _line(axes, x, 1 - trade.y, inside & _firm(trade), number)
        # The last few false matches would bend the curve far down, and press all that matters to the top.
        steady = trade.x * trade.x_trials >= min(_STEADY, trade.x_trials)
        lowest = min(lowest, float((1 - trade.y[steady]).min()))
        for mark_x, mark_y, below, above in trade.marks:
            _mark(axes, float(np.log10(mark_x)), 1 - np.array([mark_y, above, below]), number)
    powers = np.arange(round(np.log10(low)), 1)
    axes.set_xticks(powers, [_tick(10.0**power) for power in powers])
    axes.set_xlim(np.log10(low), 0)
    room = max(1 - lowest, 0.01)
    axes.set_ylim(max(0, lowest - 0.05 * room), 1 + 0.03 * room)
    axes.yaxis.set_major_formatter(lambda value, _: round_percent(value).removesuffix(" %") if value <= 1 else "")
    axes.set(title="ROC", xlabel="False match rate, %", ylabel="True accept rate, %")
    _legend(axes, [trade.label for trade in trades], "lower right")


def draw_histogram(axes: Axes, histogram: Histogram, *, title: str, threshold: tuple[float, str] | None = None) -> None:
    """Draw the scores of mated and non-mated comparisons, each as a share of its own kind.

    Parameters
    ----------
    axes
        To draw on.
    histogram
        The counts.
    title
        Above it.
    threshold
        A score to mark, and what it is.
    """
    kinds = ((histogram.mated, "mated", 0, 1.0), (histogram.non_mated, "non-mated", 1, 0.84))
    for counts, name, number, place in reversed(kinds):
        _stairs(axes, counts, histogram.edges, SERIES[number])
        told = f"{name} {int(counts.sum()):,}"
        axes.text(place, 1.04, told, transform=axes.transAxes, ha="right", color=SERIES[number], fontweight="bold")
    _score_axes(axes, histogram.edges, title, threshold)


def draw_kinds(
    axes: Axes, kinds: Sequence[tuple[str, Floats]], *, title: str, threshold: tuple[float, str], bins: int = 50
) -> None:
    """Draw scores of bona fide presentations, the first of ``kinds``, and of attacks, each as a share of its own."""
    import numpy as np

    edges = np.histogram_bin_edges(np.concatenate([scores for _, scores in kinds]), bins=bins)
    colours = [SOFT, *(SERIES[number % len(SERIES)] for number in range(len(kinds) - 1))]
    for (_, scores), colour in zip(kinds, colours, strict=True):
        _stairs(axes, np.histogram(scores, edges)[0], edges, colour, fill=colour == SOFT)
    _score_axes(axes, edges, title, threshold)
    axes.set_ylim(0, axes.get_ylim()[1] * (1.1 + 0.05 * len(kinds)))  # room for the legend
    _legend(axes, [f"{name} {len(scores):,}" for name, scores in kinds], "upper right", colours=colours)


def _stairs(axes: Axes, counts: NDArray[np.int64], edges: Floats, colour: str, *, fill: bool = True) -> None:
    """Draw one kind."""
    share = counts / max(int(counts.sum()), 1)
    if fill:
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.18, linewidth=0)
    axes.stairs(share, edges, color=colour, linewidth=1.2)


def _score_axes(axes: Axes, edges: Floats, title: str, threshold: tuple[float, str] | None) -> None:
    """Name the axes of a histogram, and mark a threshold."""
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.18 * axes.get_ylim()[1])
    if threshold is not None:
        axes.axvline(threshold[0], color=INK, linewidth=0.8, dashes=(3, 2))
        axes.annotate(
            threshold[1],
            (threshold[0], 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4, -1),
            textcoords="offset points",
            va="top",
            fontsize=8,
        )
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(lambda value, _: _tick(value))
    axes.set(xlabel="Score", ylabel="Share of its kind, %")
    axes.set_title(label(title), parse_math=False)


def draw_ranks(axes: Axes, lines: Sequence[tuple[str, Floats]]) -> None:
    """Draw the identification rate against the rank up to which a candidate counts (CMC).

    Parameters
    ----------
    axes
        To draw on.
    lines
        The systems, and the rate of each at rank 1, 2, ...
    """
    import numpy as np

    for number, (_, rates) in enumerate(lines):
        ranks = np.arange(1, len(rates) + 1)
        colour, dashes = _look(number)
        axes.plot(ranks, rates, color=colour, dashes=dashes, linewidth=1.6, marker="o", markersize=3, clip_on=False)
    lowest = min(float(rates.min()) for _, rates in lines)
    room = max(1 - lowest, 0.01)
    axes.set_ylim(max(0, lowest - 0.15 * room), 1 + 0.03 * room)
    axes.set_xlim(1, max(2, *(len(rates) for _, rates in lines)))
    axes.locator_params(axis="x", integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: round_percent(value).removesuffix(" %") if value <= 1 else "")
    axes.set(title="CMC", xlabel="Rank", ylabel="Identification rate, %")
    _legend(axes, [label for label, _ in lines], "lower right")


def marked_threshold(report: VerificationReport) -> tuple[float, str] | None:
    """Return the threshold in use, else that of the lowest target FMR with a number behind it; and its name."""
    if report.used is not None and report.used.threshold is not None:
        return report.used.threshold, "in use"
    for point in reversed(report.points):
        if point.support is Support.NUMBER and point.threshold is not None:
            return point.threshold, f"FMR {round_percent(point.target)}"
    return None


def verification_figure(reports: Sequence[VerificationReport]) -> Figure:
    """Return DET, ROC and one histogram for each report, on one sheet. To be called within :func:`style`."""
    figure = new_figure(9.6, 4.6 + 2.2 * len(reports))
    grid = figure.add_gridspec(1 + len(reports), 2, height_ratios=[4.4] + [2.0] * len(reports))
    trades = [verification_trade_off(report) for report in reports]
    draw_det(figure.add_subplot(grid[0, 0]), trades, x_name="False match rate", y_name="False non-match rate")
    draw_roc(figure.add_subplot(grid[0, 1]), trades)
    for row, report in enumerate(reports, 1):
        title = f"Scores: {report.provenance.model}"
        draw_histogram(
            figure.add_subplot(grid[row, :]), report.histogram, title=title, threshold=marked_threshold(report)
        )
    return figure


def _firm(trade: TradeOff) -> NDArray[np.bool_]:
    """Say where at least 30 errors stand behind both rates."""
    firm: NDArray[np.bool_] = (trade.x * trade.x_trials >= RULE_OF_30) & (trade.y * trade.y_trials >= RULE_OF_30)
    return firm


def _at_equality(trade: TradeOff) -> float:
    """Return about where the two rates are the same."""
    import numpy as np

    return float(np.maximum(trade.x, trade.y).min())


def _limits(trials: Sequence[int], equal: float) -> tuple[float, float]:
    """Return the ends of an axis: from what so many trials can show to well above the equal error rate."""
    low = min(0.5 / max(trials), 0.005)
    high = next((end for end in (0.055, 0.22, 0.55) if end >= 8 * equal), 0.99)
    return max(low, _TICKS[0] / 2), high


def _line(axes: Axes, x: Floats, y: Floats, firm: NDArray[np.bool_], number: int) -> None:
    """Draw one curve: thin, and over it thick where it is firm."""
    import numpy as np

    colour, dashes = _look(number)
    for where, width, alpha in ((np.isfinite(x), 0.8, 0.75), (firm, 1.8, 1.0)):
        # NaN breaks the line where it is not to be drawn.
        across, up = _thinned(np.where(where, x, np.nan), np.where(where, y, np.nan))
        axes.plot(across, up, color=colour, linewidth=width, alpha=alpha, dashes=dashes, solid_joinstyle="round")


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Leave out points that can't be told from the one before."""
    import numpy as np

    if not np.isfinite(x).any() or len(x) <= _STEPS_ACROSS:
        return x, y
    cells = []
    for values in (x, y):
        span = float(np.nanmax(values) - np.nanmin(values)) or 1.0
        cells.append(np.round(np.nan_to_num(values, nan=np.inf) / span * _STEPS_ACROSS))
    kept = np.append(True, np.any([cell[1:] != cell[:-1] for cell in cells], axis=0))
    kept |= np.append(kept[1:], True)  # the last of each run as well, so that corners stay where they are
    return x[kept], y[kept]


def _mark(axes: Axes, x: float, ends: Floats, number: int) -> None:
    """Draw a point with its interval; ``ends`` are its height, the lower and the upper end."""
    colour = SERIES[number % len(SERIES)]
    axes.plot([x, x], ends[1:], color=colour, linewidth=1, solid_capstyle="butt", zorder=3)
    axes.plot([x], ends[:1], color=colour, marker="o", markersize=4, zorder=4)


def _look(number: int) -> tuple[str, tuple[float | None, ...]]:
    """Return the colour and the dash of a line."""
    return SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]


def _legend(
    axes: Axes,
    labels: Sequence[str],
    place: Literal["upper right", "lower right"],
    *,
    colours: Sequence[str] = (),
) -> None:
    """Name the lines, where there are several; names come from outside and are text, never mathematics."""
    from matplotlib.lines import Line2D

    if len(labels) < 2:
        return
    solid: list[tuple[str, tuple[float | None, ...]]] = [(colour, DASHES[0]) for colour in colours]
    looks = solid or [_look(number) for number in range(len(labels))]
    lines = [Line2D([], [], color=colour, linewidth=1.8, dashes=dashes) for colour, dashes in looks]
    # A label that begins with an underscore would be left out, so they are put in afterwards.
    legend = axes.legend(lines, [f"line {n}" for n in range(len(labels))], loc=place, handlelength=3)
    for text, name in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label(name))


def _tick(rate: float) -> str:
    """Write a rate at an axis, in per cent without the sign."""
    return round_percent(rate).removesuffix(" %")

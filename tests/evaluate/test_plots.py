"""Figures are drawn without a window, for any name and any scores, and in the format that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.errors import UsageError
from facecli.evaluate import plots, sheets
from facecli.metrics.pad import pad_curve
from tests.evaluate.reports import drawn_report


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("PNG", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_ending_of_the_name_is_the_format(tmp_path, ending, start):
    path = tmp_path / f"figure.{ending}"
    sheets.save_figure(lambda: plots.verification_figure([drawn_report()]), path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["figure", "figure.jpg", "figure.png.html"])
def test_another_ending_is_refused_before_anything_is_drawn(tmp_path, name):
    with pytest.raises(UsageError, match="figure"):
        sheets.save_figure(lambda: pytest.fail("drawn"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg", "a.pdf", "b.pdf", "a.png", "b.png"):
        sheets.save_figure(lambda: plots.verification_figure([drawn_report()]), tmp_path / name)
    for ending in sheets.FORMATS:
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


@pytest.mark.parametrize("name", ["_hidden", "$\\frac{1}{", "<b>&amp;", "山田", "x" * 500, "a\nb\x1b[31m", ""])
def test_any_name_can_be_in_a_figure(name):
    reports = [drawn_report(name), drawn_report("other", seed=2)]
    drawn = sheets.inline_svg(lambda: plots.verification_figure(reports), name="f")
    assert "<b>" not in drawn
    assert "\x1b" not in drawn


score = st.one_of(st.integers(-2, 2).map(float), st.floats(-1, 1))


@settings(max_examples=6, deadline=None)
@given(st.lists(score, min_size=1, max_size=9), st.lists(score, min_size=1, max_size=9))
def test_any_scores_can_be_drawn(bona_fide, attacks):
    """One comparison, equal scores, all errors, none: there is always a figure, without a warning."""

    def draw():
        figure = sheets.new_figure(5, 5)
        trades = plots.pad_trade_offs(pad_curve(bona_fide, {"print": attacks, "replay": attacks[:1]}))
        plots.draw_det(figure.add_subplot(1, 2, 1), trades, x_name="APCER", y_name="BPCER")
        plots.draw_roc(figure.add_subplot(1, 2, 2), trades)
        return figure

    assert sheets.inline_svg(draw, name="f").startswith("<svg")


def test_normal_scores_are_a_straight_line_on_the_axes_of_a_det():
    """That is what normal-deviate axes are for (Martin et al. 1997)."""
    report = drawn_report()
    figure = []

    def draw():
        figure.append(sheets.new_figure(5, 5))
        trades = [plots.verification_trade_off(report)]
        plots.draw_det(figure[0].add_subplot(), trades, x_name="FMR", y_name="FNMR")
        return figure[0]

    sheets.inline_svg(draw, name="f")
    firm = figure[0].axes[0].lines[1]
    x, y = firm.get_xdata(), firm.get_ydata()
    inside = np.isfinite(x)
    assert inside.sum() > 30
    assert np.corrcoef(x[inside], y[inside])[0, 1] == pytest.approx(-1, abs=0.02)


def test_a_long_curve_is_thinned_to_what_can_be_seen():
    steps = np.linspace(0.001, 0.5, 100_000)
    x, y = plots._thinned(steps, steps[::-1])
    assert len(x) < 5 * plots._STEPS_ACROSS
    assert (x[0], x[-1], y[0], y[-1]) == (steps[0], steps[-1], steps[-1], steps[0])


def test_rank_curves_are_drawn():
    def draw():
        figure = sheets.new_figure(5, 4)
        plots.draw_ranks(figure.add_subplot(), [("a", np.array([0.9, 0.95, 1.0])), ("b", np.array([1.0]))])
        return figure

    assert "Identification rate" in sheets.inline_svg(draw, name="f")

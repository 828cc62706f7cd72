"""Sheets to draw on: one look, three file formats, and SVG that takes the colours of the page it stands in.

Okabe and Ito's colours (2008), which people with every kind of colour vision tell apart. matplotlib comes with the
extra ``facecli[evaluate]``. It is used without pyplot: no window, no global state.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facecli.errors import SetupError, UsageError
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

INK, SOFT, LINE, PAPER = "#1c1c1e", "#63666b", "#e2e2e5", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, those first that stand out best on white."""
VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
"""What stands for each colour in a page that has a dark and a light side."""
FORMATS = ("png", "svg", "pdf")
_LONGEST_LABEL = 48
_STYLE: dict[str, object] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "facecli",
    "pdf.fonttype": 42,
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty sheet, sizes in inches.

    Raises
    ------
    SetupError
        matplotlib is not installed.
    """
    _matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plot_format(path: Path) -> str:
    """Return the format that a file's ending asks for.

    Raises
    ------
    UsageError
        It is none of PNG, SVG and PDF.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(
            f"{visible(str(path))} is no name for a figure", hint="let it end in .png, .svg or .pdf: that is the format"
        )
    return ending


def save_figure(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure and write it to a file, in the format of its ending.

    Raises
    ------
    UsageError
        The ending is none of .png, .svg and .pdf.
    SetupError
        matplotlib is not installed.
    OutputError
        It can't be written.
    """
    from facecli.files import replacing

    ending = plot_format(path)
    with style():
        content = _rendered(draw(), ending)
    with replacing(path) as stream:
        stream.write(content)


def inline_svg(draw: Callable[[], Figure], *, name: str) -> str:
    """Draw a figure as SVG that stands in a page and takes its colours.

    Parameters
    ----------
    draw
        Makes the figure.
    name
        Goes before every id, so that two figures of a page share none.

    Raises
    ------
    SetupError
        matplotlib is not installed.
    """
    with style():
        figure = draw()
        figure.patch.set_visible(False)
        text = _rendered(figure, "svg").decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: VARIABLES.get(found[0], found[0]), text)


@contextmanager
def style() -> Iterator[None]:
    """Let figures be made and written with this module's look, whatever the user's settings of matplotlib are.

    Raises
    ------
    SetupError
        matplotlib is not installed.
    """
    _matplotlib()
    from matplotlib.style import context

    with context(_STYLE, after_reset=True), warnings.catch_warnings():
        # A name may be in a script that the font lacks; boxes in a figure are no reason to warn in a terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _matplotlib() -> None:
    """Load matplotlib."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "figures need matplotlib, which is not installed", hint="pip install 'facecli[evaluate]'"
        ) from error


def _rendered(figure: Figure, ending: str) -> bytes:
    """Return the file's bytes; the same figure gives the same, for no date is in it."""
    told: dict[str, dict[str, str | None]] = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    stream = io.BytesIO()
    figure.savefig(stream, format=ending, dpi=200 if ending == "png" else 72, metadata=told[ending])
    return stream.getvalue()


def label(text: str) -> str:
    """Return a name as it may stand in a figure: on one line, and not across all of it."""
    shown = visible(text)
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 1]}…"

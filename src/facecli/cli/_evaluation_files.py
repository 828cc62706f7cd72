"""The files that an evaluation can write: a page and a figure. What can't be written is told before the work begins."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from facecli.cli import _output
from facecli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from facecli.engine import Engine
    from facecli.evaluate.identification import IdentificationReport
    from facecli.evaluate.pad import PadReport
    from facecli.evaluate.report import Section
    from facecli.evaluate.verification import VerificationReport

P = ParamSpec("P")
R = TypeVar("R")

_FACES = "it shows faces: biometric data"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files are asked for.

    Attributes
    ----------
    report
        The page.
    plot
        The figure.
    faces
        Whether the page may show faces.
    """

    report: Path | None
    plot: Path | None
    faces: bool

    def checked(self) -> Wanted:
        """Return it, once it is shown that it can be met.

        Raises
        ------
        UsageError
            The figure's ending is no known format.
        SetupError
            matplotlib is not installed.
        OutputError
            There is no such folder.
        """
        from facecli.evaluate import sheets

        if self.plot is not None:
            sheets.plot_format(self.plot)
        for path in filter(None, (self.report, self.plot)):
            with sheets.style():
                pass
            if not path.parent.is_dir():
                raise OutputError(f"can't write {path}: there is no folder {path.parent}")
            if path.is_dir():
                raise OutputError(f"can't write {path}: it is a folder")
        return self


_report = click.option("--report", metavar="PATH", help="Write one self-contained HTML page of all that was found.")
_plot = click.option("--plot", metavar="PATH", help="Write the curves as .png, .svg or .pdf.")
_no_faces = click.option(
    "--no-faces",
    is_flag=True,
    help="Leave the faces of the worst comparisons out of the page: they are biometric data.",
)


def of_photographs(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command --report, --plot and --no-faces, and hand it ``files``, a :class:`Wanted`."""
    return _no_faces(_of(command))


def of_scores(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command --report and --plot, and hand it ``files``; scores have no faces."""
    return _of(command)


def _of(command: Callable[P, R]) -> Callable[..., R]:
    def with_files(*args: P.args, **kwargs: P.kwargs) -> R:
        report, plot = (_path(kwargs.pop(name)) for name in ("report", "plot"))
        kwargs["files"] = Wanted(report, plot, faces=not kwargs.pop("no_faces", True)).checked()
        return command(*args, **kwargs)

    return _report(_plot(functools.update_wrapper(with_files, command)))


def _path(given: object) -> Path | None:
    return Path(given) if isinstance(given, str) else None


def write_verification(
    wanted: Wanted, reports: Sequence[VerificationReport], *, engine: Engine | None = None, more: Sequence[Section] = ()
) -> None:
    """Write the files of a 1:1 evaluation.

    Parameters
    ----------
    wanted
        Which.
    reports
        One for each model.
    engine
        Cuts out faces; None where there are no photographs.
    more
        Further sections of the page.
    """
    from facecli.evaluate import plots
    from facecli.evaluate.crops import FaceCrops
    from facecli.evaluate.report import distinct, write_report

    if wanted.report is not None:
        crop = FaceCrops(engine) if engine is not None and wanted.faces else None
        write_report(wanted.report, reports, crop=crop, more=more)
        _written(wanted.report, _FACES if crop else "")
    write_plot(wanted, lambda: plots.verification_figure(distinct(reports)))


def write_searches(wanted: Wanted, reports: Sequence[IdentificationReport], engine: Engine) -> None:
    """Write the files of a 1:N evaluation."""
    from facecli.evaluate.crops import FaceCrops
    from facecli.evaluate.report_parts import write_page
    from facecli.evaluate.search_page import distinct, search_figure, search_html

    if wanted.report is not None:
        crop = FaceCrops(engine) if wanted.faces else None
        write_page(wanted.report, search_html(reports, crop=crop))
        _written(wanted.report, _FACES if crop else "")
    write_plot(wanted, lambda: search_figure(distinct(reports)))


def write_pad(wanted: Wanted, reports: Sequence[PadReport]) -> None:
    """Write the files of an evaluation of presentation attack detection."""
    from facecli.evaluate.pad_page import pad_figure, pad_html
    from facecli.evaluate.report_parts import write_page

    if wanted.report is not None:
        write_page(wanted.report, pad_html(reports))
        _written(wanted.report)
    write_plot(wanted, lambda: pad_figure(reports))


def write_plot(wanted: Wanted, draw: Callable[[], Figure]) -> None:
    """Write the figure, where one is asked for."""
    from facecli.evaluate import sheets

    if wanted.plot is not None:
        sheets.save_figure(draw, wanted.plot)
        _written(wanted.plot)


def _written(path: Path, remark: str = "") -> None:
    _output.note(f"written: {path}" + (f" ({remark})" if remark else ""))

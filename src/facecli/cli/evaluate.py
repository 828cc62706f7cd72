"""``facecli evaluate``: how good a system is on labelled data."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from facecli.cli import _evaluation, _evaluation_files, _evaluation_pad, _groups, _norms, _options, _output
from facecli.errors import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from facecli.cli._evaluation_files import Wanted
    from facecli.engine import Engine
    from facecli.evaluate.groups import Grouping
    from facecli.evaluate.norms import Norming
    from facecli.evaluate.protocols import Protocol
    from facecli.evaluate.running import Conduct, Evaluation, Watch
    from facecli.metrics.intervals import Resampling

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
SETTINGS = tuple(name for name in _options.PIPELINE if name != "model")


@click.group("evaluate")
def evaluate_command() -> None:
    """Measure how good a system is on labelled data.

    Error rates as ISO/IEC 19795-1 defines them, each with its interval and its number of trials. What the data can't
    show is told as the bound that they allow, never as a number. docs/evaluation.md explains every figure.

    \b
    Examples:
      facecli evaluate pairs lfw/pairs.txt --images lfw/images --faces center
      facecli evaluate folder people/          # people/alice/*.jpg, people/bob/*.jpg, ...
      facecli evaluate scores other-system.csv
      facecli evaluate identify people/
      facecli evaluate pad detector.csv        # presentation attacks
    """


@dataclass(frozen=True, slots=True)
class How:
    """What the options that all of these commands share say.

    Attributes
    ----------
    embedders
        Models to compare; none stands for the one that is set.
    fresh
        Whether the cache of templates is left alone.
    resampling
        Of the bootstrap.
    """

    embedders: tuple[str, ...]
    fresh: bool
    resampling: Resampling


_rounds = click.option(
    "--rounds", type=click.IntRange(20, 100_000), default=1000, show_default=True, help="Bootstrap rounds."
)
_seed = click.option("--seed", type=int, default=1, show_default=True, help="Of everything that is drawn at random.")


def _measuring(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command the options of how photographs are measured, and hand it them as ``how``."""

    def with_how(*args: P.args, **kwargs: P.kwargs) -> R:
        from facecli.metrics.intervals import Resampling, scipy_special

        scipy_special()  # better missed before an hour of embedding than after it
        embedders, fresh, rounds, seed = (kwargs.pop(name) for name in ("embedders", "fresh", "rounds", "seed"))
        kwargs["how"] = How(embedders, fresh, Resampling(rounds, seed=seed))  # type: ignore[arg-type]
        return command(*args, **kwargs)

    wrapped: Callable[..., R] = functools.update_wrapper(with_how, command)
    for option in (
        _seed,
        _rounds,
        click.option("--fresh", is_flag=True, help="Embed every photograph anew, and keep no templates in the cache."),
        click.option(
            "--model", "embedders", multiple=True, metavar="NAME", help="The embedder; give several to compare them."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


@evaluate_command.command("pairs")
@click.argument("pairs", metavar="PAIRS")
@click.option("--images", metavar="PATH", help="Folder of the photographs; by default that of the list.")
@_groups.options
@_measuring
@_evaluation_files.of_photographs
@_options.as_json
@_options.configured(*SETTINGS)
def pairs_command(
    engine: Engine,
    pairs: str,
    *,
    images: str | None,
    groups: str | None,
    group_by: str | None,
    how: How,
    files: Wanted,
    as_json: bool,
) -> ExitStatus:
    """Measure on listed pairs: LFW's pairs.txt, or CSV with the columns first, second and same.

    A list in LFW's format names NAME/NAME_0001.jpg below --images; its folds give the accuracy as LFW's View 2 has
    it. A CSV may also have the columns first_person, second_person and fold.

    \b
    Examples:
      facecli evaluate pairs lfw/pairs.txt --images lfw/images --faces center --model sface --model dlib
      facecli evaluate pairs door.csv --json | jq '.points[] | {target, tar}'
    """
    from facecli.evaluate.protocols import read_csv_pairs, read_lfw_pairs

    path = Path(pairs)
    folder = path.parent if images is None else Path(images)
    protocol = (read_csv_pairs if path.suffix in {".csv", ".tsv"} else read_lfw_pairs)(path, folder)
    grouping = _groups.grouping(groups, group_by)
    found = _compared(engine, protocol, pairs, how, grouping)
    status = _told(found, as_json=as_json)
    reports = [one.report for one in found]
    _evaluation_files.write_verification(files, reports, engine=engine, more=_groups.sections(reports, files))
    return status


@evaluate_command.command("folder")
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Make only N of the non-mated comparisons, drawn at random."
)
@_groups.options
@_norms.options
@_measuring
@_evaluation_files.of_photographs
@_options.as_json
@_options.configured(*SETTINGS)
def folder_command(
    engine: Engine,
    folder: str,
    *,
    sample: int | None,
    groups: str | None,
    group_by: str | None,
    cohort: str | None,
    norm: str | None,
    nearest: int | None,
    how: How,
    files: Wanted,
    as_json: bool,
) -> ExitStatus:
    """Measure on a folder with one sub-folder a person: every photograph against every other.

    A CSV file with the columns name and image will do, too. The comparisons are made in blocks, so thousands of
    photographs need little memory; intervals come from a bootstrap over people.

    \b
    Examples:
      facecli evaluate folder people/
      facecli evaluate folder people/ --sample 100000 --json
      facecli evaluate folder people/ --groups labels.csv --group-by gender,age
      facecli evaluate folder people/ --cohort strangers/ --norm s
    """
    from facecli.evaluate.protocols import read_folder, sampled

    protocol = read_folder(Path(folder))
    if sample is not None:
        protocol = sampled(protocol, sample, seed=how.resampling.seed)
    grouping, norming = _groups.grouping(groups, group_by), _norms.norming(cohort, norm, nearest)
    found = _compared(engine, protocol, folder, how, grouping)
    status = _told(found, as_json=as_json)
    if norming is not None and cohort is not None:
        _told(_normalised(engine, found, cohort, norming, how), as_json=as_json)
    reports = [one.report for one in found]
    _evaluation_files.write_verification(files, reports, engine=engine, more=_groups.sections(reports, files))
    return status


@evaluate_command.command("scores")
@click.argument("sources", nargs=-1, required=True, metavar="SCORES...")
@click.option("--distance", is_flag=True, help="The scores are distances: lower is closer.")
@_rounds
@_seed
@_evaluation_files.of_scores
@_options.as_json
def scores_command(
    sources: tuple[str, ...], *, distance: bool, rounds: int, seed: int, files: Wanted, as_json: bool
) -> ExitStatus:
    """Measure the scores of any system, read from CSV, TSV, NDJSON or npz, or as bob and openbr write them.

    The columns are score and mated (1 or 0). With first_person and second_person the intervals come from a bootstrap
    over people; without them every comparison is taken as independent, which makes intervals too narrow where people
    come more than once. The columns first, second (names of the samples) and fold may be there as well. bob's four or
    five columns of text (.txt or no ending) and CSV are read too, and openbr's NAME.mtx with NAME.mask beside it.

    \b
    Examples:
      facecli evaluate scores ours.csv theirs.ndjson --report both.html
      facecli evaluate scores --distance euclidean.npz --json
    """
    from facecli.evaluate.protocols import read_scores
    from facecli.evaluate.running import Conduct, evaluate_scores
    from facecli.metrics.intervals import Resampling

    found = [
        evaluate_scores(
            read_scores(Path(file), distance=distance),
            Path(file).stem,
            Conduct(file, resampling=Resampling(rounds, seed=seed)),
        )
        for file in sources
    ]
    status = _told(found, as_json=as_json)
    _evaluation_files.write_verification(files, [one.report for one in found])
    return status


evaluate_command.add_command(_evaluation_pad.pad_command)


@evaluate_command.command("identify")
@click.argument("gallery", metavar="GALLERY")
@click.argument("probes", required=False, metavar="[PROBES]")
@_measuring
@_evaluation_files.of_photographs
@_options.as_json
@_options.configured(*SETTINGS, "fusion", "fpir")
def identify_command(
    engine: Engine,
    gallery: str,
    probes: str | None,
    *,
    how: How,
    files: Wanted,
    as_json: bool,
) -> ExitStatus:
    """Measure searches: people are enrolled, and probes of them and of strangers searched for.

    GALLERY and PROBES have one sub-folder a person (or are CSV files with the columns name and image); the same name is
    the same person, and whoever is only among the probes is a stranger. With GALLERY alone the first photograph of
    everyone who has several is enrolled and all others are probes. Your enrolled gallery is not touched.

    \b
    Examples:
      facecli evaluate identify staff/ visitors/
      facecli evaluate identify people/ --json | jq '.ranks[0]'
    """
    from facecli.evaluate.identification import evaluate_searches, in_two_folders, split
    from facecli.evaluate.protocols import read_folder

    enrolled = read_folder(Path(gallery))
    protocol = split(enrolled) if probes is None else in_two_folders(enrolled, read_folder(Path(probes)))
    data = gallery if probes is None else f"{gallery} and {probes}"
    reports = _each(engine, data, how, lambda one, c: evaluate_searches(one, protocol, c))
    if as_json:
        for report in reports:
            _output.emit("evaluate", _evaluation.searches_json(report))
    else:
        _evaluation.show_searches(reports)
    _evaluation_files.write_searches(files, reports, engine)
    return ExitStatus.ACCEPTED


def _each(engine: Engine, data: str, how: How, work: Callable[[Engine, Conduct], T]) -> list[T]:
    """Do the same with each model, with a bar on each long step."""
    from facecli.evaluate.running import Conduct

    done = []
    with watching() as watch:
        conduct = Conduct(data, keep=not how.fresh, resampling=how.resampling, watch=watch)
        for name in how.embedders or (engine.settings.model,):
            one = engine.for_model(name)
            done.append(work(one, conduct))
            engine.fell_back = engine.fell_back or one.fell_back
    return done


def _compared(engine: Engine, protocol: Protocol, data: str, how: How, grouping: Grouping | None) -> list[Evaluation]:
    """Make a protocol's comparisons with each model, and report by groups where some were given."""
    from facecli.evaluate.running import evaluate_images

    def work(one: Engine, conduct: Conduct) -> Evaluation:
        return _groups.grouped(one, evaluate_images(one, protocol, conduct), grouping, how.resampling)

    return _each(engine, data, how, work)


def _normalised(
    engine: Engine, found: Sequence[Evaluation], cohort: str, norming: Norming, how: How
) -> list[Evaluation]:
    """Measure the same comparisons with each model's scores normalised by a cohort."""
    raw = iter(found)

    def work(one: Engine, conduct: Conduct) -> Evaluation:
        return _norms.measured(one, next(raw), cohort, norming, conduct)

    return _each(engine, cohort, how, work)


def _told(found: Sequence[Evaluation], *, as_json: bool) -> ExitStatus:
    """Print what was found; a photograph without a template is a result here, and no failure of the command."""
    reports = [evaluation.report for evaluation in found]
    if as_json:
        for report in reports:
            told = _evaluation.report_json(report)
            _output.emit(
                "evaluate", told if report.groups is None else {**told, "groups": _groups.bias_json(report.groups)}
            )
    else:
        _evaluation.show(reports)
        for report in reports:
            if report.groups is not None:
                _groups.show(report.groups)
    return ExitStatus.ACCEPTED


@contextmanager
def watching() -> Iterator[Watch]:
    """Show a bar for each long step, on stderr and only where that is a terminal."""
    with _output.progress(unit="") as bar:
        tasks = {}

        def watch(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, rate="-")
            speed = bar.tasks[tasks[what]].speed
            bar.update(tasks[what], completed=done, rate=f"{speed:.1f}" if speed else "-")

        yield watch

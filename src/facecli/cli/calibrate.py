"""``facecli calibrate``: operating points from the user's own people."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli import _evaluation, _options, _output, _render
from facecli.errors import ExitStatus, GalleryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from facecli.calibrate import Faces, Kept, Outcome, Validation
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.evaluate.protocols import Protocol
    from facecli.evidence import Calibration
    from facecli.thresholds import OperatingPoint

SETTINGS = tuple(name for name in _options.PIPELINE if name not in _options.QUALITY)


@click.command("calibrate")
@click.argument("source", required=False, metavar="[DATA]")
@click.option("--enrolled", is_flag=True, help="Calibrate on the templates of the people enrolled in the gallery.")
@click.option("--data", metavar="TEXT", help="What the photographs are, for the evidence of every decision.")
@click.option("--images", metavar="PATH", help="Folder of the photographs, where DATA is LFW's pairs.txt.")
@click.option("--write-manifest", metavar="NAME", help="Write the points into this model of yours, not the gallery.")
@click.option("--dry-run", is_flag=True, help="Measure and tell, and write nothing.")
@click.option("--forget", is_flag=True, help="Take the gallery's operating points away again.")
@click.option("--splits", type=click.IntRange(2, 10_000), default=50, show_default=True, help="Halvings to try it on.")
@click.option("--rounds", type=click.IntRange(100, 100_000), default=2000, show_default=True, help="Bootstrap rounds.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything that is drawn at random.")
@click.option("--fresh", is_flag=True, help="Embed every photograph anew, and keep no templates in the cache.")
@_options.as_json
@_options.configured(*SETTINGS, *_options.GALLERY, "fmr", "fpir", "strict")
def calibrate_command(
    engine: Engine,
    source: str | None,
    *,
    enrolled: bool,
    data: str | None,
    images: str | None,
    write_manifest: str | None,
    dry_run: bool,
    forget: bool,
    splits: int,
    rounds: int,
    seed: int,
    fresh: bool,
    as_json: bool,
) -> ExitStatus:
    """Set operating points from your own people.

    DATA is a folder with one sub-folder a person, a CSV file with the columns name and image, or a list of pairs that
    names people; with --enrolled it is the gallery itself. The points go into the gallery, and every decision against
    it stands on them: --fmr and --fpir given here become floors that no environment variable and no file can loosen. A
    target that so few people can't support is refused. Half of the people set the points and the other half is
    observed, again and again: what was promised, and what came of it, is printed beside them.

    \b
    Examples:
      facecli calibrate staff/ --data "staff, entrance camera, 2026"
      facecli calibrate --enrolled --fmr 1e-3
      facecli calibrate staff/ --dry-run --json | jq .validation
      facecli calibrate --forget
    """
    from facecli.calibrate import Order, calibrate
    from facecli.calibration import Procedure

    if forget:
        return _forget(engine, nothing_else=source is None and not enrolled and write_manifest is None)
    if (source is None) == (not enrolled):
        raise UsageError("calibrate needs DATA or --enrolled, and not both", hint="facecli calibrate people/")
    _check_place(engine, write_manifest, dry_run=dry_run)
    told = (data or "").strip() or (
        f"the people enrolled in {engine.settings.gallery.name}" if source is None else Path(source).name
    )
    settings = engine.settings
    order = Order(settings.fmr, settings.fpir, told, time.strftime("%Y-%m-%d"), splits, Procedure(rounds, seed=seed))
    with _watching() as watch:
        faces = _faces(engine, source, images, fresh=fresh, watch=watch)
        outcome = calibrate(faces, order, step=watch.splits(splits))
    templates = _templates_enrolled(engine)
    _check_strict(engine, outcome.calibration, templates)
    where = None if dry_run else _written(engine, outcome.calibration, write_manifest)
    _tell(engine, outcome, templates, where, as_json=as_json)
    return ExitStatus.ACCEPTED


def _check_place(engine: Engine, name: str | None, *, dry_run: bool) -> None:
    """See that what is measured can be written, before any work: the right model's gallery, or a name that is free."""
    from facecli.gallery import Gallery
    from facecli.own_manifest import manifest_path

    if name is not None:
        manifest_path(engine, name)
    elif not dry_run and Gallery.is_at(engine.settings.gallery):
        with engine.gallery(writable=True):
            pass


class _Watch:
    """Bars for the two long steps."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def photographs(self, total: int) -> Callable[[int], None]:
        """Return what embedding calls."""
        return self._step("embedding", total)

    def splits(self, total: int) -> Callable[[int], None]:
        """Return what validation calls."""
        return self._step("trying it on others", total)

    def _step(self, what: str, total: int) -> Callable[[int], None]:
        task = self._bar.add_task(what, total=total, rate="-")

        def done(count: int) -> None:
            speed = self._bar.tasks[task].speed
            self._bar.update(task, completed=count, rate=f"{speed:.1f}" if speed else "-")

        return done


@contextmanager
def _watching() -> Iterator[_Watch]:
    """Show a bar for each long step, on stderr and only where that is a terminal."""
    with _output.progress(unit="steps") as bar:
        yield _Watch(bar)


def _faces(engine: Engine, source: str | None, images: str | None, *, fresh: bool, watch: _Watch) -> Faces:
    """Take the templates of the gallery, or make those of photographs."""
    from facecli.calibrate import enrolled, faces_of, without_floors
    from facecli.evaluate.embedding import embed_images

    if source is None:
        with engine.gallery() as gallery:
            return enrolled(gallery)
    protocol = _protocol(Path(source), images)
    made = embed_images(
        without_floors(engine), protocol.images, keep=not fresh, step=watch.photographs(len(protocol.images))
    )
    for failure in made.failures:
        _output.note(f"no template: {failure.message}")
    if not len(made.vectors):
        raise UsageError(f"none of the photographs of {source} gave a template")
    return faces_of(made)


def _protocol(path: Path, images: str | None) -> Protocol:
    """Read which photographs there are, and whose."""
    from facecli.evaluate.protocols import read_csv_pairs, read_folder, read_lfw_pairs

    if path.suffix == ".txt":
        return read_lfw_pairs(path, path.parent if images is None else Path(images))
    if path.suffix in {".csv", ".tsv"} and path.is_file():
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            columns = {name.strip() for name in stream.readline().replace("\t", ",").split(",")}
        if {"first", "second", "same"} <= columns:
            return _named_pairs(path, columns, read_csv_pairs(path, None if images is None else Path(images)))
    return read_folder(path)


def _named_pairs(path: Path, columns: set[str], protocol: Protocol) -> Protocol:
    """Refuse pairs that name nobody: who is the same person in two pairs decides what a threshold is worth."""
    if not {"first_person", "second_person"} <= columns:
        raise UsageError(
            f"{path} names nobody, so nobody knows which of its pairs share a person",
            hint="add the columns first_person and second_person, or give a folder with one sub-folder a person",
        )
    return protocol


def _templates_enrolled(engine: Engine) -> int:
    """Return how many templates a search in the gallery meets now; none where there is no gallery."""
    try:
        with engine.stored_gallery() as gallery:
            return gallery.count()[1]
    except GalleryError:
        return 0


def _points(calibration: Calibration, templates: int) -> tuple[OperatingPoint, OperatingPoint]:
    """Return what the calibration comes to: for one template, and for a search of the gallery as it is."""
    from facecli.recognition import Rules

    rules = Rules(None).against(calibration)
    return rules.for_pair(), rules.for_search(templates=max(templates, 1))


def _check_strict(engine: Engine, calibration: Calibration, templates: int) -> None:
    """With --strict, refuse an FPIR that the people can't support for a gallery of this size."""
    from facecli.thresholds import for_identification

    if engine.settings.strict:
        for_identification(
            calibration.measurement, calibration.fpir, templates=max(templates, 1), fmr=calibration.fmr, strict=True
        )


def _written(engine: Engine, calibration: Calibration, name: str | None) -> str:
    """Put the points where they are enforced; return where that is."""
    from facecli.own_manifest import write_manifest

    if name is not None:
        return str(write_manifest(engine, name, calibration.measurement))
    with engine.gallery(writable=True) as gallery:
        gallery.calibrate(calibration)
    return str(engine.settings.gallery)


def _forget(engine: Engine, *, nothing_else: bool) -> ExitStatus:
    """Take the gallery's points away."""
    if not nothing_else:
        raise UsageError("--forget takes the gallery's operating points away, and can't be given with data")
    with engine.stored_gallery(writable=True) as gallery:
        had = gallery.calibration() is not None
        gallery.calibrate(None)
    _output.say("the gallery decides by its model's points again" if had else "the gallery had no points of its own")
    return ExitStatus.ACCEPTED


# --- telling ---------------------------------------------------------------------------------------------------------


def _tell(engine: Engine, outcome: Outcome, templates: int, where: str | None, *, as_json: bool) -> None:
    """Print what was measured, promised and observed."""
    calibration = outcome.calibration
    if as_json:
        _output.emit("calibrate", _json(engine, outcome, templates, where))
        return
    measured = calibration.measurement
    _output.say(
        f"{measured.data}: {measured.people:,} people, {measured.images:,} photographs, "
        f"{measured.people_pairs:,} pairs of people",
        bold=True,
    )
    _output.table(
        ("FMR", "threshold", "observed by people", "95 % bound", "by images", "FNMR"),
        [
            (
                f"{p.fmr:g}",
                f"{p.threshold:.4f}",
                *(_evaluation.percent(rate) for rate in (p.fmr_people_pairs, p.fmr_bound, p.fmr_image_pairs, p.fnmr)),
            )
            for p in measured.points
        ],
    )
    pair, search = _points(calibration, templates)
    _output.say(f"one claim: needs {pair.threshold:.4f}: {_render.promise(pair)}")
    many = f"{templates:,} templates" if templates > 1 else "one template"
    _output.say(f"a search of {many}: needs {search.threshold:.4f}: {_render.promise(search)}")
    _tell_validation(outcome.validation)
    _output.say("nothing was written" if where is None else f"written to {where}")


def _tell_validation(found: Validation) -> None:
    """Print what was promised and what came of it."""
    _output.say(
        f"tried on others: {found.splits} times, {found.set_on:,} people set the points and {found.observed_on:,} "
        f"others were observed; galleries of {found.searched:,} of them, searched by the rest"
    )
    _output.table(
        ("", "promised", "observed", "95 % of the splits", "kept in"),
        [
            (
                one.what,
                _evaluation.percent(one.promised),
                _evaluation.percent(one.observed),
                f"{_evaluation.percent(one.low)} to {_evaluation.percent(one.high)}",
                f"{one.kept:.0%} of them",
            )
            for one in found.promises
        ],
    )
    if found.fnmr is not None:
        _output.say(f"there, {_evaluation.percent(found.fnmr)} of true claims were refused (FNMR)")
    if found.fnir is not None:
        _output.say(f"there, {_evaluation.percent(found.fnir)} of enrolled people were not recognised (FNIR)")
    if found.cllr is not None and found.min_cllr is not None:
        _output.say(f"likelihood ratios cost {found.cllr:.4f} bits (Cllr), {found.min_cllr:.4f} at the least")


def _json(engine: Engine, outcome: Outcome, templates: int, where: str | None) -> dict[str, Json]:
    """Return everything as data."""
    calibration, found = outcome.calibration, outcome.validation
    measured = calibration.measurement
    pair, search = _points(calibration, templates)
    weight = calibration.weight
    return {
        "status": 0,
        "written": where,
        "model": _render.pin_json(engine.manifest.pin()),
        "fmr": calibration.fmr,
        "fpir": calibration.fpir,
        "images": measured.images,
        "method": measured.method,
        "points": [
            {
                "fmr": p.fmr,
                "threshold": p.threshold,
                "fmr_bound": p.fmr_bound,
                "fmr_people_pairs": p.fmr_people_pairs,
                "fmr_image_pairs": p.fmr_image_pairs,
                "fnmr": p.fnmr,
            }
            for p in measured.points
        ],
        "likelihood_ratio": None
        if weight is None
        else {
            "slope": weight.slope,
            "intercept": weight.intercept,
            "lowest": weight.lowest,
            "highest": weight.highest,
        },
        "one_claim": _render.point_json(pair),
        "search": _render.point_json(search),
        "validation": {
            "splits": found.splits,
            "set_on": found.set_on,
            "observed_on": found.observed_on,
            "searched": found.searched,
            "promises": [_kept_json(one) for one in found.promises],
            "fnmr": found.fnmr,
            "fnir": found.fnir,
            "cllr": found.cllr,
            "min_cllr": found.min_cllr,
        },
    }


def _kept_json(one: Kept) -> dict[str, Json]:
    """Return a promise as data."""
    return {
        "what": one.what,
        "promised": one.promised,
        "observed": one.observed,
        "low": one.low,
        "high": one.high,
        "kept": one.kept,
    }

"""Measure an embedder's operating points on a folder of photographs, one sub-folder a person.

    PYTHONPATH=src python tools/measure_points.py sface FOLDER --data "LFW sets 1 and 2, press photographs" --study

Every photograph goes through facecli's own pipeline (``--faces center``, without quality floors); thresholds are chosen
by :mod:`facecli.calibration`. The ``[measurement]`` table for the model's manifest goes to standard output, all
else to standard error. ``--study`` adds what docs/operating-points.md reports: identity-disjoint splits, open-set
searches, claims against several templates, bulk enrolment, and the most similar "different" people. Nothing that
identifies a person leaves this machine; ``--cache`` keeps templates in a file of your choice.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import point_studies as studies

from facecli.calibrate import METHOD
from facecli.calibration import Comparisons, Procedure, Unit, compare_all, fmr_bound, fnmr_interval, measure
from facecli.errors import FacecliError
from facecli.manifest import Measurement
from facecli.manifest_reader import measurement_toml
from facecli.types import FacePolicy

if TYPE_CHECKING:
    from facecli.engine import Engine
    from facecli.types import Vector, Vectors

TARGETS = (1e-2, 1e-3, 1e-4)
PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Templates with their people and files, sorted by path."""

    vectors: Vectors
    people: list[str]
    files: list[str]


@click.command()
@click.argument("model")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", "description", required=True, help="What the photographs are, for the manifest.")
@click.option("--date", "day", help="Of the measurement; today.")
@click.option("--rounds", default=2000, show_default=True, help="Bootstrap rounds.")
@click.option("--study", is_flag=True, help="Also measure how the points do on other people (minutes).")
@click.option("--splits", default=200, show_default=True, help="Identity-disjoint splits of the study.")
@click.option("--cache", type=click.Path(path_type=Path), help="Keep the templates here (.npz), or read them.")
def main(  # noqa: PLR0913 - one parameter an option
    model: str,
    folder: Path,
    description: str,
    day: str | None,
    rounds: int,
    *,
    study: bool,
    splits: int,
    cache: Path | None,
) -> None:
    """Measure MODEL on FOLDER and print its [measurement] table."""
    try:
        faces = cached(model, folder, cache)
        procedure = Procedure(rounds=rounds)
        comparisons = compare_all(faces.vectors, faces.people)
        measurement = measured(comparisons, procedure, description=description, day=day or f"{date.today()}")  # noqa: DTZ011
    except FacecliError as error:
        raise click.ClickException(" ".join(filter(None, (error.message, error.hint)))) from error
    report(comparisons, measurement, procedure)
    if study:
        crowd = studies.Crowd.of(faces.vectors, faces.people, faces.files)
        for line in studies.report(crowd, comparisons, measurement, splits=splits):
            click.echo(line, err=True)
    click.echo(measurement_toml(measurement))


def cached(model: str, folder: Path, cache: Path | None) -> Faces:
    """Read the templates from the cache, or make them (and keep them there)."""
    if cache is not None and cache.exists():
        kept = np.load(cache)
        return Faces(kept["vectors"], kept["names"].tolist(), kept["files"].tolist())
    faces = embedded(model, folder)
    if cache is not None:
        np.savez(cache, vectors=faces.vectors, names=np.array(faces.people), files=np.array(faces.files))
    return faces


def embedded(model: str, folder: Path) -> Faces:
    """Send every photograph through facecli's pipeline; name those that it refuses."""
    from facecli.config import Settings
    from facecli.engine import Engine

    # Quality floors can be overridden, and the points must hold then too.
    settings = Settings(model=model, threads=1, min_detection=0.0, min_eye_distance=0.0, max_cut=1.0, min_sharpness=0.0)
    engine = Engine(settings, may_fetch=True)
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in PHOTOGRAPHS)
    engine.pipeline  # noqa: B018 - loaded here, once, not by every worker
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        made = workers.map(lambda path: template(engine, path), paths)
        with click.progressbar(made, length=len(paths), label="embedding", file=sys.stderr) as bar:
            found = [(path, vector) for path, vector in zip(paths, bar, strict=True) if vector is not None]
    click.echo(f"{len(found):,} of {len(paths):,} photographs made a template", err=True)
    return Faces(
        np.stack([vector for _, vector in found]), [p.parent.name for p, _ in found], [p.name for p, _ in found]
    )


def template(engine: Engine, path: Path) -> Vector | None:
    """Return a photograph's template, or say why there is none."""
    try:
        return engine.pipeline.sample(engine.read(str(path)), FacePolicy.CENTER).vector
    except FacecliError as error:
        click.echo(f"refused: {error.message}", err=True)
        return None


def measured(comparisons: Comparisons, procedure: Procedure, *, description: str, day: str) -> Measurement:
    """Choose the thresholds and say what stands behind them."""
    return Measurement(
        data=description,
        people=comparisons.people,
        images=int(comparisons.images.sum()),
        people_pairs=comparisons.pairs(Unit.PEOPLE),
        image_pairs=comparisons.pairs(Unit.IMAGES),
        date=day,
        status="provisional",
        method=METHOD.format(confidence=procedure.confidence, rounds=procedure.rounds, safety=procedure.safety),
        points=measure(comparisons, TARGETS, procedure),
    )


def report(comparisons: Comparisons, measurement: Measurement, procedure: Procedure) -> None:
    """Tell the points with what a manifest has no room for: the bound by images, the interval of the FNMR."""
    click.echo(
        f"\n{measurement.people:,} people, {measurement.images:,} photographs, {measurement.people_pairs:,} pairs of "
        f"people, {measurement.image_pairs:,} non-mated and {len(comparisons.mated):,} mated pairs of photographs\n\n"
        "| target FMR | threshold | FMR by people (95 % bound) | FMR by images (95 % bound) | FNMR (95 % interval) "
        "| FNMR by people |\n"
        "|---|---|---|---|---|---|",
        err=True,
    )
    for point in measurement.points:
        low, high = fnmr_interval(comparisons, point.threshold, procedure)
        by_images = fmr_bound(comparisons, point.threshold, Unit.IMAGES, procedure)
        click.echo(
            f"| {point.fmr:g} | {point.threshold:.4f} | {point.fmr_people_pairs:.2e} ({point.fmr_bound:.2e}) "
            f"| {point.fmr_image_pairs:.2e} ({by_images:.2e}) | {point.fnmr:.2%} ({low:.2%} to {high:.2%}) "
            f"| {comparisons.fnmr(point.threshold, Unit.PEOPLE):.2%} |",
            err=True,
        )


if __name__ == "__main__":
    main()

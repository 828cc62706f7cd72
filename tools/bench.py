"""Speed, in ratios: facecli against a bare script that does the same work with the same models, in one run.

Cold `verify` and `identify` are whole processes, timed in turn (A B A B ...) so that a machine whose speed drifts slows
both; the median of the pairwise ratios is what counts. Enrolment is timed against the raw models: what detector and
embedder alone would take on the same photographs, one per core. Usage::

    python tools/bench.py [--runs N] [--people N] [--photographs FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facecli import Engine, Gallery, Quality, Settings
from facecli.bulk import enrol_many, items_in
from facecli.enrolment import Duplicates, EnrolmentRules
from facecli.gallery import NewTemplate
from facecli.types import FacePolicy

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Timing:
    """One command against its floor: medians in ms, and the median of the pairwise ratios."""

    name: str
    wall_ms: float
    floor_wall_ms: float
    wall_ratio: float
    cpu_ms: float
    floor_cpu_ms: float
    cpu_ratio: float
    runs: int


@dataclass(frozen=True)
class Throughput:
    """Photographs per second, enrolled and through the raw models alone."""

    photographs: int
    enrolled_per_s: float
    raw_models_per_s: float
    ratio: float
    workers: int


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a process; return its wall and CPU milliseconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * wall, 1e3 * cpu


def paired(name: str, command: list[str], floor: list[str], environment: dict[str, str], runs: int) -> Timing:
    """Time a command and its floor in turn, after one run of each that is not counted."""
    timed(command, environment), timed(floor, environment)
    rows = [(*timed(command, environment), *timed(floor, environment)) for _ in range(runs)]
    wall, cpu, floor_wall, floor_cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    wall_ratio = statistics.median(row[0] / row[2] for row in rows)
    cpu_ratio = statistics.median(row[1] / row[3] for row in rows)
    return Timing(name, wall, floor_wall, wall_ratio, cpu, floor_cpu, cpu_ratio, runs)


def bare_graphs(folder: Path) -> list[str]:
    """Optimise the converted models as facecli's cache does, and put them where a bare script can load them."""
    import onnxruntime

    engine = Engine(Settings(device="cpu"))
    paths = []
    for name in (engine.settings.detector, engine.settings.model):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(folder / f"{name}.onnx")
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{name}.bin")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        path = str(engine.registry.converted(name))
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        paths.append(options.optimized_model_filepath)
    return paths


def crowd(folder: Path, people: int) -> str:
    """Enrol synthetic people into the gallery, and write the same vectors for the bare script."""
    luck = np.random.default_rng(7)
    vectors = luck.standard_normal((people, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = Quality(0.9, 40.0, 0.0, 1.0)
    with Gallery.create(folder / "gallery", Engine(Settings()).manifest.pin()) as gallery:
        for number, vector in enumerate(vectors):
            gallery.enrol(f"person {number}", [NewTemplate(vector, "synthetic", f"{number:064x}", quality)])
    np.save(folder / "crowd.npy", vectors)
    return str(folder / "crowd.npy")


def cold(photographs: Path, folder: Path, people: int, runs: int) -> list[Timing]:
    """Time one-shot commands against the bare script."""
    detector, embedder = bare_graphs(folder)
    a, b = (str(photographs / name) for name in ("person_a_1.jpg", "person_a_2.jpg"))
    vectors = crowd(folder, people)
    environment = {**os.environ, "FACECLI_GALLERY": str(folder / "gallery"), "FACECLI_DEVICE": "cpu"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    floor = [sys.executable, str(HERE / "floor.py"), detector, embedder]
    facecli, nobody = str(BIN / "facecli"), ["--threshold", "-1"]
    empty = [sys.executable, "-c", "import click\nclick.Command('x', callback=lambda: None).main(['--help'])"]
    return [
        paired("--help / an empty Click program", [facecli, "--help"], empty, environment, runs),
        paired("verify / bare script", [facecli, "verify", *nobody, "--", a, b], [*floor, a, b], environment, runs),
        paired(
            f"identify among {people:,} / bare script",
            [facecli, "identify", *nobody, "--", a],
            [*floor, a, vectors],
            environment,
            runs,
        ),
    ]


def enrolment(photographs: Path, folder: Path) -> Throughput:
    """Enrol a folder of people, and run the raw models on the same photographs with as many workers."""
    engine = Engine(Settings(device="cpu", gallery=folder / "bulk", faces=FacePolicy.LARGEST))
    items = items_in(photographs)
    pipeline, workers = engine.pipeline, os.cpu_count() or 1
    photos = [engine.read(item.photo) for item in items[:64]]
    crops = [pipeline.prepare(photo, FacePolicy.LARGEST).crop for photo in photos]

    def raw(number: int) -> None:
        pipeline.faces(photos[number % len(photos)])
        pipeline.embedder.embed([crops[number % len(crops)]])

    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        list(pool.map(raw, range(len(items))))
        raw_rate = len(items) / (time.perf_counter() - start)
    rules = EnrolmentRules(engine.rules(threshold=1.0), duplicates=Duplicates.REPORT, force=True)
    start = time.perf_counter()
    report = enrol_many(engine, items, rules)
    rate = report.photographs / (time.perf_counter() - start)
    return Throughput(len(items), rate, raw_rate, rate / raw_rate, workers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--photographs", type=Path, help="a folder with one sub-folder a person, to enrol")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    portraits = Path(".photographs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timings = cold(portraits, folder, given.people, given.runs)
        people = given.photographs or _copies(portraits, folder / "people")
        throughput = enrolment(people, folder)
    if given.json:
        print(json.dumps({"timings": [asdict(t) for t in timings], "enrolment": asdict(throughput)}))
        return
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, CPU; medians of {given.runs} runs in turn")
    for t in timings:
        print(
            f"{t.name:<44} wall {t.wall_ms:6.0f} / {t.floor_wall_ms:4.0f} ms = {t.wall_ratio:.2f}"
            f"   cpu {t.cpu_ms:6.0f} / {t.floor_cpu_ms:4.0f} ms = {t.cpu_ratio:.2f}"
        )
    print(
        f"{'enrolment / raw models alone':<44} {throughput.enrolled_per_s:.1f} / {throughput.raw_models_per_s:.1f}"
        f" photographs/s = {throughput.ratio:.2f}   ({throughput.photographs:,} photographs)"
    )


def _copies(portraits: Path, folder: Path) -> Path:
    """Make a folder of people out of a few portraits: each copy differs in its bytes, so none counts as known."""
    for number in range(120):
        for portrait in sorted(portraits.glob("*.jpg")):
            target = folder / portrait.stem.rsplit("_", 1)[0] / f"{number}-{portrait.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(portrait, target)
            with target.open("ab") as stream:
                stream.write(f"copy {number}".encode())
    return folder


if __name__ == "__main__":
    main()

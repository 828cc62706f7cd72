"""A whole engine without weights: drawn photographs, a fake pipeline, and measured points that fit it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facecli.config import Settings
from facecli.engine import Engine
from facecli.image import write_png
from facecli.manifest import Licence, Manifest, MeasuredPoint, Measurement, ModelFile
from facecli.pipeline import Pipeline
from facecli.testing import FAKE_INPUT, FakeDetector, FakeEmbedder, drawn_photo
from facecli.types import ModelPin

MEASUREMENT = Measurement(
    data="drawn people",
    people=50,
    images=100,
    people_pairs=1225,
    image_pairs=4950,
    date="2026-11-24",
    status="provisional",
    method="made up for tests",
    points=(
        MeasuredPoint(fmr=1e-2, threshold=0.90, fmr_bound=5e-3, fmr_people_pairs=4e-3, fmr_image_pairs=4e-3, fnmr=0.01),
        MeasuredPoint(fmr=1e-3, threshold=0.95, fmr_bound=5e-4, fmr_people_pairs=4e-4, fmr_image_pairs=4e-4, fnmr=0.02),
        MeasuredPoint(fmr=1e-4, threshold=0.98, fmr_bound=5e-5, fmr_people_pairs=4e-5, fmr_image_pairs=4e-5, fnmr=0.03),
    ),
)


@dataclass(frozen=True, slots=True)
class FakeManifest(Manifest):
    """A manifest whose pin is the fake embedder's."""

    def pin(self) -> ModelPin:
        return FakeEmbedder(self.name).pin


def fake_manifest(name: str = "fake") -> FakeManifest:
    return FakeManifest(
        name=name,
        task="embed",
        title="drawn faces",
        paper="",
        licence=Licence("CC0-1.0", commercial_use=True, url="", note=""),
        file=ModelFile(f"{name}.onnx", "0" * 64, 1, "onnx"),
        sources=(),
        conversion="none-1",
        input=FAKE_INPUT,
        dimension=8,
        measurement=MEASUREMENT,
        known_answer=None,
    )


class FakeEngine(Engine):
    """The engine with fake networks: everything but the networks is the real thing."""

    @cached_property
    def manifest(self) -> Manifest:
        return fake_manifest(self.settings.model)

    @cached_property
    def detector(self) -> FakeDetector:
        return FakeDetector()

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(self.detector, FakeEmbedder(self.settings.model), self.detect_options, self.quality_limits)


def fake_engine(folder: Path, **settings: object) -> FakeEngine:
    return FakeEngine(Settings(gallery=folder / "gallery", cache=folder / "cache", **settings))


def photo(folder: Path, name: str, *people: int, noise: float = 0.0) -> str:
    """Draw people into a PNG file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, drawn_photo(*people, noise=noise, name=name).pixels)
    return str(path)

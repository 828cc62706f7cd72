"""The composition root: from settings to a working whole, each part opened when it is first needed.

Nothing else knows how parts are put together. A command asks the engine for a sample, a gallery or a decision; models
are loaded while photographs are still being decoded.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from facecli.config import Configuration, Settings
from facecli.errors import ModelIntegrityError, UsageError
from facecli.names import person_name, visible
from facecli.recognition import Rules, compare, compare_with_person, identify
from facecli.registry import Registry
from facecli.types import FacePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from facecli.detect import DetectOptions, Detector
    from facecli.download import Progress
    from facecli.embed import Embedder
    from facecli.enrolment import Enrolment, EnrolmentRules
    from facecli.gallery import Gallery
    from facecli.image import ImageLimits
    from facecli.manifest import Manifest, Model
    from facecli.pipeline import Pipeline
    from facecli.quality import QualityLimits
    from facecli.recognition import Decision, Identification
    from facecli.runtime import RuntimeOptions, Session
    from facecli.types import Face, Photo, Quality, Sample

    Source: TypeAlias = str | os.PathLike[str]
    """A photograph: its path, or ``-`` for standard input."""

T = TypeVar("T")

WORKERS = 4
"""Photographs in memory at the same time, however many there are."""


class Engine:
    """Settings, and all that follows from them.

    Parameters
    ----------
    configuration
        Settings with their origins, or bare settings.
    may_fetch
        Whether missing weights may be downloaded: only where a person is present.
    progress
        Told about downloads; see :data:`facecli.download.Progress`.

    Attributes
    ----------
    configuration, settings
        As given.
    fell_back
        Why networks run on the CPU although this machine shows a GPU; None where they don't. To be said once.
    """

    def __init__(
        self, configuration: Configuration | Settings, *, may_fetch: bool = False, progress: Progress | None = None
    ) -> None:
        if isinstance(configuration, Settings):
            configuration = Configuration(configuration, {})
        self.configuration = configuration
        self.settings = configuration.settings
        self.fell_back: str | None = None
        self._may_fetch = may_fetch
        self._progress = progress

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        """Threads to work in, once numpy is there.

        It can be loaded only once in a process, so of two threads that import it at the same moment one may fail.
        """
        import numpy  # noqa: F401, ICN001

        return ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="facecli")

    @cached_property
    def registry(self) -> Registry:
        """The models known and present on this machine."""
        from facecli.convert import convert

        return Registry(
            self.settings.cache,
            self.settings.models,
            convert=convert,
            offline=self.settings.offline,
            may_fetch=self._may_fetch,
            progress=self._progress,
        )

    def registry_for_fetching(
        self, *, progress: Progress | None = None, accept_licences: frozenset[str] = frozenset()
    ) -> Registry:
        """Return the registry of ``models fetch``: it may touch the network (unless offline) and accept licences."""
        return replace(self.registry, may_fetch=True, progress=progress, accept_licences=accept_licences)

    def for_model(self, name: str) -> Engine:
        """Return an engine with another embedder and otherwise the same settings; this one where it is the same."""
        if name == self.settings.model:
            return self
        origins = {**self.configuration.origins, "model": "flag"}
        return self.configured(Configuration(replace(self.settings, model=name), origins))

    def configured(self, configuration: Configuration) -> Engine:
        """Return an engine with other settings that may fetch what this one may."""
        return type(self)(configuration, may_fetch=self._may_fetch, progress=self._progress)

    @cached_property
    def manifest(self) -> Model:
        """The embedder's manifest."""
        return self.registry.model(self.settings.model)

    @cached_property
    def detector(self) -> Detector:
        """The face detector.

        Raises
        ------
        ModelError
            It is missing or altered.
        DeviceError
            The device asked for can't be used.
        """
        from facecli.detect import YuNet

        manifest = self.registry.manifest(self.settings.detector)
        return YuNet(self.session(manifest), manifest.input)

    @cached_property
    def pipeline(self) -> Pipeline:
        """Detector and embedder, loaded side by side.

        Raises
        ------
        ModelError
            A model is missing or altered.
        DeviceError
            The device asked for can't be used.
        """
        from facecli.pipeline import Pipeline

        embedder = self._workers.submit(self._embedder)
        return Pipeline(self.detector, embedder.result(), self.detect_options, self.quality_limits)

    def _embedder(self) -> Embedder:
        """Load the embedder, a fused one's parts one after the other."""
        from facecli.embed import FusedEmbedder, OnnxEmbedder
        from facecli.manifest import FusedManifest

        parts = [OnnxEmbedder(self.session(member), member) for member in self.manifest.members]
        return FusedEmbedder(parts, self.manifest) if isinstance(self.manifest, FusedManifest) else parts[0]

    def session(self, manifest: Manifest) -> Session:
        """Open one model on the device asked for; a converted file that was damaged is made again."""
        from facecli.runtime import open_session

        prepared = self.registry.prepared(manifest.name)
        try:
            session = open_session(prepared.path, self.runtime_options, sha256=prepared.sha256)
        except ModelIntegrityError:
            session = open_session(self.registry.converted(manifest.name), self.runtime_options)
        self.fell_back = session.fell_back or self.fell_back
        return session

    @property
    def runtime_options(self) -> RuntimeOptions:
        """How networks run."""
        from facecli.runtime import RuntimeOptions

        settings = self.settings
        return RuntimeOptions(device=settings.device, threads=settings.threads, cache=settings.cache / "graphs")

    @property
    def image_limits(self) -> ImageLimits:
        """How large a photograph may be."""
        from facecli.image import ImageLimits

        return ImageLimits(max_pixels=self.settings.max_pixels, max_bytes=self.settings.max_bytes)

    @property
    def detect_options(self) -> DetectOptions:
        """How faces are looked for: the measured defaults, but for what was set."""
        from facecli.detect import DetectOptions

        settings, default = self.settings, DetectOptions()
        return replace(
            default,
            max_side_px=_or(settings.detect_side, default.max_side_px),
            min_score=_or(settings.min_score, default.min_score),
            min_face_px=_or(settings.min_face, default.min_face_px),
            turn=settings.turn,
        )

    @property
    def quality_limits(self) -> QualityLimits:
        """What a face must at least be: the measured floors, but for what was set."""
        from facecli.quality import QualityLimits

        settings, default = self.settings, QualityLimits()
        return QualityLimits(
            min_detection=_or(settings.min_detection, default.min_detection),
            min_eye_distance_px=_or(settings.min_eye_distance, default.min_eye_distance_px),
            max_cut=_or(settings.max_cut, default.max_cut),
            min_sharpness=_or(settings.min_sharpness, default.min_sharpness),
        )

    def rules(self, *, threshold: float | None = None) -> Rules:
        """Return the rules of decisions; ``threshold`` (a cosine) overrules the targets and promises nothing."""
        settings, origins = self.settings, self.configuration.origins
        default = Settings()
        given = {name for name in ("fmr", "fpir") if getattr(settings, name) != getattr(default, name)}
        given |= {name for name in ("fmr", "fpir") if origins.get(name, "default") != "default"}
        return Rules(
            measurement=self.manifest.measurement,
            fmr=settings.fmr,
            fpir=settings.fpir,
            strict=settings.strict,
            fusion=settings.fusion,
            threshold=threshold,
            given=frozenset(given),
            flags=frozenset(name for name in given if origins.get(name) == "flag"),
        )

    def deployed_rules(self) -> Rules:
        """Return the rules of decisions against the gallery, if there is one of this model, else those of the model.

        Raises
        ------
        GalleryError
            There is a gallery, and it is damaged.
        UsageError
            A flag is looser than its calibration.
        """
        from facecli.gallery import Gallery

        if not Gallery.is_at(self.settings.gallery):
            return self.rules()
        with self.stored_gallery() as gallery:
            own = gallery.pin == self.manifest.pin()
            return self.rules().against(gallery.calibration() if own else None)

    def read(self, source: Source) -> Photo:
        """Read a photograph; ``-`` is standard input.

        Raises
        ------
        ImageError
            It can't be read, is of no known format, or is too large.
        """
        from facecli.image import read_photo

        return read_photo(os.fspath(source), self.image_limits)

    def samples(self, sources: Sequence[Source], policy: FacePolicy | None = None) -> list[Sample]:
        """Make one face of each photograph ready, in order; the first failure is raised.

        Models are loaded while the photographs are decoded, and photographs are worked on side by side.

        Raises
        ------
        ImageError, NoFaceError, SeveralFacesError, QualityError, ModelError, DeviceError
            See the stages.
        """
        chosen = policy or self.settings.faces
        first = [self._workers.submit(self.read, source) for source in sources[:WORKERS]]
        pipeline = self.pipeline

        def work(number: int, source: Source) -> Sample:
            photo = first[number].result() if number < WORKERS else self.read(source)
            return pipeline.sample(photo, chosen)

        return list(self._workers.map(work, range(len(sources)), sources))

    def faces_of(self, source: Source) -> list[Sample]:
        """Make the faces of one photograph ready as the settings say: one, or with ``faces = all`` each of them."""
        photo = self._workers.submit(self.read, source)
        pipeline = self.pipeline
        if self.settings.faces is FacePolicy.ALL:
            return pipeline.samples(photo.result())
        return [pipeline.sample(photo.result(), self.settings.faces)]

    def detections(self, source: Source) -> tuple[Photo, list[tuple[Face, Quality]]]:
        """Find the faces of a photograph and measure each, without judging and without loading the embedder."""
        from facecli.pipeline import quality_crop
        from facecli.quality import measure

        reading = self._workers.submit(self.read, source)
        detector = self.detector
        photo = reading.result()
        faces = detector.detect(photo.pixels, self.detect_options)
        return photo, [(face, measure(photo.pixels, face, quality_crop(photo, face))) for face in faces]

    @contextmanager
    def gallery(self, *, writable: bool = False) -> Iterator[Gallery]:
        """Open the gallery for comparing: it must be of this engine's model; writing creates it when there is none.

        Raises
        ------
        GalleryError
            Missing, locked or damaged.
        ModelMismatchError
            Made with another model.
        """
        from facecli.gallery import Gallery

        pin, settings = self.manifest.pin(), self.settings
        with (
            Gallery.create(settings.gallery, pin, exist_ok=True, wait_s=settings.wait)
            if writable
            else self.stored_gallery()
        ) as gallery:
            gallery.check_pin(pin)
            yield gallery

    def stored_gallery(self, *, writable: bool = False) -> Gallery:
        """Open the gallery for looking after it, whatever model it is of.

        Raises
        ------
        GalleryError
            Missing, locked or damaged.
        """
        from facecli.gallery import Gallery

        return Gallery.open(self.settings.gallery, writable=writable, wait_s=self.settings.wait)

    def enrol(self, name: str, *sources: Source, rules: EnrolmentRules | None = None) -> Enrolment:
        """Add one or more photographs of a person to the gallery, or refuse them all.

        Parameters
        ----------
        name
            The person; created when new.
        sources
            Photographs of that person, at least one.
        rules
            What is checked; by default a duplicate of another person and a face not the person's own are refused.

        Raises
        ------
        UsageError
            The name can't be used, or there is no photograph.
        EnrolmentRefusedError
            A face is another enrolled person's, or not this person's own; nothing was changed.
        """
        from facecli.enrolment import EnrolmentRules, enrol

        name = person_name(name)
        if not sources:
            raise UsageError(f"enrolling {visible(name)} takes at least one photograph")
        rules = rules or EnrolmentRules(self.rules(), self.settings.duplicate_fpir)
        samples = self.samples(sources, one_face(self.settings.faces))
        with self.gallery(writable=True) as gallery:
            return enrol(gallery, name, samples, rules)

    def verify(self, probe: Source, reference: Source, *, threshold: float | None = None) -> Decision:
        """Decide whether two photographs show the same person."""
        rules = self.rules(threshold=threshold)
        rules.for_pair()  # what can't be decided is refused before any work
        first, second = self.samples([probe, reference], one_face(self.settings.faces))
        return compare(first, second, rules, self.manifest.pin())

    def verify_as(self, probe: Source, name: str, *, threshold: float | None = None) -> Decision:
        """Decide whether a photograph shows the enrolled person of this name."""
        with self.gallery() as gallery:
            gallery.person(name)
            (sample,) = self.samples([probe], one_face(self.settings.faces))
            return compare_with_person(sample, name, gallery, self.rules(threshold=threshold))

    def identify(self, probe: Source, *, top: int = 5, threshold: float | None = None) -> list[Identification]:
        """Search the gallery for the face of a photograph, or with ``faces = all`` for each of its faces."""
        with self.gallery() as gallery:
            return identify(self.faces_of(probe), gallery, self.rules(threshold=threshold), top=top)


def one_face(policy: FacePolicy) -> FacePolicy:
    """Refuse a policy that leaves open which face decides.

    Raises
    ------
    UsageError
        It is ``all``.
    """
    if policy is FacePolicy.ALL:
        raise UsageError(
            "--faces all can't decide on one person", hint="use --faces one, largest or center; all is for identify"
        )
    return policy


def _or(value: T | None, default: T) -> T:
    """Return what was set, else what was measured."""
    return default if value is None else value

"""Photograph to samples: the one place that knows the order of the stages.

    Photo -> faces -> the face that is meant -> crops -> quality -> template

For bulk work the two halves can be run apart: :meth:`Pipeline.prepare` (no embedding network) in threads, then
:meth:`Pipeline.embed` on many faces at once; the templates are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli import quality as gate
from facecli.align import align
from facecli.detect import DetectOptions
from facecli.errors import ModelIntegrityError, NoFaceError, SeveralFacesError
from facecli.match import checked
from facecli.quality import QualityLimits
from facecli.types import FacePolicy, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.detect import Detector
    from facecli.embed import Embedder
    from facecli.manifest import InputSpec
    from facecli.types import Face, Image, Photo, Quality


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFace:
    """A face that is ready for the embedder; the fields are those of :class:`facecli.types.Sample`."""

    photo: str
    photo_sha256: str
    face: Face
    crops: tuple[Image, ...]
    """One for each of the embedder's inputs."""
    quality: Quality

    @property
    def crop(self) -> Image:
        """The first of the crops: what is shown to people."""
        return self.crops[0]


class Pipeline:
    """The stages, put together.

    Parameters
    ----------
    detector
        Finds faces.
    embedder
        Makes templates; also says which crops it wants.
    detect_options
        How faces are searched, and what counts as one.
    quality_limits
        What is asked of a face before it is embedded.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        detect_options: DetectOptions | None = None,
        quality_limits: QualityLimits | None = None,
    ) -> None:
        self.detector = detector
        self.embedder = embedder
        self.detect_options = detect_options or DetectOptions()
        self.quality_limits = quality_limits or QualityLimits()

    def faces(self, photo: Photo) -> list[Face]:
        """Return every face of a photograph, most confident first; there may be none."""
        return self.detector.detect(photo.pixels, self.detect_options)

    def prepare(self, photo: Photo, policy: FacePolicy = FacePolicy.ONE) -> PreparedFace:
        """Find, cut out and judge the face that is meant.

        Raises
        ------
        NoFaceError, SeveralFacesError
            No face, or several where one is wanted.
        QualityError
            The face is too poor to decide on.
        """
        return self._prepared(photo, select(self.faces(photo), policy, photo))

    def prepare_all(self, photo: Photo) -> list[PreparedFace]:
        """Find, cut out and judge every face; one that is too poor fails them all, for it can't be told who it is.

        Raises
        ------
        NoFaceError
            There is none.
        QualityError
            One of the faces is too poor to decide on.
        """
        faces = self.faces(photo)
        if not faces:
            raise _no_face(photo)
        return [self._prepared(photo, face) for face in faces]

    def embed(self, prepared: Sequence[PreparedFace]) -> list[Sample]:
        """Make the templates of prepared faces, in order.

        Raises
        ------
        ModelIntegrityError
            What the embedder gave are no templates of its dimension, finite and of unit length. No template, no match.
        """
        wanted = range(len(self.embedder.inputs))
        vectors = self.embedder.embed(*([face.crops[number] for face in prepared] for number in wanted))
        pin = self.embedder.pin
        try:
            checked(vectors, pin.dimension)
        except ValueError as error:
            raise ModelIntegrityError(f"the model {pin.name} gave no usable templates: {error}") from error
        if len(vectors) != len(prepared):
            raise ModelIntegrityError(f"the model {pin.name} gave {len(vectors)} templates for {len(prepared)} faces")
        return [
            Sample(
                photo=one.photo,
                photo_sha256=one.photo_sha256,
                face=one.face,
                crop=one.crop,
                vector=vector,
                quality=one.quality,
            )
            for one, vector in zip(prepared, vectors, strict=True)
        ]

    def sample(self, photo: Photo, policy: FacePolicy = FacePolicy.ONE) -> Sample:
        """Return the sample of the face that is meant.

        Raises
        ------
        NoFaceError, SeveralFacesError
            No face, or several where one is wanted.
        QualityError
            The face is too poor to decide on.
        """
        return self.embed([self.prepare(photo, policy)])[0]

    def samples(self, photo: Photo) -> list[Sample]:
        """Return the samples of every face, most confident first (policy ``all``).

        Raises
        ------
        NoFaceError
            There is none.
        QualityError
            One of the faces is too poor to decide on.
        """
        return self.embed(self.prepare_all(photo))

    def measure(self, photo: Photo, face: Face) -> Quality:
        """Measure a face's quality without judging it."""
        return self._measured(photo, face, self.crop(photo, face))

    def crop(self, photo: Photo, face: Face) -> Image:
        """Return the aligned face as the embedder wants it; of several crops, the first."""
        return crop_face(photo, face, self.embedder.inputs[0])

    def _measured(self, photo: Photo, face: Face, crop: Image) -> Quality:
        """Judge the same crop for every embedder; the embedder's own (first) serves where it is that one."""
        spec = self.embedder.inputs[0]
        if (spec.width_px, spec.height_px) != gate.CROP_SIZE or spec.points != gate.CROP_POINTS:
            crop = quality_crop(photo, face)
        return gate.measure(photo.pixels, face, crop)

    def _prepared(self, photo: Photo, face: Face) -> PreparedFace:
        crops = tuple(crop_face(photo, face, spec) for spec in self.embedder.inputs)
        quality = self._measured(photo, face, crops[0])
        gate.check(quality, self.quality_limits, _said(photo))
        return PreparedFace(photo=photo.name, photo_sha256=photo.sha256, face=face, crops=crops, quality=quality)


def select(faces: Sequence[Face], policy: FacePolicy, photo: Photo) -> Face:
    """Return the face that is meant.

    Parameters
    ----------
    faces
        All faces of the photograph.
    policy
        ``one`` wants exactly one; ``largest`` takes the largest box; ``center`` the one whose middle is nearest to the
        photograph's.
    photo
        Where they were found.

    Raises
    ------
    NoFaceError
        There is none.
    SeveralFacesError
        There are several, and the policy wants one.
    ValueError
        The policy is ``all``, which names no single face.
    """
    if policy is FacePolicy.ALL:
        raise ValueError("the policy 'all' names no single face; use Pipeline.samples")
    if not faces:
        raise _no_face(photo)
    if policy is FacePolicy.LARGEST:
        return max(faces, key=lambda face: face.box.area)
    if policy is FacePolicy.CENTER:
        height, width = photo.pixels.shape[:2]
        return min(faces, key=lambda face: _squared(face.box.centre, (width / 2, height / 2)))
    if len(faces) > 1:
        raise SeveralFacesError(
            f"{_said(photo)} shows {len(faces)} faces, and exactly one is wanted",
            hint="crop the photograph, or say which face is meant: --faces largest or --faces center "
            "(identify also takes --faces all)",
        )
    return faces[0]


def crop_face(photo: Photo, face: Face, spec: InputSpec) -> Image:
    """Return the aligned face as an embedder of this input wants it."""
    import numpy as np

    template = np.asarray(spec.points, np.float32)
    return align(photo.pixels, face.points, size=(spec.width_px, spec.height_px), template=template)


def quality_crop(photo: Photo, face: Face) -> Image:
    """Return the aligned face on which quality is measured, the same for every embedder."""
    import numpy as np

    return align(photo.pixels, face.points, size=gate.CROP_SIZE, template=np.asarray(gate.CROP_POINTS, np.float32))


def _no_face(photo: Photo) -> NoFaceError:
    return NoFaceError(
        f"no face found in {_said(photo)}", hint="use a photograph that shows the whole face, from the front, well lit"
    )


def _said(photo: Photo) -> str:
    return "standard input" if photo.name == "-" else photo.name


def _squared(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2

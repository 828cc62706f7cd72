"""Look at an installation: each check says what it saw, and what to do where something is wrong.

Nothing is mended here and nothing is fetched. The known-answer test runs the embedder on a drawn input whose template
is written in the manifest: a swapped colour order, another alignment or a provider that computes something else would
fail it.
"""

from __future__ import annotations

import platform
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import TYPE_CHECKING

from facecli.errors import DeviceError, ExitStatus, FacecliError, GalleryError, ModelError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facecli.engine import Engine

LIBRARIES = ("onnxruntime", "cv2", "faiss", "numpy", "click", "rich", "onnx", "filelock", "platformdirs", "requests")
"""Modules that facecli imports."""

RIVALS = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    "cv2": (
        *("opencv-python", "opencv-python-headless"),
        *("opencv-contrib-python", "opencv-contrib-python-headless"),
    ),
    "faiss": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
}
"""Distributions that install the same module: of two, the one installed last has overwritten the other's files."""

FIXED_SQLITE = (3, 51, 3)
"""Older ones can corrupt a write-ahead log under concurrent checkpoints; facecli's file lock prevents that."""


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing is broken."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes
    ----------
    name, health, detail
        What, how it is, and what was seen.
    remedy
        What to do; empty where nothing is to be done.
    status
        The exit status that a failure stands for.
    """

    name: str
    health: Health
    detail: str
    remedy: str = ""
    status: ExitStatus = ExitStatus.ACCEPTED


def examine(engine: Engine) -> Iterator[Check]:
    """Look at everything, one check after the other; a failure stops none of the others."""
    yield _versions()
    yield from _libraries()
    yield _sqlite()
    for name in (engine.settings.detector, engine.settings.model):
        yield _guarded(f"model {name}", ModelError, lambda name=name: _model(engine, name))  # type: ignore[misc]
    yield _guarded("device", DeviceError, lambda: _device(engine))
    yield _guarded("known answer", ModelError, lambda: _known_answer(engine))
    yield _guarded("gallery", GalleryError, lambda: _gallery(engine))
    yield _place(engine)


def _guarded(name: str, kind: type[FacecliError], look: Callable[[], Check]) -> Check:
    """Run one check; what it raises is what it found."""
    try:
        return look()
    except FacecliError as error:
        status = error.status if isinstance(error, (kind, ModelError, DeviceError, OutputError)) else kind.status
        return Check(name, Health.FAIL, error.message, error.hint, status)


def _versions() -> Check:
    """Name the program, the interpreter and the machine."""
    python = f"Python {platform.python_version()}"
    return Check("facecli", Health.OK, f"{metadata.version('facecli')}, {python}, {platform.platform()}")


def _libraries() -> Iterator[Check]:
    """Name each library's distribution and version; two that own one module are a failure."""
    for module in LIBRARIES:
        owners = [found for name in RIVALS.get(module, (module,)) if (found := _installed(name)) is not None]
        if len(owners) == 1:
            yield Check(module, Health.OK, owners[0])
        elif not owners:
            yield Check(module, Health.FAIL, "not installed", "pip install --upgrade facecli", ExitStatus.USAGE)
        else:
            names = " and ".join(owners)
            yield Check(
                module,
                Health.FAIL,
                f"{names} are both installed and overwrite each other's files",
                f"pip uninstall {' '.join(o.split()[0] for o in owners)}, then pip install --force-reinstall facecli",
                ExitStatus.USAGE,
            )


def _installed(distribution: str) -> str | None:
    """Return name and version of an installed distribution."""
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return None


def _sqlite() -> Check:
    """Name the SQLite library; an old one is a note."""
    if sqlite3.sqlite_version_info >= FIXED_SQLITE:
        return Check("sqlite", Health.OK, sqlite3.sqlite_version)
    return Check("sqlite", Health.NOTE, f"{sqlite3.sqlite_version}: checkpoints rely on facecli's file lock")


def _model(engine: Engine, name: str) -> Check:
    """Read every byte of a model's files."""
    model = engine.registry.model(name)
    state = engine.registry.check(model)
    if state == "ready":
        files = " and ".join(member.file.sha256[:12] for member in model.members)
        told = f"{files}, {model.licence.name}"
        return Check(f"model {name}", Health.OK, told)
    detail = {"absent": "not on this machine", "source": "fetched, not yet converted"}.get(state, "altered")
    health = Health.NOTE if state == "source" else Health.FAIL
    return Check(f"model {name}", health, detail, f"facecli models fetch {name}", ExitStatus.MODEL)


def _device(engine: Engine) -> Check:
    """Run the detector and see where it really ran."""
    from facecli.runtime import available_devices

    detector = engine.registry.manifest(engine.settings.detector)
    session = engine.session(detector)
    others = ", ".join(
        f"{report.device}: {'works' if report.usable else report.detail}"
        for report in available_devices(engine.registry.converted(detector.name))
    )
    detail = f"{engine.settings.device} is {session.device} ({others})"
    if session.fell_back:
        return Check("device", Health.NOTE, f"{detail}; {session.fell_back}")
    return Check("device", Health.OK, detail)


def _known_answer(engine: Engine) -> Check:
    """Compare the embedder's answer with the one in its manifest."""
    from facecli.known_answer import check

    known = engine.manifest.known_answer
    if known is None:
        return Check("known answer", Health.NOTE, f"none is known for {engine.settings.model}")
    deviation = check(engine.pipeline.embedder, known)
    detail = f"{engine.settings.model} on {engine.pipeline.embedder.device}: off by {deviation:.1e}"
    if deviation <= known.tolerance:
        return Check("known answer", Health.OK, detail)
    return Check(
        "known answer",
        Health.FAIL,
        f"{detail}, allowed {known.tolerance:.1e}",
        f"fetch the model again: facecli models fetch {engine.settings.model}; try --device cpu",
        ExitStatus.MODEL,
    )


def _gallery(engine: Engine) -> Check:
    """Open the gallery, if there is one, and read it."""
    where = engine.settings.gallery
    if not where.exists():
        return Check("gallery", Health.NOTE, f"none at {where} yet", "facecli enroll NAME PHOTO")
    with engine.gallery() as gallery:
        people, templates = gallery.count()
    return Check(
        "gallery", Health.OK, f"{where}: {people:,} people, {templates:,} templates of {engine.settings.model}"
    )


def _place(engine: Engine) -> Check:
    """Say which file system the gallery lies on; on one that other machines write to, it is not written."""
    from facecli.gallery.place import NETWORK, file_system

    kind = file_system(engine.settings.gallery)
    if kind in NETWORK:
        detail = f"{kind}, a network file system: a gallery there is read, and not written"
        return Check("gallery's disk", Health.FAIL, detail, "keep the gallery on a local disk", ExitStatus.CANT_WRITE)
    return Check("gallery's disk", Health.OK, kind or "its kind can't be told")

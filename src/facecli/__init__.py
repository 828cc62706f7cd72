"""Face verification and identification.

::

    from facecli import Engine, Settings

    engine = Engine(Settings(device="cpu"))
    if engine.verify("probe.jpg", "passport.jpg"):
        ...

Everything below is loaded when it is first asked for: ``import facecli`` itself imports no library. See docs/python.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facecli.config import Settings
    from facecli.engine import Engine
    from facecli.enrolment import Enrolment
    from facecli.errors import ExitStatus, FacecliError
    from facecli.gallery import Candidate, Gallery
    from facecli.match import score
    from facecli.recognition import Decision, Identification
    from facecli.thresholds import OperatingPoint
    from facecli.types import Face, FacePolicy, Quality, Sample

__all__ = [
    "Candidate",
    "Decision",
    "Engine",
    "Enrolment",
    "ExitStatus",
    "Face",
    "FacePolicy",
    "FacecliError",
    "Gallery",
    "Identification",
    "OperatingPoint",
    "Quality",
    "Sample",
    "Settings",
    "score",
]

_HOMES = {
    "Candidate": "gallery",
    "Decision": "recognition",
    "Engine": "engine",
    "Enrolment": "enrolment",
    "ExitStatus": "errors",
    "Face": "types",
    "FacePolicy": "types",
    "FacecliError": "errors",
    "Gallery": "gallery",
    "Identification": "recognition",
    "OperatingPoint": "thresholds",
    "Quality": "types",
    "Sample": "types",
    "Settings": "config",
    "score": "match",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"facecli.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public, loaded or not."""
    return sorted({*globals(), *__all__})

"""Fixtures for all tests: measurement photographs, and the real networks where this machine has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from facecli.detect import YuNet
    from facecli.embed import OnnxEmbedder

ROOT = Path(__file__).parent.parent
# Taken out of the environment at once: what facecli itself sees under its prefix must be a setting.
SHARED = Path(os.environ.pop("FACECLI_SHARED", "") or ROOT.parent / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of measurement data: FACECLI_SHARED, or ``shared`` beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no measurement data in {SHARED}")
    return SHARED / "data"


@pytest.fixture(scope="session")
def yunet(weights_cache: Path) -> YuNet:
    """Return the real detector, on the CPU."""
    from facecli.detect import YuNet
    from facecli.runtime import RuntimeOptions, open_session

    registry = _registry(weights_cache)
    session = open_session(registry.converted("yunet"), RuntimeOptions(device="cpu", threads=1))
    return YuNet(session, registry.manifest("yunet").input)


@pytest.fixture(scope="session")
def sface(weights_cache: Path) -> OnnxEmbedder:
    """Return the real default embedder, on the CPU."""
    from facecli.embed import OnnxEmbedder
    from facecli.runtime import RuntimeOptions, open_session

    registry = _registry(weights_cache)
    session = open_session(registry.converted("sface"), RuntimeOptions(device="cpu", threads=1))
    return OnnxEmbedder(session, registry.manifest("sface"))


def _registry(cache: Path):
    from facecli.config import Settings
    from facecli.engine import Engine

    return Engine(Settings(cache=cache)).registry

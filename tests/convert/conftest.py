"""Published weights, where this machine has them: in the folder FACECLI_WEIGHTS, or fetched by facecli before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs
import pytest

PUBLISHED = {
    "yunet": (
        "face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    ),
    "sface": (
        "face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
    "dlib": (
        "dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    ),
}


def published(model: str) -> Path:
    """Return the file as it was published, or skip."""
    name, sha256 = PUBLISHED[model]
    folders = [os.environ.get("FACECLI_WEIGHTS", ""), platformdirs.user_cache_dir("facecli")]
    for folder in filter(None, folders):
        for path in sorted(Path(folder).rglob(f"*{name}")):
            if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return path
    pytest.skip(f"{name} is not on this machine")


@pytest.fixture(scope="session")
def yunet_file() -> Path:
    return published("yunet")


@pytest.fixture(scope="session")
def sface_file() -> Path:
    return published("sface")


@pytest.fixture(scope="session")
def dlib_file() -> Path:
    return published("dlib")

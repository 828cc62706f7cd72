"""OpenCV is loaded in one place, limited and silent; where it can't be, the package that mends it is named."""

import builtins
import os
import re
from pathlib import Path

import pytest

from facecli import opencv
from facecli.errors import SetupError

SOURCE = Path(opencv.__file__).parent


def test_no_other_module_imports_opencv():
    found = [p.name for p in SOURCE.rglob("*.py") if re.search(r"^\s*(import|from) cv2", p.read_text(), re.MULTILINE)]
    assert found == ["opencv.py"]


@pytest.mark.parametrize(
    ("missing", "package"), [("libGL.so.1", "libgl1"), ("libgthread-2.0.so.0", "libglib2.0-0"), ("", "opencv-python")]
)
def test_a_missing_library_is_named_with_its_package(monkeypatch, missing, package):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError(f"{missing}: cannot open shared object file: No such file or directory")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SetupError) as caught:
        opencv.load_cv2.__wrapped__()
    assert package in caught.value.hint


def test_the_limit_is_in_place_before_opencv_is_loaded():
    opencv.load_cv2()
    assert int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]) <= 1 << 28

"""The one place where OpenCV is loaded, so that it is loaded with its limits on and its voice off.

OpenCV reads its pixel limit from the environment once, when it is first imported; a limit set later does nothing, and
an 854 KB PNG of 30,000 x 30,000 pixels then takes 5.2 GB. So every module of facecli says ``load_cv2()`` inside the
function that needs it, and none says ``import cv2``.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING

from facecli.errors import SetupError

if TYPE_CHECKING:
    from types import ModuleType

PIXEL_CEILING = 1 << 28
"""What OpenCV itself refuses to decode (268 million pixels): the net below :class:`facecli.image.ImageLimits`."""

_SETTINGS = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(PIXEL_CEILING),
    "OPENCV_IO_MAX_IMAGE_WIDTH": "65536",
    "OPENCV_IO_MAX_IMAGE_HEIGHT": "65536",
    "OPENCV_LOG_LEVEL": "SILENT",
}
_HINTS = {
    "libGL": "install it (Debian, Ubuntu: apt install libgl1; Fedora: dnf install mesa-libGL), "
    "or put opencv-python-headless in place of opencv-python",
    "libgthread": "install it (Debian, Ubuntu: apt install libglib2.0-0; Fedora: dnf install glib2), "
    "or put opencv-python-headless in place of opencv-python",
    "libglib": "install it (Debian, Ubuntu: apt install libglib2.0-0; Fedora: dnf install glib2), "
    "or put opencv-python-headless in place of opencv-python",
}


_importing = threading.Lock()


@cache
def load_cv2() -> ModuleType:
    """Import OpenCV with a pixel limit, without log output, on one thread; later calls return the same module.

    One thread, because facecli's pieces of work for OpenCV are small, and bulk work runs in threads of its own.

    Raises
    ------
    SetupError
        OpenCV or a library of the system that it needs is missing; the hint names the package.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with _importing:  # its own loader takes a second thread for a recursion
            import cv2
    except ImportError as error:
        raise SetupError(f"OpenCV can't be loaded: {error}", hint=_remedy(str(error))) from error
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _remedy(message: str) -> str:
    """Name the package that mends a failed import."""
    for library, hint in _HINTS.items():
        if library in message:
            return hint
    return "install it: pip install --force-reinstall opencv-python"

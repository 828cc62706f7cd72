"""Everything that can go wrong, with the exit status it ends in.

::

    FacecliError                  70  internal error (never raised itself)
    ├── UsageError                 2  the call or the configuration makes no sense
    │   ├── ConfigError            2  a setting is unknown, or its value is out of range
    │   ├── NotEnrolledError       2  the claimed person is not in the gallery
    │   ├── UnsupportedPointError  2  --strict, and no data supports the operating point asked for
    │   └── SetupError             2  a library is missing or broken on this machine
    ├── EnrolmentRefusedError      1  duplicate of another person, or not the person's own face
    ├── NoFaceError                3  no face found
    ├── SeveralFacesError          4  several faces where one is wanted
    ├── QualityError               5  the face is too poor to decide on
    ├── ImageError                 7  the photograph can't be read, is of no known format, or too large
    ├── ModelError                 8  a model is missing, altered, unlicensed, or not the gallery's
    │   ├── ModelMissingError      8
    │   ├── ModelIntegrityError    8
    │   ├── LicenceError           8
    │   └── ModelMismatchError     8
    ├── GalleryError               9  missing, locked, damaged
    ├── DeviceError               10  the device asked for can't be used
    └── OutputError               14  can't write: disk full, read-only, no permission

The tree knows nothing of the command line: it only carries, beside the message, a hint (what to do now) and a status.
A decision of "no" is not an error; it is a :class:`facecli.Decision`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """The contract with scripts: 0 is accepted or done, and nothing else is."""

    ACCEPTED = 0
    REFUSED = 1
    USAGE = 2
    NO_FACE = 3
    SEVERAL_FACES = 4
    LOW_QUALITY = 5
    PRESENTATION_ATTACK = 6
    UNREADABLE_INPUT = 7
    MODEL = 8
    GALLERY = 9
    DEVICE = 10
    SOME_FAILED = 11
    REVIEW = 12
    LOCKED_OUT = 13
    CANT_WRITE = 14
    INTERNAL = 70
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class FacecliError(Exception):
    """Base of all errors that facecli raises on purpose.

    Parameters
    ----------
    message
        One sentence: what failed, on which input.
    hint
        What to do now; empty where the message says it all.
    """

    status: ClassVar[ExitStatus] = ExitStatus.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FacecliError):
    """The call makes no sense as it stands."""

    status = ExitStatus.USAGE


class ConfigError(UsageError):
    """A setting is unknown, or its value is out of range."""


class NotEnrolledError(UsageError):
    """The claimed person is not in the gallery."""


class UnsupportedPointError(UsageError):
    """The data behind the thresholds can't support the operating point asked for, and the caller is strict."""


class SetupError(UsageError):
    """A library that facecli stands on is missing or broken on this machine."""


class EnrolmentRefusedError(FacecliError):
    """The face is another person's already, or does not match the person it is enrolled as."""

    status = ExitStatus.REFUSED


class NoFaceError(FacecliError):
    """No face was found."""

    status = ExitStatus.NO_FACE


class SeveralFacesError(FacecliError):
    """Several faces were found where exactly one is wanted."""

    status = ExitStatus.SEVERAL_FACES


class QualityError(FacecliError):
    """The face is too poor to decide on."""

    status = ExitStatus.LOW_QUALITY


class ImageError(FacecliError):
    """The photograph can't be read, is of an unknown format, or is too large."""

    status = ExitStatus.UNREADABLE_INPUT


class ModelError(FacecliError):
    """A model can't be used."""

    status = ExitStatus.MODEL


class ModelMissingError(ModelError):
    """The model's file is not on this machine, and may not or could not be fetched."""


class ModelIntegrityError(ModelError):
    """A file is not the one its manifest names: wrong sha256, unsafe contents, wrong interface."""


class LicenceError(ModelError):
    """The model's licence must be accepted first."""


class ModelMismatchError(ModelError):
    """The gallery was made with another model, conversion or preprocessing."""


class GalleryError(FacecliError):
    """The gallery is missing, locked or damaged."""

    status = ExitStatus.GALLERY


class DeviceError(FacecliError):
    """The device asked for can't be used."""

    status = ExitStatus.DEVICE


class OutputError(FacecliError):
    """Something can't be written: disk full, read-only, permission denied."""

    status = ExitStatus.CANT_WRITE

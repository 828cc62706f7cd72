"""The format in which templates travel between galleries: records, checked one by one, and their NDJSON.

docs/gallery-format.md tells it to other programs. A file comes from strangers: every line has a greatest length, every
value a type and a range, and whatever does not fit is an error that names the line. Nothing here touches a gallery.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from facecli import match
from facecli.errors import UsageError
from facecli.gallery.schema import StoredTemplate, vector_bytes
from facecli.names import person_name, visible
from facecli.types import ModelPin, Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SCHEMA = "facecli.gallery-export/1"

MAX_LINE_BYTES = 1 << 20
MAX_DIMENSION = 65536
MAX_TEXT_CHARACTERS = 4096
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUALITY = ("detection", "eye_distance_px", "cut", "sharpness")
_PIN = ("name", "source_sha256", "conversion", "preprocessing_sha256")
_RECORD = {"person", "subject", "person_enrolled_at", "source", "sha256", "quality", "enrolled_at", "vector"}

Fields: TypeAlias = "Mapping[str, object]"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Attributes
    ----------
    gallery
        The uuid of the gallery that it came from.
    pin
        The model that made every template.
    people, templates
        How many it holds.
    """

    gallery: str
    pin: ModelPin
    people: int
    templates: int


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One template and whose it is; the template has no id yet.

    Attributes
    ----------
    name
        As :func:`facecli.names.person_name` returns it.
    subject
        The person's uuid in the gallery that it came from.
    enrolled_at
        When the person was enrolled: UTC, ISO 8601.
    template
        Its vector is finite and of unit length.
    """

    name: str
    subject: str
    enrolled_at: str
    template: StoredTemplate


# --- NDJSON ----------------------------------------------------------------------------------------------------------


def write(stream: BinaryIO, header: Header, records: Iterable[Record]) -> None:
    """Write a header, a line for each template, and a trailer with the SHA-256 of all lines before it."""
    digest = hashlib.sha256()

    def line(fields: Fields) -> None:
        data = json.dumps(fields, allow_nan=False).encode() + b"\n"
        digest.update(data)
        stream.write(data)

    line(header_fields(header))
    count = 0
    for count, record in enumerate(records, start=1):  # noqa: B007 (counted, not used)
        line(_fields_of(record))
    trailer = {"end": True, "templates": count, "sha256": digest.hexdigest()}
    stream.write(json.dumps(trailer).encode() + b"\n")


def read(stream: BinaryIO, name: str) -> tuple[Header, Iterator[Record]]:
    """Read a file, one line at a time; the iterator raises where the file ends too early or its SHA-256 is wrong.

    Parameters
    ----------
    stream
        At its start.
    name
        What the user calls the file.

    Raises
    ------
    UsageError
        A line is no line of this format; the message names it.
    """
    digest = hashlib.sha256()
    line = _line(stream, name, 1)
    digest.update(line)
    with _naming(name, 1):
        header = header_of(_object(line))
    return header, _records(stream, name, header, digest)


def _records(stream: BinaryIO, name: str, header: Header, digest: hashlib._Hash) -> Iterator[Record]:
    """Read the lines after the first."""
    number, count = 1, 0
    while True:
        number += 1
        line = _line(stream, name, number)
        with _naming(name, number):
            fields = _object(line)
            if "end" in fields:
                _check_trailer(fields, count, header, digest)
                if stream.read(1):
                    raise ValueError("something follows the trailer")
                return
            count += 1
            record = _record_of(fields, header.pin.dimension)
        digest.update(line)
        yield record


def _line(stream: BinaryIO, name: str, number: int) -> bytes:
    """Read one line of bounded length."""
    line = stream.readline(MAX_LINE_BYTES + 1)
    if len(line) > MAX_LINE_BYTES:
        raise _unfit(name, number, f"it is longer than {MAX_LINE_BYTES:,} bytes")
    if not line.endswith(b"\n"):
        raise _unfit(
            name, number, "the file ends here, and should not" if number > 1 else "it is no export of a gallery"
        )
    return line


def _object(line: bytes) -> Fields:
    """Parse one line: a JSON object, without NaN."""
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 (one kind of error for all that is unfit)
    return cast("Fields", value)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_trailer(fields: Fields, count: int, header: Header, digest: hashlib._Hash) -> None:
    """See that all lines came, as they were written."""
    if not count == header.templates == fields.get("templates"):
        raise ValueError(f"the file has {count:,} templates, and says {header.templates:,}")
    if fields.get("sha256") != digest.hexdigest():
        raise ValueError("the file's SHA-256 is not what its trailer says: it was altered")


class _naming:  # noqa: N801 (a context manager, read like a function)
    """Turn what is wrong with a line into one sentence that names file and line."""

    def __init__(self, name: str, number: int) -> None:
        self._name, self._number = name, number

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (ValueError, UsageError)):
            raise _unfit(self._name, self._number, visible(str(error))) from error


def _unfit(name: str, number: int, why: str) -> UsageError:
    hint = "a file is made by: facecli gallery export"
    return UsageError(f"{visible(name)}, line {number}: {why}", hint=hint)


# --- values ----------------------------------------------------------------------------------------------------------


def header_fields(header: Header) -> dict[str, object]:
    """Return a header as JSON."""
    pin = header.pin
    model = {**{key: getattr(pin, key) for key in _PIN}, "dimension": pin.dimension}
    counts = {"people": header.people, "templates": header.templates}
    return {"schema": SCHEMA, "gallery": header.gallery, "model": model, **counts}


def header_of(fields: Fields) -> Header:
    """Read a header.

    Raises
    ------
    ValueError
        It is none, or of another version.
    """
    if fields.get("schema") != SCHEMA:
        raise ValueError(f'it is no export of a gallery (its schema is not "{SCHEMA}")')
    model = fields.get("model")
    if not isinstance(model, dict):
        raise ValueError("model must be an object")  # noqa: TRY004
    dimension = whole(model, "dimension", most=MAX_DIMENSION)
    if dimension < 1:
        raise ValueError("a template has at least one value")
    name, source, conversion, preprocessing = (text(model, key) for key in _PIN)
    pin = ModelPin(name, source, conversion, preprocessing, dimension)
    gallery = text(fields, "gallery")
    return Header(gallery, pin, whole(fields, "people"), whole(fields, "templates"))


def _fields_of(record: Record) -> dict[str, object]:
    """Return a record as JSON; the vector bit for bit."""
    template = record.template
    return {
        "person": record.name,
        "subject": record.subject,
        "person_enrolled_at": record.enrolled_at,
        "source": template.source,
        "sha256": template.source_sha256,
        "quality": {key: getattr(template.quality, key) for key in _QUALITY},
        "enrolled_at": template.enrolled_at,
        "vector": base64.b64encode(vector_bytes(template.vector)).decode(),
    }


def _record_of(fields: Fields, dimension: int) -> Record:
    """Read a line of a template."""
    import numpy as np

    if set(fields) != _RECORD:
        odd = sorted(set(fields) ^ _RECORD)
        raise ValueError(f"{odd[0][:40]} is {'missing' if odd[0] in _RECORD else 'no field of a template'}")
    quality = fields["quality"]
    if not isinstance(quality, dict):
        raise ValueError("quality must be an object")  # noqa: TRY004
    try:
        data = base64.b64decode(text(fields, "vector", most=MAX_LINE_BYTES), validate=True)
    except binascii.Error as error:
        raise ValueError("vector is no base64") from error
    if len(data) != 4 * dimension:
        raise ValueError(f"vector must have {dimension} values of 4 bytes, not {len(data)} bytes")
    return record(
        {**fields, "vector": np.frombuffer(data, "<f4"), "quality": [real(quality, key) for key in _QUALITY]}, dimension
    )


def record(fields: Fields, dimension: int) -> Record:
    """Check the values of a template, whatever kind of file they came from.

    Parameters
    ----------
    fields
        As in a line of NDJSON, but ``vector`` an array, and ``quality`` a list of four numbers.
    dimension
        Of the model.

    Raises
    ------
    ValueError, UsageError
        A value is of the wrong type, or out of range.
    """
    import numpy as np

    vector = fields["vector"]
    if not isinstance(vector, np.ndarray):
        raise ValueError("vector must be an array")  # noqa: TRY004
    match.checked(vector[None], dimension)
    measured = cast("list[float]", fields["quality"])
    source, sha256 = visible(text(fields, "source")), visible(text(fields, "sha256"))
    template = StoredTemplate(0, vector, source, sha256, Quality(*measured), timestamp(fields, "enrolled_at"))
    subject = text(fields, "subject")
    if not _UUID.fullmatch(subject):
        raise ValueError("subject must be a uuid")
    name = person_name(text(fields, "person"))
    return Record(name, subject, timestamp(fields, "person_enrolled_at"), template)


def text(fields: Fields, key: str, *, most: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text that can be stored."""
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{key} must be text of at most {most:,} characters")
    return value


def whole(fields: Fields, key: str, *, most: int = 1 << 53) -> int:
    """Return a count."""
    value = fields.get(key)
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{key} must be a whole number")
    return value


def real(fields: Fields, key: str) -> float:
    """Return a finite number."""
    value = fields.get(key)
    if type(value) not in (int, float) or not abs(cast("float", value)) <= sys.float_info.max:
        raise ValueError(f"{key} must be a finite number")
    return float(cast("float", value)) + 0.0  # SQLite knows no -0.0


def timestamp(fields: Fields, key: str) -> str:
    """Return a time as the gallery writes it."""
    value = text(fields, key)
    if not _TIME.fullmatch(value):
        raise ValueError(f"{key} must be a time such as 2026-11-24T09:30:00Z")
    return value

"""Templates as numpy arrays in one ``.npz`` file, for those who work with vectors rather than with lines.

The same facts as in :mod:`facecli.gallery.records`, column by column; docs/gallery-format.md lists them. It is read
without numpy's own ``load``: no pickle, nothing compressed (so that no small file becomes a large one), and no array
that claims to be larger than the bytes that are there.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, BinaryIO, cast

from facecli.errors import UsageError
from facecli.gallery.records import Header, Record, header_fields, header_of, record
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.generic]]

_TEXTS = ("person", "subject", "person_enrolled_at", "source", "sha256", "enrolled_at")
COLUMNS = (*_TEXTS, "quality", "vector")
_KINDS = {**dict.fromkeys(_TEXTS, "U"), "quality": "f", "vector": "f"}


def write(stream: BinaryIO, header: Header, records: Iterable[Record]) -> None:
    """Write all templates at once; they must fit into memory."""
    import numpy as np

    held = list(records)
    templates = [one.template for one in held]
    texts = {
        "person": [one.name for one in held],
        "subject": [one.subject for one in held],
        "person_enrolled_at": [one.enrolled_at for one in held],
        "source": [template.source for template in templates],
        "sha256": [template.source_sha256 for template in templates],
        "enrolled_at": [template.enrolled_at for template in templates],
    }
    columns: Columns = {name: np.array(values, dtype=np.str_) for name, values in texts.items()}
    qualities = [(q.detection, q.eye_distance_px, q.cut, q.sharpness) for q in (t.quality for t in templates)]
    columns["quality"] = np.array(qualities, "<f8").reshape(-1, 4)
    columns["vector"] = np.array([t.vector for t in templates], "<f4").reshape(-1, header.pin.dimension)
    told = {**header_fields(header), "sha256": _digest(columns)}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {**columns, "header": np.array(json.dumps(told))}.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", data.getvalue())


def read(stream: BinaryIO, name: str) -> tuple[Header, Iterator[Record]]:
    """Read a file whole; every value is checked as the iterator comes to it.

    Raises
    ------
    UsageError
        It is no such file; the message says why.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            columns = {column: _array(archive, column) for column in (*COLUMNS, "header")}
        header = _header(columns)
    except (ValueError, RecursionError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _unfit(name, visible(str(error))) from error
    except zipfile.BadZipFile as error:
        raise _unfit(name, "it is damaged") from error
    return header, _records(columns, header, name)


def _header(columns: Columns) -> Header:
    """Read the header, and hold the columns against it."""
    import numpy as np

    told = json.loads(str(columns.pop("header")))
    header = header_of(told if isinstance(told, dict) else {})
    _check_shapes(columns, header)
    if told.get("sha256") != _digest(columns):
        raise ValueError("its SHA-256 is not what its header says: it was altered")
    if not np.isfinite(cast("NDArray[np.float64]", columns["quality"])).all():
        raise ValueError("a measure of quality is not finite")
    return header


def _records(columns: Columns, header: Header, name: str) -> Iterator[Record]:
    """Check one template after the other."""
    for number in range(header.templates):
        fields: dict[str, object] = {column: str(columns[column][number]) for column in _TEXTS}
        quality = [float(value) + 0.0 for value in cast("NDArray[np.float64]", columns["quality"])[number]]
        try:
            checked = record({**fields, "quality": quality, "vector": columns["vector"][number]}, header.pin.dimension)
        except (ValueError, UsageError) as error:
            raise _unfit(name, f"template {number + 1}: {visible(str(error))}") from error
        yield checked


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """Read one array, which must be exactly as large as it says."""
    import numpy as np

    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, and an export is not")
    data = archive.read(entry)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    reading = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in reading:
        raise ValueError(f"its array {name} is of a format that is not known")
    shape, fortran, dtype = reading[version](stream)
    wanted = _KINDS.get(name, "U")
    if dtype.kind != wanted or dtype.byteorder == ">" or (fortran and len(shape) > 1):
        raise ValueError(f"its array {name} is of the wrong type")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"its array {name} is not as large as it says")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape)


def _check_shapes(columns: Columns, header: Header) -> None:
    """See that every array has a row for each template."""
    import numpy as np

    shapes = {**dict.fromkeys(_TEXTS, (header.templates,)), "quality": (header.templates, 4)}
    shapes["vector"] = (header.templates, header.pin.dimension)
    for name, shape in shapes.items():
        if columns[name].shape != shape:
            raise ValueError(f"its array {name} has the shape {columns[name].shape}, and should have {shape}")
    if columns["vector"].dtype != np.dtype("<f4") or columns["quality"].dtype != np.dtype("<f8"):
        raise ValueError("its vectors must be float32, and its quality float64")


def _digest(columns: Columns) -> str:
    """SHA-256 over the arrays' bytes, in the order of :data:`COLUMNS`."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        digest.update(columns[name].tobytes())
    return digest.hexdigest()


def _unfit(name: str, why: str) -> UsageError:
    return UsageError(f"{visible(name)}: {why}", hint="a file is made by: facecli gallery export")

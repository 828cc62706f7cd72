"""Every photograph against every other, written block by block for other tools.

CSV and NDJSON hold each pair once, with the columns that ``facecli evaluate scores`` reads; npz holds the whole
symmetric matrix. A score is the same as ``verify`` gives, to the ten decimals that are written (npz: to float32).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.metrics.pairs import blocks
from facecli.names import inert, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

    from facecli.evaluate.embedding import Templates
    from facecli.evaluate.protocols import Image

    Step = Callable[[int], None]

DECIMALS = 10
CELLS = 1_000_000
"""Scores of one block."""


class MatrixFormat(StrEnum):
    """How a matrix is written, by the file's ending."""

    CSV = "csv"
    NDJSON = "ndjson"
    NPZ = "npz"


def format_of(path: Path) -> MatrixFormat:
    """Return the format that a file's ending asks for.

    Raises
    ------
    UsageError
        It asks for none.
    """
    try:
        return MatrixFormat(path.suffix.removeprefix("."))
    except ValueError as error:
        known = ", ".join(f".{one}" for one in MatrixFormat)
        raise UsageError(f"the ending of {visible(str(path))} says no format", hint=f"use one of {known}") from error


def scored_pairs(templates: Templates, *, step: Step | None = None) -> Iterator[tuple[Image, Image, float]]:
    """Yield every pair of photographs that gave a template, once, with its score.

    Parameters
    ----------
    templates
        Of the photographs.
    step
        Told how many photographs have been compared with all later ones.
    """
    import numpy as np

    images = acquired(templates)
    for block in blocks(templates.vectors.astype(np.float64), cells=CELLS):
        scores = np.clip(block.scores, -1, 1).round(DECIMALS)
        for number, row in enumerate(scores.tolist()):
            first = images[block.top + number]
            for later, score in zip(images[block.top + number + 1 :], row[number + 1 :], strict=True):
                yield first, later, score
        if step is not None:
            step(block.top + len(scores))


def acquired(templates: Templates) -> list[Image]:
    """Return the photographs that gave a template, in the order of the templates."""
    return [image for image, row in zip(templates.images, templates.row, strict=True) if row >= 0]


def write_matrix(stream: BinaryIO, templates: Templates, kind: MatrixFormat, *, step: Step | None = None) -> None:
    """Write the scores of all pairs.

    Parameters
    ----------
    stream
        Where to.
    templates
        Of the photographs.
    kind
        CSV and NDJSON: first, second, score, and where people are named first_person, second_person and mated. npz: the
        arrays scores (n, n) float32, images (n,) and people (n,).
    step
        Told how many photographs have been compared.
    """
    if kind is MatrixFormat.NPZ:
        _write_npz(stream, templates, step)
        return
    named = any(image.person for image in templates.images)
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
    lines = csv.writer(text, lineterminator="\n")
    if kind is MatrixFormat.CSV:
        lines.writerow(_heading(named=named))
    for first, second, score in scored_pairs(templates, step=step):
        cells = (first.source, second.source, score, *(_owners(first, second) if named else ()))
        if kind is MatrixFormat.CSV:
            lines.writerow([inert(cell) if isinstance(cell, str) else cell for cell in cells])
        else:
            text.write(json.dumps(dict(zip(_heading(named=named), cells, strict=True))) + "\n")
    text.detach()  # written out, and the stream left open for its owner


def _heading(*, named: bool) -> tuple[str, ...]:
    return ("first", "second", "score", *(("first_person", "second_person", "mated") if named else ()))


def _owners(first: Image, second: Image) -> tuple[str, str, int]:
    return first.person, second.person, int(first.person == second.person)


def _write_npz(stream: BinaryIO, templates: Templates, step: Step | None) -> None:
    """Write the arrays; the matrix goes row by row into the archive, and never lies in memory."""
    import numpy as np

    images = acquired(templates)
    vectors, count = templates.vectors.astype(np.float64), len(images)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, texts in (("images", [i.source for i in images]), ("people", [i.person for i in images])):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(texts, np.str_), allow_pickle=False)
        with archive.open("scores.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, count)}
            np.lib.format.write_array_header_2_0(member, header)
            rows = max(1, CELLS // max(count, 1))
            for top in range(0, count, rows):
                member.write(_as_bytes(vectors[top : top + rows] @ vectors.T))
                if step is not None:
                    step(min(top + rows, count))


def _as_bytes(scores: NDArray[np.float64]) -> bytes:
    """Return rows of the matrix as they lie in the file."""
    import numpy as np

    return np.clip(scores, -1, 1).astype("<f4").tobytes()

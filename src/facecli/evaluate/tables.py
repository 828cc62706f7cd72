"""Tables that people bring: read row by row, and whatever is wrong with one is a sentence that names the place."""

from __future__ import annotations

import csv
import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

WORDS = {
    **dict.fromkeys(("1", "true", "yes", "same", "mated", "genuine"), True),
    **dict.fromkeys(("0", "false", "no", "different", "non-mated", "impostor"), False),
}
"""How tables say whether two photographs show one person."""


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file; what can't be read is a sentence."""
    try:
        if not path.is_file():
            raise UsageError(f"{called(path)} is no file")  # a FIFO would never come to an end
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield stream
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UsageError(f"can't read {called(path)}: {error}") from error


def table_rows(path: Path, needed: set[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file (tab-separated where it ends in .tsv) that has these columns."""
    with opened(path) as stream:
        rows = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
        missing = needed - set(rows.fieldnames or ())
        if missing:
            raise UsageError(f"{called(path)} lacks in its first line: {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise UsageError(f"{called(path)}, row {number}: it has not as many cells as the first line")
            yield row


def as_bool(text: str, where: str) -> bool:
    """Read whether two samples are one person's."""
    try:
        return WORDS[text.strip().lower()]
    except KeyError:
        raise UsageError(f"{where}: {visible(text)!r} is neither yes nor no", hint="write 1 or 0") from None


def as_int(text: str, where: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{where}: {visible(text)!r} is no whole number") from error


def as_float(value: object, where: str) -> float:
    """Read a finite score."""
    try:
        number = float(str(value))
    except ValueError as error:
        raise UsageError(f"{where}: {visible(str(value))!r} is no score") from error
    if not math.isfinite(number):
        raise UsageError(f"{where}: a score is not finite")
    return number


def called(path: Path) -> str:
    """Return a file's name as a message may show it."""
    return visible(str(path))


def json_rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Yield one JSON object a line."""
    with opened(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{called(path)}, line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise UsageError(f"{called(path)}, line {number}: one JSON object a line is wanted")
            yield row

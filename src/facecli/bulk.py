"""Bulk enrolment: thousands of photographs, each of which may fail without stopping the others.

Photographs are worked on side by side, a bounded number ahead of the gallery, so memory stays flat. Each person is one
transaction: after Ctrl-C all that was reported is in the gallery, and a second run leaves out what is there already
without decoding it again.
"""

from __future__ import annotations

import csv
import os
import stat
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from facecli.enrolment import enrol_what_fits
from facecli.errors import FacecliError, UsageError
from facecli.files import sha256_of
from facecli.names import person_name, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from facecli.engine import Engine
    from facecli.enrolment import EnrolmentRules, Suspect
    from facecli.gallery import Gallery
    from facecli.types import Sample

AHEAD = 32
"""Photographs in work per worker before the gallery must take some."""


@dataclass(frozen=True, slots=True)
class Item:
    """One photograph to enrol, and as whom."""

    name: str
    photo: str


@dataclass(slots=True)
class BulkReport:
    """What a bulk run did.

    Attributes
    ----------
    people
        How many people got at least one template.
    added, known
        Templates added; photographs that their people had already.
    refused
        (name, photo, error) of each photograph that was not enrolled.
    suspects
        (name, suspect) of each face enrolled that looks like another person's.
    """

    people: int = 0
    added: int = 0
    known: int = 0
    refused: list[tuple[str, str, FacecliError]] = field(default_factory=list)
    suspects: list[tuple[str, Suspect]] = field(default_factory=list)

    @property
    def photographs(self) -> int:
        """How many have been dealt with."""
        return self.added + self.known + len(self.refused)


def items_in(source: Path) -> list[Item]:
    """List the photographs of a folder with one sub-folder a person, or of a CSV file with columns name and image.

    Hidden files are left out; a CSV's relative paths start at its own folder. People come together and in order.

    Raises
    ------
    UsageError
        Neither, nothing in it, or the CSV lacks a column.
    """
    try:
        items = _in_folder(source) if source.is_dir() else _in_csv(source)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {visible(str(source))}: {error}") from error
    if not items:
        raise UsageError(
            f"{visible(str(source))} holds no photographs to enrol",
            hint="give a folder with one sub-folder a person, or a CSV file with the columns name,image",
        )
    return sorted(items, key=lambda item: item.name)


def _in_folder(folder: Path) -> list[Item]:
    """List ``folder/PERSON/PHOTO``."""
    return [
        Item(person.name, str(photo))
        for person in sorted(folder.iterdir())
        if person.is_dir() and not person.name.startswith(".")
        for photo in sorted(person.iterdir())
        if not photo.name.startswith(".")
    ]


def _in_csv(path: Path) -> list[Item]:
    """List the rows of a CSV file with a heading."""
    with _opened(path) as stream:
        rows = csv.DictReader(stream)
        if not {"name", "image"} <= set(rows.fieldnames or ()):
            raise UsageError(f"{visible(str(path))} needs the columns name and image in its first line")
        return [Item(row["name"] or "", str(path.parent / (row["image"] or ""))) for row in rows]


def _opened(path: Path) -> TextIO:
    """Open a regular file or the shell's ``<(...)``; nothing that never ends, and no waiting for a writer."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(handle).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        os.close(handle)
        raise UsageError(f"{visible(str(path))} is neither a folder nor a CSV file")
    if stat.S_ISFIFO(mode):
        os.set_blocking(handle, True)
    return open(handle, newline="", encoding="utf-8-sig")  # noqa: PTH123 (the caller closes it)


def enrol_many(
    engine: Engine, items: Iterable[Item], rules: EnrolmentRules, *, step: Callable[[BulkReport], None] | None = None
) -> BulkReport:
    """Enrol every photograph that can be enrolled.

    Parameters
    ----------
    engine
        Models and gallery.
    items
        Photographs, those of one person one after the other.
    rules
        What each must satisfy.
    step
        Called after each person with the report so far.

    Raises
    ------
    GalleryError, OutputError, ModelError, DeviceError
        What concerns the whole run stops it; what was reported so far is in the gallery.
    """
    report = BulkReport()
    with engine.gallery(writable=True) as gallery:
        for name, samples in _by_person(_made_ready(engine, gallery, items, report), report):
            _enrol_one(gallery, name, samples, rules, report)
            if step is not None:
                step(report)
    return report


def _enrol_one(gallery: Gallery, name: str, samples: list[Sample], rules: EnrolmentRules, report: BulkReport) -> None:
    """Commit one person, and note what was refused."""
    done = enrol_what_fits(gallery, name, samples, rules)
    report.people += bool(done.added)
    report.added += done.added
    report.known += done.known
    report.refused.extend((name, photo, error) for photo, error in done.refused)
    report.suspects.extend((name, suspect) for suspect in done.suspects)


def _made_ready(
    engine: Engine, gallery: Gallery, items: Iterable[Item], report: BulkReport
) -> Iterator[tuple[Item, Future[Sample | None]]]:
    """Start work on photographs ahead of the reader, and yield them in order; None is one that was enrolled before."""
    known = gallery.sources()
    workers = os.cpu_count() or 1
    pipeline = engine.pipeline

    def work(name: str, photo: str) -> Sample | None:
        if known and _is_known(known, name, photo):
            return None
        return pipeline.sample(engine.read(photo), engine.settings.faces)

    pending: deque[tuple[Item, Future[Sample | None]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="facecli-bulk") as pool:
        try:
            for item in items:
                try:
                    name = person_name(item.name)
                except UsageError as error:
                    report.refused.append((item.name, item.photo, error))
                    continue
                pending.append((Item(name, item.photo), pool.submit(work, name, item.photo)))
                if len(pending) > AHEAD * workers:
                    yield pending.popleft()
            while pending:
                yield pending.popleft()
        finally:
            pool.shutdown(cancel_futures=True)


def _is_known(known: set[tuple[str, str]], name: str, photo: str) -> bool:
    """Say whether this person has a template of exactly this file."""
    path = Path(photo)
    try:
        return path.is_file() and (name, sha256_of(path)) in known  # a FIFO would never come to an end
    except (OSError, ValueError):
        return False


def _by_person(
    ready: Iterable[tuple[Item, Future[Sample | None]]], report: BulkReport
) -> Iterator[tuple[str, list[Sample]]]:
    """Gather each person's samples; a photograph that fails is noted and left out."""
    name = ""
    samples: list[Sample] = []
    for item, future in ready:
        if item.name != name and samples:
            yield name, samples
            samples = []
        name = item.name
        try:
            sample = future.result()
        except FacecliError as error:
            report.refused.append((item.name, item.photo, error))
            continue
        if sample is None:
            report.known += 1
        else:
            samples.append(sample)
    if samples:
        yield name, samples

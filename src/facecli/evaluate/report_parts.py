"""Parts that every page about photographs has: what it is about, its faces, its failures, and where it comes from.

A page with faces in it is biometric data: it says so at the top, is readable by its owner alone, and can be made
without them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from facecli.evaluate.page import Html, element, heading, joined, jpeg, paragraph, table, text
from facecli.evaluate.wording import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from facecli.evaluate.verification import Failure, Provenance, ScoredPair

    Crop = Callable[[str], bytes | None]
    """From a photograph's path to its aligned face as JPEG; None where there is none."""

FACES_NOTICE = (
    "This page holds photographs of faces. They are biometric data: keep it as carefully as the photographs themselves "
    "and send it to nobody who may not see them. With --no-faces it is made without."
)
NO_FACES_NOTICE = "Made without faces. Names of files and people are in it all the same."
_MOST_FAILURES = 100
_MOST_PAIRS = 12


def write_page(path: Path, page: str) -> None:
    """Write a page, readable by its owner alone.

    Raises
    ------
    OutputError
        The file can't be written.
    """
    from facecli.files import replacing

    with replacing(path) as stream:
        stream.write(page.encode("utf-8"))


def header(title: str, place: Provenance, crop: Crop | None) -> Html:
    """Say what was evaluated, and what kind of data the page is."""
    people = f"{place.people:,} people, " if place.people is not None else ""
    images = f"{place.images:,} photographs" if place.images else ""
    told = ", ".join(part for part in (f"{people}{images}", place.protocol, place.date) if part)
    notice = element("div", paragraph(FACES_NOTICE if crop else NO_FACES_NOTICE), kind="notice")
    return joined([heading(title, level=1), paragraph(told, kind="soft"), notice])


def own_names(places: Sequence[Provenance]) -> list[str]:
    """Give each system a name of its own: where two are alike, by the settings that differ, else by number."""
    names = [place.model for place in places]
    shared = set.intersection(*(set(place.settings) for place in places))
    told = []
    for place, name in zip(places, names, strict=True):
        own = [f"{key} {value}" for key, value in place.settings if (key, value) not in shared]
        told.append(f"{name} ({', '.join(own)})" if own and names.count(name) > 1 else name)
    return [f"{name} ({number})" if told.count(name) > 1 else name for number, name in enumerate(told, 1)]


def pair_grid(title: str, told: str, pairs: Sequence[ScoredPair], crop: Crop | None) -> Html:
    """Show comparisons with both faces side by side; empty where the photographs have no names."""
    if not any(pair.first or pair.second for pair in pairs):
        return Html("")
    items = Html("".join(_pair(pair, crop) for pair in pairs[:_MOST_PAIRS]))
    return joined([heading(title), paragraph(told, kind="soft"), element("ul", items, kind="pairs")])


def _pair(pair: ScoredPair, crop: Crop | None) -> Html:
    """Show one comparison."""
    sides = ((pair.first, pair.first_person), (pair.second, pair.second_person))
    faces = (
        element("div", Html("".join(_face(source, crop) for source, _ in sides if source)), kind="faces")
        if crop
        else ""
    )
    names = "".join(element("small", text(_named(source, person))) for source, person in sides)
    return element("li", Html(f"{faces}<b>{text(f'{pair.score:.4f}')}</b>{names}"))


def _face(source: str, crop: Crop | None) -> Html:
    """Return the aligned face of a photograph, or say that there is none."""
    content = crop(source) if crop and source else None
    return jpeg(content, told=source) if content else element("span", text("no face to show"))


def _named(source: str, person: str) -> str:
    """Name a photograph by its last two parts, which is what tells it from others."""
    if not source:
        return person
    short = "/".join(source.replace("\\", "/").split("/")[-2:])
    return short if not person or person in short else f"{person}: {short}"


def failure_table(failures: Sequence[Failure], *, suffix: str = "") -> Html:
    """List the photographs that gave no template; empty where there are none."""
    if not failures:
        return Html("")
    kinds = Counter(failure.kind for failure in failures)
    told = ", ".join(f"{count:,} {kind.removesuffix('Error')}" for kind, count in kinds.most_common())
    shown = failures[:_MOST_FAILURES]
    rest = len(failures) - len(shown)
    parts = [
        heading(f"Failures to acquire{suffix}"),
        paragraph(f"Photographs of which no template could be made: {told}.", kind="soft"),
        table(("Photograph", "What went wrong"), [[text(failure.source), text(failure.message)] for failure in shown]),
    ]
    return joined(parts + ([paragraph(f"And {rest:,} more.", kind="soft")] if rest else []))


def provenance_table(places: Sequence[Provenance]) -> Html:
    """Say where the figures come from, one column for each system."""
    rows: list[tuple[str, list[Html]]] = [
        ("Data", [text(place.data) for place in places]),
        ("Protocol", [text(place.protocol) for place in places]),
        ("Date", [text(place.date) for place in places]),
    ]
    pins = [place.pin for place in places]
    if any(pins):
        for name, value in (
            ("Weights, SHA-256", lambda pin: pin.source_sha256),
            ("Preprocessing, SHA-256", lambda pin: pin.preprocessing_sha256),
            ("Conversion", lambda pin: pin.conversion),
            ("Template", lambda pin: f"{pin.dimension} values"),
        ):
            rows.append((name, [element("code", text(value(pin))) if pin else text(NOTHING) for pin in pins]))
        rows.append(("Device", [text(place.device) for place in places]))
    rows += _by_name([place.settings for place in places])
    rows += _by_name([place.versions for place in places])
    headings = ("", *(place.model for place in places))
    return joined([heading("Provenance"), table(headings, [[text(name), *cells] for name, cells in rows])])


def _by_name(columns: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, list[Html]]]:
    """Put (name, value) of several systems into rows."""
    names = dict.fromkeys(name for column in columns for name, _ in column)
    found = [dict(column) for column in columns]
    return [(name, [text(column.get(name, NOTHING)) for column in found]) for name in names]


def conjunction(parts: Sequence[str]) -> str:
    """Join parts as a sentence does."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

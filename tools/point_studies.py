"""How operating points do on people they were not set on: the studies behind docs/operating-points.md.

Each study yields lines of Markdown. All compare photographs exactly (one matrix of all scores), take thresholds from
:mod:`facecli.thresholds` as the program does, and draw at random from fixed seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facecli.calibration import Comparisons, Procedure, Unit, choose_unchecked, halves
from facecli.thresholds import for_identification, for_verification

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from facecli.manifest import Measurement
    from facecli.types import Vectors

SPLIT_ROUNDS = 1000
FPIR, DUPLICATE_FPIR, FMR = 0.01, 0.001, 1e-4
SEARCHES = 200
"""Random galleries of each size."""
OTHERS = 50
"""Random halves of the people whose own points are then used on the other half."""


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """All photographs, compared with each other.

    Attributes
    ----------
    scores
        Cosines, ``(images, images)``.
    person
        Whose each photograph is, as an index into ``names``.
    names, files
        Of people and of photographs.
    """

    scores: NDArray[np.float64]
    person: NDArray[np.int64]
    names: list[str]
    files: Sequence[str]

    @classmethod
    def of(cls, vectors: Vectors, people: Sequence[str], files: Sequence[str]) -> Crowd:
        """Compare everything with everything."""
        exact = vectors.astype(np.float64)
        names, person = np.unique(np.asarray(people), return_inverse=True)
        return cls(exact @ exact.T, person, names.tolist(), files)

    def photographs(self, who: int) -> NDArray[np.int64]:
        """Return a person's photographs, in order."""
        return np.flatnonzero(self.person == who)


@dataclass(frozen=True, slots=True)
class Search:
    """A kind of gallery.

    Attributes
    ----------
    people
        How many are enrolled.
    every
        With all their photographs but one, or with the first alone.
    disjoint
        Whether the points were set on people who are neither enrolled nor searched for.
    """

    people: int
    every: bool
    disjoint: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What searches in one gallery came to; rates by photograph except where named otherwise."""

    fpir: float
    fpir_by_stranger: float
    fnir: float
    threshold: float
    templates: int
    supported: bool


def report(crowd: Crowd, comparisons: Comparisons, measurement: Measurement, *, splits: int) -> Iterator[str]:
    """Run every study and tell what it found."""
    yield from suspects(crowd)
    yield from promise(comparisons, measurement, splits=splits)
    yield from searches(crowd, comparisons, measurement)
    yield from claims(crowd, measurement)
    for every in (False, True):
        yield from enrolment(crowd, measurement, every=every)


def suspects(crowd: Crowd, *, top: int = 12) -> Iterator[str]:
    """List the most similar photographs of people whose names differ: the first are often one person, mislabelled."""
    yield from ("", "| score | photograph | photograph |", "|---|---|---|")
    rows, columns = np.nonzero(np.triu(crowd.person[:, None] != crowd.person[None, :], 1))
    values = crowd.scores[rows, columns]
    for at in np.argsort(-values)[:top]:
        yield f"| {values[at]:.4f} | {crowd.files[rows[at]]} | {crowd.files[columns[at]]} |"


def promise(comparisons: Comparisons, measurement: Measurement, *, splits: int) -> Iterator[str]:
    """Set thresholds on one half of the people, observe the other half, and count how often the target is kept."""
    targets = [point.fmr for point in measurement.points]
    rates = np.empty((splits, len(targets), len(Unit)))
    for split, half in enumerate(halves(comparisons.people, splits, seed=5)):
        chosen = choose_unchecked(comparisons.only(half), targets, Procedure(rounds=SPLIT_ROUNDS, seed=split))
        unseen = comparisons.only(~half)
        rates[split] = [[unseen.fmr(threshold, unit) for unit in Unit] for threshold in chosen]
    half_size = comparisons.people // 2
    yield from (
        "",
        f"{splits} identity-disjoint splits: {half_size} people set the threshold, the others are observed",
        "",
        "| target FMR | counted by | kept in | median observed | 95th percentile | highest |",
        "|---|---|---|---|---|---|",
    )
    for i, target in enumerate(targets):
        for j, unit in enumerate(Unit):
            seen = rates[:, i, j]
            yield (
                f"| {target:g} | pair of {unit} | {(seen <= target).mean():.1%} | {np.median(seen):.2e} "
                f"| {np.quantile(seen, 0.95):.2e} | {seen.max():.2e} |"
            )


def searches(crowd: Crowd, comparisons: Comparisons, measurement: Measurement) -> Iterator[str]:
    """Search strangers and enrolled people in galleries of several sizes, by the points and by points of others."""
    columns = ("people", "templates", "points set on", "searched", "supported", "threshold")
    rates = ("FPIR", "worst gallery", "FPIR by stranger", "FNIR")
    yield from (
        "",
        f"FPIR {FPIR:g} asked for; random galleries of one half of the people, strangers from the other",
        "",
        f"| {' | '.join(columns + rates)} |",
        "|---" * len(columns + rates) + "|",
    )
    half = comparisons.people // 2
    for every in (False, True):
        for size in _sizes(half):
            yield _searched(crowd, Search(size, every, disjoint=False), [measurement] * SEARCHES)
    others = [_set_on(comparisons.only(half), measurement) for half in halves(comparisons.people, OTHERS, seed=11)]
    for size in _sizes(half // 2):
        yield _searched(crowd, Search(size, every=False, disjoint=True), others)


def _sizes(largest: int) -> list[int]:
    """Return the sizes of galleries to try."""
    return [size for size in (100, 300) if size < largest] + [largest]


def _set_on(comparisons: Comparisons, measurement: Measurement) -> Measurement:
    """Return the measurement with the thresholds that these people set, at the same targets."""
    targets = [point.fmr for point in measurement.points]
    found = choose_unchecked(comparisons, targets, Procedure(rounds=SPLIT_ROUNDS))
    points = (replace(point, threshold=t) for point, t in zip(measurement.points, found, strict=True))
    return replace(measurement, points=tuple(points))


def _searched(crowd: Crowd, search: Search, measurements: list[Measurement]) -> str:
    """Return a row: one random gallery for each measurement."""
    found = []
    drawn = halves(len(crowd.names), len(measurements), seed=11)
    for number, (measurement, half) in enumerate(zip(measurements, drawn, strict=True)):
        inside, outside = (~half, ~half) if search.disjoint else (half, ~half)
        enrolled = np.random.default_rng(number).permutation(np.flatnonzero(inside))[: search.people]
        strangers = np.setdiff1d(np.flatnonzero(outside), enrolled)
        found.append(_search(crowd, search, measurement, enrolled, strangers))
    return _row(search, found)


def _row(search: Search, found: list[Found]) -> str:
    """Average what was found in galleries of one kind."""
    mean = {key: np.mean([getattr(one, key) for one in found]) for key in Found.__dataclass_fields__}
    templates, set_on = "all but one" if search.every else "one", "others" if search.disjoint else "everyone"
    return (
        f"| {search.people} | {templates} | {set_on} "
        f"| {mean['templates']:.0f} | {'yes' if mean['supported'] else 'no'} | {mean['threshold']:.4f} "
        f"| {mean['fpir']:.2%} | {max(one.fpir for one in found):.2%} | {mean['fpir_by_stranger']:.2%} "
        f"| {mean['fnir']:.2%} |"
    )


def _search(
    crowd: Crowd,
    search: Search,
    measurement: Measurement,
    enrolled: NDArray[np.int64],
    strangers: NDArray[np.int64],
) -> Found:
    """Search in one gallery: with one template each all further photographs are mated probes, else the last one is."""
    owned = [crowd.photographs(who) for who in enrolled.tolist()]
    templates = np.concatenate([mine[:-1] if search.every and len(mine) > 1 else mine[:1] for mine in owned])
    probes = np.concatenate([mine[-1:] if search.every else mine[1:] for mine in owned if len(mine) > 1])
    point = for_identification(measurement, FPIR, templates=len(templates), fmr=FMR)
    from_outside = np.flatnonzero(np.isin(crowd.person, strangers))
    accepted = crowd.scores[np.ix_(from_outside, templates)].max(axis=1) >= point.threshold
    of_stranger = crowd.person[from_outside]
    against = crowd.scores[np.ix_(probes, templates)]
    named = crowd.person[templates[against.argmax(axis=1)]] == crowd.person[probes]
    return Found(
        fpir=float(accepted.mean()),
        fpir_by_stranger=float(
            (np.bincount(of_stranger, accepted) / np.bincount(of_stranger).clip(1))[strangers].mean()
        ),
        fnir=1 - float((named & (against.max(axis=1) >= point.threshold)).mean()),
        threshold=point.threshold,
        templates=len(templates),
        supported=point.supported,
    )


def claims(crowd: Crowd, measurement: Measurement) -> Iterator[str]:
    """Claim to be people with several templates (``verify --as``), as strangers and as themselves."""
    columns = ("templates", "people", "supported", "threshold", "FMR", "false claims", "FNMR", "true claims")
    yield from (
        "",
        f"`verify --as` at FMR {FMR:g}: every photograph of everybody else claims to be each person",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    )
    most = int(np.bincount(crowd.person).max())
    for templates in (number for number in (1, 2, 3, 5, 10, 20) if number < most):
        yield _claimed(crowd, measurement, templates)


def _claimed(crowd: Crowd, measurement: Measurement, templates: int) -> str:
    """Return a row: people with more photographs than ``templates``, the first of which are enrolled."""
    point = for_verification(measurement, FMR, templates=templates)
    claimed = np.flatnonzero(np.bincount(crowd.person) > templates)
    false: list[NDArray[np.bool_]] = []
    true: list[NDArray[np.bool_]] = []
    for who in claimed.tolist():
        mine = crowd.photographs(who)
        accepted = crowd.scores[:, mine[:templates]].max(axis=1) >= point.threshold
        false.append(accepted[crowd.person != who])
        true.append(accepted[mine[templates:]])
    accepted_falsely, accepted_truly = np.concatenate(false), np.concatenate(true)
    return (
        f"| {templates} | {len(claimed)} | {'yes' if point.supported else 'no'} | {point.threshold:.4f} "
        f"| {accepted_falsely.mean():.2e} | {accepted_falsely.size:,} "
        f"| {1 - accepted_truly.mean():.2%} | {accepted_truly.size:,} |"
    )


def enrolment(crowd: Crowd, measurement: Measurement, *, every: bool) -> Iterator[str]:
    """Enrol everybody one by one, by name, and list those whom the duplicate check refuses."""
    held: list[int] = []
    refused = []
    for who, name in enumerate(crowd.names):
        mine = crowd.photographs(who)[: None if every else 1]
        found = _duplicate(crowd, mine, np.array(held, dtype=np.int64), measurement)
        if found is None:
            held.extend(mine.tolist())
        else:
            other, score, threshold = found
            refused.append(f"{name} (as {crowd.names[other]}: {score:.4f}, duplicate from {threshold:.4f})")
    photographs = "every photograph" if every else "the first photograph"
    yield ""
    yield (
        f"Enrolling {photographs} of {len(crowd.names):,} people at duplicate FPIR {DUPLICATE_FPIR:g} refused "
        f"{len(refused)}: {'; '.join(refused) or 'nobody'}"
    )


def _duplicate(
    crowd: Crowd, mine: NDArray[np.int64], held: NDArray[np.int64], measurement: Measurement
) -> tuple[int, float, float] | None:
    """Return (person, score, threshold) where one of the photographs looks like somebody who is enrolled."""
    if not len(held):
        return None
    point = for_identification(measurement, DUPLICATE_FPIR, templates=len(held), fmr=FMR)
    against = crowd.scores[np.ix_(mine, held)]
    row, column = np.unravel_index(against.argmax(), against.shape)
    best = float(against[row, column])
    return (int(crowd.person[held[column]]), best, point.threshold) if best >= point.threshold else None

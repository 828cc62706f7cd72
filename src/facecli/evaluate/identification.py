"""The report of a 1:N evaluation: people are enrolled, probes searched for, strangers among them (ISO/IEC 19795-1)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evaluate.embedding import embed_images
from facecli.evaluate.protocols import Image, Protocol
from facecli.evaluate.running import provenance
from facecli.evaluate.verification import ScoredPair, Support
from facecli.metrics.identification import (
    FPIR_TARGETS,
    Searches,
    cmc,
    fnir_at_fpir,
    identification_curve,
    joined,
    searches,
)
from facecli.metrics.intervals import claimable, of_people, people_bootstrap, quotient, rate, supported
from facecli.types import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.engine import Engine
    from facecli.evaluate.embedding import Templates
    from facecli.evaluate.running import Conduct
    from facecli.evaluate.verification import Failure, Provenance
    from facecli.metrics.identification import IdentificationCurve
    from facecli.metrics.intervals import Rate, Resampling

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

RANKS = (1, 5, 10, 20)
SHOWN = 20
"""Worst searches of each kind that a report shows."""
CELLS = 1_000_000
"""Scores of one block of probes."""


@dataclass(frozen=True, slots=True)
class SearchProtocol:
    """Who is enrolled, and who is searched for.

    Attributes
    ----------
    gallery, probes
        Photographs; a probe whose person is in the gallery is mated.
    told
        What it is, in a few words.
    """

    gallery: tuple[Image, ...]
    probes: tuple[Image, ...]
    told: str


@dataclass(frozen=True, slots=True)
class RankRate:
    """The rank-k identification rate."""

    rank: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class SearchPoint:
    """Error rates at one target FPIR.

    Attributes
    ----------
    target
        The FPIR asked for.
    support
        What the data can show there; strangers are the units that count.
    threshold
        The lowest that keeps the target; of a bound, just above the best score of every stranger. None where nothing
        can be shown.
    fpir, fnir
        Observed at the threshold, at rank 1. Of a bound, the upper ends are what can be said. None as the threshold.
    """

    target: float
    support: Support
    threshold: float | None
    fpir: Rate | None
    fnir: Rate | None


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationReport:
    """Everything that a 1:N evaluation found.

    Attributes
    ----------
    title
        One line.
    provenance
        Where the figures come from.
    enrolled, templates
        People enrolled, and their templates.
    fta, fte
        Probes without a template; people of the gallery without one.
    failures
        Photographs without a template.
    lost
        Probes whose person could not be enrolled: they are neither mated nor strangers, and were not searched for.
    ranks
        Rank-k identification rates.
    cmc
        The same for every rank, ``(enrolled,)``.
    curve
        FPIR and FNIR (rank 1) at every threshold; None without strangers.
    points
        Error rates at FPIR 1e-1 to 1e-3; none without strangers.
    used
        Error rates at the threshold in use for a gallery of this size; None where none is.
    false_positives, misses
        The strangers taken most surely for somebody, and the mated probes that fared worst: probe and the person found,
        or the probe's own person; the worst first. ``second`` is empty.
    """

    title: str
    provenance: Provenance
    enrolled: int
    templates: int
    fta: Rate
    fte: Rate
    failures: tuple[Failure, ...]
    lost: int
    ranks: tuple[RankRate, ...]
    cmc: Floats
    curve: IdentificationCurve | None
    points: tuple[SearchPoint, ...]
    used: SearchPoint | None
    false_positives: tuple[ScoredPair, ...]
    misses: tuple[ScoredPair, ...]


def in_two_folders(gallery: Protocol, probes: Protocol) -> SearchProtocol:
    """Enrol one folder's people, and search for the photographs of another; the same name is the same person."""
    return SearchProtocol(gallery.images, probes.images, "gallery and probes from two folders")


def split(protocol: Protocol) -> SearchProtocol:
    """Enrol the first photograph of everyone who has several, and search for all others.

    Whoever has a single photograph is a stranger.
    """
    photographs = Counter(image.person for image in protocol.images)
    gallery: dict[str, Image] = {}
    probes = []
    for image in protocol.images:
        if photographs[image.person] > 1 and image.person not in gallery:
            gallery[image.person] = image
        else:
            probes.append(image)
    told = "the first photograph of everyone who has several is enrolled, all others are probes"
    return SearchProtocol(tuple(gallery.values()), tuple(probes), told)


def evaluate_searches(engine: Engine, protocol: SearchProtocol, conduct: Conduct) -> IdentificationReport:
    """Enrol, search, and measure.

    Raises
    ------
    UsageError
        Nobody can be enrolled, or no mated probe can be searched for.
    ModelError, DeviceError
        The models can't be used.
    """
    images = (*protocol.gallery, *protocol.probes)
    step = conduct.step(f"embedding ({engine.settings.model})", len(images))
    templates = embed_images(engine, images, keep=conduct.keep, step=step)
    sought = _Sought.of(protocol, templates, engine.settings.fusion)
    where = provenance(engine, Protocol(images, None, protocol.told), conduct)
    return _report(sought, templates, where, engine, conduct.resampling)


@dataclass(frozen=True, slots=True, eq=False)
class _Sought:
    """The searches, and whose probes they were.

    ``mated`` and ``strangers`` are the ``probes`` of either kind that were searched for; ``found`` is the person most
    similar to each stranger.
    """

    result: Searches
    mated: tuple[Image, ...]
    strangers: tuple[Image, ...]
    found: tuple[str, ...]
    templates: int
    wanted: int
    probes: tuple[Image, ...]
    lost: int

    @classmethod
    def of(cls, protocol: SearchProtocol, templates: Templates, fusion: Fusion) -> _Sought:
        """Search for each probe that has a template."""
        import numpy as np

        count = len(protocol.gallery)
        wanted = {image.person for image in protocol.gallery}
        enrolled = templates.row[:count] >= 0
        persons = np.array([image.person for image in protocol.gallery])[enrolled]
        if not len(persons):
            raise UsageError("nobody can be enrolled: no photograph of the gallery gave a template")
        names, owner = np.unique(persons, return_inverse=True)
        place = {str(name): n for n, name in enumerate(names)}
        probes = [
            (image, int(row))
            for image, row in zip(protocol.probes, templates.row[count:], strict=True)
            if row >= 0 and (image.person in place or image.person not in wanted)
        ]
        acquired = int((templates.row[count:] >= 0).sum())
        own = np.array([place.get(image.person, -1) for image, _ in probes], np.int64)
        gallery = templates.vectors[templates.row[:count][enrolled]][np.argsort(owner, kind="stable")]
        vectors = templates.vectors[np.array([row for _, row in probes], np.int64)]
        result, best = _searched(vectors, gallery, np.bincount(owner), own, fusion)
        return cls(
            result=result,
            mated=tuple(image for (image, _), p in zip(probes, own, strict=True) if p >= 0),
            strangers=tuple(image for (image, _), p in zip(probes, own, strict=True) if p < 0),
            found=tuple(str(names[n]) for n in best),
            templates=len(gallery),
            wanted=len(wanted),
            probes=protocol.probes,
            lost=acquired - len(probes),
        )


def _searched(
    probes: NDArray[np.float32], gallery: NDArray[np.float32], sizes: Integers, own: Integers, fusion: Fusion
) -> tuple[Searches, Integers]:
    """Compare probes with a gallery that lies by person, in blocks; also return whom each stranger resembles."""
    import numpy as np

    starts, columns = np.cumsum(sizes) - sizes, gallery.astype(np.float64).T
    parts, best = [], []
    step = max(1, CELLS // columns.shape[1])
    for top in range(0, len(probes), step):
        scores = probes[top : top + step].astype(np.float64) @ columns
        fused = (
            np.maximum.reduceat(scores, starts, axis=1)
            if fusion is Fusion.MAX
            else np.add.reduceat(scores, starts, axis=1) / sizes
        )
        kinds = own[top : top + step]
        parts.append(searches(fused, kinds))
        best.append(fused[kinds < 0].argmax(axis=1))
    return joined(parts), np.concatenate(best)


def _report(
    sought: _Sought, templates: Templates, where: Provenance, engine: Engine, resampling: Resampling | None
) -> IdentificationReport:
    """Measure the searches."""
    found = sought.result
    curve = identification_curve(found) if sought.mated and sought.strangers else None
    measure = _Measure(sought, resampling)
    points = () if curve is None else tuple(_point(curve, measure, target) for target in FPIR_TARGETS)
    return IdentificationReport(
        title=f"{where.data}: {where.model}",
        provenance=where,
        enrolled=found.people,
        templates=sought.templates,
        fta=measure.of_probes(templates.row[-len(sought.probes) :] < 0),
        fte=rate(sought.wanted - found.people, sought.wanted),
        failures=templates.failures,
        lost=sought.lost,
        ranks=tuple(RankRate(k, measure.of_mated(found.rank <= k)) for k in RANKS if k <= found.people),
        cmc=cmc(found),
        curve=curve,
        points=points,
        used=None if curve is None else _in_use(engine, sought, measure),
        false_positives=_false_positives(sought),
        misses=_misses(sought),
    )


class _Measure:
    """Rates over probes, with intervals by their people."""

    def __init__(self, sought: _Sought, resampling: Resampling | None) -> None:
        self._sought = sought
        self._resampling = resampling
        self.strangers = len({image.person for image in sought.strangers})

    def of_mated(self, chosen: NDArray[np.bool_]) -> Rate:
        """Return the part of the mated probes that is chosen."""
        return self._rate(self._sought.mated, chosen)

    def of_probes(self, chosen: NDArray[np.bool_]) -> Rate:
        """Return the part of all probes that is chosen, of those without a template, too."""
        return self._rate(self._sought.probes, chosen)

    def at(self, threshold: float) -> tuple[Rate, Rate]:
        """Return FPIR and FNIR (rank 1) at a threshold."""
        found = self._sought.result
        missed = (found.rank > 1) | (found.own < threshold)
        return self._rate(self._sought.strangers, found.best >= threshold), self._rate(self._sought.mated, missed)

    def _rate(self, probes: Sequence[Image], chosen: NDArray[np.bool_]) -> Rate:
        import numpy as np

        names, person = np.unique([image.person for image in probes], return_inverse=True)
        over_people = None
        if len(names) < len(probes):
            counts = (np.bincount(person, weights=weight) for weight in (chosen, np.ones(len(probes))))
            value = quotient(*(of_people(count) for count in counts))
            over_people = people_bootstrap(value, len(names), self._resampling)
        return rate(int(chosen.sum()), len(probes), over_people=over_people, units=len(names))


def _point(curve: IdentificationCurve, measure: _Measure, target: float) -> SearchPoint:
    """Measure one operating point; the strangers are what must suffice."""
    if supported(target, measure.strangers):
        support, threshold = Support.NUMBER, fnir_at_fpir(curve, target)[1]
    elif claimable(target, measure.strangers):
        support, threshold = Support.BOUND, fnir_at_fpir(curve, 0.0)[1]
    else:
        return SearchPoint(target, Support.NOTHING, None, None, None)
    return SearchPoint(target, support, threshold, *measure.at(threshold))


def _in_use(engine: Engine, sought: _Sought, measure: _Measure) -> SearchPoint | None:
    """Measure the threshold by which ``identify`` decides in a gallery of this size."""
    try:
        point = engine.rules().for_search(templates=sought.templates)
    except UsageError:
        return None
    if point.target is None:
        return None
    return SearchPoint(point.target, Support.NUMBER, point.threshold, *measure.at(point.threshold))


def _false_positives(sought: _Sought) -> tuple[ScoredPair, ...]:
    """Return the strangers who resemble somebody most."""
    import numpy as np

    worst = np.argsort(-sought.result.best, kind="stable")[:SHOWN].tolist()
    return tuple(
        ScoredPair(sought.strangers[n].source, "", sought.strangers[n].person, sought.found[n], float(score))
        for n, score in zip(worst, sought.result.best[worst], strict=True)
    )


def _misses(sought: _Sought) -> tuple[ScoredPair, ...]:
    """Return the mated probes whose own person comes latest, and of those the least similar first."""
    import numpy as np

    worst = np.lexsort((sought.result.own, -sought.result.rank))[:SHOWN].tolist()
    return tuple(
        ScoredPair(sought.mated[n].source, "", sought.mated[n].person, sought.mated[n].person, float(score))
        for n, score in zip(worst, sought.result.own[worst], strict=True)
    )

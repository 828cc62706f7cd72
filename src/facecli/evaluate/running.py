"""From a protocol to a report: photographs are embedded, compared and measured."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evaluate.embedding import embed_images
from facecli.evaluate.trials import Crossed, Listed
from facecli.evaluate.verification import Accuracy, Provenance, Subject, verification_report
from facecli.metrics.curves import accuracy_10_fold, best_threshold
from facecli.metrics.intervals import Resampling, of_people, people_bootstrap, quotient, rate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from facecli.engine import Engine
    from facecli.evaluate.embedding import Templates
    from facecli.evaluate.protocols import Protocol, Scores
    from facecli.evaluate.trials import Trials
    from facecli.evaluate.verification import VerificationReport
    from facecli.metrics.intervals import Rate, Total

    Watch = Callable[[str, int, int], None]
    """Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an evaluation is carried out.

    Attributes
    ----------
    data
        What is evaluated, as a report should name it.
    keep
        Whether templates are looked up and kept in the user's cache.
    resampling
        Of the bootstrap; None takes 1,000 rounds.
    watch
        Told how far each long step is.
    """

    data: str
    keep: bool = True
    resampling: Resampling | None = None
    watch: Watch | None = None

    def step(self, what: str, total: int) -> Callable[[int], None]:
        """Return what a long step calls with how much of it is done."""
        return lambda done: None if self.watch is None else self.watch(what, done, total)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A report, and what it was made from: for reports by groups of people, and for pictures of the worst pairs.

    Attributes
    ----------
    report
        What was found.
    trials
        The comparisons.
    templates
        Of the photographs; None where scores came from elsewhere.
    """

    report: VerificationReport
    trials: Trials
    templates: Templates | None


def evaluate_images(engine: Engine, protocol: Protocol, conduct: Conduct) -> Evaluation:
    """Embed a protocol's photographs, make its comparisons, and measure them.

    Raises
    ------
    UsageError
        Nothing is left to compare.
    ModelError, DeviceError
        The models can't be used.
    """
    step = conduct.step(f"embedding ({engine.settings.model})", len(protocol.images))
    templates = embed_images(engine, protocol.images, keep=conduct.keep, step=step)
    trials, lost, accuracy = (
        _all_pairs(templates, conduct) if protocol.pairs is None else _listed_pairs(protocol, templates, conduct)
    )
    where, acquired = provenance(engine, protocol, conduct), _acquired(templates, conduct)
    subject = Subject(where, *acquired, templates.failures, lost, _in_use(engine))
    drawn = conduct.resampling or Resampling()
    step = conduct.step("drawing people again", drawn.rounds)
    report = verification_report(trials, subject, accuracy=accuracy, resampling=drawn, step=step)
    return Evaluation(report, trials, templates)


def _in_use(engine: Engine) -> tuple[float, float] | None:
    """Return the target and the threshold of claims on people; None where the model has not been measured."""
    try:
        point = engine.deployed_rules().for_pair()
    except UsageError:
        return None
    return None if point.target is None else (point.target, point.threshold)


def evaluate_scores(scores: Scores, name: str, conduct: Conduct) -> Evaluation:
    """Measure comparisons that were made elsewhere.

    Raises
    ------
    UsageError
        There is no mated or no non-mated comparison.
    """
    import numpy as np

    people: list[str] = []
    first = second = None
    if scores.first_person is not None and scores.second_person is not None:
        names, index = np.unique(np.concatenate([scores.first_person, scores.second_person]), return_inverse=True)
        people, (first, second) = names.tolist(), index.reshape(2, -1)
    sources = None
    if scores.first is not None and scores.second is not None:
        sources = np.stack([scores.first, scores.second], axis=1)
    trials = Listed(scores.score, scores.mated, first, second, people, sources)
    kind = "distances, negated" if scores.distance else "scores"
    told = f"{len(scores.score):,} {kind}" + ("" if people else ", taken as independent: nobody is named")
    where = Provenance(
        model=name,
        pin=None,
        device="",
        versions=versions(),
        settings=(),
        data=conduct.data,
        protocol=told,
        people=len(people) or None,
        images=0,
        date=_today(),
    )
    accuracy = _accuracy(trials, scores.fold, conduct)
    report = verification_report(trials, Subject(where, rate(0, 0)), accuracy=accuracy, resampling=conduct.resampling)
    return Evaluation(report, trials, None)


def provenance(engine: Engine, protocol: Protocol, conduct: Conduct) -> Provenance:
    """Return where the figures of photographs come from."""
    settings = engine.settings
    told = {
        "faces": settings.faces,
        "detector": settings.detector,
        "detection": engine.detect_options,
        "quality": engine.quality_limits,
    }
    return Provenance(
        model=settings.model,
        pin=engine.pipeline.embedder.pin,
        device=str(engine.pipeline.embedder.device),
        versions=versions(),
        settings=tuple((name, str(value)) for name, value in told.items()),
        data=conduct.data,
        protocol=protocol.told,
        people=len({image.person for image in protocol.images}),
        images=len(protocol.images),
        date=_today(),
    )


def _all_pairs(templates: Templates, conduct: Conduct) -> tuple[Trials, int, None]:
    """Compare all with all; lost are the comparisons that photographs without a template would have made."""
    trials = Crossed(templates, step=conduct.step("comparing", len(templates.vectors)))
    total, made = len(templates.images), len(templates.vectors)
    return trials, total * (total - 1) // 2 - made * (made - 1) // 2, None


def _listed_pairs(protocol: Protocol, templates: Templates, conduct: Conduct) -> tuple[Trials, int, Accuracy | None]:
    """Make the listed comparisons of which both templates are there."""
    import numpy as np

    from facecli.match import score

    pairs = [
        pair for pair in protocol.pairs or () if templates.row[pair.first] >= 0 and templates.row[pair.second] >= 0
    ]
    if not pairs:
        raise UsageError("no comparison can be made: too few photographs gave a template")
    names, person = np.unique([image.person for image in protocol.images], return_inverse=True)
    left, right = (np.array([getattr(pair, side) for pair in pairs], np.int64) for side in ("first", "second"))
    rows = templates.vectors[templates.row]
    sources = np.array([image.source for image in protocol.images])
    trials = Listed(
        scores=np.array([score(rows[a], rows[b]) for a, b in zip(left, right, strict=True)]),
        mated=np.array([pair.mated for pair in pairs]),
        first=person[left],
        second=person[right],
        people=names.tolist(),
        sources=np.stack([sources[left], sources[right]], axis=1),
    )
    fold = np.array([pair.fold for pair in pairs], np.int64)
    return trials, len(protocol.pairs or ()) - len(pairs), _accuracy(trials, fold, conduct)


def _accuracy(trials: Listed, fold: NDArray[np.int64] | None, conduct: Conduct) -> Accuracy | None:
    """Return the accuracy by folds, where there are several."""
    import numpy as np

    if fold is None or len(np.unique(fold)) < 2:
        return None
    folds = accuracy_10_fold(trials.scores, trials.mated, fold)
    place = np.searchsorted(np.unique(fold), fold)
    right = (trials.scores >= np.array(folds.thresholds)[place]) == trials.mated
    over_people = None
    if not trials.independent:
        value = quotient(_of(trials, np.flatnonzero(right)), _of(trials, np.arange(len(right))))
        over_people = people_bootstrap(value, len(trials.people), conduct.resampling)
    counted = rate(folds.correct, folds.trials, over_people=over_people, units=sum(trials.units))
    best = best_threshold(trials.scores, trials.mated)
    return Accuracy(folds, counted, float(np.mean((trials.scores >= best) == trials.mated)), best)


def _of(trials: Listed, chosen: NDArray[np.int64]) -> Total:
    """Count the chosen comparisons of either kind as often as their people are drawn."""
    counts = trials.counted(chosen)
    return lambda times: counts[0](times) + counts[1](times)


def _acquired(templates: Templates, conduct: Conduct) -> tuple[Rate, Rate]:
    """Return how many photographs gave no template, and how many people none at all."""
    failed = [image.person for image, row in zip(templates.images, templates.row, strict=True) if row < 0]
    per_person, lost = Counter(image.person for image in templates.images), Counter(failed)
    people = sorted(per_person)
    value = quotient(of_people([lost[name] for name in people]), of_people([per_person[name] for name in people]))
    over_people = people_bootstrap(value, len(people), conduct.resampling)
    without = sum(lost[name] == per_person[name] for name in people)
    return rate(len(failed), len(templates.images), over_people=over_people, units=len(people)), rate(
        without, len(people)
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of what takes part in the numbers."""
    return tuple(
        (name, metadata.version(name))
        for name in ("facecli", "numpy", "scipy", "opencv-python", "onnxruntime-gpu", "onnxruntime")
        if _installed(name)
    )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _today() -> str:
    return time.strftime("%Y-%m-%d")

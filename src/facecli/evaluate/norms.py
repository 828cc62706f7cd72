"""Scores normalised by a cohort of strangers, measured beside the raw ones: whether a norm would pay on this data.

A normalised score is no cosine, needs the strangers' templates wherever it is computed, and is not what decisions are
taken by; docs/calibration.md says what it gained and why it stays here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evaluate.running import Evaluation
from facecli.evaluate.trials import Listed
from facecli.evaluate.verification import Subject, verification_report
from facecli.metrics.likelihood import cohort_norm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facecli.evaluate.embedding import Templates
    from facecli.metrics.intervals import Resampling
    from facecli.metrics.likelihood import CohortNorm

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MOST = 8_000_000
"""Comparisons held at once, a few hundred MB."""


class Norm(StrEnum):
    """Which side of a comparison is measured against strangers."""

    Z = "z"
    """The first one's, as if it were enrolled."""
    T = "t"
    """The second one's, as if it were the probe."""
    S = "s"
    """Both, symmetrically."""


@dataclass(frozen=True, slots=True)
class Norming:
    """How scores are normalised.

    Attributes
    ----------
    norm
        By which side.
    top
        Only so many of the cohort, those nearest to each template; None takes all.
    """

    norm: Norm
    top: int | None = None


def normalised(
    evaluation: Evaluation, cohort: Templates, norming: Norming, *, resampling: Resampling | None = None
) -> Evaluation:
    """Measure an evaluation's comparisons again, with normalised scores.

    Parameters
    ----------
    evaluation
        Of photographs.
    cohort
        Photographs of other people, of whom the first template each is used.
    norming
        How scores are normalised.
    resampling
        Of the bootstrap.

    Raises
    ------
    UsageError
        The cohort shares people with the evaluation or is too small, or there are too many comparisons.
    """
    import numpy as np

    if evaluation.templates is None:
        raise UsageError("a cohort needs photographs: these scores came from elsewhere")
    templates = evaluation.templates
    first, second, sources = _pairs(evaluation, templates)
    norm = cohort_norm(templates.vectors, _strangers(templates, cohort), top=norming.top)
    raw = np.einsum("ij,ij->i", *(templates.vectors.astype(np.float64)[side] for side in (first, second)))
    people, person = np.unique([image.person for image in templates.images], return_inverse=True)
    owner = np.empty(len(templates.vectors), np.int64)
    owner[templates.row[templates.row >= 0]] = person[templates.row >= 0]
    trials = Listed(
        scores=_scores(norm, norming.norm, raw, first, second),
        mated=owner[first] == owner[second],
        first=owner[first],
        second=owner[second],
        people=people.tolist(),
        sources=sources,
    )
    report = evaluation.report
    told = f"{norming.norm}-norm" + (f", {norming.top} nearest" if norming.top else "")
    where = replace(report.provenance, model=f"{report.provenance.model} ({told})")
    subject = Subject(where, report.fta, report.fte, report.failures, report.lost)
    return Evaluation(verification_report(trials, subject, resampling=resampling), trials, templates)


def _scores(norm: CohortNorm, kind: Norm, raw: Floats, first: Integers, second: Integers) -> Floats:
    """Normalise each score by the side or sides that are meant."""
    if kind is Norm.S:
        return norm.s(raw, first, second)
    return norm.z(raw, first) if kind is Norm.Z else norm.t(raw, second)


def _pairs(evaluation: Evaluation, templates: Templates) -> tuple[Integers, Integers, NDArray[np.str_]]:
    """Return the two templates of each comparison, and what the photographs are called."""
    import numpy as np

    named = np.array([image.source for image in templates.images])
    trials = evaluation.trials
    if isinstance(trials, Listed) and trials.sources is not None:
        row = {source: int(n) for source, n in zip(named.tolist(), templates.row, strict=True)}
        first, second = (np.array([row[str(name)] for name in side], np.int64) for side in trials.sources.T)
        return first, second, trials.sources
    count = len(templates.vectors)
    if count * (count - 1) // 2 > MOST:
        raise UsageError(
            f"a norm over {count * (count - 1) // 2:,} comparisons would take too much memory",
            hint="draw some of them at random: --sample 1000000",
        )
    first, second = (side.astype(np.int64) for side in np.triu_indices(count, 1))
    of_template = np.empty(count, named.dtype)
    of_template[templates.row[templates.row >= 0]] = named[templates.row >= 0]
    return first, second, np.stack([of_template[first], of_template[second]], axis=1)


def _strangers(templates: Templates, cohort: Templates) -> NDArray[np.float32]:
    """Return one template of each person of the cohort, none of whom may be compared."""
    shared = {image.person for image in templates.images} & {image.person for image in cohort.images}
    if shared:
        raise UsageError(
            f"{len(shared):,} people of the cohort are compared here too, such as {min(shared)}",
            hint="a cohort holds strangers only",
        )
    rows: dict[str, int] = {}
    for image, row in zip(cohort.images, cohort.row.tolist(), strict=True):
        if row >= 0:
            rows.setdefault(image.person, row)
    return cohort.vectors[list(rows.values())]

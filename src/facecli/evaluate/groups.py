"""The bias report: whether the one deployed threshold errs equally often for everyone (ISO/IEC 19795-10).

Groups come from a table of labels, one row a photograph. The threshold is the one that decisions are taken at; there is
no threshold for each group, because a door has none. What the figures can't show is said in sentences beside them.

No fairness library is used. fairlearn's ``MetricFrame``, the best kept, splits *rows* into groups; here a row is a
comparison of two people, each with a group, and the interval must draw people. What would be left of it is a group-by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.evaluate.trials import Crossed, Listed
from facecli.metrics.curves import fnmr_at_fmr
from facecli.metrics.fairness import differentials
from facecli.metrics.grouped import PairList, all_pairs, listed
from facecli.metrics.intervals import of_people, people_bootstrap, quotient, rate
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.evaluate.embedding import Templates
    from facecli.evaluate.running import Evaluation
    from facecli.metrics.fairness import Differentials, GroupRates
    from facecli.metrics.grouped import GroupedComparisons
    from facecli.metrics.intervals import Rate, Resampling
    from facecli.thresholds import OperatingPoint

    Integers = NDArray[np.int64]

MOST_GROUPS = 40
"""More labels than that are no groups: a column of ages in years wants bands."""
KEPT = 30
"""Comparisons are kept down to so many times the target FMR, so that a luckier group's own threshold is seen, too."""
UNLIKELY = 0.05


@dataclass(frozen=True, slots=True)
class Grouping:
    """How photographs fall into groups.

    Attributes
    ----------
    source
        The table of labels, as the user named it.
    by
        Its columns that make a group, at least one.
    labels
        From the image, as the table names it, to its attributes.
    """

    source: str
    by: tuple[str, ...]
    labels: Mapping[str, Mapping[str, str]]

    def of(self, image: str) -> str | None:
        """Return a photograph's group; None where an attribute is not known.

        The table may name a photograph by any end of its path, such as ``PERSON/FILE``; the longest known one counts.
        """
        parts = PurePath(image).parts
        for start in range(len(parts)):
            known = self.labels.get(str(PurePath(*parts[start:])))
            if known is not None:
                cells = [known.get(name) for name in self.by]
                return None if None in cells else ", ".join(cell for cell in cells if cell is not None)
        return None


@dataclass(frozen=True, slots=True)
class GroupSamples:
    """A group's photographs before they are compared.

    Attributes
    ----------
    name
        Of the group.
    fta
        Failures to acquire, among its photographs.
    detection, eye_distance_px, sharpness
        Medians of what the quality gate measured; None where there is no template.
    """

    name: str
    fta: Rate
    detection: float | None
    eye_distance_px: float | None
    sharpness: float | None


@dataclass(frozen=True, slots=True)
class BiasReport:
    """What an evaluation found about groups.

    Attributes
    ----------
    source, by
        The table of labels, and the columns that make a group.
    point
        The operating point that is deployed.
    samples
        Each group's photographs, in the order of ``differentials.groups``.
    differentials
        Error rates by group, between groups, and how far they differ.
    unlabelled
        Photographs without a label; they take no part.
    sentences
        What the figures show and what they can't, in plain words.
    """

    source: str
    by: tuple[str, ...]
    point: OperatingPoint
    samples: tuple[GroupSamples, ...]
    differentials: Differentials
    unlabelled: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """A protocol's photographs with their people and groups, as indices; group -1 is unlabelled."""

    names: tuple[str, ...]
    person: Integers
    group: Integers


def bias_report(
    evaluation: Evaluation, grouping: Grouping, point: OperatingPoint, *, resampling: Resampling | None = None
) -> BiasReport:
    """Measure an evaluation's comparisons by groups of people.

    Parameters
    ----------
    evaluation
        Of photographs.
    grouping
        Their groups.
    point
        The operating point that is deployed: its threshold is used, and its target.
    resampling
        Of the bootstrap over people.

    Raises
    ------
    UsageError
        No photograph has a label, there are too many groups, or the scores came without photographs.
    """
    if evaluation.templates is None:
        raise UsageError("groups need photographs: these scores came from elsewhere")
    templates, target = evaluation.templates, point.target or 1e-4
    labelled = _labelled(templates, grouping)
    floor = min(point.threshold, fnmr_at_fmr(evaluation.report.curve, min(KEPT * target, 0.5))[1])
    found = differentials(
        _comparisons(evaluation, templates, labelled, floor),
        point.threshold,
        target=target,
        resampling=resampling,
    )
    unlabelled = int((labelled.group < 0).sum())
    return BiasReport(
        source=grouping.source,
        by=grouping.by,
        point=point,
        samples=tuple(_samples(templates, labelled, n, resampling) for n in range(len(labelled.names))),
        differentials=found,
        unlabelled=unlabelled,
        sentences=tuple(sentences(found, unlabelled)),
    )


def _labelled(templates: Templates, grouping: Grouping) -> _Labelled:
    """Give every photograph its person and group."""
    import numpy as np

    told = [grouping.of(image.source) for image in templates.images]
    names = sorted({name for name in told if name is not None})
    where = f"{visible(grouping.source)} by {visible(', '.join(grouping.by))}"
    if not names:
        raise UsageError(
            f"{where}: none of the photographs has a label there",
            hint="its column image must hold the end of each path, such as PERSON/FILE.jpg",
        )
    if len(names) > MOST_GROUPS:
        raise UsageError(
            f"{where} makes {len(names)} groups, and {MOST_GROUPS} are the most",
            hint="put numbers such as ages into bands first: 20-29, 30-39",
        )
    _, person = np.unique([image.person for image in templates.images], return_inverse=True)
    index = {name: n for n, name in enumerate(names)}
    return _Labelled(tuple(names), person, np.array([-1 if name is None else index[name] for name in told], np.int64))


def _comparisons(evaluation: Evaluation, templates: Templates, labelled: _Labelled, floor: float) -> GroupedComparisons:
    """Compare the labelled photographs as the protocol has it."""
    import numpy as np

    trials = evaluation.trials
    if isinstance(trials, Crossed):
        used = (templates.row >= 0) & (labelled.group >= 0)
        if used.sum() < 2:
            raise UsageError("fewer than two photographs have both a template and a label")
        _, person = np.unique(labelled.person[used], return_inverse=True)
        rows = templates.vectors[templates.row[used]]
        return all_pairs(rows, person, labelled.group[used], labelled.names, floor=floor)
    if not isinstance(trials, Listed) or trials.sources is None:
        raise UsageError("groups need photographs: these scores came from elsewhere")
    place = {image.source: n for n, image in enumerate(templates.images)}
    first, second = (np.array([place[str(name)] for name in side], np.int64) for side in trials.sources.T)
    known = (labelled.group[first] >= 0) & (labelled.group[second] >= 0)
    if not known.any():
        raise UsageError("no comparison is of two photographs that both have a label")
    used = np.unique(np.concatenate([first[known], second[known]]))
    _, person = np.unique(labelled.person[used], return_inverse=True)
    one, other = (np.searchsorted(used, side[known]) for side in (first, second))
    pairs = PairList(trials.scores[known], trials.mated[known], one, other, person, labelled.group[used])
    return listed(pairs, labelled.names)


def _samples(templates: Templates, labelled: _Labelled, number: int, resampling: Resampling | None) -> GroupSamples:
    """Tell what became of one group's photographs."""
    import numpy as np

    mine = labelled.group == number
    failed = mine & (templates.row < 0)
    people = int(labelled.person.max()) + 1
    lost, made = (np.bincount(labelled.person[which], minlength=people) for which in (failed, mine))
    over_people = people_bootstrap(quotient(of_people(lost), of_people(made)), people, resampling)
    qualities = [templates.qualities[row] for row in templates.row[mine & ~failed].tolist()]
    medians = [
        float(np.median([getattr(quality, name) for quality in qualities])) if qualities else None
        for name in ("detection", "eye_distance_px", "sharpness")
    ]
    fta = rate(int(failed.sum()), int(mine.sum()), over_people=over_people, units=int((made > 0).sum()))
    return GroupSamples(labelled.names[number], fta, *medians)


# --- in plain words --------------------------------------------------------------------------------------------------


def sentences(found: Differentials, unlabelled: int) -> list[str]:
    """Say what the figures show, and what these data can't."""
    said = []
    if len(found.compared) > 1:
        said += [_compared(found, "fmr", "false match rate"), _compared(found, "fnmr", "false non-match rate")]
    said += [_worst(found), _unsupported(found), _too_small(found)]
    if unlabelled:
        said.append(f"{unlabelled:,} photographs have no label and take no part.")
    said.append(
        "These are the people of this data, not a sample of everybody; groups also differ in age, pose, camera and "
        "label errors, so a difference here is no proof of its cause, and none here is no proof of fairness elsewhere."
    )
    return [sentence for sentence in said if sentence]


def _compared(found: Differentials, kind: str, name: str) -> str:
    """Say which group meets the error most, and whether chance would do it."""
    groups = [group for group in found.groups if group.name in found.compared]
    rates = [_value(group, kind) for group in groups]
    high, low = groups[rates.index(max(rates))], groups[rates.index(min(rates))]
    if max(rates) == 0:
        return f"No {name.removesuffix(' rate')} was seen in any group, so nothing can be said of differences in it."
    if max(rates) == min(rates):
        return f"The {name} shows no difference between the groups."
    text = f"The {name} is highest for {high.name} ({max(rates):.2g}) and lowest for {low.name} ({min(rates):.2g})"
    chance = getattr(found, kind).by_chance
    if chance is None:
        return f"{text}."
    often = f"labels dealt to the people at random differ as much in {chance:.1%} of the deals"
    verdict = "hardly chance" if chance < UNLIKELY else "chance may have done that"
    return f"{text}: {verdict}, {often}."


def _value(group: GroupRates, kind: str) -> float:
    """Return a group's observed rate."""
    counted: Rate = getattr(group, kind)
    return counted.errors / counted.trials


def _worst(found: Differentials) -> str:
    """State the threshold that would hold the target for everyone."""
    worst = found.worst
    if worst is None or worst.threshold is None or worst.threshold_bound is None:
        return f"The people are too few to say which threshold would hold FMR {found.target:g} for the worst group."
    needed = (
        f"Holding FMR {found.target:g} for the worst group, {worst.name}, would take a threshold of "
        f"{worst.threshold:.4f} as observed and {worst.threshold_bound:.4f} with 95 % confidence"
    )
    now = f"the deployed one is {found.threshold:.4f}"
    if worst.supported:
        return f"{needed}; {now}."
    return f"{needed}; {now}. But so few people can't show that rate at all: it is a hint, no measurement."


def _unsupported(found: Differentials) -> str:
    """Name the groups whose people can't show the target."""
    few = [group.name for group in found.groups if group.counted and not group.supported]
    if not few:
        return ""
    return (
        f"Too few pairs of people to show FMR {found.target:g} within: {'; '.join(few)} (fewer than 30 false matches "
        "would be expected); their rates have wide intervals."
    )


def _too_small(found: Differentials) -> str:
    """Name the groups that are left out of the figures."""
    small = [f"{group.name} ({group.people:,} people)" for group in found.groups if group.name not in found.compared]
    return f"Too small to be compared, only counted: {'; '.join(small)}." if small else ""


def grouping_of(source: str, labels: Mapping[str, Mapping[str, str]], by: Sequence[str]) -> Grouping:
    """Return the grouping by some columns of a table of labels; its paths are brought to one spelling."""
    return Grouping(source, tuple(by), {str(PurePath(image)): told for image, told in labels.items()})

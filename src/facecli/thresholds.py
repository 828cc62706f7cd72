"""Operating points: what a threshold promises, and what the data behind it can support.

A threshold is never a bare number here. It is chosen for a *target*: a false match rate (FMR, ISO/IEC 19795-1) where
one probe meets one template, or a false positive identification rate (FPIR) where a probe is searched among many.

The data are a model's measured points (``[measurement]`` of its manifest), each of which holds at one FMR. Between them
the next stricter one is used. Where N templates are searched, each comparison is allowed ``FPIR / N``: by the union
bound (Boole's inequality) the search as a whole then keeps the FPIR, however the comparisons depend on each other. When
that is stricter than the strictest measured point, the threshold is extrapolated and the point is marked unsupported:

    threshold(f) = t1 + (t1 - t2) * log10(f1 / f) / log10(f2 / f1)

a straight line in log10 FMR through the two strictest points (f1, t1), (f2, t2). The tail of non-mated scores falls
faster than that (its logarithm is concave: each further decade costs less), so the line errs on the strict side, as
docs/operating-points.md measures; but no data vouch for it, and what can be *claimed* stays ``N * f1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.errors import UnsupportedPointError, UsageError

if TYPE_CHECKING:
    from facecli.manifest import MeasuredPoint, Measurement


class PointKind(StrEnum):
    """What a threshold was chosen for."""

    FMR = "fmr"
    FPIR = "fpir"
    THRESHOLD = "threshold"
    """Given by hand; it promises nothing."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what stands behind it.

    Attributes
    ----------
    kind, target
        What was asked for; no target where the threshold was given by hand.
    threshold
        Cosine; accept is ``score >= threshold``.
    searched
        Number of templates that one decision compares with.
    supported
        Whether the data reach as far as the target.
    claimed
        The rate that the data do support at this threshold: a bound, at most 1; none for a threshold given by hand.
    status
        ``provisional`` (press photographs), ``calibrated`` (the user's own people) or ``unsourced``.
    data, people, people_pairs, image_pairs, date
        The measurement.
    """

    kind: PointKind
    target: float | None
    threshold: float
    searched: int = 1
    supported: bool = False
    claimed: float | None = None
    status: str = "unsourced"
    data: str = ""
    people: int = 0
    people_pairs: int = 0
    image_pairs: int = 0
    date: str = ""


def by_hand(threshold: float, *, searched: int = 1) -> OperatingPoint:
    """Return the operating point of a threshold that a user chose: it claims nothing.

    Raises
    ------
    UsageError
        The threshold is not a cosine in [-1, 1].
    """
    if not -1 <= threshold <= 1:
        raise UsageError(f"a threshold of {threshold} is no cosine: it must lie between -1 and 1")
    return OperatingPoint(PointKind.THRESHOLD, None, threshold, searched)


def for_verification(
    measurement: Measurement | None, fmr: float, *, templates: int = 1, strict: bool = False
) -> OperatingPoint:
    """Choose the threshold at which one probe meets one person.

    Parameters
    ----------
    measurement
        The model's measured points.
    fmr
        Target false match rate, 0 < fmr < 1, of the whole decision.
    templates
        How many templates the person has; the target is divided among them.
    strict
        Refuse a point that the data can't support.

    Raises
    ------
    UsageError
        ``fmr`` is no rate.
    UnsupportedPointError
        There is no measurement, or ``fmr`` is stricter than its strictest point, or (only when ``strict``) the person's
        many templates need a point beyond the data.
    """
    _check_rate(fmr, "--fmr")
    measured = _required(measurement)
    strictest = measured.points[-1].fmr
    if fmr < strictest * (1 - 1e-9):
        raise UnsupportedPointError(
            f"FMR {fmr:g} can't be promised: the measurement behind this model supports {strictest:g} at the strictest",
            hint="ask for a rate that the data support (`facecli models info NAME` lists them), "
            "or calibrate on more people of your own",
        )
    return _point(measured, PointKind.FMR, fmr, searched=templates, strict=strict)


def for_identification(
    measurement: Measurement | None, fpir: float, *, templates: int, fmr: float, strict: bool = False
) -> OperatingPoint:
    """Choose the threshold at which one probe is searched among ``templates`` templates.

    It is never looser than the 1:1 point at ``fmr``, and a search of nothing counts as a search of one template.

    Raises
    ------
    UsageError, UnsupportedPointError
        As :func:`for_verification`.
    """
    _check_rate(fpir, "--fpir")
    floor = for_verification(measurement, fmr)
    point = _point(_required(measurement), PointKind.FPIR, fpir, searched=templates, strict=strict)
    return point if point.threshold >= floor.threshold else replace(point, threshold=floor.threshold)


def _point(measured: Measurement, kind: PointKind, target: float, *, searched: int, strict: bool) -> OperatingPoint:
    """Divide ``target`` among the comparisons and find the threshold for one of them."""
    searched = max(searched, 1)
    per_comparison = target / searched
    threshold, basis = _threshold_at(measured, per_comparison)
    supported = basis <= per_comparison * (1 + 1e-9)
    if strict and not supported:
        raise UnsupportedPointError(
            f"{kind.upper()} {target:g} over {searched:,} templates needs FMR {per_comparison:.2g} per comparison, and "
            f"the measurement behind this model supports {measured.points[-1].fmr:g} at the strictest",
            hint="leave out --strict to use a cautious extrapolation, or calibrate on more people of your own",
        )
    return OperatingPoint(
        kind=kind,
        target=target,
        threshold=threshold,
        searched=searched,
        supported=supported,
        claimed=target if supported else min(1.0, searched * basis),
        status=measured.status,
        data=measured.data,
        people=measured.people,
        people_pairs=measured.people_pairs,
        image_pairs=measured.image_pairs,
        date=measured.date,
    )


def _threshold_at(measured: Measurement, fmr: float) -> tuple[float, float]:
    """Return the threshold for ``fmr`` and the measured FMR that stands behind it."""
    for point in measured.points:
        if point.fmr <= fmr * (1 + 1e-9):
            return point.threshold, point.fmr
    strictest = measured.points[-1]
    return _extrapolated(measured.points, fmr), strictest.fmr


def _extrapolated(points: tuple[MeasuredPoint, ...], fmr: float) -> float:
    """Follow the straight line in log10 FMR beyond the strictest point; see the module's docstring."""
    if len(points) < 2:
        return points[-1].threshold
    second, first = points[-2:]
    slope = (first.threshold - second.threshold) / math.log10(second.fmr / first.fmr)
    return min(1.0, first.threshold + slope * math.log10(first.fmr / fmr))


def _required(measurement: Measurement | None) -> Measurement:
    """Refuse a model without measured points: its thresholds would be guesses."""
    if measurement is None or not measurement.points:
        raise UnsupportedPointError(
            "this model has no measured operating points, so no error rate can be promised",
            hint="give a threshold of your own with --threshold; it will be marked unsourced",
        )
    return measurement


def _check_rate(rate: float, option: str) -> None:
    """Refuse what is no error rate, NaN included."""
    if not 0 < rate < 1:
        raise UsageError(f"{option} {rate:g} is no error rate: it must lie between 0 and 1, both excluded")

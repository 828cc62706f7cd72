"""The one definition of a score, and the forms it is shown in.

``verify`` and ``identify`` must agree to the last bit, whatever the batch size, the number of threads or the machine's
vector unit. Matrix products don't: numpy and FAISS sum in orders of their own. So the score that decides is defined
by its value, not by a procedure: the inner product of two float32 templates, **correctly rounded** to float64. The
product of two float32 (24 significant bits each) is exact in float64 (53), and ``math.fsum`` rounds the exact sum once
(J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997). It costs
about 5 µs for 128 values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.types import Fusion, Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from facecli.types import Vector, Vectors

UNIT_TOLERANCE = 1e-3
"""How far a template's length may be from 1. Nothing renormalises it later: a score is of the very bits stored."""

_RANGES = {
    Metric.COSINE: (-1.0, 1.0, "similarity"),
    Metric.ANGULAR: (0.0, 180.0, "degrees"),
    Metric.EUCLIDEAN: (0.0, 2.0, "distance"),
}


def score(a: Vector, b: Vector) -> float:
    """Compare two templates: their cosine, -1 to 1, higher is closer.

    Parameters
    ----------
    a, b
        Templates of one model, ``(dimension,)``, float32, of unit length.

    Returns
    -------
    float
        The inner product, correctly rounded, clipped to [-1, 1] against the rounding of the templates themselves.
        ``score(a, b) == score(b, a)``, and neither batch nor machine changes a bit of it.

    Raises
    ------
    ValueError
        The shapes or types don't fit, a value is not finite, or the product shows that a template is not of unit length
        (clipping that away would let anyone in).
    """
    import numpy as np

    if a.dtype != np.float32 or b.dtype != np.float32 or a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"two float32 vectors of one length are compared, not {a.dtype} {a.shape} and {b.dtype} {b.shape}"
        )
    with np.errstate(invalid="ignore"):
        products = np.multiply(a, b, dtype=np.float64)
    total = math.fsum(products.tolist())
    if not abs(total) <= (1 + UNIT_TOLERANCE) ** 2:  # written so that NaN fails, too
        raise ValueError(f"templates must be finite and of unit length; these have the inner product {total}")
    return min(1.0, max(-1.0, total))


def checked(vectors: NDArray[np.float32], dimension: int) -> Vectors:
    """Return templates from outside as they are, once they are shown to be templates.

    Parameters
    ----------
    vectors
        ``(count, dimension)``.
    dimension
        Of the model.

    Raises
    ------
    ValueError
        They are not float32 of that shape, not finite, or not of unit length (within 1e-3).
    """
    import numpy as np

    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"expected float32 templates (count, {dimension}), got {vectors.dtype} {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("a template holds a value that is not finite")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    worst = float(np.abs(lengths - 1).max(initial=0.0))
    if worst > UNIT_TOLERANCE:
        raise ValueError(f"a template must be of unit length; one is off by {worst:.3g}")
    return vectors


def fuse(scores: Sequence[float], fusion: Fusion) -> float:
    """Make one score of the scores against a person's several templates; their order doesn't matter.

    Raises
    ------
    ValueError
        There is no score: no score is no match, never a zero.
    """
    if not scores:
        raise ValueError("there is no score to fuse")
    if fusion is Fusion.MAX:
        return max(scores)
    return math.fsum(scores) / len(scores)


def shown(score: float, metric: Metric) -> float:
    """Return a score in the form a user asked to see.

    Parameters
    ----------
    score
        Cosine ``s``, -1 to 1.
    metric
        Cosine; the angle ``acos(s)`` in degrees, 0 to 180; or the unit vectors' distance ``sqrt(2 - 2 s)``, 0 to 2.
    """
    if metric is Metric.ANGULAR:
        return math.degrees(math.acos(score))
    if metric is Metric.EUCLIDEAN:
        return math.sqrt(2 - 2 * score)
    return score


def as_score(value: float, metric: Metric) -> float:
    """Return the score that a value in a metric's own unit stands for: how ``--threshold`` is read, once.

    ``as_score(shown(s, metric), metric)`` is ``s`` within 1e-12.

    Raises
    ------
    UsageError
        The value is outside the metric's range, or not a number.
    """
    low, high, unit = _RANGES[metric]
    if not low <= value <= high:
        raise UsageError(f"{value} is no {metric} {unit}: it goes from {low:g} to {high:g}")
    if metric is Metric.ANGULAR:
        return math.cos(math.radians(value))
    if metric is Metric.EUCLIDEAN:
        return 1 - value * value / 2
    return value

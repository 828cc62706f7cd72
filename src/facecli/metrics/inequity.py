"""How unequal rates are, in one figure; the groups are the last axis, so that bootstrap rounds go at once.

None of them says all; :mod:`facecli.metrics.fairness` tells where each comes from and what it misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.5
"""Weight of FMR against FNMR in GARBE and FDR, as in both papers' examples."""


def gini(rates: ArrayLike) -> Floats:
    """Return the Gini coefficient of rates, corrected for few groups, over the last axis.

    ``n / (n - 1) * sum_i sum_j |x_i - x_j| / (2 n^2 mean(x))``: 0 where all are equal, 1 where one group has all
    errors; 0 where there are no errors at all, NaN for fewer than two groups (Howard et al. 2022).
    """
    import numpy as np

    values = np.asarray(rates, np.float64)
    count = values.shape[-1]
    if count < 2:
        return np.full(values.shape[:-1], np.nan)
    apart = np.abs(values[..., :, None] - values[..., None, :]).sum(axis=(-2, -1))
    scale = 2 * count * (count - 1) * values.mean(axis=-1)
    result: Floats = np.divide(apart, scale, out=np.zeros_like(scale), where=scale > 0)
    return result


def garbe(fmr: ArrayLike, fnmr: ArrayLike, alpha: float = ALPHA) -> Floats:
    """Return ``alpha * gini(fmr) + (1 - alpha) * gini(fnmr)`` over the last axis (Howard et al. 2022)."""
    return alpha * gini(fmr) + (1 - alpha) * gini(fnmr)


def fairness_discrepancy_rate(fmr: ArrayLike, fnmr: ArrayLike, alpha: float = ALPHA) -> Floats:
    """Return ``1 - (alpha * max_ij |FMR_i - FMR_j| + (1 - alpha) * max_ij |FNMR_i - FNMR_j|)`` over the last axis.

    (de Freitas Pereira and Marcel 2021.)
    """
    return 1 - (alpha * apart(fmr) + (1 - alpha) * apart(fnmr))


def apart(rates: ArrayLike) -> Floats:
    """Return the highest rate less the lowest, over the last axis; NaN of no rates."""
    import numpy as np

    values = np.asarray(rates, np.float64)
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    result: Floats = values.max(axis=-1) - values.min(axis=-1)
    return result


def max_min(rates: ArrayLike) -> Floats:
    """Return the highest rate over the lowest, over the last axis; NaN where a group has no errors."""
    import numpy as np

    values = np.asarray(rates, np.float64)
    low = values.min(axis=-1)
    result: Floats = np.divide(values.max(axis=-1), low, out=np.full(low.shape, np.nan), where=low > 0)
    return result


def max_geomean(rates: ArrayLike) -> Floats:
    """Return the highest rate over the geometric mean, over the last axis; NaN where a group has no errors."""
    import numpy as np

    values = np.asarray(rates, np.float64)
    positive = (values > 0).all(axis=-1)
    logs = np.log(np.where(values > 0, values, 1.0)).mean(axis=-1)
    result: Floats = np.where(positive, values.max(axis=-1) / np.exp(logs), np.nan)
    return result

"""How rates are told: with their interval, and as a bound where the data support no more.

One place, so that the terminal, the page and the figures say the same thing the same way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facecli.evaluate.verification import Support

if TYPE_CHECKING:
    from facecli.evaluate.verification import EqualError, Point
    from facecli.metrics.intervals import Rate

NOTHING = "–"
"""Where there is nothing to tell."""


def percent(share: float) -> str:
    """Tell a share in per cent: two decimals, or as many more as it takes not to look like 0 or 100.

    >>> percent(0.0123456), percent(0.0000123), percent(0.999987)
    ('1.23 %', '0.0012 %', '99.9987 %')
    """
    distance = min(abs(share), abs(1 - share)) * 100
    decimals = 2 if distance == 0 or distance >= 0.1 else min(8, 1 - math.floor(math.log10(distance)))
    return f"{share * 100:.{decimals}f} %"


def round_percent(share: float) -> str:
    """Tell a share that someone chose, such as a target, without trailing zeros and never with an exponent.

    >>> round_percent(0.1), round_percent(0.00001)
    ('10 %', '0.001 %')
    """
    text = f"{100 * share:.8f}".rstrip("0").rstrip(".")
    return f"{text or '0'} %"


def between(low: float, high: float) -> str:
    """Tell an interval of shares.

    >>> between(0.01, 0.0234)
    '1.00 to 2.34 %'
    """
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def bound(low: float, high: float) -> str:
    """Tell what can be said of a rate that was not seen to differ from 0 (or 1): the end that is not trivial."""
    if low <= 0 and high >= 1:
        return NOTHING
    return f"< {percent(high)}" if low <= 0 else f"> {percent(low)}"


def rate_parts(rate: Rate) -> tuple[str, str]:
    """Tell a rate and its interval apart, as ``("1.20 %", "0.90 to 1.60 %")``; the latter is empty of a bound.

    ``~`` stands before a rate with fewer than 30 errors, as in the terminal.
    """
    if rate.value is None:
        return bound(rate.low, rate.high), ""
    return ("~" if rate.few else "") + percent(rate.value), between(rate.low, rate.high)


def counted(rate: Rate) -> str:
    """Tell what was counted, as ``12 of 1,500``."""
    return f"{rate.errors:,} of {rate.trials:,}"


def equal_error_parts(eer: EqualError) -> tuple[str, str]:
    """Tell the equal error rate and its interval apart."""
    if eer.value is None:
        return bound(eer.low, eer.high), ""
    return percent(eer.value), between(eer.low, eer.high)


def point_fnmr_parts(point: Point) -> tuple[str, str]:
    """Tell FNMR at a target FMR, as far as the data go, and its interval."""
    if point.fnmr is None:
        return NOTHING, ""
    if point.support is Support.NUMBER:
        return rate_parts(point.fnmr)
    return f"at most {percent(point.fnmr.high)}", ""

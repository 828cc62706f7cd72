"""What a measured rate is worth: how far the truth may be from it, and when it can't be stated at all.

Comparisons are independent trials only where nobody takes part in two of them. Then Clopper and Pearson (1934) give an
interval that covers the truth at least as often as it says. In all other designs, all pairs of a set of photographs
above all, *people* are the sample: a bootstrap draws them again with replacement, and a comparison counts as often as
both its people were drawn; a person is never paired with his own copy (the subsets bootstrap: Bolle, Ratha and Pankanti
2004). Few errors make a bootstrap too sure of itself, so its interval is widened to Clopper and Pearson's where that is
wider.

No errors in n trials make no rate of 0: at 95 % confidence the truth is below 3/n (the rule of 3, ISO/IEC 19795-1).
A rate is known within 30 % only from 30 errors on (the rule of 30: Doddington et al. 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facecli.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Total: TypeAlias = Callable[[Floats], Floats]
    """How often something counts in each round: from how often each drew each person, ``(rounds, people)``, to
    ``(rounds,)``."""

CONFIDENCE = 0.95
RULE_OF_30 = 30
"""Errors that must be expected before a rate is worth stating."""
BLOCK_CELLS = 4_000_000
"""Cells of the largest temporary array, 32 MB as float64."""


class Method(StrEnum):
    """Where an interval comes from."""

    EXACT = "Clopper-Pearson"
    """Independent trials."""
    TRIALS = "bootstrap over trials"
    """Independent trials, of a figure that is no plain rate."""
    PEOPLE = "bootstrap over people"
    RULE_OF_3 = "rule of 3"
    """No error (or nothing but errors): only a bound, one-sided."""
    NONE = "no trials"


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with what it is worth.

    Attributes
    ----------
    value
        The observed rate; None where the data support only the bound.
    errors, trials
        What was counted.
    low, high
        The interval, within [0, 1]. Where ``value`` is None one of them is the bound, and the other 0 or 1.
    method
        Where the interval comes from, see :class:`Method`.
    units
        Independent units behind the trials: people, pairs of people, or the trials themselves.
    """

    value: float | None
    errors: int
    trials: int
    low: float
    high: float
    method: str
    units: int

    @property
    def few(self) -> bool:
        """Whether fewer than 30 errors stand behind the value, so that it may well be 30 % off."""
        return min(self.errors, self.trials - self.errors) < RULE_OF_30

    def complement(self) -> Rate:
        """Return the rate of the opposite: TAR of FNMR, accuracy of error."""
        value = None if self.value is None else 1 - self.value
        return Rate(value, self.trials - self.errors, self.trials, 1 - self.high, 1 - self.low, self.method, self.units)


def rate(errors: int, trials: int, *, over_people: tuple[float, float] | None = None, units: int | None = None) -> Rate:
    """Return a rate with its interval.

    Parameters
    ----------
    errors, trials
        Counts.
    over_people
        The interval by :func:`people_bootstrap`; without it the trials are taken as independent.
    units
        How many independent units the trials come from; by default the trials themselves.

    Raises
    ------
    UsageError
        There are more errors than trials.
    """
    units = trials if units is None else units
    if not 0 <= errors <= trials:
        raise UsageError(f"{errors} errors in {trials} trials are no rate")
    if trials == 0 or units == 0:
        return Rate(None, errors, trials, 0.0, 1.0, Method.NONE, units)
    bound = rule_of_3(units)
    if errors == 0:
        return Rate(None, errors, trials, 0.0, bound, Method.RULE_OF_3, units)
    if errors == trials:
        return Rate(None, errors, trials, 1 - bound, 1.0, Method.RULE_OF_3, units)
    low, high = clopper_pearson(errors, trials)
    if over_people is None:
        return Rate(errors / trials, errors, trials, low, high, Method.EXACT, units)
    low, high = min(low, over_people[0]), max(high, over_people[1])
    return Rate(errors / trials, errors, trials, low, high, Method.PEOPLE, units)


def clopper_pearson(errors: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate in independent trials (Clopper and Pearson 1934).

    Raises
    ------
    UsageError
        No trials, or more errors than trials.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise UsageError(f"{errors} errors in {trials} trials are no rate")
    beta = scipy_special()
    tail = (1 - confidence) / 2
    low = 0.0 if errors == 0 else float(beta.betaincinv(errors, trials - errors + 1, tail))
    high = 1.0 if errors == trials else float(beta.betaincinv(errors + 1, trials - errors, 1 - tail))
    return low, high


def rule_of_3(trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that no error in so many independent trials excludes: about 3 / trials at 95 %, one-sided."""
    return 1.0 if trials < 1 else float(1 - (1 - confidence) ** (1 / trials))


def supported(target: float, trials: int) -> bool:
    """Say whether so many independent trials can show a rate: 30 errors must be expected (the rule of 30)."""
    return target * trials >= RULE_OF_30


def claimable(target: float, trials: int) -> bool:
    """Say whether so many independent trials *without an error* would show that a rate is met (the rule of 3)."""
    return rule_of_3(trials) <= target


@dataclass(frozen=True, slots=True)
class Resampling:
    """How people are drawn again.

    Attributes
    ----------
    rounds
        How often, at least 1.
    confidence
        Of the interval, in (0, 1).
    seed
        The same seed gives the same interval.
    """

    rounds: int = 1000
    confidence: float = CONFIDENCE
    seed: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 < self.confidence < 1:
            raise UsageError(f"{self} is no resampling: rounds >= 1, 0 < confidence < 1")


def people_bootstrap(
    statistic: Callable[[Floats], Floats], people: int, resampling: Resampling | None = None
) -> tuple[float, float]:
    """Return the two-sided percentile interval of a statistic when people are drawn again.

    Parameters
    ----------
    statistic
        From how often each round drew each person, ``(rounds, people)``, to its value in each, ``(rounds,)``; NaN where
        it has none (those rounds are left out).
    people
        How many there are.
    resampling
        How they are drawn.

    Returns
    -------
    tuple of float
        (0, 1) where no round had a value.
    """
    import numpy as np

    chosen = resampling or Resampling()
    draws = resampled(people, chosen.rounds, seed=chosen.seed, cells=people)
    return percentiles(np.concatenate([statistic(times) for _, times in draws]), chosen.confidence)


def percentiles(values: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the two-sided interval of a bootstrap's rounds, ``(rounds,)``, NaN left out; (0, 1) of none."""
    import numpy as np

    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def resampled(people: int, rounds: int, *, seed: int, cells: int) -> Iterator[tuple[range, Floats]]:
    """Draw as many people as there are, with replacement, again and again.

    Parameters
    ----------
    people, rounds, seed
        How many people, how often, from which seed. What is drawn depends on nothing else.
    cells
        How many cells the caller will make of each round; so many rounds come at once that they fit ``BLOCK_CELLS``.

    Yields
    ------
    tuple
        Which rounds, and how often each drew each person, ``(rounds, people)``.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    step = max(1, BLOCK_CELLS // max(cells, 1))
    for start in range(0, rounds, step):
        rows = range(start, min(start + step, rounds))
        drawn = generator.integers(people, size=(len(rows), people))
        drawn += np.arange(len(rows))[:, None] * people
        counts = np.bincount(drawn.ravel(), minlength=len(rows) * people)
        yield rows, counts.reshape(len(rows), people).astype(np.float64)


def of_people(counts: ArrayLike) -> Total:
    """Count what belongs to single people, ``(people,)``, such as each one's mated comparisons."""
    import numpy as np

    values = np.asarray(counts, np.float64)

    def total(times: Floats) -> Floats:
        sums: Floats = times @ values
        return sums

    return total


def of_pairs(first: ArrayLike, second: ArrayLike, people: int, counts: ArrayLike | None = None) -> Total:
    """Count what belongs to two different people, such as false matches.

    Parameters
    ----------
    first, second
        The two people of each, ``(n,)``; pairs may repeat.
    people
        How many there are.
    counts
        How often each counts, ``(n,)``; by default once.
    """
    import numpy as np

    left, right = np.asarray(first, np.int64), np.asarray(second, np.int64)
    values = np.ones(len(left)) if counts is None else np.asarray(counts, np.float64)
    matrix = scipy_sparse().csr_matrix((values, (left, right)), shape=(people, people))

    def total(times: Floats) -> Floats:
        drawn = np.ascontiguousarray(times.T)
        sums: Floats = np.einsum("ij,ij->j", matrix @ drawn, drawn)
        return sums

    return total


def of_all_pairs(sizes: ArrayLike) -> Total:
    """Count all pairs of different people's photographs, of which each person has ``sizes``, ``(people,)``."""
    import numpy as np

    values = np.asarray(sizes, np.float64)

    def total(times: Floats) -> Floats:
        weighted = times * values
        pairs: Floats = (weighted.sum(axis=1) ** 2 - (weighted**2).sum(axis=1)) / 2
        return pairs

    return total


def quotient(errors: Total, trials: Total) -> Callable[[Floats], Floats]:
    """Return the rate of each round, for :func:`people_bootstrap`; NaN in a round that drew no trial."""
    import numpy as np

    def value(times: Floats) -> Floats:
        drawn = trials(times)
        rates: Floats = np.divide(errors(times), drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
        return rates

    return value


def scipy_special() -> ModuleType:
    """Load scipy.special.

    Raises
    ------
    SetupError
        The extra is not installed.
    """
    try:
        import scipy.special
    except ImportError as error:
        raise _no_scipy() from error
    module: ModuleType = scipy.special
    return module


def scipy_sparse() -> ModuleType:
    """Load scipy.sparse.

    Raises
    ------
    SetupError
        The extra is not installed.
    """
    try:
        import scipy.sparse
    except ImportError as error:
        raise _no_scipy() from error
    module: ModuleType = scipy.sparse
    return module


def _no_scipy() -> SetupError:
    return SetupError("evaluation needs scipy, which is not installed", hint="pip install 'facecli[evaluate]'")

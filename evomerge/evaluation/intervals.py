"""Numbers with 95 % intervals, from per-example scores and from other such numbers.

Binary scores get Wilson's interval, everything else a seeded percentile bootstrap over examples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

BOOTSTRAP_SAMPLES = 1000

STABILITY = "stability"
"""1 minus the standard deviation of the parts, each in units of its spread over a panel of models.
"""

AGGREGATES = ("mean", "min", "max", "soft_min", "soft_max", STABILITY)
"""How an objective may combine its parts."""

Scales = Sequence[tuple[float, float]]
"""Mean and standard deviation of each part over a panel of models."""

TEMPERATURE = 0.05
"""Of soft minima and maxima, in the parts' unit: made for scores from 0 to 1."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Args:
        value: The number, in its own unit and direction; NaN where no example was scored.
        low, high: Ends of the interval.
        n: Examples that it rests on.
    """

    value: float
    low: float
    high: float
    n: int


MISSING = Estimate(math.nan, math.nan, math.nan, 0)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    share = successes / n
    centre = share + Z * Z / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # At 0 and n successes rounding may leave the share outside by 1e-17.
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def resamples(
    rng: np.random.Generator, n: int, samples: int, strata: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Return rows drawn with replacement, shape ``(samples, n)``.

    Args:
        rng: Source of the draws.
        n: Number of rows.
        samples: Number of resamples.
        strata: One label a row, shape ``(n,)``; each resample holds as many rows of every label as
            there are. None is one stratum.
    """
    labels = np.zeros(n, dtype=np.intp) if strata is None else strata
    draws = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        draws.append(members[rng.integers(0, len(members), size=(samples, len(members)))])
    return np.concatenate(draws, axis=1)


def bootstrap(
    values: NDArray[np.float64],
    aggregate: Callable[[NDArray[np.float64]], float],
    *,
    strata: NDArray[np.intp] | None = None,
    seed: int = 0,
    samples: int = BOOTSTRAP_SAMPLES,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``aggregate`` under resampling of examples.

    Equal ``seed`` and number of examples give equal draws, so that candidates are compared on the
    same resamples.

    Args:
        values: Per-example values, shape ``(n, width)``.
        aggregate: Values → number.
        strata: One label a row, shape ``(n,)``: examples are drawn within each; None is one.
        seed: Seed of the draws.
        samples: Number of resamples.
    """
    n = len(values)
    rng = np.random.default_rng((seed, n))
    draws = resamples(rng, n, samples, strata)
    results = np.array([_or_nan(aggregate, values[draw]) for draw in draws])
    # An aggregate may be undefined on a resample (one class only); the others tell the spread.
    results = results[~np.isnan(results)]
    if not len(results):
        return math.nan, math.nan
    low, high = np.quantile(results, [0.025, 0.975])
    return float(low), float(high)


def _or_nan(
    aggregate: Callable[[NDArray[np.float64]], float], values: NDArray[np.float64]
) -> float:
    """Return the aggregate, NaN where it divides by zero or overflows."""
    try:
        return aggregate(values)
    except ArithmeticError:
        return math.nan


def estimate(
    values: NDArray[np.float64],
    aggregate: Callable[[NDArray[np.float64]], float],
    *,
    binary: bool = False,
    strata: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Estimate:
    """Return the aggregate of per-example values with its interval.

    Args:
        values: Shape ``(n, width)``; rows with NaN were not scored and are left out.
        aggregate: Values → number.
        binary: Values are 0 or 1 and the aggregate is their mean.
        strata: One label a row, shape ``(n,)``, within which the bootstrap draws; None is one.
        seed: Seed of the bootstrap.
    """
    kept = ~np.isnan(values).any(axis=1)
    scored = values[kept]
    n = len(scored)
    if n == 0:
        return MISSING
    value = float(aggregate(scored))
    if binary and scored.shape[1] == 1 and bool(((scored == 0) | (scored == 1)).all()):
        low, high = wilson(float(scored.sum()), n)
    elif (scored == scored[0]).all():
        low = high = value
    else:
        labels = None if strata is None else strata[kept]
        low, high = bootstrap(scored, aggregate, strata=labels, seed=seed)
        # A percentile interval of a skewed aggregate need not hold the value itself.
        low, high = min(low, value), max(high, value)
    return Estimate(value, low, high, n)


def combine(
    aggregate: str,
    estimates: Sequence[Estimate],
    weights: Sequence[float] | None = None,
    temperature: float = TEMPERATURE,
    scales: Scales | None = None,
) -> Estimate:
    """Return the mean, or (softly) the smallest or largest of independent estimates, with interval.

    The interval of a mean adds the squared distances of the parts' bounds (MOVER); that of a soft
    minimum or maximum, and of a stability, does so with the parts' slopes. That of a minimum or
    maximum is the minimum or maximum of the bounds.

    Args:
        aggregate: One of ``AGGREGATES``.
        estimates: The parts; one that is missing makes the whole missing.
        weights: (mean) Weight of each, at least one above 0; equal if None.
        temperature: (soft_min, soft_max) In the parts' unit; towards 0 it is the minimum or
            maximum, towards infinity the mean.
        scales: (stability) of each part; None makes the whole missing.

    Raises:
        EvaluationError: The weights don't fit the parts.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures".
    """
    values = [part.value for part in estimates]
    value = combine_values(aggregate, values, weights, temperature, scales)
    if math.isnan(value):
        return MISSING
    n = sum(part.n for part in estimates)
    if aggregate in ("min", "max"):
        pick = min if aggregate == "min" else max
        low, high = pick(part.low for part in estimates), pick(part.high for part in estimates)
        return Estimate(value, low, high, n)
    if aggregate == STABILITY:
        assert scales is not None, "else it is missing"
        slopes = _stability_slopes(values, scales)
        low, high = _moved(value, slopes, estimates)
        return Estimate(value, low, min(high, 1.0), n)
    slopes = _shares(weights, len(estimates))
    if aggregate != "mean":
        slopes = _soft_shares(aggregate, values, temperature)
    low, high = _moved(value, slopes, estimates)
    return Estimate(value, low, high, n)


def _moved(
    value: float, slopes: Sequence[float], estimates: Sequence[Estimate]
) -> tuple[float, float]:
    """Return the interval of a value that moves with each part by a slope (MOVER)."""
    below = above = 0.0
    for slope, part in zip(slopes, estimates, strict=True):
        down, up = slope * (part.value - part.low), slope * (part.high - part.value)
        if slope < 0:
            down, up = up, down
        below += down * down
        above += up * up
    return value - math.sqrt(below), value + math.sqrt(above)


def combine_values(
    aggregate: str,
    values: Sequence[float],
    weights: Sequence[float] | None = None,
    temperature: float = TEMPERATURE,
    scales: Scales | None = None,
) -> float:
    """Return what ``combine`` does, without intervals.

    Args:
        aggregate: One of ``AGGREGATES``.
        values: The parts; one that is NaN, or none at all, makes the whole NaN.
        weights: (mean) Weight of each, at least one above 0; equal if None.
        temperature: (soft_min, soft_max) In the parts' unit.
        scales: (stability) of each part; None makes the whole NaN.

    Raises:
        EvaluationError: The weights don't fit the parts.
    """
    if not values or any(map(math.isnan, values)):
        return math.nan
    if aggregate == STABILITY:
        return math.nan if scales is None else 1.0 - float(_standardised(values, scales).std())
    if aggregate in ("min", "max"):
        return min(values) if aggregate == "min" else max(values)
    if aggregate in ("soft_min", "soft_max"):
        sign = -1.0 if aggregate == "soft_min" else 1.0
        steps = sign * np.array(values) / temperature
        top = steps.max()  # keeps the exponentials in range
        return float(sign * temperature * (top + np.log(np.exp(steps - top).mean())))
    if aggregate != "mean":
        wanted = ", ".join(AGGREGATES)
        raise EvaluationError(f"aggregate is {aggregate!r}; expected one of {wanted}.")
    shares = _shares(weights, len(values))
    return sum(share * value for share, value in zip(shares, values, strict=True))


def _soft_shares(aggregate: str, values: Sequence[float], temperature: float) -> list[float]:
    """Return how much a soft minimum or maximum moves with each part; they add up to 1."""
    sign = -1.0 if aggregate == "soft_min" else 1.0
    steps = sign * np.array(values) / temperature
    slopes = np.exp(steps - steps.max())
    return [float(slope) for slope in slopes / slopes.sum()]


def _shares(weights: Sequence[float] | None, n: int) -> list[float]:
    """Return weights that add up to 1."""
    given = [1.0] * n if weights is None else list(weights)
    if len(given) != n or min(given) < 0 or not sum(given) > 0:
        raise EvaluationError(
            f"weights are {given} for {n} entries of 'from'; expected one number of at least 0 for "
            "each, and one above 0."
        )
    total = sum(given)
    return [weight / total for weight in given]


def _standardised(values: Sequence[float], scales: Scales) -> NDArray[np.float64]:
    """Return the parts in units of the panel's spread; one on which it is equal stays raw."""
    pairs = zip(values, scales, strict=True)
    return np.array([(value - mean) / (spread or 1.0) for value, (mean, spread) in pairs])


def _stability_slopes(values: Sequence[float], scales: Scales) -> list[float]:
    """Return how a stability moves with each part.

    Where all parts are equal it falls whichever way one moves; the steepest slope stands for that.
    """
    scaled = _standardised(values, scales)
    n, deviation = len(scaled), float(scaled.std())
    units = [spread or 1.0 for _, spread in scales]
    if deviation == 0:
        return [-1.0 / (math.sqrt(n) * unit) for unit in units]
    steps = (scaled - scaled.mean()) / (n * deviation)
    return [float(-step / unit) for step, unit in zip(steps, units, strict=True)]

"""One dimension of a search space: its grid of values and their places in the unit interval.

Three kinds of grid, all exact both ways:

- *cells*: whole numbers, choices and numbers with a ``step``. The unit interval is cut into cells
  of equal width, one a value; a value is encoded as its cell's centre.
- *fine*: linear floats. Multiples of a power of ten that give about six significant digits of the
  range, so that recipes read well (0.731204), at evenly spaced places from 0 to 1.
- *log*: values spread by their logarithm, rounded to six significant digits, to ``step`` or to
  whole numbers.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError

SIGNIFICANT_DIGITS = 6
_MAX_DECIMAL_EXPONENT = 22  # 10**22 is the largest power of ten that float64 holds exactly
_TOLERANCE = 1e-3
"""Part of a gene's range by which a foreign value may be moved to reach the grid."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gene:
    """One dimension of a search space.

    Args:
        name: ``STAGE.PARAMETER[.SOURCE][.FILTER][.BLOCK]``, unique in its space.
        kind: ``float``, ``int`` or ``categorical``.
        low, high: Range of a number, both ends included.
        scale: ``linear`` or ``log``: how the range is spread over [0, 1].
        step: Values are multiples of this (0: six significant decimals of the range).
        choices: Values of a categorical.
        active_if: The gene counts only while the gene of this name, which stands before it, is
            active and has one of these values; None: always.
        default: Value that an inactive gene shows; None takes the middle of the range.
        prior: Place in [0, 1] where a numeric searcher's mean starts in this dimension; None takes
            the searcher's own.

    Raises:
        RecipeError: No value lies in the range, or the prior isn't in [0, 1].
    """

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float = 0.0
    high: float = 1.0
    scale: Literal["linear", "log"] = "linear"
    step: float = 0.0
    choices: tuple[Any, ...] = ()
    active_if: tuple[str, tuple[Any, ...]] | None = None
    default: Any = None
    prior: float | None = None

    def __post_init__(self) -> None:
        """Refuse a gene without values."""
        if self.prior is not None and not 0 <= self.prior <= 1:
            raise RecipeError(f"gene {self.name!r} has the prior {self.prior}; expected 0 to 1.")
        if self.kind == "categorical":
            if not self.choices:
                raise RecipeError(f"gene {self.name!r} has no choices. Give at least one.")
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise RecipeError(
                f"gene {self.name!r} has the range {self.low} to {self.high}; "
                "expected finite numbers with low ≤ high."
            )
        if self.scale == "log" and self.low <= 0:
            raise RecipeError(
                f"gene {self.name!r} has a log scale and low {self.low:g}; expected low above 0."
            )
        first, last = self._multiples
        if first > last:
            raise RecipeError(
                f"gene {self.name!r}: no multiple of {self.step or 1:g} lies between {self.low:g} "
                f"and {self.high:g}. Choose a smaller step or a wider range."
            )

    @property
    def is_cells(self) -> bool:
        """Tell whether the gene's values are cells of equal width."""
        return self.kind == "categorical" or (
            self.scale == "linear" and (self.kind == "int" or self.step > 0)
        )

    @cached_property
    def n_values(self) -> int:
        """Number of values of a gene on cells; 0 for others."""
        if not self.is_cells:
            return 0
        if self.kind == "categorical":
            return len(self.choices)
        return self._multiples[1] - self._multiples[0] + 1

    @cached_property
    def unit(self) -> Fraction:
        """Spacing of the grid; 0 for log floats without a step, whose spacing varies."""
        if self.kind == "int":
            return Fraction(str(self.step)) if self.step else Fraction(1)
        if self.step:
            return Fraction(str(self.step))
        if self.scale == "log":
            return Fraction(0)
        width = self.high - self.low
        exponent = math.floor(math.log10(width)) - SIGNIFICANT_DIGITS if width > 0 else -12
        # A range far from 0 has no more digits than float64 can tell apart.
        largest = max(abs(self.low), abs(self.high), 1e-300)
        exponent = max(exponent, math.floor(math.log10(largest)) - 13, -_MAX_DECIMAL_EXPONENT)
        return Fraction(10) ** exponent

    @cached_property
    def _multiples(self) -> tuple[int, int]:
        """First and last multiple of ``unit`` in the range; (0, 0) where there is no unit."""
        if not self.unit:
            return (0, 0)
        # Through their decimal text: 0.3 is three tenths here, not the double below it.
        low, high = Fraction(str(self.low)), Fraction(str(self.high))
        if self.low == self.high and not self.step and self.kind == "float":
            return (0, 0)
        return math.ceil(low / self.unit), math.floor(high / self.unit)

    def values(self, x: Array) -> Array:
        """Return the values at places ``x`` in [0, 1], any shape; categoricals as indices."""
        if self.is_cells:
            index = np.minimum(np.floor(x * self.n_values), self.n_values - 1)
            return (
                index if self.kind == "categorical" else self._multiple(self._multiples[0] + index)
            )
        if self.low == self.high:
            return np.full_like(x, self.low)
        if self.scale == "linear":
            first, last = self._multiples
            return self._multiple(first + np.rint(x * (last - first)))
        logs = math.log(self.low) + x * (math.log(self.high) - math.log(self.low))
        value = np.clip(np.exp(logs), self.low, self.high)
        if self.unit:
            first, last = self._multiples
            return self._multiple(np.clip(np.rint(value / float(self.unit)), first, last))
        return np.clip(_round_significant(value), self.low, self.high)

    def places(self, values: Array) -> Array:
        """Return the places of ``values`` in [0, 1], any shape; off the grid, the nearest place."""
        if self.kind == "categorical":
            return (values + 0.5) / self.n_values
        if self.low == self.high:
            return np.full_like(values, 0.5)
        if self.scale == "log":
            logs = np.log(np.clip(values, self.low, self.high) / self.low)
            return np.clip(logs / math.log(self.high / self.low), 0.0, 1.0)
        first, last = self._multiples
        index = np.rint(values / float(self.unit)) - first
        if self.is_cells:
            return np.clip((index + 0.5) / self.n_values, 0.0, 1.0)
        return np.clip(index / max(last - first, 1), 0.0, 1.0)

    def number(self, value: Any) -> float:
        """Return ``value`` as ``values`` shows it: a categorical's index, a number as it is.

        Raises:
            RecipeError: Not one of the choices, or not a number.
        """
        if self.kind == "categorical":
            for index, choice in enumerate(self.choices):
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return float(index)
            known = ", ".join(map(str, self.choices))
            raise RecipeError(f"gene {self.name!r}: got {value!r}, expected one of {known}.")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RecipeError(f"gene {self.name!r}: got {value!r}, expected a number.")
        return float(value)

    def python(self, number: float) -> Any:
        """Return the value that ``number`` (from ``values``) stands for: float, int or a choice."""
        if self.kind == "categorical":
            return self.choices[int(number)]
        return int(number) if self.kind == "int" else float(number)

    def inactive(self) -> Any:
        """Return the value that the gene shows while it is inactive."""
        if self.default is not None:
            return self.default
        return self.python(float(self.values(np.array([0.5]))[0]))

    def nearest(self, value: Any) -> Any:
        """Return the grid's value nearest to ``value``.

        Raises:
            RecipeError: ``value`` is out of range, or further from the grid than 1/1000 of the
                range.
        """
        number = self.number(value)
        snapped = float(self.values(self.places(np.array([number])))[0])
        slack = _TOLERANCE * (self.high - self.low) + 1e-9 * abs(number)
        if self.kind != "categorical" and abs(snapped - number) > slack:
            raise RecipeError(
                f"gene {self.name!r}: {number:g} isn't in its values, {self.low:g} to {self.high:g}"
                + (f" in steps of {float(self.unit):g}." if self.unit else ".")
            )
        return self.python(snapped)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form."""
        plain: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == "categorical":
            plain["choices"] = list(self.choices)
        else:
            plain |= {"low": self.low, "high": self.high, "scale": self.scale, "step": self.step}
        if self.active_if is not None:
            plain["active_if"] = [self.active_if[0], list(self.active_if[1])]
            plain["default"] = self.default
        if self.prior is not None:
            plain["prior"] = self.prior
        return plain

    def _multiple(self, index: Array) -> Array:
        """Return ``index`` times the unit, correctly rounded: the quotient's parts are exact."""
        return index * float(self.unit.numerator) / float(self.unit.denominator) + 0.0


def _round_significant(value: Array) -> Array:
    """Return positive ``value`` rounded to six significant digits, as the literal would be read."""
    exponent = np.floor(np.log10(value)) - (SIGNIFICANT_DIGITS - 1)
    scale = np.power(10.0, np.abs(exponent))
    mantissa = np.rint(np.where(exponent < 0, value * scale, value / scale))
    rounded: Array = np.where(exponent < 0, mantissa / scale, mantissa * scale)
    return rounded

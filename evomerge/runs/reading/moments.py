"""Moments of a long course, thinned to what a chart shows."""

from collections.abc import Sequence
from typing import TypeVar

MOMENTS = 200
"""Points of an archive's course."""

T = TypeVar("T")


def evenly(moments: Sequence[T], most: int) -> tuple[T, ...]:
    """Return at most ``most`` moments, evenly spread, the first and the last among them."""
    if len(moments) <= most:
        return tuple(moments)
    step = (len(moments) - 1) / (most - 1)
    return tuple(moments[round(place * step)] for place in range(most))

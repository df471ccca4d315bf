"""Crossing two models: what a space whose points are joined must offer, and the SLERP that joins.

Source: Abrantes et al. 2025, arXiv:2508.16204, and its code (SakanaAI/natural_niches).
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FLAT = 1e-6
"""Sine of the angle up to which parents are joined by a straight line, as in the authors' code."""

Array = NDArray[np.float64]


@runtime_checkable
class Crossable(Protocol):
    """A space whose points are joined, not moved."""

    @property
    def summary(self) -> str:
        """What there is to search, in a few words."""

    def draw(self, rng: np.random.Generator) -> Array:
        """Return the encoding of a random genome."""

    def founders(self) -> Sequence[tuple[str, Array]]:
        """Return (label, encoding) of what a search begins with."""

    def cross(
        self, one: Array, two: Array, rng: np.random.Generator, *, split: bool = True
    ) -> Array:
        """Return the encoding of a child; mutated too, where models are evolved from scratch.

        Args:
            one: Encoding of the first parent.
            two: That of the second.
            rng: Where weight and place come from.
            split: Cut the parents at a random place; otherwise one weight joins them everywhere.
        """


def angle_between(product: float, norm_one: float, norm_two: float) -> float:
    """Return the angle between two vectors in radians, 0 where one of them is 0.

    Args:
        product: Their inner product.
        norm_one: Squared norm of the one.
        norm_two: That of the other.
    """
    if min(norm_one, norm_two) <= 0:
        return 0.0
    cosine = product / math.sqrt(norm_one) / math.sqrt(norm_two)
    # Rounded far below what weights resolve: the sums' last bits depend on how they were added.
    return round(math.acos(min(1.0, max(-1.0, cosine))), 9)


def slerp_shares(t: Array, angle: float) -> tuple[Array, Array]:
    """Return what the first and the second of two vectors have in their SLERP at ``t``.

    Args:
        t: 0 to 1, any shape; 0: the first alone.
        angle: Between the vectors; where they are parallel or anti-parallel, a straight line joins
            them.
    """
    if math.sin(angle) <= FLAT:
        return 1.0 - t, t
    return np.sin((1.0 - t) * angle) / math.sin(angle), np.sin(t * angle) / math.sin(angle)

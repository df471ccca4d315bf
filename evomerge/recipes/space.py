"""The search space: which recipes a search may propose, in the unit cube. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.recipe import Recipe


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
        active_if: The gene counts only while the gene of this name has one of these values; None:
            always.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    scale: str = "linear"
    step: float = 0.0
    choices: tuple[Any, ...] = ()
    active_if: tuple[str, tuple[Any, ...]] | None = None


Genome = Mapping[str, Any]
"""Gene name → value."""


class SearchSpace:
    """Genes, and the recipe that a genome stands for.

    Decoding rounds every value to its gene's grid, so that ``decode(encode(genome)) == genome``
    exactly.
    """

    genes: tuple[Gene, ...]

    @property
    def n_dims(self) -> int:
        """Length ``d`` of an encoding: one number a gene."""
        return len(self.genes)

    def encode(self, genome: Genome) -> NDArray[np.float64]:
        """Return the encoding of ``genome``, shape ``(d,)``, in [0, 1]."""

    def decode(self, x: NDArray[np.float64]) -> dict[str, Any]:
        """Return the genome of ``x``, shape ``(d,)``; values outside [0, 1] are clipped."""

    def snap(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``encode(decode(x))``: the nearest point of the grid."""

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of ``genome``."""

    def warm_starts(self) -> Sequence[tuple[str, Genome]]:
        """Return (label, genome) of known-good recipes that the space contains."""

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger."""

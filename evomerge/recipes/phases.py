"""The space of a search in phases: a genome's first number says which phase's space it is of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import Genome, SearchSpace

PHASE = "phase"
"""Key of a genome that holds the index of its phase."""


class PhasedSpace(SearchSpace):
    """The spaces of a search's phases; a later one is known once its phase has begun.

    An encoding is the phase's index followed by the encoding in that phase's space; a genome has
    the index under ``phase``.

    Args:
        first: Space of the first phase.
    """

    is_cube = False

    def __init__(self, first: SearchSpace) -> None:
        super().__init__(first.genes)
        self._spaces = [first]

    @property
    def first(self) -> SearchSpace:
        """Space of the first phase."""
        return self._spaces[0]

    def enter(self, index: int, space: SearchSpace) -> None:
        """Note the space of phase ``index``; the phases before it are known."""
        del self._spaces[index:]
        self._spaces.append(space)

    @property
    def n_dims(self) -> int:
        """Length of an encoding in the first phase."""
        return 1 + self._spaces[0].n_dims

    def middle(self) -> NDArray[np.float64]:
        """Return the encoding in the middle of the first phase's space."""
        return np.concatenate([[0.0], self._spaces[0].middle()])

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the encoding of a random genome of the first phase."""
        return np.concatenate([[0.0], self._spaces[0].draw(rng)])

    def encode(self, genome: Genome) -> NDArray[np.float64]:
        """Return the encoding of ``genome``, its phase first."""
        rest = {name: value for name, value in genome.items() if name != PHASE}
        index = int(genome.get(PHASE, 0))
        return np.concatenate([[float(index)], self._space(index).encode(rest)])

    def decode(self, x: NDArray[np.float64]) -> dict[str, Any]:
        """Return the genome that ``x`` stands for, with its phase."""
        index = int(x[0])
        return {PHASE: index, **self._space(index).decode(x[1:])}

    def snap(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``encode(decode(x))`` of one encoding."""
        return self.encode(self.decode(x))

    def active(self, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which numbers count at ``x``, one encoding; the phase always does."""
        return np.concatenate([[True], self._space(int(x[0])).active(x[1:])])

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of ``genome`` in its phase's space."""
        rest = {name: value for name, value in genome.items() if name != PHASE}
        return self._space(int(genome.get(PHASE, 0))).recipe(rest)

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome of the phase at hand that stands for ``recipe``."""
        return {PHASE: len(self._spaces) - 1, **self._spaces[-1].genome_of(recipe)}

    def warm_starts(self) -> Sequence[tuple[str, Genome]]:
        """Return (label, genome) of the first phase's known-good recipes."""
        return [(label, {PHASE: 0, **genome}) for label, genome in self._spaces[0].warm_starts()]

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger: the spaces that are known."""
        return {"phases": [space.to_dict() for space in self._spaces]}

    def _space(self, index: int) -> SearchSpace:
        if not 0 <= index < len(self._spaces):
            raise RecipeError(
                f"phase {index + 1} of the search hasn't begun, so its candidates can't be built. "
                "Go on with 'evomerge resume'."
            )
        return self._spaces[index]

"""The search space: which recipes a search may propose, encoded in the unit cube; no torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.recipe import Recipe

__all__ = ["Activity", "Gene", "Genome", "SearchSpace", "Template"]

Genome = Mapping[str, Any]
"""Gene name → value."""

Activity = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Genes' values, shape ``(..., d)``, categoricals as indices → which genes count, same shape."""


class Template(Protocol):
    """What turns a genome into a recipe; ``recipes.build`` makes one from a run file."""

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of ``genome``."""

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome whose recipe has the weights of ``recipe``."""

    def warm_starts(self) -> Sequence[tuple[str, Genome]]:
        """Return (label, genome) of known-good recipes; values may lie off the grid."""


class SearchSpace:
    """Genes, and the recipe that a genome stands for.

    Decoding rounds every value to its gene's grid, so that ``decode(encode(genome)) == genome``
    exactly for every genome on the grid.

    Args:
        genes: Dimensions, in order; a gene stands after the one that decides whether it is active.
        template: Turns genomes into recipes; a space without one is a plain box (tests, dense
            evolution).
        activity: Tells which genes count where that depends on several others (the scale of a hop
            counts only in a route that takes it), in addition to the genes' ``active_if``. What
            doesn't count is shown at its default.

    Raises:
        RecipeError: Two genes of one name, or a condition on a gene that doesn't stand before.
    """

    is_cube = True
    """Every encoding is a point of the unit cube, one number a gene."""

    def __init__(
        self,
        genes: Sequence[Gene],
        template: Template | None = None,
        activity: Activity | None = None,
    ) -> None:
        self.genes: tuple[Gene, ...] = tuple(genes)
        self.activity = activity
        self._template = template
        self._index = {gene.name: index for index, gene in enumerate(self.genes)}
        if len(self._index) != len(self.genes):
            twice = [g.name for g in self.genes if sum(g.name == o.name for o in self.genes) > 1]
            raise RecipeError(f"two genes are called {twice[0]!r}. Give each its own name.")
        self._conditions = [self._condition(i, g) for i, g in enumerate(self.genes) if g.active_if]
        self._batches = _batches(self.genes)
        self._hidden = np.zeros(len(self.genes))
        if self.activity is not None or self._conditions:
            self._hidden[:] = [gene.number(gene.inactive()) for gene in self.genes]

    @property
    def n_dims(self) -> int:
        """Length ``d`` of an encoding: one number a gene."""
        return len(self.genes)

    @property
    def summary(self) -> str:
        """What there is to search, in a few words: ``18 genes``."""
        return f"{len(self.genes)} genes"

    def encode(self, genome: Genome) -> NDArray[np.float64]:
        """Return the encoding of ``genome``, shape ``(d,)``, in [0, 1].

        Raises:
            RecipeError: A gene is missing, unknown, or has a value that isn't one of its choices.
        """
        if set(genome) != set(self._index):
            wrong = sorted(set(genome) ^ set(self._index))
            raise RecipeError(
                f"the genome doesn't fit this space: {', '.join(map(repr, wrong[:5]))} missing or "
                "unknown. Give one value for each gene."
            )
        numbers = np.array([gene.number(genome[gene.name]) for gene in self.genes], dtype=float)
        return self._places(numbers)

    def decode(self, x: NDArray[np.float64]) -> dict[str, Any]:
        """Return the genome that ``x``, shape ``(d,)``, stands for; ``x`` is clipped to [0, 1].

        Raises:
            RecipeError: ``x`` has another length or holds NaN.
        """
        numbers = self._settle(self._numbers(x))
        return {g.name: g.python(numbers[i]) for i, g in enumerate(self.genes)}

    def snap(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``encode(decode(x))``: the grid's nearest point, inactive genes at their default.

        Takes one encoding ``(d,)`` or several ``(p, d)`` and returns the same shape.
        """
        return self._places(self._settle(self._numbers(x)))

    def active(self, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which genes count at ``x``, shape ``(..., d)``, for ``x`` of that shape."""
        return self._mask(self._numbers(x))

    def middle(self) -> NDArray[np.float64]:
        """Return the encoding, shape ``(d,)``, at the genes' priors, or the cube's middle."""
        return self.snap(np.array([0.5 if g.prior is None else g.prior for g in self.genes]))

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the encoding, shape ``(d,)``, of a random genome."""
        return self.snap(rng.random(self.n_dims))

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of ``genome``.

        Raises:
            RecipeError: The space has no template, or the genome doesn't fit.
        """
        return self._need_template().recipe(genome)

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome that stands for ``recipe``, with values rounded to the grid.

        Raises:
            RecipeError: The space can't represent it; the message names the parameter.
        """
        return self._nearest(self._need_template().genome_of(recipe))

    def warm_starts(self) -> Sequence[tuple[str, Genome]]:
        """Return (label, genome) of the known-good recipes in the space, duplicates removed."""
        if self._template is None:
            return []
        seen: set[str] = set()
        starts: list[tuple[str, Genome]] = []
        for label, raw in self._template.warm_starts():
            try:
                genome = self._nearest(raw)
            except RecipeError:
                continue
            content = self.recipe(genome).hash()
            if content not in seen:
                seen.add(content)
                starts.append((label, genome))
        return starts

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger."""
        return {"genes": [gene.to_dict() for gene in self.genes]}

    def _nearest(self, raw: Genome) -> dict[str, Any]:
        """Return the nearest genome on the grid; RecipeError where an active gene is far off."""
        genome: dict[str, Any] = {}
        off: set[str] = set()
        for gene in self.genes:
            if gene.active_if is not None:
                switch, wanted = gene.active_if
                if switch in off or genome[switch] not in wanted:
                    off.add(gene.name)
                    genome[gene.name] = gene.inactive()
                    continue
            genome[gene.name] = gene.nearest(raw[gene.name])
        return genome if self.activity is None else self.decode(self.encode(genome))

    def _need_template(self) -> Template:
        if self._template is None:
            raise RecipeError("this space has no recipe. Build it with build_space.")
        return self._template

    def _condition(self, index: int, gene: Gene) -> tuple[int, int, NDArray[np.float64]]:
        """Return (gene, its switch, the switch's numbers that turn it on)."""
        assert gene.active_if is not None
        switch, wanted = gene.active_if
        if self._index.get(switch, len(self.genes)) >= index:
            raise RecipeError(
                f"gene {gene.name!r} depends on {switch!r}, which doesn't stand before it."
            )
        parent = self.genes[self._index[switch]]
        return index, self._index[switch], np.array([parent.number(value) for value in wanted])

    def _mask(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which genes count at ``numbers``, shape ``(..., d)``."""
        mask = np.ones(numbers.shape, dtype=bool)
        if self.activity is not None:
            mask &= self.activity(numbers)
        for index, switch, wanted in self._conditions:
            mask[..., index] &= np.isin(numbers[..., switch], wanted) & mask[..., switch]
        return mask

    def _settle(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``numbers`` with what doesn't count at its default."""
        if self.activity is None and not self._conditions:
            return numbers
        return np.where(self._mask(numbers), numbers, self._hidden)

    def _numbers(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the genes' values at ``x``, shape ``(..., d)``; categoricals as indices."""
        x = np.asarray(x, dtype=np.float64)
        if x.shape[-1:] != (self.n_dims,) or np.isnan(x).any():
            raise RecipeError(
                f"got an encoding of shape {x.shape}{' with NaN' if np.isnan(x).any() else ''}; "
                f"expected {self.n_dims} numbers."
            )
        x = np.clip(x, 0.0, 1.0)
        numbers = np.empty_like(x)
        for gene, where in self._batches:
            numbers[..., where] = gene.values(x[..., where])
        return numbers

    def _places(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the encoding of the genes' values, shape ``(..., d)``."""
        x = np.empty_like(numbers)
        for gene, where in self._batches:
            x[..., where] = gene.places(numbers[..., where])
        return x


def _batches(genes: Sequence[Gene]) -> list[tuple[Gene, NDArray[np.intp]]]:
    """Group genes that encode alike, so that each group is one vectorised call."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, gene in enumerate(genes):
        likeness = (gene.kind, gene.low, gene.high, gene.scale, gene.step, len(gene.choices))
        groups.setdefault(likeness, []).append(index)
    return [(genes[where[0]], np.array(where)) for where in groups.values()]

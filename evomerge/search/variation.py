"""How elites are varied: a child of one or two of them, in each kind of space."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.crossing import Crossable
from evomerge.recipes.space import SearchSpace
from evomerge.search.grid_archive import Elite
from evomerge.search.path_moves import (
    Layout,
    change_scales,
    change_steps,
    cross_numbers,
    cross_paths,
    mutate_numbers,
)

COARSE = 100
"""Values up to which a gene on cells is also moved by whole cells; more are as continuous."""
CROSSED = 0.2
"""Share of paths that have two parents."""

Array = NDArray[np.float64]
Emitter = Literal["iso_line", "gaussian"]


class Variation(Protocol):
    """Makes candidates: random ones, and children of elites."""

    def random(self, rng: np.random.Generator) -> Array:
        """Return a random encoding, not snapped."""

    def child(
        self, elites: Sequence[Elite], rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return an encoding, not snapped, and the ids of its parents; ``elites`` has some."""


def variation_of(
    space: SearchSpace, *, emitter: Emitter, sigma: float, line: float
) -> "CubeVariation | CrossedVariation | PathVariation":
    """Return what varies points of ``space``.

    Args:
        space: What is searched.
        emitter: (cube) ``iso_line`` or ``gaussian``.
        sigma: (cube) standard deviation of a gene's step.
        line: (cube, iso_line) standard deviation of the step along the line to another elite.
    """
    if isinstance(space, Crossable):
        return CrossedVariation(space)
    if not space.is_cube:
        return PathVariation(space)
    return CubeVariation(space, sigma=sigma, line=line if emitter == "iso_line" else 0.0)


class CubeVariation:
    """Moves points of the unit cube by normal steps, and along the line between two elites.

    Genes with few values would freeze under small steps; now and then they move by whole cells.

    Args:
        space: The cube.
        sigma: Standard deviation of a gene's step; the cube is 1 wide.
        line: That of the step along the line, in units of its length; 0: one parent.

    Source: Vassiliades and Mouret 2018, arXiv:1804.03906.
    """

    def __init__(self, space: SearchSpace, *, sigma: float, line: float) -> None:
        self._space = space
        self._sigma = sigma
        self._line = line
        self._cells = np.array([gene.n_values for gene in space.genes])
        self._choices = np.array([gene.kind == "categorical" for gene in space.genes])
        self._coarse = np.flatnonzero((self._cells > 1) & (self._cells <= COARSE))

    def random(self, rng: np.random.Generator) -> Array:
        """Return a uniform point."""
        return rng.random(self._space.n_dims)

    def child(
        self, elites: Sequence[Elite], rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return a point near an elite; parents are drawn uniformly, as in pyribs."""
        one = elites[int(rng.integers(len(elites)))]
        assert one.genome is not None
        step = self._sigma * rng.standard_normal(len(one.genome))
        parents: tuple[str, ...] = (one.id,)
        if self._line > 0:
            two = elites[int(rng.integers(len(elites)))]
            assert two.genome is not None
            step += self._line * rng.standard_normal() * (two.genome - one.genome)
            parents = (one.id, two.id) if two.id != one.id else parents
        # There is no way between choices.
        x: Array = np.where(self._choices, one.genome, np.clip(one.genome + step, 0.0, 1.0))
        for gene in self._coarse[rng.random(len(self._coarse)) < 1 / len(x)]:
            cells = int(self._cells[gene])
            if self._choices[gene]:
                x[gene] = (rng.integers(cells) + 0.5) / cells
            else:
                x[gene] = np.clip(x[gene] + rng.choice([-1, 1]) / cells, 0.0, 1.0)
        return x, parents


class CrossedVariation:
    """Crosses two elites, drawn in proportion to their quality.

    Args:
        space: Says how its points are crossed.

    Source: map_elites_fn.py of SakanaAI/natural_niches (arXiv:2508.16204).
    """

    def __init__(self, space: Crossable) -> None:
        self._space = space

    def random(self, rng: np.random.Generator) -> Array:
        """Return a random genome."""
        return self._space.draw(rng)

    def child(
        self, elites: Sequence[Elite], rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return a child of two elites; of one alone a random genome."""
        if len(elites) < 2:
            return self._space.draw(rng), ()
        quality = np.array([elite.quality for elite in elites])
        worth = quality - min(quality.min(), 0.0)
        if (worth > 0).sum() < 2:  # fewer than two could be drawn
            worth = np.ones(len(elites))
        drawn = rng.choice(len(elites), size=2, replace=False, p=worth / worth.sum())
        one, two = (elites[int(index)] for index in drawn)
        assert one.genome is not None
        assert two.genome is not None
        return self._space.cross(one.genome, two.genome, rng), (one.id, two.id)


class PathVariation:
    """Changes elites of a space of paths by the moves of ``path_evolution``.

    Args:
        space: The space of paths.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._layout = Layout(space)

    def random(self, rng: np.random.Generator) -> Array:
        """Return a random path, and numbers beside it."""
        return self._layout.random(rng)

    def child(
        self, elites: Sequence[Elite], rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return a changed elite, or the beginning of one and the end of another."""
        layout = self._layout
        one, two = (elites[int(index)] for index in rng.integers(len(elites), size=2))
        assert one.genome is not None
        assert two.genome is not None
        numbers, path = layout.split(one.genome)
        parents: tuple[str, ...] = (one.id,)
        if one.id != two.id and rng.random() < CROSSED:
            more, other = layout.split(two.genome)
            numbers, path = cross_numbers(numbers, more, rng), cross_paths(path, other, rng)
            parents = (one.id, two.id)
        kinds = ["steps"]
        kinds += ["scales"] * (layout.paths is not None and layout.paths.scale is not None)
        kinds += ["genes"] * bool(layout.n_genes)
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "genes":
            mutate_numbers(layout.space, numbers, rng)
        else:
            (change_steps if kind == "steps" else change_scales)(layout, path, rng)
        return layout.join(numbers, path), parents

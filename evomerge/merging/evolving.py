"""Builds the weights of evolved networks from their lineage, and keeps them for their children.

Files are a shortcut only: a parent whose weights are gone is built again from its own lineage.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import NotFiniteError
from evomerge.recipes.crossing import angle_between, slerp_shares
from evomerge.recipes.lineage import Lineage, lineage_of
from evomerge.recipes.recipe import Recipe

IN_MEMORY = 64
"""Networks that are kept in memory."""

Weights = NDArray[np.float32]


class Nursery:
    """Gives the weights of networks, whose parents it has, finds in files or builds.

    Args:
        size: Parameters of a network.
        folder: Where weights are kept, one file a recipe; None for memory alone.
        recipe_of: Hash of a recipe → that recipe, for networks whose weights are gone.
    """

    def __init__(self, size: int, folder: Path | None, recipe_of: Callable[[str], Recipe]) -> None:
        self._size = size
        self._folder = folder
        self._recipe_of = recipe_of
        self._kept: dict[str, Weights] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def weights(self, recipe: Recipe) -> Weights:
        """Return all parameters of a network, shape ``(size,)``; not to be written to.

        Raises:
            NotFiniteError: One of them isn't finite.
        """
        todo = [recipe]
        while todo:
            digest = todo[-1].hash()
            if self._find(digest) is None:
                lineage = lineage_of(todo[-1])
                missing = [name for name in lineage.parents if self._find(name) is None]
                if missing:
                    todo += map(self._recipe_of, missing)
                    continue
                self._keep(digest, self._made(lineage))
            todo.pop()
        found = self._kept.pop(recipe.hash())
        self._kept[recipe.hash()] = found  # the latest used stand last
        for digest in list(self._kept)[:-IN_MEMORY]:
            del self._kept[digest]
        return found

    def _made(self, lineage: Lineage) -> Weights:
        """A network drawn at random, or joined from its parents and mutated."""
        if lineage.parents:
            one, two = (self._kept[name] for name in lineage.parents)
            weights = crossed(one, two, weight=lineage.weight, cut=lineage.cut)
        else:
            weights = np.zeros(self._size, dtype=np.float32)
        if lineage.std:
            rng = np.random.Generator(np.random.Philox(key=lineage.seed))
            noise = rng.standard_normal(self._size, dtype=np.float32)
            weights += np.float32(lineage.std) * noise
        if not np.isfinite(weights).all():
            raise NotFiniteError("the network has parameters that aren't finite.")
        return weights

    def _find(self, digest: str) -> Weights | None:
        """Weights that are in memory, or in a file that is whole."""
        if digest not in self._kept and self._folder is not None:
            try:
                stored = np.load(self._folder / f"{digest}.npy", allow_pickle=False)
            except (OSError, ValueError, EOFError):
                return None
            if stored.shape == (self._size,) and stored.dtype == np.float32:
                self._kept[digest] = stored
        return self._kept.get(digest)

    def _keep(self, digest: str, weights: Weights) -> None:
        self._kept[digest] = weights
        if self._folder is not None:
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".partial")
            with os.fdopen(handle, "wb") as file:
                np.save(file, weights, allow_pickle=False)
            os.replace(name, self._folder / f"{digest}.npy")


def crossed(one: Weights, two: Weights, *, weight: float, cut: int) -> Weights:
    """Return the SLERP of two networks with ``weight`` of the second before ``cut``.

    Args:
        one: Parameters of the first, shape ``(n,)``, float32.
        two: Those of the second.
        weight: 0 to 1.
        cut: Flat index from which on the second has 1 − ``weight``.

    Source: Abrantes et al. 2025, arXiv:2508.16204.
    """

    def product(x: Weights, y: Weights) -> float:
        return float(np.einsum("i,i->", x, y, dtype=np.float64))

    angle = angle_between(product(one, two), product(one, one), product(two, two))
    shares = slerp_shares(np.array([weight, 1.0 - weight]), angle)
    first, second = (part.astype(np.float32) for part in shares)
    child = np.empty_like(one)
    for side, part in enumerate((slice(0, cut), slice(cut, None))):
        np.multiply(one[part], first[side], out=child[part])
        child[part] += second[side] * two[part]
    return child

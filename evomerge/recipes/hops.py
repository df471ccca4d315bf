"""Scales of hops: by what the hidden state is multiplied on its way from one layer to the next.

Three laws with genes of their own: one scale a place of the route (``hop``), one a pair of layers
(``table``), or a small network of both layers and the place (``network``), as in Akiba et al. 2024,
arXiv:2403.13187, section 3.2.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import SIGNIFICANT_DIGITS, Gene

HIDDEN = 4
"""Hidden units of the network; the paper doesn't tell its own."""

WEIGHT_RANGE = 2.0
"""Largest weight of the network."""


@dataclass(frozen=True)
class Hop:
    """A way from one layer to the next.

    Args:
        before, after: Places in the list of all layers.
        place: Where it ends, from 0 to 1 of the route's possible length.
        key: Name of the place of a route where it ends.
    """

    before: int
    after: int
    place: float
    key: str


class Hops(Protocol):
    """A law that gives each hop of a route its scale."""

    genes: tuple[Gene, ...]

    def scale(self, genome: Mapping[str, Any], hop: Hop) -> float:
        """Return the scale of ``hop``."""

    def genome_of(self, hops: Sequence[tuple[Hop, float]]) -> dict[str, Any]:
        """Return the genes' values that give these hops their scales.

        Raises:
            RecipeError: There are none, or they can't be found.
        """


def scale_gene(name: str, low: float, high: float) -> Gene:
    """Return the gene of a scale from ``low`` to ``high``, spread by its logarithm, around 1.

    Raises:
        RecipeError: 1 isn't in the range.
    """
    gene = Gene(name, "float", low, high, scale="log", default=1.0)
    one = gene.places(np.array([gene.nearest(1.0)]))
    return Gene(name, "float", low, high, scale="log", default=1.0, prior=float(one[0]))


class NoHops:
    """Every scale is 1."""

    def __init__(self) -> None:
        self.genes: tuple[Gene, ...] = ()

    def scale(self, genome: Mapping[str, Any], hop: Hop) -> float:
        """Return 1."""
        return 1.0

    def genome_of(self, hops: Sequence[tuple[Hop, float]]) -> dict[str, Any]:
        """Return {}; RecipeError where a scale isn't 1."""
        for hop, scale in hops:
            if scale != 1:
                raise RecipeError(
                    f"the recipe's route has the scale {scale:g} at {hop.key}, and this search has "
                    "none. Set dataflow.scales."
                )
        return {}


class PlaceHops:
    """One scale for each place where a hop may end.

    Args:
        keys: The places' names.
        low, high: Range of a scale.
    """

    def __init__(self, keys: Iterable[str], low: float, high: float) -> None:
        self._names = {key: f"dataflow.scale.{key}" for key in keys}
        pattern = scale_gene("dataflow.scale", low, high)
        self.genes = tuple(replace(pattern, name=name) for name in self._names.values())

    def scale(self, genome: Mapping[str, Any], hop: Hop) -> float:
        """Return the scale of the hop's place."""
        return float(genome[self._names[hop.key]])

    def genome_of(self, hops: Sequence[tuple[Hop, float]]) -> dict[str, Any]:
        """Return the scales by place, 1 where no hop ends."""
        genome = dict.fromkeys(self._names.values(), 1.0)
        return genome | {self._names[hop.key]: scale for hop, scale in hops}


class TableHops:
    """One scale for each pair of layers that a hop may join.

    Args:
        pairs: (before, after) in the list of all layers, each once.
        labels: Names of all layers.
        low, high: Range of a scale.
    """

    def __init__(
        self, pairs: Sequence[tuple[int, int]], labels: Sequence[str], low: float, high: float
    ) -> None:
        self._names = {
            (i, j): f"dataflow.scale.{labels[i]}.to.{labels[j]}" for i, j in sorted(pairs)
        }
        pattern = scale_gene("dataflow.scale", low, high)
        self.genes = tuple(replace(pattern, name=name) for name in self._names.values())
        self.index = np.full((len(labels), len(labels)), -1)
        for index, (i, j) in enumerate(self._names):
            self.index[i, j] = index

    def scale(self, genome: Mapping[str, Any], hop: Hop) -> float:
        """Return the scale of the hop's pair of layers."""
        return float(genome[self._names[hop.before, hop.after]])

    def genome_of(self, hops: Sequence[tuple[Hop, float]]) -> dict[str, Any]:
        """Return the table; RecipeError where one pair has two scales."""
        found: dict[str, float] = {}
        for hop, scale in hops:
            name = self._names[hop.before, hop.after]
            if found.setdefault(name, scale) != scale:
                raise RecipeError(
                    f"the recipe's route has the scales {found[name]:g} and {scale:g} for {name}, "
                    "which this search sets as one. Set dataflow.scales to hop."
                )
        return dict.fromkeys(self._names.values(), 1.0) | found


class NetworkHops:
    """A network π(i, j, t) of both layers and the place, all scaled to −1 … 1.

    One hidden layer of ``HIDDEN`` tanh units and a tanh output o; the scale is ``high**o`` for
    o > 0 and ``low**-o`` below, so that it stays in the range and is 1 where all weights are 0.
    Scales are rounded to six significant digits, so that they read well.

    Args:
        n_layers: Number ``M`` of all layers.
        low, high: Range of a scale.
    """

    def __init__(self, n_layers: int, low: float, high: float) -> None:
        self._last = max(n_layers - 1, 1)
        self._logs = (-math.log(low), math.log(high))
        shape = [("in", HIDDEN * 4), ("out", HIDDEN + 1)]
        self._names = [f"dataflow.network.{part}.{k}" for part, n in shape for k in range(n)]
        self.genes = tuple(
            Gene(name, "float", -WEIGHT_RANGE, WEIGHT_RANGE, prior=0.5) for name in self._names
        )

    def scale(self, genome: Mapping[str, Any], hop: Hop) -> float:
        """Return the network's scale of ``hop``."""
        weights = np.array([genome[name] for name in self._names])
        first = weights[: HIDDEN * 4].reshape(HIDDEN, 4)
        features = np.array([hop.before / self._last, hop.after / self._last, hop.place])
        hidden = np.tanh(first @ np.append(2 * features - 1, 1.0))
        out = math.tanh(float(weights[HIDDEN * 4 :] @ np.append(hidden, 1.0)))
        scale = math.exp(out * self._logs[out > 0])
        return float(f"{scale:.{SIGNIFICANT_DIGITS}g}")

    def genome_of(self, hops: Sequence[tuple[Hop, float]]) -> dict[str, Any]:
        """Return a network of zeros; RecipeError where a scale isn't 1."""
        for hop, scale in hops:
            if scale != 1:
                raise RecipeError(
                    f"the recipe's route has the scale {scale:g} at {hop.key}; no network for it "
                    "can be found. Set dataflow.scales to hop, or its scales to 1."
                )
        return dict.fromkeys(self._names, 0.0)


def possible_pairs(order: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs (before, after) that may follow each other in a part of ``order``."""
    return sorted(set(itertools.combinations(order, 2)))


def taken_pairs(
    taken: NDArray[np.bool_], order: NDArray[np.intp], table: TableHops
) -> NDArray[np.bool_]:
    """Return which pairs of ``table`` a route has, shape ``(..., n_pairs)``.

    Args:
        taken: Which places of ``order`` the route goes through, shape ``(..., n)``; the first one
            always.
        order: Layer at each place, shape ``(n,)``.
        table: Its pairs.
    """
    n_pairs = len(table.genes)
    places = np.where(taken, np.arange(len(order)), 0)
    before = np.maximum.accumulate(places[..., :-1], axis=-1)
    index = table.index[order[before], order[1:]]
    mask = np.zeros((*taken.shape[:-1], n_pairs + 1), dtype=bool)
    np.put_along_axis(mask, np.where(taken[..., 1:], index, n_pairs), True, axis=-1)
    return mask[..., :n_pairs]

"""The route space of blocks: a few runs of contiguous layers, as in passthrough stacks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.hops import Hop, Hops, NetworkHops, NoHops, PlaceHops
from evomerge.recipes.recipe import Step
from evomerge.recipes.routes import RouteSpec, check_steps

NONE = "none"
"""Choice of a block that isn't there; the first block always is."""

Array = NDArray[np.float64]


class BlockRoutes:
    """Genes of up to ``blocks`` blocks: the source of each, and the cuts where it begins and ends.

    A block takes layers ``[start, start + layers)`` of its source, less where the source or
    ``max_steps`` ends. A block whose source is ``none`` is left out; its cuts and its scale don't
    count. Scales belong to the hop into a block; inside a block they are 1. Searchers start at the
    named model: one block with all of its layers.

    Args:
        spec: What may be proposed.

    Raises:
        RecipeError: A source is called ``none``, or scales are a table.
    """

    def __init__(self, spec: RouteSpec) -> None:
        self.spec = spec
        self._names = [name for name, _ in spec.layers]
        if NONE in self._names:
            raise RecipeError(f"a source can't be called {NONE!r} in the space blocks. Rename it.")
        if spec.scales == "table":
            raise RecipeError(
                "the space blocks has no table of scales. Set dataflow.scales to none, hop or "
                "network, or take the space sakana."
            )
        self._depths = np.array([n for _, n in spec.layers])
        self._first = np.concatenate([[0], np.cumsum(self._depths)])
        deepest = int(self._depths.max())
        genes = [gene for index in range(spec.blocks) for gene in self._block(index, deepest)]
        self._hops = self._make_hops()
        self.genes: tuple[Gene, ...] = (*genes, *self._hops.genes)

    def steps(self, genome: Mapping[str, Any]) -> tuple[Step, ...]:
        """Return the route of ``genome``: its blocks, one after the other."""
        route: list[Step] = []
        for index in range(self.spec.blocks):
            key = f"dataflow.block.{index}"
            name = genome[f"{key}.source"]
            if name == NONE or len(route) >= self.spec.max_steps:
                continue
            depth = dict(self.spec.layers)[name]
            start = min(genome[f"{key}.start"], depth - 1)
            stop = min(start + genome[f"{key}.layers"], depth)
            block = [Step(name, layer) for layer in range(start, stop)]
            if route:
                hop = self._hop(index, route[-1], block[0])
                block[0] = Step(name, start, self._hops.scale(genome, hop))
            route += block
        return tuple(route[: self.spec.max_steps])

    def genome_of(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Return the genome of a route, with as few blocks as it can be cut into.

        Raises:
            RecipeError: It has too many blocks.
        """
        check_steps(steps, self.spec)
        cuts = [
            index
            for index, step in enumerate(steps)
            if not index or step.scale != 1 or not _follows(steps[index - 1], step)
        ]
        if len(cuts) > self.spec.blocks:
            raise RecipeError(
                f"the recipe's route has {len(cuts)} blocks of contiguous layers; this search "
                f"allows {self.spec.blocks}. Raise dataflow.blocks."
            )
        genome: dict[str, Any] = {gene.name: gene.inactive() for gene in self.genes}
        hops = []
        for index in range(self.spec.blocks):
            key = f"dataflow.block.{index}"
            if index < len(cuts):
                start = cuts[index]
                stop = [*cuts, len(steps)][index + 1]
                genome[f"{key}.source"] = steps[start].source
                genome[f"{key}.start"] = steps[start].layer
                genome[f"{key}.layers"] = stop - start
                if index:
                    hop = self._hop(index, steps[start - 1], steps[start])
                    hops.append((hop, steps[start].scale))
        return genome | self._hops.genome_of(hops)

    def activity(self, numbers: Array) -> NDArray[np.bool_]:
        """Return which genes count: the cuts and scales of blocks that are there."""
        _, length, room = self._cuts(numbers)
        there = (length > 0) & (room > 0)
        mask = np.stack([room > 0, there, there], axis=-1)
        mask = mask.reshape(*mask.shape[:-2], -1)
        if isinstance(self._hops, PlaceHops):
            scales = there[..., 1:]
        else:
            scales = np.ones((*there.shape[:-1], len(self._hops.genes)), dtype=bool)
        return np.concatenate([mask, scales], axis=-1)

    def taken(self, numbers: Array) -> NDArray[np.bool_]:
        """Return which of the layers the route takes, shape ``(..., M)``."""
        start, length, room = (part[..., None] for part in self._cuts(numbers))
        layers = np.arange(len(self.spec.choices))
        inside = (layers >= start) & (layers < start + np.minimum(length, room))
        return np.asarray(inside.any(axis=-2))

    def _cuts(self, numbers: Array) -> tuple[Array, Array, Array]:
        """Return each block's first layer among all, its length and the steps left for it.

        Each of shape ``(..., blocks)``; a block that is left out has length 0.
        """
        blocks = numbers[..., : 3 * self.spec.blocks]
        source, start, layers = (blocks[..., part::3] for part in range(3))
        on = source < len(self._names)
        source = np.where(on, source, 0).astype(int)
        start = np.minimum(start, self._depths[source] - 1)
        length = np.minimum(layers, self._depths[source] - start) * on
        room = self.spec.max_steps - (np.cumsum(length, axis=-1) - length)
        return self._first[source] + start, length, room

    def _block(self, index: int, deepest: int) -> list[Gene]:
        """Return the genes of a block; the first one starts as the whole named model."""
        key = f"dataflow.block.{index}"
        longest = min(deepest, self.spec.max_steps)
        source = Gene(f"{key}.source", "categorical", choices=tuple(self._names))
        start = Gene(f"{key}.start", "int", 0, deepest - 1)
        layers = Gene(f"{key}.layers", "int", 1, longest)
        if index:
            names = (*self._names, NONE)
            none = (len(names) - 0.5) / len(names)
            return [replace(source, choices=names, default=NONE, prior=none), start, layers]
        whole = float(layers.places(np.array([min(self._depths[0], longest)]))[0])
        return [
            replace(source, prior=0.5 / len(self._names)),
            replace(start, prior=0.5 / start.n_values),
            replace(layers, prior=whole),
        ]

    def _make_hops(self) -> Hops:
        spec = self.spec
        if spec.scales == "hop":
            return PlaceHops((f"block.{i}" for i in range(1, spec.blocks)), *spec.scale_range)
        if spec.scales == "network":
            return NetworkHops(len(spec.choices), *spec.scale_range)
        return NoHops()

    def _hop(self, index: int, before: Step, after: Step) -> Hop:
        i, j = (
            int(self._first[self._names.index(step.source)]) + step.layer
            for step in (before, after)
        )
        return Hop(i, j, index / max(self.spec.blocks - 1, 1), f"block.{index}")


def _follows(before: Step, step: Step) -> bool:
    return before.source == step.source and before.layer + 1 == step.layer

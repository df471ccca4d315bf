"""The space of paths: bounded sequences of layers, for searchers that insert, delete and swap."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.hops import Hop, Hops, NetworkHops, NoHops, scale_gene
from evomerge.recipes.reach import Reach
from evomerge.recipes.recipe import Step
from evomerge.recipes.routes import RouteSpec, check_steps
from evomerge.recipes.space import Genome, SearchSpace, Template

PATH = "path"
"""Key of a genome that holds its steps; genes' names have a dot, so none is called so."""

END = -1
"""What stands at the positions after a path's last step."""

Array = NDArray[np.float64]


class PathRoutes:
    """The steps of a path, and the genes of a network that scales its hops.

    Args:
        spec: What may be proposed.

    Raises:
        RecipeError: Scales are a table, or can't be 1.
    """

    def __init__(self, spec: RouteSpec) -> None:
        if spec.scales == "table":
            raise RecipeError(
                "the space path has no table of scales. Set dataflow.scales to none, hop or "
                "network, or take the space sakana."
            )
        self.spec = spec
        self.scale = scale_gene("scale", *spec.scale_range) if spec.scales == "hop" else None
        self._number = {choice: index for index, choice in enumerate(spec.choices)}
        self._law: Hops = NoHops()
        if spec.scales == "network":
            self._law = NetworkHops(len(spec.choices), *spec.scale_range)
        self.genes: tuple[Gene, ...] = self._law.genes

    def steps(self, genome: Mapping[str, Any]) -> tuple[Step, ...]:
        """Return the route of ``genome``."""
        steps = [Step(name, layer, scale) for name, layer, scale in genome[PATH]]
        if self.scale is None:
            for index, hop in enumerate(self._hops(steps), 1):
                steps[index] = replace(steps[index], scale=self._law.scale(genome, hop))
        return tuple(steps)

    def genome_of(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Return the genome of a route.

        Raises:
            RecipeError: The space has no such route.
        """
        check_steps(steps, self.spec)
        if self.scale is not None:
            return {PATH: [[step.source, step.layer, step.scale] for step in steps]}
        hops = zip(self._hops(steps), (step.scale for step in steps[1:]), strict=True)
        path = [[step.source, step.layer, 1.0] for step in steps]
        return {PATH: path} | self._law.genome_of(list(hops))

    def activity(self, numbers: Array) -> NDArray[np.bool_]:
        """Return that the network's genes always count."""
        return np.ones(numbers.shape, dtype=bool)

    def _hops(self, steps: Sequence[Step]) -> list[Hop]:
        at = [self._number[step.source, step.layer] for step in steps]
        last = max(self.spec.max_steps - 1, 1)
        return [Hop(at[k - 1], at[k], k / last, f"step {k}") for k in range(1, len(at))]


class PathSpace(SearchSpace):
    """Paths of 1 to ``max_steps`` steps, beside numeric genes.

    A genome is ``{"path": [[source, layer, scale], …]}`` with the numeric genes beside it. Its
    encoding is no point of a cube. Its ``d`` numbers are, in order:

    - the numeric genes' places in [0, 1];
    - for each of ``max_steps`` positions the step's index in ``choices``, −1 after the path's end;
    - where scales are searched, for each position the place of its scale in [0, 1]. The first
      step's scale is 1, and positions after the end show the place of 1.

    Args:
        choices: (source, layer) that a step may take, in order.
        max_steps: Most steps of a path.
        genes: Numeric genes beside the path.
        scale: The grid of one step's scale, whose default is 1; None: all scales are 1.
        template: Turns genomes into recipes.
        reach: Tells which of ``genes`` count in a path; None: all.

    Raises:
        RecipeError: No choices, the same twice, no step allowed, or scales that can't be 1.
    """

    is_cube = False

    def __init__(
        self,
        choices: Sequence[tuple[str, int]],
        max_steps: int,
        *,
        genes: Sequence[Gene] = (),
        scale: Gene | None = None,
        template: Template | None = None,
        reach: Reach | None = None,
    ) -> None:
        super().__init__(genes, template)
        self._reach = reach
        self._numeric = SearchSpace(genes)
        self.choices = tuple(choices)
        self.max_steps = max_steps
        self.scale = scale
        self._choice = {choice: index for index, choice in enumerate(self.choices)}
        if not self.choices or len(self._choice) != len(self.choices):
            raise RecipeError("a space of paths needs at least one layer, each listed once.")
        if max_steps < 1:
            raise RecipeError(f"got {max_steps} steps at most; a path has at least 1.")
        self._default = self._numeric.encode({gene.name: gene.inactive() for gene in genes})
        self._one = 0.0
        if scale is not None:
            self._one = float(scale.places(np.array([scale.nearest(1.0)]))[0])

    @property
    def n_dims(self) -> int:
        """Length ``d`` of an encoding; see the class."""
        return len(self.genes) + self.max_steps * (1 if self.scale is None else 2)

    @property
    def summary(self) -> str:
        """What there is to search, in a few words."""
        genes = f" and {len(self.genes)} genes" if self.genes else ""
        return f"paths of up to {self.max_steps} steps{genes}"

    def encode(self, genome: Genome) -> Array:
        """Return the encoding of ``genome``, shape ``(d,)``.

        Raises:
            RecipeError: A gene is missing or unknown, the path is empty or too long, a step isn't
                one of ``choices``, or has a scale where scales aren't searched.
        """
        if PATH not in genome:
            raise RecipeError("the genome has no path. Give it as {'path': [[source, layer, 1]]}.")
        numeric = self._numeric.encode({name: genome[name] for name in genome if name != PATH})
        indices, scales = self._read(genome[PATH])
        return np.concatenate([numeric, indices, scales])

    def decode(self, x: Array) -> dict[str, Any]:
        """Return the genome that ``x``, shape ``(d,)``, stands for.

        Raises:
            RecipeError: ``x`` has another length, holds NaN, or its positions are no path.
        """
        numeric, indices, scales = self._parts(self.snap(x))
        values = np.ones(self.max_steps)
        if self.scale is not None:
            values = self.scale.values(scales)
            values[0] = 1.0
        path = [
            [*self.choices[int(index)], float(value)]
            for index, value in zip(indices, values, strict=True)
            if index != END
        ]
        return self._numeric.decode(numeric) | {PATH: path}

    def snap(self, x: Array) -> Array:
        """Return ``encode(decode(x))``: rounded, with what doesn't count at its default.

        Takes one encoding ``(d,)`` or several ``(p, d)`` and returns the same shape.

        Raises:
            RecipeError: Another length, NaN, or positions that are no path: nothing is repaired.
        """
        x = np.asarray(x, dtype=np.float64)
        if x.shape[-1:] != (self.n_dims,) or np.isnan(x).any():
            raise RecipeError(
                f"got an encoding of shape {x.shape}{' with NaN' if np.isnan(x).any() else ''}; "
                f"expected {self.n_dims} numbers."
            )
        numeric, indices, scales = self._parts(x)
        indices = np.rint(indices)
        self._check(indices)
        if self._reach is not None:
            numeric = np.where(self._reach(self._taken(indices)), numeric, self._default)
        parts = [self._numeric.snap(numeric), indices]
        if self.scale is not None:
            counts = (indices != END) & (np.arange(self.max_steps) > 0)
            places = self.scale.places(self.scale.values(np.clip(scales, 0.0, 1.0)))
            parts.append(np.where(counts, places, self._one))
        return np.concatenate(parts, axis=-1)

    def active(self, x: Array) -> NDArray[np.bool_]:
        """Return which numbers count at ``x``, shape ``(..., d)``.

        Positions after the end count, since a step may be put there; their scales don't.
        """
        numeric, indices, _ = self._parts(np.asarray(x, dtype=np.float64))
        numbers = self._numeric.active(numeric)
        if self._reach is not None:
            numbers &= self._reach(self._taken(np.rint(indices)))
        parts = [numbers, np.ones(indices.shape, dtype=bool)]
        if self.scale is not None:
            parts.append((np.rint(indices) != END) & (np.arange(self.max_steps) > 0))
        return np.concatenate(parts, axis=-1)

    def middle(self) -> Array:
        """Return the numeric genes' middle and a path of one step, the first choice."""
        x = np.full(self.n_dims, 0.5)
        x[: len(self.genes)] = self._numeric.middle()
        first = len(self.genes)
        x[first : first + self.max_steps] = END
        x[first] = 0
        return self.snap(x)

    def draw(self, rng: np.random.Generator) -> Array:
        """Return the encoding of a random genome: a length, then steps, all uniformly."""
        x = rng.random(self.n_dims)
        first = len(self.genes)
        n_steps = int(rng.integers(1, self.max_steps, endpoint=True))
        x[first : first + self.max_steps] = END
        x[first : first + n_steps] = rng.integers(len(self.choices), size=n_steps)
        return self.snap(x)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger."""
        path: dict[str, Any] = {
            "choices": [list(choice) for choice in self.choices],
            "max_steps": self.max_steps,
        }
        path |= {} if self.scale is None else {"scale": self.scale.to_dict()}
        return self._numeric.to_dict() | {PATH: path}

    def _nearest(self, raw: Genome) -> dict[str, Any]:
        numeric = self._numeric._nearest({name: raw[name] for name in raw if name != PATH})
        steps = [
            [name, layer, self.scale.nearest(scale) if index and self.scale is not None else scale]
            for index, (name, layer, scale) in enumerate(raw[PATH])
        ]
        return self.decode(self.encode(numeric | {PATH: steps}))

    def _parts(self, x: Array) -> tuple[Array, Array, Array]:
        """Cut encodings ``(..., d)`` into numeric places, positions and places of scales."""
        first, second = len(self.genes), len(self.genes) + self.max_steps
        return x[..., :first], x[..., first:second], x[..., second:]

    def _taken(self, indices: Array) -> NDArray[np.bool_]:
        """Return which of ``choices`` stand at positions, shape ``(..., max_steps)``."""
        return np.asarray((indices[..., None] == np.arange(len(self.choices))).any(axis=-2))

    def _check(self, indices: Array) -> None:
        """Check that positions, shape ``(..., max_steps)``, hold a path each."""
        if ((indices < END) | (indices >= len(self.choices))).any():
            wrong = indices[(indices < END) | (indices >= len(self.choices))][0]
            raise RecipeError(
                f"got the step {wrong:g}; expected {END} to {len(self.choices) - 1}, the places of "
                "the space's layers."
            )
        if (indices[..., 0] == END).any():
            raise RecipeError("got a path of length 0; expected at least one step.")
        if ((indices[..., :-1] == END) & (indices[..., 1:] != END)).any():
            raise RecipeError("got a step after a path's end. Close the gap.")

    def _read(self, path: Sequence[Sequence[Any]]) -> tuple[Array, Array]:
        """Return positions and places of scales of a genome's path."""
        if not 1 <= len(path) <= self.max_steps:
            raise RecipeError(
                f"got a path of length {len(path)}; expected 1 to {self.max_steps} steps."
            )
        indices = np.full(self.max_steps, float(END))
        scales = np.ones(self.max_steps)
        for position, (name, layer, scale) in enumerate(path):
            if (name, layer) not in self._choice:
                raise RecipeError(f"got a step to layer {layer} of {name!r}, which isn't a choice.")
            if (self.scale is None or not position) and scale != 1:
                where = "the first step's is" if self.scale is not None else "all are"
                raise RecipeError(f"got the scale {scale:g} at step {position}; {where} 1.")
            indices[position] = self._choice[name, layer]
            scales[position] = scale
        if self.scale is None:
            return indices, np.empty(0)
        places = self.scale.places(scales)
        return indices, np.where((indices != END) & (np.arange(len(scales)) > 0), places, self._one)

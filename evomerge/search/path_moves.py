"""Moves of evolving paths: each turns one or two encodings of a space of paths into another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.crossing import Crossable
from evomerge.recipes.paths import END, PathSpace
from evomerge.recipes.space import SearchSpace

FINEST, COARSEST = 0.01, 0.3
"""Steps of numbers, in widths of their range; a move draws one between, evenly by its logarithm."""

Array = NDArray[np.float64]
Rng = np.random.Generator


@dataclass
class Path:
    """A path while it is changed.

    Args:
        steps: Places of the steps in the space's ``choices``.
        scales: Place in [0, 1] of each step's scale; 1's place where scales aren't searched.
    """

    steps: list[int]
    scales: list[float]

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, start: int, stop: int) -> "Path":
        """Return steps ``[start, stop)``."""
        return Path(self.steps[start:stop], self.scales[start:stop])

    def put(self, start: int, stop: int, other: "Path") -> None:
        """Put ``other`` in the place of steps ``[start, stop)``."""
        self.steps[start:stop] = other.steps
        self.scales[start:stop] = other.scales


class Layout:
    """Where an encoding holds numbers and a path; a cube holds numbers only.

    Args:
        space: What is searched.

    Raises:
        SearchError: It is a space of models that are crossed, which has no moves.
    """

    def __init__(self, space: SearchSpace) -> None:
        if isinstance(space, Crossable):
            raise SearchError(
                "path_evolution searches paths and numbers, but this run searches "
                f"{space.summary}. Use the searcher m2n2, map_elites or random."
            )
        self.space = space
        self.n_genes = len(space.genes)
        self.paths = space if isinstance(space, PathSpace) else None
        self.one = 0.0
        if self.paths is None:
            return
        if self.paths.scale is not None:
            self.one = float(self.paths.scale.places(np.array([1.0]))[0])
        self._empty = np.full(space.n_dims, self.one)
        self._empty[self.n_genes : self.n_genes + self.paths.max_steps] = END
        place = {choice: index for index, choice in enumerate(self.paths.choices)}
        sources = sorted({source for source, _ in self.paths.choices})
        self._beside = [
            [
                place[other, layer]
                for other in sources
                if other != source and (other, layer) in place
            ]
            for source, layer in self.paths.choices
        ]
        self._near = [
            [place[source, layer + by] for by in (-1, 1) if (source, layer + by) in place]
            for source, layer in self.paths.choices
        ]
        self._next = [place.get((source, layer + 1)) for source, layer in self.paths.choices]

    @property
    def n_choices(self) -> int:
        """Number of layers that a step may take."""
        assert self.paths is not None
        return len(self.paths.choices)

    def split(self, genome: Array) -> tuple[Array, Path]:
        """Return the numbers, shape ``(n_genes,)``, and the path of an encoding."""
        if self.paths is None:
            return genome.copy(), Path([], [])
        row, most = genome[self.n_genes :].tolist(), self.paths.max_steps
        steps = [int(step) for step in row[:most] if step != END]
        scales = row[most : most + len(steps)] or [self.one] * len(steps)
        return genome[: self.n_genes].copy(), Path(steps, scales)

    def join(self, numbers: Array, path: Path) -> Array:
        """Return the encoding of numbers and a path, not snapped; what is too long is cut off."""
        if self.paths is None:
            return numbers
        row, first, most = self._empty.copy(), self.n_genes, self.paths.max_steps
        kept = min(len(path), most)
        row[:first] = numbers
        row[first : first + kept] = path.steps[:kept]
        if self.paths.scale is not None:
            row[first + most : first + most + kept] = path.scales[:kept]
        return row

    def random(self, rng: Rng) -> Array:
        """Return a random encoding, not snapped: numbers, a length, then its steps, scales of 1."""
        numbers = rng.random(self.n_genes)
        if self.paths is None:
            return numbers
        length = int(rng.integers(1, self.paths.max_steps + 1))
        steps = rng.integers(self.n_choices, size=length).tolist()
        return self.join(numbers, Path(steps, [self.one] * length))

    def beside(self, step: int) -> list[int]:
        """Return the same layer of other sources."""
        return self._beside[step]

    def near(self, step: int) -> list[int]:
        """Return the layers before and after ``step`` in its source."""
        return self._near[step]

    def likely_after(self, path: Path, at: int, rng: Rng) -> int:
        """Return a layer to put at ``at``: as often the one that follows in its source as any."""
        after = self._next[path.steps[at - 1]] if at else None
        return (
            after if after is not None and rng.random() < 0.5 else int(rng.integers(self.n_choices))
        )


def insert(layout: Layout, path: Path, rng: Rng) -> None:
    """Put a layer between two steps, or at an end."""
    at = int(rng.integers(len(path) + 1))
    path.put(at, at, Path([layout.likely_after(path, at, rng)], [layout.one]))


def delete(layout: Layout, path: Path, rng: Rng) -> None:
    """Leave out a block, mostly of one step."""
    start, stop = _block(path, rng)
    if stop - start < len(path):
        path.put(start, stop, Path([], []))


def duplicate(layout: Layout, path: Path, rng: Rng) -> None:
    """Repeat a block right behind itself."""
    start, stop = _block(path, rng)
    path.put(stop, stop, path.part(start, stop))


def move(layout: Layout, path: Path, rng: Rng) -> None:
    """Take a block out and put it elsewhere."""
    start, stop = _block(path, rng)
    block = path.part(start, stop)
    path.put(start, stop, Path([], []))
    at = int(rng.integers(len(path) + 1))
    path.put(at, at, block)


def exchange(layout: Layout, path: Path, rng: Rng) -> None:
    """Let two steps change places."""
    one, two = (int(i) for i in rng.integers(len(path), size=2))
    path.steps[one], path.steps[two] = path.steps[two], path.steps[one]
    path.scales[one], path.scales[two] = path.scales[two], path.scales[one]


def replace(layout: Layout, path: Path, rng: Rng) -> None:
    """Put any layer in the place of a step."""
    path.steps[int(rng.integers(len(path)))] = int(rng.integers(layout.n_choices))


def swap_source(layout: Layout, path: Path, rng: Rng) -> None:
    """Take a block's layers from another source, where it has them."""
    start, stop = _block(path, rng)
    for index in range(start, stop):
        if others := layout.beside(path.steps[index]):
            path.steps[index] = others[int(rng.integers(len(others)))]


def shift(layout: Layout, path: Path, rng: Rng) -> None:
    """Take the layer before or after a step's in its source."""
    index = int(rng.integers(len(path)))
    if others := layout.near(path.steps[index]):
        path.steps[index] = others[int(rng.integers(len(others)))]


def rescale(layout: Layout, path: Path, rng: Rng) -> None:
    """Move a step's scale by a normal step, or put it back to 1; the first step has none."""
    index = int(rng.integers(1, max(len(path), 2))) % len(path)
    if rng.random() < 0.15:
        path.scales[index] = layout.one
    else:
        path.scales[index] = min(max(path.scales[index] + _normal(rng), 0.0), 1.0)


def pulse(layout: Layout, path: Path, rng: Rng) -> None:
    """Scale a step by a factor and the one behind it by the inverse: the step alone counts less.

    Or take the step's scale back to 1 so.
    """
    index = int(rng.integers(len(path)))
    by = layout.one - path.scales[index] if rng.random() < 0.15 else _normal(rng)
    for place, part in ((index, by), (index + 1, -by)):
        if place < len(path):
            path.scales[place] = min(max(path.scales[place] + part, 0.0), 1.0)


Move = Callable[[Layout, Path, Rng], None]
STEP_MOVES: tuple[Move, ...] = (
    *(insert, delete, replace, move),
    *(swap_source, shift, duplicate, exchange),
)
STEP_CHANCES = np.cumsum([3, 3, 4, 2, 1, 1, 1, 1]) / 16
"""Chances of the moves, added up."""
SCALE_MOVES: tuple[Move, ...] = (rescale, pulse)


def change_steps(layout: Layout, path: Path, rng: Rng) -> None:
    """Change which layers ``path`` takes, by one move or a few."""
    for chance in rng.random(int(rng.geometric(0.6))):
        STEP_MOVES[int(np.searchsorted(STEP_CHANCES, chance, side="right"))](layout, path, rng)


def change_scales(layout: Layout, path: Path, rng: Rng) -> None:
    """Change scales of ``path``, by one move or a few."""
    for which in rng.integers(len(SCALE_MOVES), size=int(rng.geometric(0.6))):
        SCALE_MOVES[int(which)](layout, path, rng)


def cross_paths(one: Path, two: Path, rng: Rng) -> Path:
    """Return the first steps of ``one`` followed by the last of ``two``.

    The cuts lie at the same step, or up to two apart, so that lengths change.
    """
    cut = int(rng.integers(len(one) + 1))
    other = int(np.clip(cut + rng.choice((0, 0, 0, -1, 1, -2, 2)), 0, len(two)))
    child = one.part(0, cut)
    child.put(cut, cut, two.part(other, len(two)))
    return child if len(child) else two.part(0, len(two))


def mutate_numbers(space: SearchSpace, numbers: Array, rng: Rng) -> None:
    """Move about one number: by a normal step, or to another value of a gene with few."""
    n = len(space.genes)
    chosen = np.flatnonzero(rng.random(n) < 1 / n)
    for index in chosen if len(chosen) else [int(rng.integers(n))]:
        gene = space.genes[index]
        if gene.kind == "categorical" or 0 < gene.n_values <= 3:
            value = min(int(numbers[index] * gene.n_values), gene.n_values - 1)
            other = (value + int(rng.integers(1, max(gene.n_values, 2)))) % gene.n_values
            numbers[index] = (other + 0.5) / gene.n_values
            continue
        least = 1 / gene.n_values if gene.n_values else 0.0
        by = _normal(rng)
        numbers[index] = np.clip(numbers[index] + np.sign(by) * max(abs(by), least), 0, 1)


def cross_numbers(one: Array, two: Array, rng: Rng) -> Array:
    """Return numbers taken from either parent, each on its own."""
    return np.where(rng.random(len(one)) < 0.5, one, two)


def _block(path: Path, rng: Rng) -> tuple[int, int]:
    """Return the ends of a block, half of the time one step long."""
    start = int(rng.integers(len(path)))
    return start, min(start + int(rng.geometric(0.5)), len(path))


def _normal(rng: Rng) -> float:
    """Return a normal step whose width is drawn anew each time."""
    width = FINEST * (COARSEST / FINEST) ** rng.random()
    return float(width * rng.standard_normal())

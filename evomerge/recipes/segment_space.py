"""The space of segments: coefficients that change anywhere along the flattened model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.models.architecture import ROLES, TensorFacts
from evomerge.recipes.crossing import angle_between, slerp_shares
from evomerge.recipes.segment_plan import SegmentSearch
from evomerge.recipes.segments import REST, SEGMENTS, chromosome, flat_places, parse_segments
from evomerge.recipes.space import Genome, SearchSpace, Template

FINE = 100_000_000
"""Elements up to which ``block: auto`` cuts anywhere; larger models are cut at blocks."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """The coefficients of one chromosome.

    Args:
        ends: Flat index after each of ``m`` segments, shape ``(m,)``, int64, rising; the last one
            is the chromosome's size.
        weights: Coefficients of the ``n`` inputs, shape ``(m, n)``.
    """

    ends: NDArray[np.int64]
    weights: Array

    def joined(self) -> "Pieces":
        """Return the same with equal neighbours made one."""
        keep = np.ones(len(self.ends), dtype=bool)
        keep[:-1] = (self.weights[1:] != self.weights[:-1]).any(axis=1)
        return self if keep.all() else Pieces(self.ends[keep], self.weights[keep])


class Products(Protocol):
    """Inner products of the sources' parameters, by runs of flat indices."""

    def sums(self, chromosome: int) -> tuple[NDArray[np.int64], Array]:
        """Return borders and, up to each of them, the inner products.

        Returns:
            Flat indices, shape ``(m + 1,)``, from 0 to the chromosome's size, and Gram matrices of
            all before each, shape ``(m + 1, n, n)``.
        """

    def between(self, chromosome: int, start: int, stop: int) -> Array:
        """Return the Gram matrix, shape ``(n, n)``, of a part of what lies between two borders."""


class SegmentSpace(SearchSpace):
    """All coefficients of ``n`` sources by runs of flat indices, for searchers that cut and join.

    A genome is ``{"STAGE.segments": segments}`` in the form of ``recipes.segments``. Its encoding
    is no point of a cube and has no fixed length. For each chromosome it has the number ``m`` of
    segments, the ``m − 1`` flat indices between them, and ``m · n`` coefficients, segment by
    segment.

    Args:
        search: What is searched.
        tensors: The model's tensors.
        template: Turns genomes into recipes.

    Attributes:
        inputs: Names of the sources, ``n`` in number.
        chromosomes: Names of the chromosomes; one called ``rest`` where there are no groups.
        sizes: Elements of each.
        products: Inner products of the sources; given later, by who can read them.

    Raises:
        RecipeError: A chromosome has no tensor, or a role none of them.
    """

    is_cube = False

    def __init__(
        self,
        search: SegmentSearch,
        tensors: Sequence[TensorFacts],
        template: Template | None = None,
    ) -> None:
        super().__init__((), template)
        self.name = search.name
        self.inputs = search.inputs
        self.chromosomes = search.chromosomes or (REST,)
        self.sizes = _sizes(self.chromosomes, tensors)
        self._block = search.block
        if search.block == "auto" and sum(self.sizes) <= FINE:
            self._block = "any"
        self.products: Products | None = None
        self._sums: dict[int, tuple[NDArray[np.int64], Array]] = {}
        self._parts: dict[tuple[int, int], Array] = {}

    @property
    def n_dims(self) -> int:
        """Length of the shortest encodings, of one segment a chromosome."""
        return len(self.chromosomes) * (1 + len(self.inputs))

    @property
    def summary(self) -> str:
        """What there is to search, in a few words."""
        return f"segments of {len(self.inputs)} sources"

    def pack(self, parts: Sequence[Pieces]) -> Array:
        """Return the encoding of the chromosomes' coefficients."""
        rows: list[Any] = []
        for part in parts:
            rows += [[len(part.ends)], part.ends[:-1], part.weights.ravel()]
        return np.concatenate(rows).astype(np.float64)

    def unpack(self, x: Array) -> list[Pieces]:
        """Return the coefficients of each chromosome.

        Raises:
            RecipeError: ``x`` is no encoding of this space.
        """
        n = len(self.inputs)
        parts = []
        rest = np.asarray(x, dtype=np.float64)
        for size in self.sizes:
            m = int(rest[0]) if len(rest) and rest[0] >= 1 else 0
            ends = np.append(rest[1:m], size).astype(np.int64) if m else np.empty(0, np.int64)
            weights = rest[m : m + m * n]
            rest = rest[m + m * n :]
            if not m or len(weights) < m * n or (np.diff(ends, prepend=0) <= 0).any():
                raise RecipeError(f"got {m} segments of {size} elements that don't fit together.")
            parts.append(Pieces(ends, weights.reshape(m, n)))
        if len(rest) or not all(np.isfinite(part.weights).all() for part in parts):
            raise RecipeError(
                f"got an encoding of length {len(x)} that isn't {len(self.sizes)} chromosomes of "
                "finite numbers."
            )
        return parts

    def encode(self, genome: Genome) -> Array:
        """Return the encoding of ``genome``.

        Raises:
            RecipeError: It is no genome of this space.
        """
        if set(genome) != {self.name}:
            raise RecipeError(f"the genome has {', '.join(genome)}; expected {self.name}.")
        segments = parse_segments(genome[self.name], self.name)
        parts = []
        for name, size in zip(self.chromosomes, self.sizes, strict=True):
            chosen = self._of(segments, name)
            ends = [*(item["until"] for item in chosen[:-1]), size]
            parts.append(Pieces(np.array(ends), np.array([item["weights"] for item in chosen])))
        x = self.pack(parts)
        self.unpack(x)  # the numbers fit this model and its inputs
        return x

    def _of(self, segments: Any, name: str) -> Sequence[Mapping[str, Any]]:
        """The segments of one chromosome; one segment for all is one for each."""
        if isinstance(segments, Mapping) and name in segments:
            return segments[name]  # type: ignore[no-any-return]
        rest = segments.get(REST, ()) if isinstance(segments, Mapping) else segments
        if len(rest) == 1 or self.chromosomes == (REST,):
            return rest  # type: ignore[no-any-return]
        raise RecipeError(f"{self.name} isn't given by {', '.join(self.chromosomes)}.")

    def decode(self, x: Array) -> dict[str, Any]:
        """Return the genome that ``x`` stands for.

        Raises:
            RecipeError: ``x`` is no encoding of this space.
        """
        groups = {}
        for name, part in zip(self.chromosomes, self.unpack(x), strict=True):
            segments = [
                {"until": end, "weights": weights}
                for end, weights in zip(part.ends.tolist(), part.weights.tolist(), strict=True)
            ]
            del segments[-1]["until"]
            groups[name] = segments
        return {self.name: parse_segments(groups, self.name)}

    def snap(self, x: Array) -> Array:
        """Return ``encode(decode(x))`` of one encoding: equal neighbours are joined."""
        return self.pack([part.joined() for part in self.unpack(x)])

    def active(self, x: Array) -> NDArray[np.bool_]:
        """Return that all numbers of ``x`` count."""
        return np.ones(np.shape(x), dtype=bool)

    def alone(self, index: int) -> Array:
        """Return the encoding of source ``index`` as it is."""
        return self._constant(np.eye(len(self.inputs))[index])

    def middle(self) -> Array:
        """Return the encoding of the average of all sources."""
        n = len(self.inputs)
        return self._constant(np.full(n, 1.0 / n))

    def founders(self) -> Sequence[tuple[str, Array]]:
        """Return (label, encoding) of each source alone."""
        return [(f"parent:{name}", self.alone(index)) for index, name in enumerate(self.inputs)]

    def cross(
        self, one: Array, two: Array, rng: np.random.Generator, *, split: bool = True
    ) -> Array:
        """Return the encoding of a child: a SLERP, cut and weighed anew in each chromosome."""
        parts = []
        for index, (a, b) in enumerate(zip(self.unpack(one), self.unpack(two), strict=True)):
            size = self.sizes[index]
            cut = self.cut(index, int(rng.integers(size))) if split else size
            parts.append(self.join(index, a, b, cut=cut, weight=rng.random()))
        return self.pack(parts)

    def join(self, chromosome: int, one: Pieces, two: Pieces, *, cut: int, weight: float) -> Pieces:
        """Return the SLERP of two parents with ``weight`` of the second before ``cut``.

        Args:
            chromosome: Which one.
            one: The first parent's coefficients there.
            two: The second's.
            cut: Flat index from which on the second has 1 − ``weight``.
            weight: 0 to 1.
        """
        ends = np.union1d(one.ends, two.ends)
        if 0 < cut < ends[-1]:
            ends = np.union1d(ends, [cut])
        a = one.weights[np.searchsorted(one.ends, ends)]
        b = two.weights[np.searchsorted(two.ends, ends)]
        gram = self.gram(chromosome, ends)

        def product(x: Array, y: Array) -> float:
            return float(np.einsum("mi,mij,mj->", x, gram, y))

        angle = angle_between(product(a, b), product(a, a), product(b, b))
        first, second = slerp_shares(np.where(ends <= cut, weight, 1.0 - weight)[:, None], angle)
        return Pieces(ends, first * a + second * b).joined()

    def draw(self, rng: np.random.Generator) -> Array:
        """Return the encoding of a random genome: one cut a chromosome, shares of all sources."""
        parts = []
        for index, size in enumerate(self.sizes):
            cut = self.cut(index, int(rng.integers(size)))
            ends = np.array([cut, size] if cut else [size])
            parts.append(Pieces(ends, rng.dirichlet(np.ones(len(self.inputs)), size=len(ends))))
        return self.pack(parts)

    def cut(self, chromosome: int, index: int) -> int:
        """Return the place at or before flat ``index`` where this space may cut a chromosome."""
        if self._block == "any":
            return index
        if self._block == "auto":
            borders = self._borders(chromosome)[0]
            return int(borders[np.searchsorted(borders, index, side="right") - 1])
        return index - index % int(self._block)

    def gram(self, chromosome: int, ends: NDArray[np.int64]) -> Array:
        """Return the Gram matrix of each segment, shape ``(m, n, n)``.

        Args:
            chromosome: Which one.
            ends: Flat index after each segment, shape ``(m,)``, rising up to the size.
        """
        borders, sums = self._borders(chromosome)
        places = np.searchsorted(borders, ends, side="right") - 1
        upto = sums[places]
        for row in np.flatnonzero(borders[places] != ends):
            upto[row] += self._part(chromosome, int(borders[places[row]]), int(ends[row]))
        return np.diff(upto, axis=0, prepend=np.zeros((1, *upto.shape[1:])))

    def _part(self, chromosome: int, start: int, stop: int) -> Array:
        """The Gram matrix of the beginning of a block, up to where a segment once ended."""
        if (chromosome, stop) not in self._parts:
            assert self.products is not None
            self._parts[chromosome, stop] = self.products.between(chromosome, start, stop)
        return self._parts[chromosome, stop]

    def _borders(self, chromosome: int) -> tuple[NDArray[np.int64], Array]:
        if self.products is None:
            raise RecipeError("this space has no sources at hand, so nothing can be cut or joined.")
        if chromosome not in self._sums:
            borders, sums = self.products.sums(chromosome)
            if borders[-1] != self.sizes[chromosome]:
                raise RecipeError(
                    f"the sources have {borders[-1]} elements to merge, and the base "
                    f"{self.sizes[chromosome]}. Take one of the sources as base."
                )
            self._sums[chromosome] = borders, sums
        return self._sums[chromosome]

    def genome_of(self, recipe: Any) -> dict[str, Any]:
        """Return the genome that stands for ``recipe``."""
        return self.decode(self.encode(self._need_template().genome_of(recipe)))

    def warm_starts(self) -> Sequence[tuple[str, Genome]]:
        """Return (label, genome) of each source alone."""
        return [(label, self.decode(genome)) for label, genome in self.founders()]

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger."""
        return {
            "genes": [],
            SEGMENTS: {
                "name": self.name,
                "inputs": list(self.inputs),
                "chromosomes": dict(zip(self.chromosomes, self.sizes, strict=True)),
                "block": self._block,
            },
        }

    def _constant(self, weights: Array) -> Array:
        return self.pack([Pieces(np.array([size]), weights[None]) for size in self.sizes])


def _sizes(names: Sequence[str], tensors: Sequence[TensorFacts]) -> tuple[int, ...]:
    """Elements of each chromosome."""
    places = list(flat_places(facts for facts in tensors if facts.is_merged).values())
    total = dict(zip(ROLES, places[0].total if places else [0] * len(ROLES), strict=True))
    left = [role for role, size in total.items() if size and chromosome(names, role) is None]
    if left:
        raise RecipeError(
            f"the chromosomes {', '.join(names)} leave out tensors of the role {left[0]}. Add "
            f"{left[0]}, or {REST} for all others."
        )
    sizes = tuple(
        sum(size for role, size in total.items() if chromosome(names, role) == name)
        for name in names
    )
    if places and 0 in sizes:
        raise RecipeError(
            f"the model has no tensors for the chromosome {names[sizes.index(0)]}. Remove it."
        )
    return sizes

"""Small spaces of segments with the sources' numbers at hand, and dense crossovers to compare."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.models.architecture import ROLES, TensorFacts
from evomerge.recipes.segment_plan import SegmentSearch
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.recipes.segments import chromosome, flattened

Array = NDArray[np.float64]

TENSORS = [
    TensorFacts("embed", (7, 5), "F32", None, "embed"),
    *(TensorFacts(f"layers.{n}.attn", (6, 5), "F32", n, "attn") for n in range(3)),
    *(TensorFacts(f"layers.{n}.mlp", (5, 9), "F32", n, "mlp") for n in range(3)),
    TensorFacts("head", (4, 4), "F32", None, "head", before=False),
]


class Dense:
    """Sources as flat vectors, chromosome by chromosome: what a space asks for inner products.

    Args:
        space: The space; it is given this object.
        sources: Numbers of each source, shape ``(n, size)``, in the order of the flattened model.
        block: Elements between two borders, within tensors.
    """

    def __init__(self, space: SegmentSpace, sources: Array, *, block: int = 16) -> None:
        roles: list[str] = []
        cuts = [0]
        for facts in flattened(TENSORS):
            size = int(np.prod(facts.shape))
            roles += [facts.role] * size
            cuts += [*range(cuts[-1] + block, cuts[-1] + size, block), cuts[-1] + size]
        groups = np.array([space.chromosomes.index(_group(space, role)) for role in roles])
        self.parts = [sources[:, groups == index] for index in range(len(space.chromosomes))]
        self._borders = [
            np.unique(np.concatenate([[0], np.cumsum(groups == index)])[cuts])
            for index in range(len(space.chromosomes))
        ]
        space.products = self

    def sums(self, chromosome: int) -> tuple[NDArray[np.int64], Array]:
        borders = self._borders[chromosome].astype(np.int64)
        return borders, np.array([self._gram(chromosome, 0, end) for end in borders])

    def between(self, chromosome: int, start: int, stop: int) -> Array:
        return self._gram(chromosome, start, stop)

    def weights(self, space: SegmentSpace, x: Array) -> list[Array]:
        """The flat parameters of an encoding, a vector a chromosome."""
        found = []
        for part, sources in zip(space.unpack(x), self.parts, strict=True):
            rows = np.searchsorted(part.ends, np.arange(sources.shape[1]), side="right")
            found.append(np.einsum("ji,ij->j", part.weights[rows], sources))
        return found

    def _gram(self, chromosome: int, start: int, stop: int) -> Array:
        part = self.parts[chromosome][:, start:stop]
        gram: Array = part @ part.T
        return gram


def _group(space: SegmentSpace, role: str) -> str:
    name = chromosome(space.chromosomes, role)
    assert role in ROLES
    assert name is not None
    return name


def space_of(
    n: int = 2,
    *,
    block: str | int = "any",
    chromosomes: Sequence[str] = (),
    sources: Array | None = None,
) -> tuple[SegmentSpace, Dense]:
    """Return a space of ``n`` sources, random ones if not given, and their numbers."""
    names = tuple("abcdefghijklmnop"[:n])
    search = SegmentSearch("s.segments", names, block, tuple(chromosomes), "s")
    space = SegmentSpace(search, TENSORS)
    size = sum(space.sizes)
    given = np.random.default_rng(0).normal(size=(n, size)) if sources is None else sources
    return space, Dense(space, given)


def dense_slerp(w: float, split: int, x: Array, y: Array) -> Array:
    """The authors' crossover: SLERP with w before ``split`` and 1 − w from there on."""
    t = np.where(np.arange(len(x)) < split, w, 1.0 - w)
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    cosine = float(np.clip(x @ y / norms, -1, 1)) if norms else 1.0
    angle = np.arccos(cosine)
    if np.sin(angle) <= 1e-6:
        return (1 - t) * x + t * y
    return (np.sin((1 - t) * angle) * x + np.sin(t * angle) * y) / np.sin(angle)

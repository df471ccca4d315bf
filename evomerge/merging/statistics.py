"""Figures of whole tensors that methods ask ``stats`` for: computed once, shared by candidates."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.merging.chunks import Readable, Whole, blocks
from evomerge.merging.plan import Leaf, Node


class Stats(Protocol):
    """What a method may ask about the tensors that it merges, by their place among its inputs."""

    @property
    def layer(self) -> int | None:
        """Layer of the tensor, None outside the layers."""

    @property
    def n_layers(self) -> int:
        """Layers of the stage's model."""

    def gram(self) -> NDArray[np.float64]:
        """Return inner products of the whole inputs, shape ``(n, n)``."""


class WholeTensors:
    """Stats of tensors at hand, for calling a method directly.

    Args:
        base: The base's tensor, if there is one.
        tensors: The inputs' tensors.
        layer, n_layers: Where they stand.
    """

    def __init__(
        self,
        base: Tensor | None,
        tensors: Sequence[Tensor],
        *,
        layer: int | None = None,
        n_layers: int = 0,
    ) -> None:
        self._base = base
        self._tensors = [Whole(tensor, tensor.dtype) for tensor in tensors]
        self.layer = layer
        self.n_layers = n_layers

    def gram(self) -> NDArray[np.float64]:
        """Return inner products of the whole inputs, shape ``(n, n)``."""
        return gram_of(self._tensors)


def gram_of(tensors: Sequence[Readable]) -> NDArray[np.float64]:
    """Return inner products, shape ``(n, n)``, summed in float64 over canonical blocks."""
    n = len(tensors)
    gram = np.zeros((n, n))
    for start, stop in blocks(tensors[0].numel):
        pieces = [tensor.read(start, stop).to(torch.float64) for tensor in tensors]
        for i in range(n):
            for j in range(i, n):
                gram[i, j] += float(torch.dot(pieces[i], pieces[j]))
    return gram + np.triu(gram, 1).T


class Store:
    """Figures of the sources' tensors, computed at most once.

    Args:
        raw: Leaf → its stored values, flat.
    """

    def __init__(self, raw: Callable[[Leaf], Tensor]) -> None:
        self._raw = raw
        self._finite: set[Leaf] = set()
        self._same: dict[tuple[Leaf, Leaf], bool] = {}
        self._dots: dict[tuple[Leaf, Leaf], float] = {}

    def is_finite(self, leaf: Leaf) -> bool:
        """Tell whether all values of a tensor were seen to be finite."""
        return leaf in self._finite

    def note_finite(self, leaf: Leaf) -> None:
        """Take down that all values of a tensor are finite."""
        self._finite.add(leaf)

    def is_same(self, one: Node, other: Node) -> bool:
        """Tell whether two tensors hold the same bytes; tensors of stages are never compared."""
        if not isinstance(one, Leaf) or not isinstance(other, Leaf):
            return False
        if (one, other) not in self._same:
            a, b = self._raw(one), self._raw(other)
            self._same[one, other] = a.dtype == b.dtype and all(
                torch.equal(_bits(a[start:stop]), _bits(b[start:stop]))
                for start, stop in blocks(a.numel())
            )
        return self._same[one, other]

    def gram(self, nodes: Sequence[Node], parts: Sequence[Readable]) -> NDArray[np.float64]:
        """Return inner products of ``parts``, shape ``(n, n)``; those of sources are kept."""
        leaves = [node for node in nodes if isinstance(node, Leaf)]
        if len(leaves) < len(nodes):
            return gram_of(parts)
        pairs = [(a, b) for a in leaves for b in leaves]
        if any(pair not in self._dots for pair in pairs):
            fresh = gram_of(parts)
            self._dots.update(zip(pairs, fresh.ravel().tolist(), strict=True))
        n = len(leaves)
        return np.array([self._dots[pair] for pair in pairs]).reshape(n, n)


def _bits(tensor: Tensor) -> Tensor:
    """The tensor's bytes as whole numbers: NaN equals itself there, and -0 isn't 0."""
    return tensor.view({8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()])

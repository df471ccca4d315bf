"""What a method may ask about one tensor's inputs while it is merged piece by piece."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.merging.chunks import LazyPieces, Readable, blocks
from evomerge.merging.cuts import Cut
from evomerge.merging.masks import Stream
from evomerge.merging.pieces import SourcePiece
from evomerge.merging.plan import Leaf, Merged, Node
from evomerge.merging.statistics import Part, Store


class NodeStats:
    """What a method may ask about one tensor's inputs; see ``statistics.Stats``.

    Args:
        node: The tensor.
        inputs: What is merged, in the order in which the method gets it.
        parts: Their tensors.
        base: The base's tensor, if the method takes one.
        wide: Element type that is computed in.
        store: Where figures of sources are kept.
        device: Where pieces are computed.
    """

    def __init__(
        self,
        node: Merged,
        inputs: Sequence[Node],
        parts: Sequence[Readable],
        base: Readable | None,
        wide: torch.dtype,
        store: Store,
        device: str,
    ) -> None:
        self.piece = (0, 0)
        self.layer = node.frame.place.layer
        self.n_layers = node.frame.n_layers
        self.n_dims = len(node.facts.shape)
        self._node = node
        self._inputs = inputs
        self._parts = parts
        self._base = base
        self._wide = wide
        self._store = store
        self._device = device
        self._spare: list[Readable] = []
        self._cuts: dict[tuple[int, float], Cut] = {}
        self._totals: dict[str, float] = {}

    def gram(self) -> NDArray[np.float64]:
        """Return inner products of the whole inputs, shape ``(n, n)``."""
        return self._store.gram(self._inputs, lambda: self._parts)

    def trim(self, index: int, delta: Tensor, density: float) -> Tensor:
        """Return this piece of a task vector with all but its largest magnitudes set to 0."""
        flat = self.cut(index, density).trim(delta.reshape(-1), self.piece[0])
        return flat.view(delta.shape)

    def cut(self, index: int, density: float) -> Cut:
        """Return where ``trim`` cuts the task vector of input ``index``."""
        if (index, density) not in self._cuts:
            base, *parts = self._whole_tensors()
            assert self._node.base is not None
            self._cuts[index, density] = self._store.cut(
                self._node.base,
                self._inputs[index],
                int(density * base.numel),
                (base, parts[index]),
                self._wide,
            )
        return self._cuts[index, density]

    def mask(self, index: int, density: float) -> Tensor:
        """Return 1 and 0 for this piece of input ``index``: each element kept with ``density``."""
        return self.stream(index).mask(density, *self.piece, device=self._device)

    def stream(self, index: int) -> Stream:
        """Return the random draws of input ``index``."""
        return Stream.of(
            seed=self._node.seed,
            method=self._node.frame.method,
            content=content_key(self._inputs[index]),
            tensor=self._node.frame.place.name,
        )

    def draws(self, index: int, seed: int, n: int) -> Tensor:
        """Return ``n`` uniform draws of ``seed`` for this tensor of input ``index``."""
        return Stream.of(
            seed=seed,
            method=self._node.frame.method,
            content=content_key(self._inputs[index]),
            tensor=self._node.frame.place.name,
        ).uniform(n)

    def total(self, key: str, part: Part) -> float:
        """Return ``part`` summed over the whole tensors in canonical blocks."""
        if key not in self._totals:
            tensor, *parts = self._whole_tensors()
            piece = self.piece
            total = 0.0
            for start, stop in blocks(tensor.numel):
                self.piece = (start, stop)
                total += part(tensor.read(start, stop), LazyPieces(parts, start, stop))
            self.piece = piece
            self._totals[key] = total
        return self._totals[key]

    def _whole_tensors(self) -> list[Readable]:
        """Base and inputs, in buffers other than those of the pieces that the method holds."""
        if not self._spare:
            assert self._base is not None
            self._spare = [
                part.again() if isinstance(part, SourcePiece) else part
                for part in (self._base, *self._parts)
            ]
        return self._spare


def content_key(node: Node) -> str:
    """Return a text that depends only on what ``node`` contains; sums run in its order."""
    if isinstance(node, Leaf):
        return node.key
    return hashlib.sha256(repr(node).encode()).hexdigest()

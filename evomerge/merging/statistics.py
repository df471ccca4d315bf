"""Figures of whole tensors that methods ask ``stats`` for: computed once, shared by candidates."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.merging.chunks import Readable, Whole, blocks
from evomerge.merging.cuts import Counts, Cut, TaskVector
from evomerge.merging.kept import KeptFigures
from evomerge.merging.masks import Stream
from evomerge.merging.plan import Leaf, Node

Part = Callable[[Tensor, Sequence[Tensor]], float]
"""Pieces of the base and of the inputs → what they add to a figure of the whole tensors."""


class Stats(Protocol):
    """What a method may ask about the tensors that it merges, by their place among its inputs."""

    @property
    def layer(self) -> int | None:
        """Layer of the tensor, None outside the layers."""

    @property
    def n_layers(self) -> int:
        """Layers of the stage's model."""

    @property
    def n_dims(self) -> int:
        """Dimensions of the whole tensor: 1 for norms and biases."""

    def gram(self) -> NDArray[np.float64]:
        """Return inner products of the whole inputs, shape ``(n, n)``."""

    def trim(self, index: int, delta: Tensor, density: float) -> Tensor:
        """Return this piece of a task vector with all but its largest magnitudes set to 0.

        Args:
            index: Which input.
            delta: The piece that is being merged of that input less the base, shape ``(*s)``.
            density: Share of the whole task vector's ``d`` elements to keep: exactly
                ``⌊density·d⌋`` of them, equal magnitudes by lower flat index.
        """

    def mask(self, index: int, density: float) -> Tensor:
        """Return 1 and 0 for this piece of input ``index``: each element kept with ``density``."""

    def draws(self, index: int, seed: int, n: int) -> Tensor:
        """Return ``n`` uniform draws of ``seed`` for this tensor of input ``index``.

        Returns:
            In [0, 1), float64, shape ``(n,)``, on the CPU.
        """

    def total(self, key: str, part: Part) -> float:
        """Return ``part`` summed over the whole tensors in canonical blocks, once for each ``key``.

        ``part`` may ask for ``trim`` and ``mask`` of the pieces that it is given.
        """


class SourceStats(Stats, Protocol):
    """What a fused method may ask besides: how tensors of sources are cut and masked."""

    def cut(self, index: int, density: float) -> Cut:
        """Return where ``trim`` cuts the task vector of input ``index``."""

    def stream(self, index: int) -> Stream:
        """Return the random draws of input ``index``."""


class WholeTensors:
    """Stats of tensors at hand, for calling a method directly.

    Args:
        base: The base's tensor, if there is one.
        tensors: The inputs' tensors.
        layer: Layer that they stand in.
        n_layers: Layers of the model.
        masks: What ``mask`` returns, one tensor an input; all ones if absent.
    """

    def __init__(
        self,
        base: Tensor | None,
        tensors: Sequence[Tensor],
        *,
        layer: int | None = None,
        n_layers: int = 0,
        masks: Sequence[Tensor] | None = None,
    ) -> None:
        self._base = base
        self._tensors = tensors
        self._masks = masks
        self.layer = layer
        self.n_layers = n_layers
        self.n_dims = tensors[0].ndim if tensors else 0

    def gram(self) -> NDArray[np.float64]:
        """Return inner products of the whole inputs, shape ``(n, n)``."""
        return gram_of([Whole(tensor, tensor.dtype) for tensor in self._tensors])

    def trim(self, index: int, delta: Tensor, density: float) -> Tensor:
        """Return ``delta`` with all but its largest magnitudes set to 0."""
        flat = delta.reshape(-1)
        whole, zero = Whole(flat, flat.dtype), Whole(torch.zeros_like(flat), flat.dtype)
        cut = TaskVector(zero, whole, flat.dtype).cut(int(density * flat.numel()))
        return cut.trim(flat, 0).view(delta.shape)

    def mask(self, index: int, density: float) -> Tensor:
        """Return the given mask of input ``index``."""
        return torch.ones(()) if self._masks is None else self._masks[index]

    def draws(self, index: int, seed: int, n: int) -> Tensor:
        """Return ``n`` draws of ``seed``, the same for all tensors."""
        return Stream.of(seed=seed, method="", content=str(index), tensor="").uniform(n)

    def total(self, key: str, part: Part) -> float:
        """Return ``part`` of the whole tensors."""
        assert self._base is not None
        return part(self._base, self._tensors)


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
        kept: Where they outlive the process; None keeps none.
    """

    def __init__(self, raw: Callable[[Leaf], Tensor], kept: KeptFigures | None = None) -> None:
        self._raw = raw
        self._kept = kept
        self._figures: dict[tuple[str, Leaf, Leaf], Any] = {}
        self._counts: dict[tuple[Leaf, Leaf], Counts] = {}
        if kept is not None:
            weakref.finalize(self, kept.flush)

    def clear(self) -> None:
        """Forget all figures; those kept on disk are read again, others computed again."""
        if self._kept is not None:
            self._kept.clear()
        self._figures.clear()
        self._counts.clear()

    def is_finite(self, leaf: Leaf) -> bool:
        """Tell whether all values of a tensor were seen to be finite."""
        return bool(self._recall("finite", leaf, leaf))

    def note_finite(self, leaf: Leaf) -> None:
        """Take down that all values of a tensor are finite."""
        if not self.is_finite(leaf):
            self._note("finite", leaf, leaf, True)

    def is_same(self, one: Node, other: Node) -> bool:
        """Tell whether two tensors hold the same bytes; tensors of stages are never compared."""
        if not isinstance(one, Leaf) or not isinstance(other, Leaf):
            return False

        def compare() -> bool:
            a, b = self._raw(one), self._raw(other)
            return a.dtype == b.dtype and all(
                torch.equal(_bits(a[start:stop]), _bits(b[start:stop]))
                for start, stop in blocks(a.numel())
            )

        return bool(self._find("same", one, other, compare))

    def gram(
        self, nodes: Sequence[Node], parts: Callable[[], Sequence[Readable]]
    ) -> NDArray[np.float64]:
        """Return inner products of ``parts()``, shape ``(n, n)``; those of sources are kept."""
        leaves = [node for node in nodes if isinstance(node, Leaf)]
        if len(leaves) < len(nodes):
            return gram_of(parts())
        pairs = [(a, b) for a in leaves for b in leaves]
        if any(self._recall("dot", *pair) is None for pair in pairs):
            with self._claimed("dot", *leaves):
                if any(self._recall("dot", *pair) is None for pair in pairs):
                    fresh = gram_of(parts())
                    for pair, dot in zip(pairs, fresh.ravel().tolist(), strict=True):
                        self._note("dot", *pair, dot)
        known = [self._recall("dot", *pair) for pair in pairs]
        return np.array(known).reshape(len(leaves), len(leaves))

    def cut(
        self, base: Node, node: Node, keep: int, parts: tuple[Readable, Readable], wide: torch.dtype
    ) -> Cut:
        """Return the cut that keeps the ``keep`` largest of a task vector, remembered for sources.

        Args:
            base: What the base's tensor is.
            node: What the other tensor is.
            keep: How many elements stay.
            parts: Both tensors.
            wide: Element type that they are read in.
        """
        if not isinstance(base, Leaf) or not isinstance(node, Leaf):
            return TaskVector(*parts, wide).cut(keep)

        def find_cut() -> list[str | int]:
            raws = (self._raw(base), self._raw(node))
            vector = TaskVector(*parts, wide, raws, counts=self._counts.get((base, node)))
            cut = vector.cut(keep)
            if vector.counts is not None:
                self._counts[base, node] = vector.counts
            return [cut.threshold.hex(), cut.last]  # JSON has no infinity

        threshold, last = self._find(f"cut {wide} {keep}", base, node, find_cut)
        return Cut(float.fromhex(threshold), last)

    def _find(self, kind: str, one: Leaf, other: Leaf, compute: Callable[[], Any]) -> Any:
        """A figure of two tensors, computed by one process of the node."""
        known = self._recall(kind, one, other)
        if known is not None:
            return known
        with self._claimed(kind, one, other):
            known = self._recall(kind, one, other)
            if known is None:
                known = compute()
                self._note(kind, one, other, known)
        return known

    @contextmanager
    def _claimed(self, kind: str, *leaves: Leaf) -> Iterator[None]:
        if self._kept is None:
            yield
            return
        with self._kept.claimed(f"{kind} {leaves}"):
            yield

    def _recall(self, kind: str, one: Leaf, other: Leaf) -> Any:
        """A figure of two tensors, None where it isn't known."""
        key = (kind, one, other)
        if key not in self._figures and self._kept is not None:
            text = f"{kind} {one.tensor} {other.tensor}"
            figure = self._kept.get(one.content, other.content, text)
            if figure is None:
                return None
            self._figures[key] = figure
        return self._figures.get(key)

    def _note(self, kind: str, one: Leaf, other: Leaf, figure: Any) -> None:
        self._figures[kind, one, other] = figure
        if self._kept is not None:
            text = f"{kind} {one.tensor} {other.tensor}"
            self._kept.put(one.content, other.content, text, figure)


def _bits(tensor: Tensor) -> Tensor:
    """The tensor's bytes as whole numbers: NaN equals itself there, and -0 isn't 0."""
    return tensor.view({8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()])

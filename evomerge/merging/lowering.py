"""From a planned tensor to something that computes it piece by piece."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.errors import MergeError
from evomerge.merging import native
from evomerge.merging.arithmetic import combine
from evomerge.merging.chunks import BLOCK, Buffers, LazyPieces, Readable, blocks
from evomerge.merging.cuts import Cut
from evomerge.merging.masks import Stream
from evomerge.merging.plan import Frame, Leaf, Merged, Node, is_double
from evomerge.merging.registry import METHODS, MergeMethod
from evomerge.merging.statistics import Part, Store


class SourcePiece:
    """A source's tensor, widened piece by piece.

    Args:
        leaf: Which tensor.
        raw: Its values, flat.
        wide: Element type to compute in.
        buffer: Where pieces of another dtype are widened to.
        checked: Whether its values are known to be finite.
    """

    def __init__(
        self, leaf: Leaf, raw: Tensor, wide: torch.dtype, buffer: Tensor, *, checked: bool
    ) -> None:
        self.leaf = leaf
        self.raw = raw
        self.numel = raw.numel()
        self._wide = wide
        self._buffer = buffer
        self._checked = checked
        self._seen = 0

    @property
    def seen_whole(self) -> bool:
        """Whether all values were read, and so are finite."""
        return self._seen == self.numel

    def again(self) -> "SourcePiece":
        """Return the same tensor with a buffer of its own, so that pieces of both can be held."""
        buffer = torch.empty_like(self._buffer)
        return SourcePiece(self.leaf, self.raw, self._wide, buffer, checked=self._checked)

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``, wide.

        Raises:
            MergeError: One of them is NaN or infinite.
        """
        piece = self.raw[start:stop]
        if piece.dtype != self._wide:
            piece = self._buffer[: stop - start].copy_(piece)
        # The sum is cheap and catches nearly all; it may overflow, so it isn't the last word.
        if not self._checked and not piece.sum().isfinite() and not piece.isfinite().all():
            raise MergeError(
                f"tensor {self.leaf.tensor!r} of source {self.leaf.source!r} holds NaN or "
                "infinity; expected finite numbers. Repair this source or leave it out."
            )
        self._seen = stop if start == self._seen else self._seen
        return piece


class Combination:
    """A linear combination of tensors.

    Args:
        parts: The tensors, in the order in which they are added.
        coefficients: One factor a part, none of them 0.
        buffer: Where pieces of the result go.
    """

    def __init__(
        self, parts: Sequence[Readable], coefficients: Sequence[float], buffer: Tensor
    ) -> None:
        self._parts = parts
        self._coefficients = coefficients
        self._buffer = buffer
        self.numel = parts[0].numel

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``."""
        pieces = LazyPieces(self._parts, start, stop)
        return combine(pieces, self._coefficients, out=self._buffer[: stop - start])


class Call:
    """A method applied piece by piece.

    Args:
        function: The method with its options bound; takes (base, pieces) or (pieces).
        base: The base's tensor, if the method takes one.
        parts: The inputs' tensors.
        stats: Told which piece is next; None where the method asks for none.
        shape: (methods on whole tensors) shape of the tensor.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        base: Readable | None,
        parts: Sequence[Readable],
        stats: "NodeStats | None",
        shape: tuple[int, ...] | None,
    ) -> None:
        self._function = function
        self._base = base
        self._parts = parts
        self._stats = stats
        self._shape = shape
        self.numel = parts[0].numel
        self._whole: Tensor | None = None

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``."""
        if self._shape is None:
            return self._call(start, stop)
        if self._whole is None:
            self._whole = self._call(0, self.numel).reshape(-1)
        return self._whole[start:stop]

    def _call(self, start: int, stop: int) -> Tensor:
        if self._stats is not None:
            self._stats.piece = (start, stop)
        pieces = LazyPieces(self._parts, start, stop, self._shape)
        if self._base is None:
            return self._function(pieces)
        base = self._base.read(start, stop)
        return self._function(base if self._shape is None else base.view(self._shape), pieces)


class Materialised:
    """A stage's tensor computed once as a whole, because a later stage asks for its statistics.

    Args:
        tensor: The whole of it, flat and wide.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.raw = tensor
        self.numel = tensor.numel()

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``."""
        return self.raw[start:stop]


class NodeStats:
    """What a method may ask about one tensor's inputs; see ``statistics.Stats``.

    Args:
        node: The tensor.
        inputs: What is merged, in the order in which the method gets it.
        parts: Their tensors.
        base: The base's tensor, if the method takes one.
        wide: Element type that is computed in.
        store: Where figures of sources are kept.
    """

    def __init__(
        self,
        node: Merged,
        inputs: Sequence[Node],
        parts: Sequence[Readable],
        base: Readable | None,
        wide: torch.dtype,
        store: Store,
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
        return self.stream(index).mask(density, *self.piece)

    def stream(self, index: int) -> Stream:
        """Return the random draws of input ``index``."""
        return Stream.of(
            seed=self._node.seed,
            method=self._node.frame.method,
            content=content_key(self._inputs[index]),
            tensor=self._node.frame.place.name,
        )

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


class Lowering:
    """Builds readable tensors from planned ones; figures it needs on the way come from the store.

    Args:
        raw: Leaf → its stored values, flat.
        store: Figures of sources.
        buffers: Scratch memory.
        chunk: Elements a piece.
    """

    def __init__(
        self, raw: Callable[[Leaf], Tensor], store: Store, buffers: Buffers, chunk: int
    ) -> None:
        self._raw = raw
        self._store = store
        self._buffers = buffers
        self._chunk = chunk
        self._reading: list[SourcePiece] = []

    def finish(self) -> None:
        """Take down which sources' tensors were found finite since the last call."""
        for piece in self._reading:
            if piece.seen_whole:
                self._store.note_finite(piece.leaf)
        self._reading.clear()

    def direct(self, node: Node, out: Tensor) -> bool:
        """Write a linear combination of sources in one go, where the compiled loops can.

        Args:
            node: What to write.
            out: Flat tensor that takes it.

        Returns:
            Whether it was written and is finite; if not, it has to be written piece by piece.
        """
        method = METHODS.get(node.frame.method).value if isinstance(node, Merged) else None
        if isinstance(node, Merged) and method is not None and method.coefficients is None:
            return method.fused is not None and self._fused(node, method, method.fused, out)
        terms = self._terms(node)
        leaves = [item for item, _ in terms if isinstance(item, Leaf)]
        if len(leaves) < len(terms):
            return False
        raws = [self._raw(leaf) for leaf in leaves]
        alone = len(terms) == 1 and terms[0][1] == 1.0
        if alone and raws[0].dtype == out.dtype and self._store.is_finite(leaves[0]):
            out.copy_(raws[0])
            return True
        if not native.fits(out, *raws) or not native.combine(out, raws, [c for _, c in terms]):
            return False
        if alone:  # next time it's a plain copy
            self._store.note_finite(leaves[0])
        return True

    def _fused(
        self, node: Merged, method: MergeMethod, fused: Callable[..., bool], out: Tensor
    ) -> bool:
        """Let a method write a whole tensor of sources with the compiled loops."""
        base, inputs, options = self._reduce(node, method)
        if not inputs:
            assert base is not None
            return self.direct(base, out)
        leaves = [item for item in (base, *inputs) if isinstance(item, Leaf)]
        if len(leaves) < len(inputs) + 1 or not native.fits(out, *map(self._raw, leaves)):
            return False
        for leaf in leaves:
            # Not all that is read shows in the result, so the sources are looked at themselves.
            if not self._store.is_finite(leaf):
                if not native.is_finite(self._raw(leaf)):
                    return False
                self._store.note_finite(leaf)
        wide = wide_dtype(node)
        base_part, *parts = (self.readable(leaf, wide) for leaf in leaves)
        stats = NodeStats(node, inputs, parts, base_part, wide, self._store)
        raws = [self._raw(leaf) for leaf in leaves]
        return fused(out, raws[0], raws[1:], stats=stats, **options)

    def readable(self, node: Node, wide: torch.dtype) -> Readable:
        """Return ``node``'s tensor, computed in ``wide`` piece by piece."""
        if isinstance(node, Leaf):
            raw = self._raw(node)
            checked = self._store.is_finite(node)
            piece = SourcePiece(node, raw, wide, self._buffer(node, wide), checked=checked)
            self._reading.append(piece)
            return piece
        method = METHODS.get(node.frame.method).value
        if method.coefficients is not None:
            terms = self._terms(node)
            if len(terms) == 1 and terms[0][1] == 1.0:
                return self.readable(terms[0][0], wide)
            summands = [self.readable(item, wide) for item, _ in terms]
            return Combination(summands, [c for _, c in terms], self._buffer(node, wide))
        base, inputs, options = self._reduce(node, method)
        if not inputs:
            assert base is not None
            return self.readable(base, wide)
        parts = [self._part(item, method, wide) for item in inputs]
        base_part = None if base is None else self._part(base, method, wide)
        stats = None
        if method.needs:
            stats = NodeStats(node, inputs, parts, base_part, wide, self._store)
            options["stats"] = stats
        function = partial(method.function, **options)
        shape = None if method.chunked else node.facts.shape
        return Call(function, base_part, parts, stats, shape)

    def materialise(self, node: Node, wide: torch.dtype) -> Materialised:
        """Return ``node``'s tensor computed as a whole."""
        readable = self.readable(node, wide)
        whole = torch.empty(readable.numel, dtype=wide, device=self._buffers.device)
        for start, stop in blocks(readable.numel, self._chunk):
            whole[start:stop].copy_(readable.read(start, stop))
        return Materialised(whole)

    def _terms(self, node: Node) -> list[tuple[Node, float]]:
        """What ``node``, made by a linear method, is the sum of, in the order of addition."""
        if isinstance(node, Leaf):
            return [(node, 1.0)]
        method = METHODS.get(node.frame.method).value
        assert method.coefficients is not None
        base, inputs, options = self._reduce(node, method)
        if not inputs:
            assert base is not None
            return [(base, 1.0)]
        if method.needs:
            wide = wide_dtype(node)
            parts = [self._part(item, method, wide) for item in inputs]
            options["stats"] = NodeStats(node, inputs, parts, None, wide, self._store)
        factors = method.coefficients(**options)
        nodes = [base, *inputs] if base is not None else inputs
        terms = [(n, float(c)) for n, c in zip(nodes, factors, strict=True) if c != 0]
        terms.sort(key=lambda term: (content_key(term[0]), term[1]))
        return terms or [(nodes[0], 0.0)]

    def _reduce(
        self, node: Merged, method: MergeMethod
    ) -> tuple[Node | None, list[Node], dict[str, Any]]:
        """Base, inputs and options without what contributes nothing, the inputs by content."""
        options = dict(node.options)
        n = len(node.inputs)
        kept = list(range(n))
        if node.base is not None:
            same = [i for i in kept if self._store.is_same(node.inputs[i], node.base)]
            if len(same) == n:
                return node.base, [], options
            if method.drops_zero:
                weights = options.get("weights", (1.0,) * n)
                kept = [i for i in kept if i not in same and weights[i] != 0]
        if not method.ordered and method.coefficients is None:  # terms of a sum are sorted later
            kept.sort(key=lambda i: (content_key(node.inputs[i]), _of_input(options, i)))
        chosen = {
            name: [value[i] for i in kept] if isinstance(value, tuple) else value
            for name, value in options.items()
        }
        return node.base, [node.inputs[i] for i in kept], chosen

    def _part(self, node: Node, method: MergeMethod, wide: torch.dtype) -> Readable:
        """The tensor of an input; a stage's is made whole where the method asks for its figures."""
        if isinstance(node, Merged) and set(method.needs) - {"layer"}:
            return self.materialise(node, wide)
        return self.readable(node, wide)

    def _buffer(self, node: Node, wide: torch.dtype) -> Tensor:
        size = math.prod(node.facts.shape)
        return self._buffers.take(min(size, max(self._chunk, BLOCK)), wide)


def content_key(node: Node) -> str:
    """Return a text that depends only on what ``node`` contains; sums run in its order."""
    if isinstance(node, Leaf):
        return node.key
    return hashlib.sha256(repr(node).encode()).hexdigest()


def wide_dtype(node: Node) -> torch.dtype:
    """Return what ``node`` is computed in: float64 where it is made of any, float32 otherwise."""
    return torch.float64 if is_double(frame_of(node)) else torch.float32


def frame_of(node: Node) -> Frame | Leaf:
    """Return ``node`` without its coefficients."""
    return node if isinstance(node, Leaf) else node.frame


def _of_input(options: Mapping[str, Any], index: int) -> list[Any]:
    return [value[index] for value in options.values() if isinstance(value, tuple)]

"""From a planned tensor to something that computes it piece by piece."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from evomerge.merging import native
from evomerge.merging.chunks import BLOCK, Buffers, Readable, blocks
from evomerge.merging.node_stats import NodeStats, content_key
from evomerge.merging.pieces import Call, Combination, Materialised, Segmented, SourcePiece
from evomerge.merging.plan import Frame, Leaf, Merged, Node, is_double
from evomerge.merging.registry import METHODS, MergeMethod
from evomerge.merging.statistics import Store
from evomerge.recipes.segments import SEGMENTS


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
        if isinstance(node, Merged) and method is not None and method.flattened:
            return self._direct_runs(node, out)
        if isinstance(node, Merged) and method is not None and method.coefficients is None:
            return method.fused is not None and self._fused(node, method, method.fused, out)
        return self._direct_sum(self._terms(node), out)

    def _direct_runs(self, node: Merged, out: Tensor) -> bool:
        """Write a tensor run by run."""
        start = 0
        for end, terms in self._runs(node):
            if not self._direct_sum(terms, out[start:end], start):
                return False
            start = end
        return True

    def _direct_sum(self, terms: Sequence[tuple[Node, float]], out: Tensor, start: int = 0) -> bool:
        """Write a part of a sum of tensors, from flat index ``start`` on."""
        leaves = [item for item, _ in terms if isinstance(item, Leaf)]
        if len(leaves) < len(terms):
            return False
        raws = [self._raw(leaf)[start : start + out.numel()] for leaf in leaves]
        if terms[0][1] == 0.0:  # as torch does it: times 0 would leave signs
            out.zero_()
            return True
        alone = len(terms) == 1 and terms[0][1] == 1.0
        if alone and raws[0].dtype == out.dtype and self._store.is_finite(leaves[0]):
            out.copy_(raws[0])
            return True
        if not native.fits(out, *raws) or not native.combine(out, raws, [c for _, c in terms]):
            return False
        if alone and out.numel() == self._raw(leaves[0]).numel():  # next time it's a plain copy
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
        stats = self._stats(node, inputs, parts, base_part, wide)
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
        if method.flattened:
            return self._segmented(node, wide)
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
            stats = self._stats(node, inputs, parts, base_part, wide)
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

    def _segmented(self, node: Merged, wide: torch.dtype) -> Readable:
        parts = {item: self.readable(item, wide) for item in node.inputs}
        runs = [
            (end, [parts[item] for item, _ in terms], [c for _, c in terms])
            for end, terms in self._runs(node)
        ]
        return Segmented(runs, self._buffer(node, wide))

    def _runs(self, node: Merged) -> list[tuple[int, list[tuple[Node, float]]]]:
        """The flat index after each run of a tensor, and what the run is the sum of."""
        runs = dict(node.options)[SEGMENTS]
        return [
            (end, _ordered(zip(node.inputs, weights, strict=True)))
            for end, weights in zip(runs.ends, runs.weights, strict=True)
        ]

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
            options["stats"] = self._stats(node, inputs, parts, None, wide)
        factors = method.coefficients(**options)
        nodes = [base, *inputs] if base is not None else inputs
        return _ordered(zip(nodes, factors, strict=True))

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

    def _stats(
        self,
        node: Merged,
        inputs: Sequence[Node],
        parts: Sequence[Readable],
        base: Readable | None,
        wide: torch.dtype,
    ) -> NodeStats:
        device = self._buffers.device
        return NodeStats(node, inputs, parts, base, wide, self._store, device)

    def _part(self, node: Node, method: MergeMethod, wide: torch.dtype) -> Readable:
        """The tensor of an input, made whole for a method on whole tensors.

        A stage's is made whole too where the method asks for its figures.
        """
        if not method.chunked or (isinstance(node, Merged) and set(method.needs) - {"layer"}):
            return self.materialise(node, wide)
        return self.readable(node, wide)

    def _buffer(self, node: Node, wide: torch.dtype) -> Tensor:
        size = math.prod(node.facts.shape)
        return self._buffers.take(min(size, max(self._chunk, BLOCK)), wide)


def wide_dtype(node: Node) -> torch.dtype:
    """Return what ``node`` is computed in: float64 where it is made of any, float32 otherwise."""
    return torch.float64 if is_double(frame_of(node)) else torch.float32


def frame_of(node: Node) -> Frame | Leaf:
    """Return ``node`` without its coefficients."""
    return node if isinstance(node, Leaf) else node.frame


def _ordered(terms: Iterable[tuple[Node, float]]) -> list[tuple[Node, float]]:
    """Terms of a sum without those that add nothing, in the order of addition."""
    given = [(node, float(factor)) for node, factor in terms]
    found = [term for term in given if term[1] != 0]
    found.sort(key=lambda term: (content_key(term[0]), term[1]))
    return found or [(given[0][0], 0.0)]


def _of_input(options: Mapping[str, Any], index: int) -> list[Any]:
    return [value[index] for value in options.values() if isinstance(value, tuple)]

"""Tensors computed piece by piece: of a source, of a sum, of a method."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from evomerge.errors import MergeError
from evomerge.merging.arithmetic import combine
from evomerge.merging.chunks import LazyPieces, Readable
from evomerge.merging.plan import Leaf


class Placed(Protocol):
    """Something that wants to know which piece is being merged."""

    piece: tuple[int, int]


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
        # A source that was spilled lies in host memory, and the buffer on the merger's device.
        if piece.dtype != self._wide or piece.device != self._buffer.device:
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


class Segmented:
    """A linear combination whose coefficients change within the tensor.

    Args:
        runs: For each run, the flat index after it, the parts and their coefficients.
        buffer: Where pieces of the result go.
    """

    def __init__(
        self, runs: Sequence[tuple[int, Sequence[Readable], Sequence[float]]], buffer: Tensor
    ) -> None:
        self._runs = runs
        self._ends = [end for end, _, _ in runs]
        self._buffer = buffer
        self.numel = self._ends[-1]

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``."""
        whole = self._buffer[: stop - start]
        begin = start
        for end, parts, coefficients in self._runs[bisect_right(self._ends, start) :]:
            upto = min(end, stop)
            pieces = LazyPieces(parts, begin, upto)
            out = whole[begin - start : upto - start]
            merged = combine(pieces, coefficients, out=out)
            if merged.data_ptr() != out.data_ptr():  # one part as it is
                out.copy_(merged)
            begin = upto
            if begin == stop:
                break
        return whole


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
        stats: Placed | None,
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

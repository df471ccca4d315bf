"""Reading tensors piece by piece in the precision that merges compute in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

BLOCK = 1 << 16
"""Elements of a canonical block: 256 KiB of float32, so that a few stay in a core's L2 cache.

Reductions are made per block, counted from the tensor's start, and random numbers drawn per block.
So both are independent of the chunks that tensors are merged in.
"""

WIDE = {torch.float64: torch.float64}
"""Element type → what is computed in; float32 for all others."""


class Readable(Protocol):
    """A tensor that can be read piece by piece, flattened."""

    @property
    def numel(self) -> int:
        """Number of elements."""

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``, wide; valid until the next call, never written to."""


class Buffers:
    """Scratch memory that one merge at a time uses, kept between merges.

    Args:
        device: Where it lies.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._free: dict[torch.dtype, list[Tensor]] = {}
        self._used: list[Tensor] = []

    def take(self, size: int, dtype: torch.dtype) -> Tensor:
        """Return a buffer of at least ``size`` elements that nobody else has until ``reset``."""
        free = self._free.setdefault(dtype, [])
        # By index: ``list.remove`` would compare tensors by value.
        index = next((i for i, b in enumerate(free) if b.numel() >= size), None)
        if index is None:
            buffer = torch.empty(size, dtype=dtype, device=self.device)
        else:
            buffer = free.pop(index)
        self._used.append(buffer)
        return buffer

    def reset(self) -> None:
        """Take all buffers back."""
        for buffer in self._used:
            self._free[buffer.dtype].append(buffer)
        self._used.clear()

    def clear(self) -> None:
        """Give all memory back."""
        self._free.clear()
        self._used.clear()


class Whole:
    """A tensor in memory, read piece by piece.

    Args:
        tensor: Any shape and floating dtype; contiguous.
        wide: Element type to compute in.
        buffer: Where pieces of another dtype are widened to; a fresh one a piece if absent.
    """

    def __init__(self, tensor: Tensor, wide: torch.dtype, buffer: Tensor | None = None) -> None:
        self.flat = tensor.reshape(-1)
        self.wide = wide
        self._buffer = buffer

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.flat.numel()

    def read(self, start: int, stop: int) -> Tensor:
        """Return elements ``[start, stop)``, wide."""
        piece = self.flat[start:stop]
        if self._buffer is None:
            return piece.to(self.wide)
        if piece.dtype == self.wide and piece.device == self._buffer.device:
            return piece
        return self._buffer[: stop - start].copy_(piece)


class LazyPieces(Sequence[Tensor]):
    """The pieces ``[start, stop)`` of several tensors, each read when it is asked for.

    Args:
        tensors: What they are pieces of.
        start, stop: Range of elements.
        shape: Shape that they are given; flat if absent.
    """

    def __init__(
        self,
        tensors: Sequence[Readable],
        start: int,
        stop: int,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self._tensors = tensors
        self._range = (start, stop)
        self._shape = shape

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # never sliced
        piece = self._tensors[index].read(*self._range)
        return piece if self._shape is None else piece.view(self._shape)


def blocks(numel: int, size: int = BLOCK) -> Iterator[tuple[int, int]]:
    """Return the ranges [start, stop) of the canonical blocks of a tensor of ``numel`` elements."""
    return ((start, min(start + size, numel)) for start in range(0, numel, size))


def sum_over_blocks(numel: int, part: Callable[[int, int], float]) -> float:
    """Return the sum of ``part(start, stop)`` over canonical blocks, added in order in float64."""
    total = 0.0
    for start, stop in blocks(numel):
        total += part(start, stop)
    return total

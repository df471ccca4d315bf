"""Where a task vector is cut: exactly the k largest magnitudes, found without sorting.

A magnitude's bits, read as a whole number, order like the magnitude. So counting them by their
upper 16 bits tells which upper bits the k-th largest has, and counting those by the next 16 bits
tells the next: two passes for float32, four for float64. Equal magnitudes are kept by lower index.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.merging import native
from evomerge.merging.chunks import Readable, blocks

DIGIT = 16
"""Bits counted at a time."""


@dataclass(frozen=True)
class Cut:
    """Which elements of a task vector are kept.

    Args:
        threshold: Larger magnitudes are kept; infinite keeps none, negative all.
        last: Elements with just this magnitude are kept up to this flat index.
    """

    threshold: float
    last: int

    def trim(self, delta: Tensor, start: int) -> Tensor:
        """Return ``delta`` with what isn't kept set to 0.

        Args:
            delta: Piece of the task vector, shape ``(d,)``, float32 or float64.
            start: Flat index of its first element.
        """
        if self.threshold < 0:
            return delta
        if start + delta.numel() - 1 <= self.last:
            return _keep_from(delta, self.threshold)
        if start > self.last or not math.isfinite(self.threshold):
            return torch.nn.functional.hardshrink(delta, self.threshold)
        split = self.last + 1 - start
        kept = _keep_from(delta[:split], self.threshold)
        rest = torch.nn.functional.hardshrink(delta[split:], self.threshold)
        return torch.cat([kept, rest])


def _keep_from(delta: Tensor, threshold: float) -> Tensor:
    """Elements of at least this magnitude; hardshrink alone keeps only larger ones."""
    if threshold == 0:
        return delta
    kind = np.float64 if delta.dtype == torch.float64 else np.float32
    below = np.nextafter(kind(threshold), kind(0))
    return torch.nn.functional.hardshrink(delta, float(below))


WORTH_KEEPING = 1 << 18
"""Elements of a tensor from which on its counts are kept for other densities."""

Counts = tuple[int, NDArray[np.int64]]
"""Counts of magnitudes by their upper 16 bits, from the first value of these that occurs."""


class TaskVector:
    """The differences of a tensor from the base, for counting.

    Args:
        base: The base's tensor.
        tensor: The other.
        wide: Element type that differences are computed in.
        raw: Both as stored, flat, where they are plain tensors: the compiled loops take them.
        counts: The ``counts`` of another task vector of the same tensors, to save a pass.
    """

    def __init__(
        self,
        base: Readable,
        tensor: Readable,
        wide: torch.dtype,
        raw: tuple[Tensor, Tensor] | None = None,
        *,
        counts: Counts | None = None,
    ) -> None:
        self.numel = base.numel
        self._base = base
        self._tensor = tensor
        self._width = 63 if wide == torch.float64 else 31
        self._raw = raw if wide == torch.float32 and raw is not None and native.fits(*raw) else None
        self.counts = counts

    def cut(self, keep: int) -> Cut:
        """Return the cut that keeps the ``keep`` largest magnitudes."""
        if keep >= self.numel:
            return Cut(-1.0, self.numel - 1)
        if keep <= 0:
            return Cut(math.inf, -1)
        found = self._select(keep) if self._raw is None else self._select_compiled(*self._raw, keep)
        last = self.numel - 1 if found.nth == found.total else self._find(found.bits, found.nth)
        return Cut(self._magnitude(found.bits), last)

    def _select_compiled(self, base: Tensor, tensor: Tensor, keep: int) -> native.Selected:
        counts = np.zeros(1 << (DIGIT - 1), dtype=np.int64)
        if self.counts is not None:
            offset, known = self.counts
            counts[offset : offset + len(known)] = known
        found = native.select_magnitude(
            base, tensor, keep=keep, counts=counts, counted=self.counts is not None
        )
        if self.counts is None and self.numel >= WORTH_KEEPING:
            # Task vectors span a few octaves: what is kept of the counts takes kilobytes.
            used = np.flatnonzero(counts)
            self.counts = int(used[0]), counts[used[0] : used[-1] + 1].copy()
        return found

    def _select(self, keep: int) -> native.Selected:
        """What the compiled loop does, for any float and any device."""
        prefix, total, wanted = 0, 0, keep
        for digit in range((self._width + 1) // DIGIT):
            counts = self._count(prefix, digit)
            # Larger magnitudes first: how many elements lie at or above each value of this digit.
            above = np.cumsum(counts[::-1])
            place = int(np.searchsorted(above, wanted))
            value = len(counts) - 1 - place
            total = int(counts[value])
            wanted -= int(above[place - 1]) if place else 0
            prefix = prefix << DIGIT | value
        return native.Selected(prefix, wanted, total)

    def _count(self, prefix: int, digit: int) -> NDArray[np.int64]:
        """Counts by digit number ``digit`` of those whose earlier digits are ``prefix``."""
        shift = self._width + 1 - DIGIT * (digit + 1)
        counts = np.zeros(1 << (DIGIT - 1 if digit == 0 else DIGIT), dtype=np.int64)
        for start, stop in blocks(self.numel):
            bits = self._bits(start, stop)
            if digit:
                bits = bits[(bits >> (shift + DIGIT)) == prefix]
            digits = (bits >> shift) & ((1 << DIGIT) - 1)
            counts += np.bincount(digits, minlength=len(counts))
        return counts

    def _find(self, bits: int, nth: int) -> int:
        """Flat index of the ``nth`` element whose magnitude has these bits."""
        if self._raw is not None:
            return native.find_magnitude(*self._raw, bits=bits, nth=nth)
        for start, stop in blocks(self.numel):
            places = np.flatnonzero(self._bits(start, stop) == bits)
            if len(places) >= nth:
                return start + int(places[nth - 1])
            nth -= len(places)
        raise AssertionError("counted more elements than there are")

    def _bits(self, start: int, stop: int) -> NDArray[np.int64]:
        delta = self._tensor.read(start, stop) - self._base.read(start, stop)
        kind = torch.int64 if delta.dtype == torch.float64 else torch.int32
        bits: NDArray[np.int64] = delta.abs().cpu().view(kind).numpy().astype(np.int64)
        return bits

    def _magnitude(self, bits: int) -> float:
        if self._width == 63:
            return float(np.uint64(bits).view(np.float64))
        return float(np.uint32(bits).view(np.float32))

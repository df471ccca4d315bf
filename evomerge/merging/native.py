"""The compiled inner loops of ``kernels.c``, where they could be built; torch does the same too.

Callers ask ``fits`` first and fall back on torch, which gives the same bits: tests hold both equal.
"""

import ctypes
import importlib.machinery
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

DTYPES = {torch.float32: 0, torch.bfloat16: 1}
"""Element types that the loops know, as ``kernels.c`` numbers them."""

VOTES = 1024
"""Elements that ``kernels.c`` works on at a time."""


def _load() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernels{suffix}")
        if not path.is_file():
            continue
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            logger.warning("%s can't be loaded (%s); merging goes on without it", path, error)
            return None
        library.evomerge_combine.restype = ctypes.c_int
        library.evomerge_finite.restype = ctypes.c_int
        library.evomerge_select.restype = ctypes.c_uint32
        library.evomerge_find.restype = ctypes.c_int64
        library.evomerge_mask.restype = None
        library.evomerge_vectors.restype = ctypes.c_int
        return library
    logger.info("the compiled loops were not built; merging goes on with torch alone")
    return None


LIBRARY = _load()


class _Scratch(threading.local):
    """Memory that a thread's selections write to."""

    def __init__(self) -> None:
        self.counts = np.empty(1 << 16, dtype=np.int64)


_SCRATCH = _Scratch()


def fits(*tensors: Tensor) -> bool:
    """Tell whether the loops are there and take all of ``tensors``."""
    return LIBRARY is not None and all(
        tensor.dtype in DTYPES and tensor.is_cpu and tensor.is_contiguous() for tensor in tensors
    )


def combine(out: Tensor, tensors: Sequence[Tensor], factors: Sequence[float]) -> bool:
    """Write ``Σ factors[k] · tensors[k]`` to ``out`` and tell whether all of it is finite.

    Args:
        out: Where the sum goes, shape ``(d,)``; must satisfy ``fits``, as must ``tensors``.
        tensors: ``n`` ≥ 1 tensors of shape ``(d,)``.
        factors: One factor a tensor.
    """
    assert LIBRARY is not None
    n = len(tensors)
    finite = LIBRARY.evomerge_combine(
        ctypes.c_void_p(out.data_ptr()),
        ctypes.c_int(DTYPES[out.dtype]),
        (ctypes.c_void_p * n)(*(tensor.data_ptr() for tensor in tensors)),
        (ctypes.c_int * n)(*(DTYPES[tensor.dtype] for tensor in tensors)),
        (ctypes.c_float * n)(*factors),
        ctypes.c_int(n),
        ctypes.c_int64(out.numel()),
    )
    return bool(finite)


def is_finite(tensor: Tensor) -> bool:
    """Tell whether ``tensor``, shape ``(d,)``, holds neither NaN nor infinity."""
    assert LIBRARY is not None
    finite = LIBRARY.evomerge_finite(
        ctypes.c_void_p(tensor.data_ptr()),
        ctypes.c_int(DTYPES[tensor.dtype]),
        ctypes.c_int64(tensor.numel()),
    )
    return bool(finite)


class Vector(ctypes.Structure):
    """A task vector and what is kept of it: ``vector_t`` of ``kernels.c``."""

    _fields_: ClassVar = [
        ("data", ctypes.c_void_p),
        ("last", ctypes.c_int64),
        ("limit", ctypes.c_uint64),
        ("key0", ctypes.c_uint32),
        ("key1", ctypes.c_uint32),
        ("dtype", ctypes.c_int32),
        ("keep", ctypes.c_int32),
        ("threshold", ctypes.c_float),
        ("divisor", ctypes.c_float),
        ("factor", ctypes.c_float),
        ("weight", ctypes.c_float),
    ]


def whole(tensor: Tensor, *, weight: float) -> Vector:
    """Return the task vector of ``tensor``, all of it kept."""
    return Vector(data=tensor.data_ptr(), dtype=DTYPES[tensor.dtype], keep=0, weight=weight)


def largest(tensor: Tensor, *, weight: float, threshold: float, last: int) -> Vector:
    """Return the task vector of ``tensor``, cut at ``threshold``; see ``cuts.Cut``."""
    vector = whole(tensor, weight=weight)
    vector.keep, vector.threshold, vector.last = 1, threshold, last
    return vector


def random(
    tensor: Tensor,
    *,
    weight: float,
    key: tuple[int, int],
    limit: int,
    divisor: float = 1.0,
    factor: float = 1.0,
) -> Vector:
    """Return the task vector of ``tensor``, kept at random; see ``fill_mask``."""
    vector = whole(tensor, weight=weight)
    vector.keep, vector.limit, vector.divisor, vector.factor = 2, limit, divisor, factor
    vector.key0, vector.key1 = key
    return vector


def merge_vectors(
    out: Tensor,
    base: Tensor,
    vectors: Sequence[Vector],
    *,
    elect: str | None,
    zero: float,
    normalize: bool,
    scale: float,
) -> bool:
    """Write the base plus ``scale`` times the merged vectors, and tell whether all is finite.

    Args:
        out: Where it goes, shape ``(d,)``; must satisfy ``fits``, as must all tensors.
        base: The base's tensor, shape ``(d,)``.
        vectors: ``n`` ≥ 1 task vectors.
        elect: ``sum`` or ``count``: only votes that have the sign of that are added up; None adds
            all.
        zero: Sign where that is 0.
        normalize: Divide by the absolute weights of those that agree.
        scale: Factor on what is merged; 1 where ``elect`` is None.
    """
    assert LIBRARY is not None
    n = len(vectors)
    weights = [abs(vector.weight) for vector in vectors if vector.weight]
    finite = LIBRARY.evomerge_vectors(
        ctypes.c_void_p(out.data_ptr()),
        ctypes.c_int(DTYPES[out.dtype]),
        ctypes.c_void_p(base.data_ptr()),
        ctypes.c_int(DTYPES[base.dtype]),
        (Vector * n)(*vectors),
        ctypes.c_int(n),
        ctypes.c_int({None: 0, "sum": 1, "count": 2}[elect]),
        ctypes.c_float(zero),
        ctypes.c_float(min(weights, default=1.0) if normalize else 0.0),
        ctypes.c_float(scale),
        (ctypes.c_float * (n * VOTES))(),
        ctypes.c_int64(out.numel()),
    )
    return bool(finite)


@dataclass(frozen=True)
class Selected:
    """A magnitude by its rank.

    Args:
        bits: Its bits in float32.
        nth: Place (from 1) among equal magnitudes, in the order of the elements.
        total: How many there are.
    """

    bits: int
    nth: int
    total: int


def select_magnitude(
    base: Tensor, tensor: Tensor, *, keep: int, counts: NDArray[np.int64], counted: bool
) -> Selected:
    """Return the ``keep``th (from 1) largest ``|tensor − base|``.

    Args:
        base: Shape ``(d,)``; must satisfy ``fits``.
        tensor: Shape ``(d,)``; must satisfy ``fits``.
        keep: 1 to d.
        counts: Counts by the upper 16 bits, shape ``(2**15,)``; filled here unless ``counted``.
        counted: They are from an earlier call for the same tensors.
    """
    assert LIBRARY is not None
    nth, total = ctypes.c_int64(), ctypes.c_int64()
    bits = LIBRARY.evomerge_select(
        ctypes.c_int64(keep),
        ctypes.byref(nth),
        ctypes.byref(total),
        ctypes.c_void_p(counts.ctypes.data),
        ctypes.c_int(counted),
        ctypes.c_void_p(_SCRATCH.counts.ctypes.data),
        *_pair(base, tensor),
    )
    return Selected(int(bits), nth.value, total.value)


def find_magnitude(base: Tensor, tensor: Tensor, *, bits: int, nth: int) -> int:
    """Return the index of the ``nth`` (from 1) element with ``|tensor − base|`` of these bits.

    Args:
        base: Shape ``(d,)``; must satisfy ``fits``.
        tensor: Shape ``(d,)``; must satisfy ``fits``.
        bits: The magnitude's bits in float32.
        nth: Which of them; there must be so many.
    """
    assert LIBRARY is not None
    found = LIBRARY.evomerge_find(ctypes.c_uint32(bits), ctypes.c_int64(nth), *_pair(base, tensor))
    assert found >= 0
    return int(found)


def fill_mask(mask: Tensor, *, key: tuple[int, int], limit: int, start: int) -> None:
    """Set ``mask`` to 1 where the draw at ``start`` + index is below ``limit``, else to 0.

    Args:
        mask: Contiguous float32 tensor on the CPU, shape ``(d,)``, d a multiple of 64.
        key: Two 32-bit words that choose the stream.
        limit: 0 to 2**32.
        start: Number of the first draw, a multiple of 64.
    """
    assert LIBRARY is not None
    LIBRARY.evomerge_mask(
        ctypes.c_void_p(mask.data_ptr()),
        ctypes.c_uint32(key[0]),
        ctypes.c_uint32(key[1]),
        ctypes.c_uint64(limit),
        ctypes.c_uint64(start),
        ctypes.c_int64(mask.numel()),
    )


def _pair(base: Tensor, tensor: Tensor) -> tuple[object, ...]:
    """The arguments that describe a task vector."""
    return (
        ctypes.c_void_p(base.data_ptr()),
        ctypes.c_int(DTYPES[base.dtype]),
        ctypes.c_void_p(tensor.data_ptr()),
        ctypes.c_int(DTYPES[tensor.dtype]),
        ctypes.c_int64(tensor.numel()),
    )

"""Per-example scores and answers as compressed bytes, and the key that finds scores again."""

import functools
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6


def pack_scores(values: NDArray[np.float64]) -> bytes:
    """Return ``values``, shape ``(n, width)``, as zlib of little-endian float64."""
    return zlib.compress(np.ascontiguousarray(values, dtype="<f8").tobytes(), _LEVEL)


def unpack_scores(data: bytes, n: int, width: int) -> NDArray[np.float64]:
    """Return the values of shape ``(n, width)`` that ``pack_scores`` packed."""
    flat = np.frombuffer(zlib.decompress(data), dtype="<f8")
    return flat.astype(np.float64).reshape(n, width)


def pack_answers(answers: Sequence[str | None]) -> bytes:
    """Return ``answers`` as zlib of JSON."""
    return zlib.compress(json.dumps(list(answers)).encode(), _LEVEL)


def unpack_answers(data: bytes) -> list[str | None]:
    """Return what ``pack_answers`` packed."""
    answers: list[str | None] = json.loads(zlib.decompress(data))
    return answers


@dataclass(frozen=True)
class BlockKey:
    """What decides the scores of one block, bit for bit.

    Args:
        recipe_hash: The merged weights.
        fingerprint: The evaluator: code, data, prompts, decoding, seed.
        dtype: Element type that the weights are merged to; ``base`` keeps the base's.
        numeric_class: Device, library versions and threads.
        split, block: Which examples.
    """

    recipe_hash: str
    fingerprint: str
    dtype: str
    numeric_class: str
    split: str
    block: int

    def digest(self) -> str:
        """Return the cache key, 64 hex digits."""
        parts = (self.recipe_hash, self.fingerprint, self.dtype, self.numeric_class, self.split)
        return hashlib.sha256(b"%s, %d]" % (_opening(*parts), self.block)).hexdigest()


@functools.lru_cache(maxsize=256)
def _opening(*parts: str) -> bytes:
    """Return the JSON list of ``parts`` without its end: that of all blocks of a task."""
    return json.dumps(parts)[:-1].encode()

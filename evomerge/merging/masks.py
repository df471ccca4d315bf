"""Random masks that depend only on what is masked: on no order, chunk, device or worker.

Draws come from Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
64 at a time from 16 counters: draw d is word d div 16 mod 4 of counter d div 64 · 16 + d mod 16.
The key is a hash of what identifies the mask. An element is kept where its draw is below the
density, so that masks of lower densities lie inside those of higher ones.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from evomerge.merging import native

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF

GROUP = 64
"""Draws that belong together."""


@dataclass(frozen=True)
class Stream:
    """A sequence of draws, uniform on 32-bit words.

    Args:
        key: Two 32-bit words.
    """

    key: tuple[int, int]

    @classmethod
    def of(cls, *, seed: int, method: str, content: str, tensor: str) -> "Stream":
        """Return the stream of one source's tensor.

        Args:
            seed: Seed of the recipe.
            method: Name of the method.
            content: What the source contains: its sha256.
            tensor: Name of the merged tensor.
        """
        text = "\0".join((str(seed), method, content, tensor))
        digest = hashlib.sha256(text.encode()).digest()
        return cls((int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")))

    def mask(self, density: float, start: int, stop: int, *, device: str = "cpu") -> Tensor:
        """Return 1 where an element is kept and 0 elsewhere, float32, shape ``(stop - start,)``.

        Args:
            density: Probability to be kept, 0 to 1.
            start: Flat index of the first element.
            stop: Flat index behind the last.
            device: Where the mask goes.
        """
        aligned, end = start - start % GROUP, stop + -stop % GROUP
        limit = limit_of(density)
        if native.LIBRARY is not None and device == "cpu":
            mask = torch.empty(end - aligned)
            native.fill_mask(mask, key=self.key, limit=limit, start=aligned)
        else:
            mask = (self.draws(aligned, end, device=device) < limit).float()
        return mask[start - aligned : stop - aligned]

    def uniform(self, n: int) -> Tensor:
        """Return the first ``n`` draws as numbers in [0, 1), float64, shape ``(n,)``."""
        return self.draws(0, n + -n % GROUP)[:n].to(torch.float64) / 2**32

    def draws(self, start: int, stop: int, *, device: str = "cpu") -> Tensor:
        """Return draws ``[start, stop)`` as int64, 0 to 2**32 - 1; both multiples of 64."""
        counter = torch.arange(start // 4, stop // 4, device=device)
        zero = torch.zeros_like(counter)
        words = philox((counter & _WORD, counter >> 32, zero, zero), self.key)
        return torch.stack([word.view(-1, GROUP // 4) for word in words], dim=1).view(-1)


def limit_of(density: float) -> int:
    """Return below which of 2**32 draws an element is kept with probability ``density``."""
    return round(min(max(density, 0.0), 1.0) * 2**32)


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four words of Philox4x32-10.

    Args:
        counter: Its four words, int64 tensors of one shape, each 0 to 2**32 - 1.
        key: Two words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # The products wrap around in int64; their bits are those of uint64.
        a, b = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = ((b >> 32) & _WORD) ^ c1 ^ k0, b & _WORD
        c2, c3 = ((a >> 32) & _WORD) ^ c3 ^ k1, a & _WORD
        k0, k1 = (k0 + _KEY_STEPS[0]) & _WORD, (k1 + _KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3

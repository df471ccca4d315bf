"""Finding NaN and infinity in a source before it spoils every merge that it goes into."""

import torch
from torch import Tensor

from evomerge.errors import ModelError
from evomerge.models.cache import keep, recall
from evomerge.models.checkpoint import Checkpoint

_CHUNK = 1 << 22  # elements looked at together: 16 MiB of float32


def find_nan(checkpoint: Checkpoint) -> str | None:
    """Return the name of the first tensor with a NaN or an infinity, None where all is finite."""
    return next((n for n in checkpoint.tensors if not is_finite(checkpoint.read(n))), None)


def is_finite(tensor: Tensor) -> bool:
    """Return whether ``tensor``, of any shape and type, holds neither NaN nor infinity."""
    if not tensor.is_floating_point():
        return True
    flat = tensor.reshape(-1)
    for start in range(0, flat.numel(), _CHUNK):
        chunk = flat[start : start + _CHUNK]
        # One pass without a copy, and NaN passes through; float8 has no aminmax of its own.
        low, high = torch.aminmax(chunk if chunk.itemsize > 1 else chunk.float())
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            return False
    return True


def check_finite(checkpoint: Checkpoint, sha256: str) -> None:
    """Refuse a checkpoint with NaN or infinity; the answer is kept, so that it is sought only once.

    Args:
        checkpoint: What is checked.
        sha256: Hash of its content (``FolderLock.sha256``), under which the answer is kept.

    Raises:
        ModelError: A tensor holds NaN or infinity; the message names it.
    """
    known = recall("finite", sha256)
    if not isinstance(known, dict) or "bad" not in known:
        known = {"bad": find_nan(checkpoint)}
        keep("finite", sha256, known)
    if known["bad"] is not None:
        raise ModelError(
            f"{checkpoint.folder}: tensor {known['bad']!r} holds NaN or infinity; expected finite "
            "weights. Train or download that model again, or leave it out of the sources."
        )

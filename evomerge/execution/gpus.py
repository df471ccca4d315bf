"""Which of this machine's GPUs each worker process sees. Loads torch when it is asked."""

import os
from collections.abc import Sequence

from evomerge.errors import ExecutionError

Group = tuple[int, ...]
"""GPUs of one worker, as torch numbers them in this process."""


def gpu_groups(chosen: Sequence[int] | None, size: int, device: str) -> Sequence[Group]:
    """Return the groups that workers are spread over; none where ``device`` says where they are.

    Args:
        chosen: GPUs to use; None for all that are visible.
        size: GPUs a worker.
        device: The run's device as written, ``auto``, ``cuda``, ``cuda:1``, ``cpu``.

    Raises:
        ExecutionError: There are no such GPUs, or not so many.
    """
    import torch

    n_gpus = torch.cuda.device_count()
    key = "execution.options"
    if device not in ("auto", "cuda"):
        if chosen is not None:
            raise ExecutionError(
                f"got {key}.gpus {list(chosen)!r} and the device {device!r}, which names one "
                "place for all workers. Use the device cuda."
            )
        return ()
    if chosen is None and n_gpus == 0:
        return ()
    gpus = range(n_gpus) if chosen is None else chosen
    if any(number not in range(n_gpus) for number in gpus) or len(set(gpus)) != len(gpus):
        raise ExecutionError(
            f"got {key}.gpus {list(gpus)!r}, but this machine has {n_gpus} GPUs. "
            "Give each number once, counted from 0, or leave gpus out to use all."
        )
    if len(gpus) < size or not gpus:
        raise ExecutionError(
            f"got {key}.gpus_per_worker {size}, but there are {len(gpus)} GPUs to use. "
            "Give at most that many."
        )
    return [tuple(gpus[start : start + size]) for start in range(0, len(gpus) - size + 1, size)]


def visible(group: Group) -> str:
    """Return CUDA_VISIBLE_DEVICES of a worker on ``group``."""
    own = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in own.split(",")] if own else []
    return ",".join(names[gpu] if names else str(gpu) for gpu in group)

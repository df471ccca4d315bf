"""Torch devices of a worker: which one it takes, what decides its rounding, repeatable kernels."""

import os
from importlib.metadata import version

import torch

from evomerge.errors import EvomergeError


def resolve_device(device: str) -> str:
    """Return the torch device that ``device`` names; ``auto`` is a GPU if there is one.

    Raises:
        EvomergeError: There is no such device here.
    """
    n_gpus = torch.cuda.device_count()
    if device == "auto":
        return "cuda:0" if n_gpus else "cpu"
    parsed = parse_device(device)
    if parsed.type == "cpu":
        return "cpu"
    if parsed.type != "cuda" or (parsed.index or 0) >= n_gpus:
        raise EvomergeError(
            f"got {device!r}, but this machine has {n_gpus} CUDA devices. Use auto or cpu."
        )
    return f"cuda:{parsed.index or 0}"


def parse_device(device: str) -> torch.device:
    """Return ``device`` other than ``auto`` as torch reads it, on whatever machine it may be.

    Raises:
        EvomergeError: It is no name of a device.
    """
    try:
        return torch.device(device)
    except RuntimeError:
        raise EvomergeError(f"got {device!r}, expected auto, cpu, cuda or cuda:N.") from None


def numeric_class(device: str, threads: int, *, n_devices: int = 1) -> str:
    """Return what decides rounding besides the recipe: device, library versions, threads.

    Args:
        device: A device of this machine, as ``resolve_device`` returns it.
        threads: Torch threads; they count on a CPU only.
        n_devices: GPUs that one model is spread over.
    """
    if device.startswith("cuda"):
        where = torch.cuda.get_device_name(device)
        where += f" x{n_devices}" if n_devices > 1 else ""
    else:
        where = f"cpu {torch.backends.cpu.get_cpu_capability()} threads={threads}"
    return f"{where} {_libraries()}"


def unseen_class(device: str) -> str:
    """Return a class for a ``device`` of another machine; no worker ever reports it as its own."""
    return f"{device} elsewhere {_libraries()}"


def make_repeatable() -> None:
    """Let CUDA kernels give equal bits in equal runs; call it before CUDA starts."""
    # cuBLAS reads it when its first handle is made; without it, streams share a workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def must_spread(device: str, n_bytes: int) -> bool:
    """Return whether a model of ``n_bytes`` needs more than one of the visible GPUs.

    Only where ``device`` leaves the choice (``auto`` or ``cuda``).
    """
    if device not in ("auto", "cuda") or torch.cuda.device_count() < 2:
        return False
    return n_bytes > torch.cuda.mem_get_info(0)[0]


def _libraries() -> str:
    return f"torch={torch.__version__} transformers={version('transformers')}"

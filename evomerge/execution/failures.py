"""What an error that a candidate met says about it, as the ledger keeps it."""

import traceback

import torch

from evomerge.errors import EvomergeError, NotFiniteError
from evomerge.execution.protocol import Failure

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")


def failure_of(error: Exception, step: str) -> Failure:
    """Return ``error`` as a failure: its kind, one line that is equal for equal causes, the rest.

    Args:
        error: What was raised.
        step: What was being done, ``merging`` or ``scoring task 'sort'``.
    """
    detail = "".join(traceback.format_exception(error))
    text = " ".join(str(error).split())
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(word in text.lower() for word in _NO_MEMORY)
    ):
        # torch's own message holds sizes that differ from one failure to the next.
        message = f"memory ran out while {step}. Use fewer workers, a smaller batch_size or dtype."
        return Failure("memory", message, detail)
    if isinstance(error, (NotFiniteError, FloatingPointError)):
        return Failure("nan", f"{step}: {text}", detail)
    if isinstance(error, EvomergeError):
        return Failure("exception", text, detail)
    return Failure("exception", f"{step}: {type(error).__name__}: {text}", detail)

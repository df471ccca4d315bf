"""What was stored by another version of evomerge may have another form: that is no bug here."""

import contextlib
import logging
from collections.abc import Iterator

from evomerge.errors import LedgerError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def readable(name: str, what: str = "") -> Iterator[None]:
    """Turn what goes wrong in making sense of stored data into an error that users can act on.

    Args:
        name: The run.
        what: What is read of it; empty for all.

    Raises:
        LedgerError: The block met something that it didn't expect.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AssertionError, ArithmeticError) as error:
        logger.warning("%s of run %r can't be read", what or "all", name, exc_info=error)
        raise LedgerError(
            f"{what or 'what'}{' of' if what else ' is stored of'} run {name!r} has a form that "
            f"this version of evomerge doesn't know ({type(error).__name__}: {error}). Read it "
            "with the version that made it."
        ) from error

"""A driver's claim on its run, and the sign of life that keeps it."""

import contextlib
import logging
import threading
from collections.abc import Iterator

from evomerge.errors import FencedError, LedgerAwayError, LedgerError
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger

logger = logging.getLogger(__name__)

BEATS = 6
"""Beats in the time that a lease lasts without one."""


@contextlib.contextmanager
def held_run(ledger: Ledger, run_id: str, *, lease_s: float = driving.LEASE_S) -> Iterator[int]:
    """Be the run's one driver until the block ends; give the epoch that its writes carry.

    A thread gives the signs of life, because a job in this process can block the loop for minutes.

    Raises:
        LedgerError: Another driver lives; the message names it and the seconds to wait.
    """
    epoch = driving.claim(ledger, run_id, holder=driving.this_process(), lease_s=lease_s)
    ended = threading.Event()
    arguments = (ledger, run_id, epoch, lease_s / BEATS, ended)
    thread = threading.Thread(target=_beat, args=arguments, name="beat", daemon=True)
    thread.start()
    try:
        yield epoch
    finally:
        ended.set()
        thread.join()
        # A ledger that is away lets the claim run out by itself.
        with contextlib.suppress(LedgerError):
            driving.release(ledger, run_id, epoch)


def _beat(ledger: Ledger, run_id: str, epoch: int, every_s: float, ended: threading.Event) -> None:
    while not ended.wait(every_s):
        try:
            driving.beat(ledger, run_id, epoch)
        except LedgerAwayError as error:
            logger.info("no sign of life could be given: %s", error)
        except FencedError:
            # The loop's next write meets the same and ends the run.
            return
        except LedgerError as error:
            logger.warning("no sign of life could be given: %s", error)

"""Keeps trackers up to date with a run, once or until it ends."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from evomerge.errors import EvomergeError, MirrorError
from evomerge.runs.mirroring.feed import Feed, read_feed

logger = logging.getLogger(__name__)

POLL_S = 10.0


class Mirror(Protocol):
    """A tracker that a run is written to."""

    @property
    def where(self) -> str:
        """What the run is called there, once it is."""

    def update(self, feed: Feed) -> int:
        """Write the outcomes that aren't there yet, and return how many."""

    def close(self) -> None:
        """Let go of it."""


def mirror(
    path: Path,
    mirrors: Sequence[Mirror],
    *,
    follow: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[Mirror, int]]:
    """Write a run to all ``mirrors``, giving each with the number of outcomes that were new.

    Args:
        path: The run's folder.
        mirrors: Where to.
        follow: Go on until nobody drives the run; a tracker that is away is tried again.
        pause: Waits so many seconds.

    Raises:
        LedgerError: It is no run, or its ledger can't be read.
        MirrorError: A tracker doesn't take it, and the run isn't followed or has ended.
    """
    while True:
        feed = read_feed(path)
        goes_on = follow and feed.state == "running"
        for target in mirrors:
            try:
                yield target, target.update(feed)
            except EvomergeError:
                raise
            except Exception as error:  # each tracker raises errors of its own
                failure = MirrorError(
                    f"{type(target).__name__} doesn't take run {feed.name!r}: {error}. Check its "
                    "address; what is there already isn't written again."
                )
                if not goes_on:
                    raise failure from error
                logger.warning("%s Trying again in %.0f s.", failure, POLL_S)
        if not goes_on:
            return
        pause(POLL_S)

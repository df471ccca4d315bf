"""Ctrl-C while a run goes on: once asks it to stop cleanly, twice stops it at once."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from evomerge.cli.display import say


class StopOnInterrupt:
    """While this context is open, the first Ctrl-C calls ``stop`` and the second interrupts.

    Args:
        stop: Asks the run to stop; called inside a signal handler.

    Attributes:
        asked: Ctrl-C was pressed.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._previous: signal._HANDLER = None
        self.asked = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        say("Stopping after the candidate in hand; press Ctrl-C again to stop at once.")
        self._stop()

"""Signals while a run goes on: Ctrl-C, and what batch systems and spot instances send.

Ctrl-C once asks the run to stop cleanly, twice stops it at once. SIGTERM and SIGUSR1 ask it to
finish what is running within the time of grace; they often come several times, and to every process
of a job, so that further ones change nothing.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

DRAIN = (signal.SIGTERM, signal.SIGUSR1)
_DRIVING = ("run", "resume")


class StopOnSignal:
    """While this context is open, signals ask the run to stop.

    Args:
        stop: Asks it to stop once what is running has finished (Ctrl-C).
        drain: The same, within the time of grace (SIGTERM, SIGUSR1).
        grace_s: That time, for the message.

    Attributes:
        asked: Ctrl-C was pressed.
        drained: SIGTERM or SIGUSR1 came.
    """

    def __init__(
        self, stop: Callable[[], None], drain: Callable[[], None], *, grace_s: float
    ) -> None:
        self._stop = stop
        self._drain = drain
        self._grace_s = grace_s
        self._previous: dict[signal.Signals, signal._HANDLER] = {}
        self.asked = self.drained = False

    def __enter__(self) -> Self:
        for number in DRAIN:
            self._previous[number] = signal.signal(number, self._handle_drain)
        self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, self._handle_interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            # The one who sends a signal again while the results are printed means the same stop.
            ending = self.drained and number in DRAIN
            signal.signal(number, signal.SIG_IGN if ending else previous)

    def _handle_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        tell("Stopping once what is running has finished; press Ctrl-C again to stop at once.")
        self._stop()

    def _handle_drain(self, number: int, frame: FrameType | None) -> None:
        if self.drained:
            return
        self.drained = True
        name = signal.Signals(number).name
        tell(f"{name}: finishing what is running, for {self._grace_s:.0f} s at most.")
        self._drain()


def expect_signals(arguments: list[str]) -> None:
    """Let SIGTERM and SIGUSR1 end ``run`` and ``resume`` cleanly before they drive anything.

    Args:
        arguments: Those of the command line.
    """
    if not any(name in arguments for name in _DRIVING):
        return
    for number in DRAIN:
        signal.signal(number, _end)


def tell(message: str) -> None:
    """Print a line from a signal handler, which may have come in the middle of another one."""
    with contextlib.suppress(OSError):
        os.write(2, f"{message}\n".encode())


def _end(number: int, frame: FrameType | None) -> None:
    tell(f"{signal.Signals(number).name}: stopped before anything was evaluated.")
    raise SystemExit(0)

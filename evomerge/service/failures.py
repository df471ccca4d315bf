"""How often somebody has failed to show who they are, so that guessing is slow."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

WINDOW_S = 60.0
PER_TOKEN = 10
PER_ADDRESS = 60
_KEPT = 10_000


class Failures:
    """Counts failures of the last minute, by address and by address and token.

    A program that goes on with one wrong token shuts out that token only, not everybody who shares
    its address; whoever tries many tokens shuts out the address.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str, prefix: str) -> float:
        """Return how long ``address`` must wait before the next try; 0: it may try now.

        Args:
            address: Where the request comes from.
            prefix: The public part of the token that it shows.
        """
        now = self._clock()
        with self._lock:
            return max(
                self._wait_s((address, prefix), PER_TOKEN, now),
                self._wait_s(address, PER_ADDRESS, now),
            )

    def add(self, address: str, prefix: str) -> None:
        """Count a failure."""
        now = self._clock()
        with self._lock:
            for key, most in (((address, prefix), PER_TOKEN), (address, PER_ADDRESS)):
                self._times.setdefault(key, deque(maxlen=most)).append(now)
                self._times.move_to_end(key)
            while len(self._times) > _KEPT:
                self._times.popitem(last=False)

    def _wait_s(self, key: Hashable, most: int, now: float) -> float:
        times = self._times.get(key)
        if times is None or len(times) < most:
            return 0.0
        # With that many failures within the window, the oldest must leave it first.
        return max(0.0, times[0] + WINDOW_S - now)

"""Answers that were encoded already, kept within a number of bytes.

An answer is made anew when the run has something new, but never takes more than a tenth of the
time: one that took 50 ms to make is given again for half a second. So many readers cost little more
than one, and the run that they watch keeps its machine.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

MOST_BYTES = 64 * 2**20
_OVERHEAD = 1_024  # what an entry takes beside its body, keys of users included
SHARE = 10
"""An answer is given again for so many times as long as it took to make."""


@dataclass(frozen=True)
class Answer:
    """A body and what tells it from others."""

    body: bytes
    etag: str


@dataclass
class _Entry:
    version: Hashable
    answer: Answer
    made_s: float
    took_s: float


class Answers:
    """A bounded store of answers.

    Args:
        most_bytes: What all bodies may have together; the ones not asked for longest go first.
        clock: Seconds.
    """

    def __init__(
        self, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most_bytes
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, version: Hashable, make: Callable[[], Any]) -> Answer:
        """Return the answer to ``key``.

        Args:
            key: What was asked.
            version: Equal ones mean equal answers; None is equal to nothing, for what changes with
                time.
            make: Gives plain data, which becomes JSON; what isn't a number becomes null.
        """
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                if self._is_good(found, version):
                    return found.answer
            making = self._making.setdefault(key, threading.Lock())
        # Whoever comes while it is made takes the old one; only the first one is waited for.
        if not making.acquire(blocking=found is None):
            assert found is not None
            return found.answer
        try:
            with self._lock:
                again = self._entries.get(key)
            if again is not None and again is not found and self._is_good(again, version):
                return again.answer
            began = self._clock()
            answer = encoded(make())
            took_s = self._clock() - began
            self._keep(key, _Entry(version, answer, self._clock(), took_s))
            return answer
        finally:
            with self._lock:
                self._making.pop(key, None)
            making.release()

    def _is_good(self, entry: _Entry, version: Hashable) -> bool:
        if version is not None and entry.version == version:
            return True
        return self._clock() - entry.made_s < SHARE * entry.took_s

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            before = self._entries.pop(key, None)
            self._bytes -= 0 if before is None else _size(before)
            self._entries[key] = entry
            self._bytes += _size(entry)
            while self._bytes > self._most:
                _, gone = self._entries.popitem(last=False)
                self._bytes -= _size(gone)


def _size(entry: _Entry) -> int:
    return len(entry.answer.body) + _OVERHEAD


def encoded(value: Any) -> Answer:
    """Return plain data as JSON with its tag; NaN and infinity become null."""
    body = to_json(value, inf_nan_mode="null")
    return Answer(body, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')

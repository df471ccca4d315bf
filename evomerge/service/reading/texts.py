"""Prompts and expected answers of a run's examples, read by a process of their own.

Building an evaluator may run a plug-in, load data sets and take long, which must neither touch the
service nor keep it waiting. The process has no access to the hub.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

READY, PREPARING, MISSING = "ready", "preparing", "unavailable"
TIMEOUT_S = 300.0
MOST_BYTES = 64 * 2**20
MOST_WAITING = 16
AGAIN_S = 60.0
"""What couldn't be read is tried again after so long."""
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
"""What keeps a process away from the hub."""

Key = tuple[str, str, str]
"""Run folder, task, split."""


@dataclass(frozen=True)
class Texts:
    """Prompts and expected answers of one task on one split.

    Args:
        state: ``ready``, ``preparing`` or ``unavailable``.
        reason: Why they are unavailable.
        examples: ``(prompt, expected)`` of each example.
    """

    state: str
    reason: str = ""
    examples: Sequence[tuple[str, str]] = field(default=(), repr=False)

    def at(self, index: int, longest: int) -> dict[str, str | None]:
        """Return prompt and expected answer of an example, cut to ``longest`` characters."""
        if index >= len(self.examples):
            return {"prompt": None, "expected": None}
        prompt, expected = self.examples[index]
        return {"prompt": prompt[:longest], "expected": expected[:longest]}


class TextStore:
    """Texts that were read already, within bounds, and one process at a time that reads more.

    Args:
        read: Reads the texts of a run folder, task and split.
        clock: Seconds.
    """

    def __init__(
        self,
        read: "Callable[[Key], Texts] | None" = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read or read_in_process
        self._clock = clock
        self._found: OrderedDict[Key, tuple[Texts, float]] = OrderedDict()
        self._coming: dict[Key, Future[Texts]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="texts")

    def get(self, key: Key, *, wait_s: float = 0.0) -> Texts:
        """Return texts; where they aren't there yet, ``preparing`` after ``wait_s`` seconds."""
        with self._lock:
            known = self._found.get(key)
            if known is not None and (known[0].state == READY or self._clock() < known[1]):
                self._found.move_to_end(key)
                return known[0]
            coming = self._coming.get(key)
            if coming is None:
                if len(self._coming) >= MOST_WAITING:
                    return Texts(PREPARING)
                coming = self._coming[key] = self._pool.submit(self._fetch, key)
        try:
            return coming.result(timeout=wait_s)
        except TimeoutError:
            return Texts(PREPARING)

    def close(self) -> None:
        """Read nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, key: Key) -> Texts:
        try:
            found = self._read(key)
        finally:
            with self._lock:
                self._coming.pop(key, None)
        with self._lock:
            self._found[key] = found, self._clock() + AGAIN_S
            sizes = [sum(len(p) + len(e) for p, e in t.examples) for t, _ in self._found.values()]
            while sum(sizes) > MOST_BYTES and len(sizes) > 1:
                self._found.popitem(last=False)
                sizes.pop(0)
        return found


def read_in_process(key: Key) -> Texts:
    """Read the texts of ``key`` in a new process."""
    folder, task, split = key
    try:
        done = subprocess.run(
            [sys.executable, "-m", "evomerge.service.reading.texts", folder, task, split],
            env={**os.environ, **dict.fromkeys(OFFLINE, "1"), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return Texts(MISSING, f"the examples of {task!r} can't be read: {error}")
    # Libraries may print on stdout too; ours is the last line.
    last = done.stdout.rpartition(b"\x1e")[2]
    if done.returncode != 0 or not last:
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return Texts(MISSING, f"the examples of {task!r} can't be read: {reason or 'no reason'}")
    return Texts(READY, examples=[tuple(pair) for pair in json.loads(last)])


def main(folder: str, task: str, split: str) -> None:
    """Print a record separator and the texts as JSON: ``[[prompt, expected], …]``.

    Raises:
        EvomergeError: The task can't be built, or isn't what the run was scored by.
    """
    from evomerge.runs.reading.texts import stored_examples

    found = stored_examples(Path(folder), task, split)
    pairs = [[item.prompt, item.expected] for item in found]
    sys.stdout.write("\x1e" + json.dumps(pairs))


if __name__ == "__main__":
    from evomerge.errors import EvomergeError

    try:
        main(*sys.argv[1:4])
    except EvomergeError as error:
        sys.exit(" ".join(str(error).split()))

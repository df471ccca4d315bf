"""Figures of the sources kept on disk, shared by the processes of a node and by later runs.

One file a pair of sources, named after what they contain, so that it holds wherever they lie. It
has a JSON line a figure and only ever grows, so that a process takes in what others have found
since it last looked. Who computes a figure claims it first; others wait and then read it. A folder
that can't be written costs time and nothing else.
"""

import fcntl
import hashlib
import json
import logging
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

VERSION = 2
"""Part of the files' names; another one when the figures are computed otherwise."""

INTERVAL_S = 10.0
"""Time between two writes of figures that nobody has claimed; the last one is at the end."""

PATIENCE_S = 60.0
"""Time that a process waits for another one's figure before it computes its own."""


class KeptFigures:
    """Figures by pair of sources and a text that says what they are of.

    Args:
        folder: Where they lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._fresh: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._read_to: defaultdict[str, int] = defaultdict(int)
        self._written_s = time.monotonic()
        self._claims: int | None = None

    def get(self, one: str, other: str, key: str) -> Any:
        """Return the figure ``key`` of two sources by their sha256, None where there is none."""
        name = _name(one, other)
        if key not in self._known[name]:
            self._catch_up(name)
        return self._known[name].get(key)

    def put(self, one: str, other: str, key: str, figure: Any) -> None:
        """Keep ``figure``, anything JSON can hold but None."""
        name = _name(one, other)
        self._known[name][key] = self._fresh[name][key] = figure
        if time.monotonic() - self._written_s > INTERVAL_S:
            self.flush()

    @contextmanager
    def claimed(self, key: str) -> Iterator[None]:
        """Compute a figure while other processes that claim the same ``key`` wait.

        Look for the figure again within, and put it there; it is written before they go on. Where
        there can be no lock, or its holder takes too long, two compute it.
        """
        place = zlib.crc32(key.encode())
        locked = self._lock(place)
        try:
            yield
        finally:
            if locked:
                self.flush()
                with suppress(OSError):
                    fcntl.lockf(self._claim_file(), fcntl.LOCK_UN, 1, place)

    def flush(self) -> None:
        """Write what is new."""
        self._written_s = time.monotonic()
        fresh, self._fresh = self._fresh, defaultdict(dict)
        try:
            for name, figures in fresh.items():
                self._folder.mkdir(parents=True, exist_ok=True)
                # A line that a killed process left unfinished ends here.
                lines = ["", *(json.dumps(item) for item in figures.items()), ""]
                with (self._folder / name).open("ab", buffering=0) as file:
                    file.write("\n".join(lines).encode())  # at once, so that no two mix
        except OSError as error:
            logger.debug("figures of the sources can't be kept in %s: %s", self._folder, error)

    def clear(self) -> None:
        """Forget what is in memory, once it is written."""
        self.flush()
        self._known.clear()
        self._read_to.clear()

    def _catch_up(self, name: str) -> None:
        """Take in what has been written since the last look; an unfinished line waits."""
        path, begin = self._folder / name, self._read_to[name]
        with suppress(OSError):
            if path.stat().st_size <= begin:
                return
            with path.open("rb") as file:
                file.seek(begin)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read_to[name] += len(whole) + len(newline)
            for line in whole.splitlines():
                with suppress(ValueError, TypeError):
                    key, figure = json.loads(line)
                    self._known[name].setdefault(key, figure)

    def _lock(self, place: int) -> bool:
        """Lock one byte of the file of claims; the kernel lets go of it when its holder dies."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                fcntl.lockf(self._claim_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except BlockingIOError:
                time.sleep(0.005)
            except OSError as error:
                logger.debug("no claims in %s: %s", self._folder, error)
                return False
            else:
                return True
        return False

    def _claim_file(self) -> int:
        """Descriptor of the file of claims; never closed, since that lets go of all claims."""
        if self._claims is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._claims = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        return self._claims


def _name(one: str, other: str) -> str:
    return hashlib.sha256(f"{VERSION} {one} {other}".encode()).hexdigest() + ".jsonl"

"""Figures of the sources kept on disk, shared by the processes of a node and by later runs.

One JSON file a pair of sources, named after what they contain, so that it holds wherever they lie.
Writers take a lock, add what is new and rename: a reader sees a whole file. A folder that can't be
written costs time and nothing else.
"""

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

VERSION = 1
"""Part of the files' names; another one when the figures are computed otherwise."""

INTERVAL_S = 10.0
"""Time between two writes; the last one comes when the process ends or ``flush`` is called."""


class KeptFigures:
    """Figures by pair of sources and a text that says what they are of.

    Args:
        folder: Where they lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, dict[str, Any]] = {}
        self._written_s = time.monotonic()

    def get(self, one: str, other: str, key: str) -> Any:
        """Return the figure ``key`` of two sources by their sha256, None where there is none."""
        name = _name(one, other)
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name].get(key)

    def put(self, one: str, other: str, key: str, figure: Any) -> None:
        """Keep ``figure``, anything JSON can hold but None."""
        name = _name(one, other)
        self._known.setdefault(name, {})[key] = figure
        self._fresh.setdefault(name, {})[key] = figure
        if time.monotonic() - self._written_s > INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Write what is new."""
        self._written_s = time.monotonic()
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                for name, figures in fresh.items():
                    self._known[name] = {**self._read(name), **self._known.get(name, {})}
                    partial = self._folder / f".{name}.{os.getpid()}.partial"
                    partial.write_text(json.dumps(self._known[name]), encoding="utf-8")
                    partial.replace(self._folder / name)
                    logger.debug("kept %d figures in %s", len(figures), name)
        except OSError as error:
            logger.debug("figures of the sources can't be kept in %s: %s", self._folder, error)

    def clear(self) -> None:
        """Forget what is in memory, once it is written."""
        self.flush()
        self._known.clear()

    def _read(self, name: str) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads((self._folder / name).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing."""
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _name(one: str, other: str) -> str:
    return hashlib.sha256(f"{VERSION} {one} {other}".encode()).hexdigest() + ".json"

"""Recipes as text to copy: evomerge's own form, or a mergekit file.

A mergekit file needs what merges (torch, methods, the headers of checkpoints), so a process of its
own writes it; the service itself loads nothing of that.
"""

import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from evomerge.config.yaml_text import dump_yaml
from evomerge.errors import EvomergeError, ServiceError
from evomerge.service.reading.texts import OFFLINE

TIMEOUT_S = 120.0
MOST_KEPT = 256
MOST_WAITING = 4
_REFUSED = 2


def recipe_text(plain: Mapping[str, Any]) -> str:
    """Return a stored recipe as 'evomerge merge' takes it."""
    return dump_yaml(dict(plain))


class MergekitTexts:
    """Writes recipes as mergekit files, one at a time, and keeps the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.Semaphore(MOST_WAITING)
        self._kept: OrderedDict[str, str] = OrderedDict()

    def get(self, plain: Mapping[str, Any]) -> str:
        """Return the mergekit file of a stored recipe.

        Raises:
            ServiceError: 422: mergekit has no counterpart, or a source has gone; 503: it took too
                long, or too many wait for one.
        """
        key = json.dumps(plain, sort_keys=True)
        if not self._places.acquire(blocking=False):
            raise ServiceError(503, "other mergekit files are being written. Try again soon.")
        try:
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = _write(key)
                self._kept.move_to_end(key)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
                return self._kept[key]
        finally:
            self._places.release()


def _write(recipe: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "evomerge.service.reading.recipe_texts"],
            input=recipe.encode(),
            env={**os.environ, **dict.fromkeys(OFFLINE, "1"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise ServiceError(503, f"the mergekit file can't be written now: {error}") from error
    # Libraries may print on stdout too; ours is the last part.
    if done.returncode == 0:
        return done.stdout.decode().rpartition("\x1e")[2]
    reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if done.returncode == _REFUSED:
        raise ServiceError(422, reason)
    raise ServiceError(503, f"the process that writes mergekit files has ended: {reason}")


def main() -> None:
    """Read a plain recipe as JSON, and print a record separator and its mergekit file.

    Raises:
        EvomergeError: It has no counterpart, or a source has gone.
    """
    from evomerge.runs.export import mergekit_text

    sys.stdout.write("\x1e" + mergekit_text(json.load(sys.stdin)))


if __name__ == "__main__":
    try:
        main()
    except EvomergeError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(_REFUSED)

"""Small facts about sources that are dear to compute, kept between runs. Free of torch.

One JSON file a fact, written to a temporary file and renamed, so that processes may share the
folder. A cache that can't be written costs time and nothing else.
"""

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the cache folder: ``EVOMERGE_CACHE``, or ``evomerge`` in the user's cache folder."""
    if own := os.environ.get("EVOMERGE_CACHE"):
        return Path(own)
    users = os.environ.get("XDG_CACHE_HOME")
    return (Path(users) if users else Path.home() / ".cache") / "evomerge"


def recall(kind: str, key: str) -> Any:
    """Return the fact kept under ``kind`` and ``key``, None where there is no readable one."""
    try:
        return json.loads(_path(kind, key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(kind: str, key: str, fact: Any) -> None:
    """Keep ``fact``, anything JSON can hold but None, under ``kind`` (a folder) and ``key``."""
    path = _path(kind, key)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".partial", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            json.dump(fact, file)
        temporary.replace(path)
    except OSError as error:
        logger.debug("the cache at %s can't be written: %s", path.parent, error)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _path(kind: str, key: str) -> Path:
    return cache_dir() / kind / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

"""The end of a run's log, or what came after a place in it; whole lines only."""

import os
from pathlib import Path
from typing import Any

from evomerge.runs.log import redact

MOST_LINES = 1_000
FEW_BYTES = 32 * 1024
"""What is looked at first for the end of a log."""
MOST_BYTES = 512 * 1024
"""What is looked at for one answer."""


def read_log(file: Path, *, after: int | None, lines: int) -> dict[str, Any]:
    """Return lines of a log and where to go on.

    Args:
        file: The log; one that isn't there is empty.
        after: Byte after which to begin, as an earlier answer gave it; None for the end of the log.
        lines: Most lines.
    """
    try:
        # A link would lead out of the run's folder.
        number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return {"lines": [], "next": 0, "more": False}
    with open(number, "rb") as stream:
        size = os.fstat(number).st_size
        if after is None:
            some = _tail(stream.fileno(), size, lines, FEW_BYTES)
            enough = len(some["lines"]) == lines or size <= FEW_BYTES
            return some if enough else _tail(stream.fileno(), size, lines, MOST_BYTES)
        start = after if after <= size else 0  # the log was begun anew
        text = os.pread(stream.fileno(), MOST_BYTES, start)
    found = _whole(text)[:lines]
    end = start + sum(map(len, found))
    return {"lines": _shown(found), "next": end, "more": end < size}


def _tail(number: int, size: int, lines: int, most: int) -> dict[str, Any]:
    start = max(0, size - most)
    text = os.pread(number, size - start, start)
    if start:  # a line that begins before is left out
        text = text[text.find(b"\n") + 1 :]
    found = _whole(text)
    end = size - (len(text) - sum(map(len, found)))
    return {"lines": _shown(found[-lines:]), "next": end, "more": False}


def _whole(text: bytes) -> list[bytes]:
    """Return the lines that have ended; one that is too long for an answer counts as ended."""
    # Split at line feeds alone: progress bars of plug-ins print carriage returns.
    *ended, last = text.split(b"\n")
    found = [line + b"\n" for line in ended] + ([last] if last else [])
    if found and not found[-1].endswith(b"\n") and len(text) < MOST_BYTES:
        found.pop()
    return found


def _shown(lines: list[bytes]) -> list[str]:
    """Return lines as text without secrets, which are looked for in all of them at once."""
    text = b"\n".join(line.removesuffix(b"\n") for line in lines).decode("utf-8", "replace")
    return redact(text).split("\n") if lines else []

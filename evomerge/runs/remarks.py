"""Notes and stars: what users say of candidates, at any time, without disturbing a driver."""

import contextlib
from pathlib import Path

from evomerge.errors import LedgerError
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.remarks import remark_on
from evomerge.runs.reading.results import RunResults

LONGEST = 2000
"""Characters of a note."""


def add_note(path: Path, candidate: str, text: str) -> str:
    """Write a note on a candidate.

    Args:
        path: The run's folder.
        candidate: A candidate's id, or ``best``.
        text: One paragraph of at most 2000 characters.

    Returns:
        The candidate's id.

    Raises:
        LedgerError: It is no run, there is no such candidate, or the text is empty or too long.
    """
    text = " ".join(text.split())
    if not 0 < len(text) <= LONGEST:
        raise LedgerError(
            f"the note has {len(text)} characters, expected 1 to {LONGEST}. Say it in as many."
        )
    with contextlib.closing(RunResults.open(path)) as results:
        name = results.find(candidate).candidate_id
    _say(path, "note", {"candidate": name, "text": text})
    return name


def set_star(path: Path, candidate: str, *, on: bool) -> str:
    """Give a candidate a star, or take it away; what is so already isn't written again.

    Args:
        path: The run's folder.
        candidate: A candidate's id, or ``best``.
        on: Whether it has a star from now on.

    Returns:
        The candidate's id.

    Raises:
        LedgerError: It is no run, or there is no such candidate.
    """
    with contextlib.closing(RunResults.open(path)) as results:
        name = results.find(candidate).candidate_id
        before = remark_on(results.remarks(), name).starred
    if before != on:
        _say(path, "star", {"candidate": name, "on": on})
    return name


def _say(path: Path, kind: str, body: dict[str, str | bool]) -> None:
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        RunWriter(ledger, folder.run_id).add_request(kind, body)

"""Notes and stars: what users say of candidates, at any time, without disturbing a driver."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evomerge.errors import LedgerError
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.remarks import read_remarks, remark_on
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
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        name = _found(folder, ledger, candidate)
        writer = RunWriter(ledger, folder.run_id)
        writer.add_request("note", {"candidate": name, "text": text})
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
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        name = _found(folder, ledger, candidate)
        if _starred(folder, ledger, name) != on:
            writer = RunWriter(ledger, folder.run_id)
            writer.add_request("star", {"candidate": name, "on": on})
    return name


def _found(folder: RunFolder, ledger: Ledger, candidate: str) -> str:
    """Return the id of ``candidate``; only ``best``, and what isn't there, need the whole run."""
    c = tables.candidate.c
    query = sa.select(c.candidate_id).where(c.run_id == folder.run_id, c.candidate_id == candidate)
    with ledger.read() as connection:
        if connection.execute(query).first() is not None:
            return candidate
    with contextlib.closing(RunResults.open(folder.path)) as results:
        return results.find(candidate).candidate_id


def _starred(folder: RunFolder, ledger: Ledger, name: str) -> bool:
    with ledger.read() as connection:

        def query(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.execute(sa.text(sql), values)]

        return remark_on(read_remarks(query, folder.run_id), name).starred

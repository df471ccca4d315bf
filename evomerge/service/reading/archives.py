"""The archive that a search keeps, by examples or by cells, as plain data."""

import threading
from collections.abc import Collection
from dataclasses import asdict
from typing import Any
from weakref import WeakKeyDictionary

from evomerge.errors import LedgerError
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.cells import keeps_cells, read_cells
from evomerge.runs.reading.niches import NicheReader
from evomerge.service.reading.columns import Columns
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.niche_map import attraction_of, map_of
from evomerge.service.reading.stored import readable

MOST_DEPARTURES = 1_000
_readers: "WeakKeyDictionary[FollowedRun, NicheReader]" = WeakKeyDictionary()
"""Runs that were asked for, so that only what is new is read again."""
_reading = threading.Lock()


def archive_of(run: FollowedRun, records: RunRecords) -> dict[str, Any]:
    """Return the archive of a run; of one whose search keeps none, the reason."""
    empty: dict[str, Any] = {"kind": "none", "reason": "", "examples": None, "cells": None}
    try:
        with readable(run.row.name, "the archive"):
            if keeps_cells(run.row):
                return empty | {"kind": "cells", "cells": _cells(run, records)}
            return empty | {"kind": "examples", "examples": _examples(run, records)}
    except LedgerError as error:
        return empty | {"reason": str(error)}


def _cells(run: FollowedRun, records: RunRecords) -> list[dict[str, Any]]:
    found = [asdict(item) for item in read_cells(records, run.row, run.columns.objectives)]
    names = {item["candidate"] for archive in found for item in archive["occupants"]}
    banned = _banned(run.columns, names)
    for archive in found:
        for item in archive["occupants"]:
            item["banned"] = item["candidate"] in banned
    return found


def _examples(run: FollowedRun, records: RunRecords) -> dict[str, Any]:
    with _reading:
        reader = _readers.pop(run, None) or NicheReader(records, run.row, run.columns.objectives)
        reader.advance()
        # Only now: one that was cut off half-way would go on with a hole.
        _readers[run] = reader
        niches = reader.niches()
        scores = reader.scores([member.candidate for member in niches.members])
    found = asdict(niches)
    names = [member.candidate for member in niches.members]
    banned = _banned(run.columns, names)
    for item in found["members"]:
        item["banned"] = item["candidate"] in banned
    departures = found["departures"]
    return found | {
        "departures": departures[-MOST_DEPARTURES:],
        "n_departures": len(departures),
        "map": map_of(scores, niches.parts),
        "attraction": attraction_of(scores, names),
    }


def _banned(columns: Columns, names: Collection[str]) -> set[str]:
    """Return those of ``names`` that users banned: the search's archive keeps them all the same."""
    banned = columns.banned
    return {name for name in names if columns.recipes[columns.rows[name]] in banned}

"""The archive that a search keeps, by examples or by cells, as plain data."""

from dataclasses import asdict
from typing import Any

from evomerge.errors import LedgerError
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.cells import keeps_cells, read_cells
from evomerge.runs.reading.niches import read_niches
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.stored import readable

MOST_DEPARTURES = 1_000


def archive_of(run: FollowedRun, records: RunRecords) -> dict[str, Any]:
    """Return the archive of a run; of one whose search keeps none, the reason."""
    parts = records, run.row, run.columns.objectives
    empty: dict[str, Any] = {"kind": "none", "reason": "", "examples": None, "cells": None}
    try:
        with readable(run.row.name, "the archive"):
            if keeps_cells(run.row):
                cells = [asdict(item) for item in read_cells(*parts)]
                return empty | {"kind": "cells", "cells": cells}
            found = asdict(read_niches(*parts))
    except LedgerError as error:
        return empty | {"reason": str(error)}
    n = len(found["departures"])
    found |= {"departures": found["departures"][-MOST_DEPARTURES:], "n_departures": n}
    return empty | {"kind": "examples", "examples": found}

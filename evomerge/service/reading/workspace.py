"""The runs of a workspace, opened when they are asked for and kept within bounds."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select, text

from evomerge.errors import LedgerError
from evomerge.runs.folder import RunFolder, is_driven
from evomerge.runs.hypervolume import Cover
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.status import Status, read_status
from evomerge.service.folders import Folders
from evomerge.service.reading.answers import Answer, Answers
from evomerge.service.reading.course import Courses
from evomerge.service.reading.feed import Feeds
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.fronts import FrontOf
from evomerge.service.reading.recipe_texts import MergekitTexts
from evomerge.service.reading.stored import readable
from evomerge.service.reading.texts import TextStore

MOST_CANDIDATES = 1_000_000
MOST_RUNS = 64
MOST_FRONTS = 64
AGAIN_S = 10.0
"""A ledger that couldn't be opened is tried again after so long."""


class Workspace:
    """Reads runs; one for all requests of a service.

    Args:
        folders: The runs' folders.
        refresh_s: A run that is followed is asked for news at most so often.
        clock: Seconds.
    """

    def __init__(
        self,
        folders: Folders,
        *,
        refresh_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders = folders
        self.answers = Answers(clock=clock)
        self.feeds = Feeds()
        self.texts = TextStore()
        self.mergekit = MergekitTexts()
        self.courses = Courses()
        self.started: dict[str, float] = {}
        self._refresh_s, self._clock = refresh_s, clock
        self._ledgers: dict[str, Ledger | tuple[LedgerError, float]] = {}
        self._runs: OrderedDict[str, FollowedRun] = OrderedDict()
        self._folders: dict[str, tuple[int | None, RunFolder]] = {}
        self._asked_s: dict[str, float] = {}
        self._fronts: OrderedDict[tuple[int, str, tuple[int, ...]], FrontOf] = OrderedDict()
        self._states: OrderedDict[str, tuple[Hashable, Status]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all streams and close all ledgers; in the service's event loop."""
        self.feeds.close()
        self.texts.close()
        with self._lock:
            for ledger in self._ledgers.values():
                if isinstance(ledger, Ledger):
                    ledger.close()
            self._ledgers.clear()
            self._runs.clear()

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder of a run.

        Raises:
            ServiceError: 404: there is no such run.
        """
        known = self._folders.get(run_id)
        # It may have gone, or have got another ledger.
        if known is None or known[0] != _stamp(known[1]):
            found = self.folders.find(run_id)
            known = self._folders[run_id] = _stamp(found), found
        return known[1]

    def ledger(self, folder: RunFolder) -> Ledger:
        """Return the open ledger of a run.

        Raises:
            LedgerError: It can't be opened.
        """
        with self._lock:
            found = self._ledgers.get(folder.ledger)
            if isinstance(found, Ledger):
                return found
            if found is not None and self._clock() < found[1]:
                raise found[0]
            try:
                ledger = Ledger.open(folder.ledger, read_only=True)
            except LedgerError as error:
                self._ledgers[folder.ledger] = error, self._clock() + AGAIN_S
                raise
            self._ledgers[folder.ledger] = ledger
            return ledger

    def records(self, run_id: str) -> RunRecords:
        """Return the rows of a run.

        Raises:
            ServiceError: 404: there is no such run.
            LedgerError: Its ledger can't be opened.
        """
        return RunRecords(self.ledger(self.folder(run_id)), run_id)

    def run(self, run_id: str) -> FollowedRun:
        """Return a run with its columns, up to date.

        Raises:
            ServiceError: 404: there is no such run.
            LedgerError: It can't be read.
        """
        records = self.records(run_id)
        with self._lock:
            found = self._runs.get(run_id)
            if found is None or found.ledger is not records.ledger:
                found = self._runs[run_id] = FollowedRun(records)
            self._runs.move_to_end(run_id)
            now = self._clock()
            due = now - self._asked_s.get(run_id, -1e9) >= self._refresh_s
            if due:
                self._asked_s[run_id] = now
        if due or found.version == 0:
            found.refresh()
            self._forget()
        return found

    def front(self, run: FollowedRun, split: str, chosen: Sequence[int]) -> FrontOf:
        """Return the front of chosen objectives, which goes on growing."""
        key = id(run.columns), split, tuple(chosen)
        with self._lock:
            found = self._fronts.pop(key, None) or FrontOf(run.columns, split, chosen)
            self._fronts[key] = found
            while len(self._fronts) > MOST_FRONTS:
                self._fronts.popitem(last=False)
        return found

    def answer(
        self, run_id: str, what: Hashable, version: Hashable, make: Callable[[], Any]
    ) -> Answer:
        """Return the encoded answer to a question on a run."""
        return self.answers.get((run_id, what), version, make)

    def status(self, run_id: str) -> Status:
        """Return how far a run is; of one that nobody drives it is read once.

        Raises:
            ServiceError: 404: there is no such run.
            LedgerError: It can't be read.
        """
        folder = self.folder(run_id)
        ledger = self.ledger(folder)
        with readable(folder.name, "the status"), ledger.read() as connection:
            version = _version(connection, folder)
            known = self._states.get(run_id)
            if known is not None and known[0] == version and not known[1].driver:
                return known[1]
            status = self._read_status(connection, folder)
        with self._lock:
            self._states[run_id] = version, status
            while len(self._states) > 10 * MOST_RUNS:
                self._states.popitem(last=False)
        return status

    def _read_status(self, connection: Connection, folder: RunFolder) -> Status:
        def query(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.execute(text(sql), values)]

        known = self._runs.get(folder.run_id)
        try:
            return read_status(
                query,
                folder,
                dialect=connection.dialect.name,
                validated=lambda final: self._validated(folder.run_id, final),
                spent=None if known is None else known.spent,
            )
        except LookupError as error:
            if type(error) is not LookupError:
                raise
            raise LedgerError(
                f"ledger {folder.ledger} has no run {folder.run_id}, though the folder of "
                f"{folder.name!r} names it. Put the ledger back that belongs to it."
            ) from error

    def _validated(self, run_id: str, final: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the front of a final decision reached, of a run that was killed after it."""
        columns = self.run(run_id).columns
        found = columns.splits["validation"]
        values = found.value[columns.rows[final["best"]]].tolist()
        names = [item.name for item in columns.objectives.all]
        rows = np.array([columns.rows[name] for name in final["front"]], dtype=np.intp)
        rows = rows[found.violation[rows] == 0]
        points = columns.utilities("validation", rows, range(len(names)))
        cover = Cover.where_known(columns.objectives, points.tolist())
        return {
            "objectives": dict(zip(names, values, strict=True)),
            "hypervolume": None if cover is None else cover.volume.value,
        }

    def _forget(self) -> None:
        """Let go of the runs that weren't asked for longest, but never of the last one."""
        with self._lock:
            while len(self._runs) > 1 and (
                len(self._runs) > MOST_RUNS
                or sum(run.columns.n for run in self._runs.values()) > MOST_CANDIDATES
            ):
                gone, run = self._runs.popitem(last=False)
                self._asked_s.pop(gone, None)
                for key in [key for key in self._fronts if key[0] == id(run.columns)]:
                    del self._fronts[key]


def _stamp(folder: RunFolder) -> int | None:
    """Return when a run's ledger was last named; None where its folder has gone."""
    try:
        return (folder.path / "run.json").stat().st_mtime_ns
    except OSError:
        return None


def _version(connection: Connection, folder: RunFolder) -> Hashable:
    """Return what changes with the status of a run that nobody drives."""
    found: list[Any] = [is_driven(folder.path)]
    for table in (tables.event, tables.decision, tables.request):
        query = select(func.max(table.c.sequence)).where(table.c.run_id == folder.run_id)
        found.append(connection.scalar(query))
    row = tables.driver.c
    found.append(connection.scalar(select(row.epoch).where(row.run_id == folder.run_id)))
    try:
        found.append((folder.path / "stop.json").stat().st_mtime_ns)
    except OSError:
        found.append(None)
    return tuple(found)

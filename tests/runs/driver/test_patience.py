"""A ledger that is away for a while, or for good."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from sqlalchemy import event as hooks

from evomerge.errors import FencedError, LedgerAwayError, LedgerError, RunFailedError
from evomerge.execution.protocol import Outcome
from evomerge.runs.driver import upkeep
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.spool import Spool
from evomerge.runs.events import CandidateDone, Finished, LedgerAway, LedgerBack, Stopped
from evomerge.runs.folder import write_run
from evomerge.runs.ledger import sqlite, tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.reading.glance import glance
from evomerge.runs.reading.results import status_of
from tests.fixtures_postgres import PostgresServer
from tests.runs.driver.test_workers import BUDGET, make, scripted, search_of, undisturbed
from tests.runs.fakes import FakeRun, ScriptedExecutor

__all__ = ["undisturbed"]


class Away:
    """A ledger that refuses everything for some tries, from the ``after``-th write on.

    Args:
        tries: How many it refuses.
        late: The first refusal comes after the commit.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, after: int, tries: int, late: bool
    ) -> None:
        self.after, self.tries, self.late = after, tries, late
        self.writes = self.refused = 0
        self.error: Callable[[str], LedgerError] = LedgerAwayError
        self._write, self._read = Ledger.write, Ledger.read
        monkeypatch.setattr(Ledger, "write", lambda ledger, name: self.write(ledger, name))
        monkeypatch.setattr(Ledger, "read", lambda ledger: self.read(ledger))

    @contextmanager
    def write(self, ledger: Ledger, name: str) -> Iterator[Any]:
        self.writes += 1
        if self.writes < self.after or self.refused >= self.tries:
            with self._write(ledger, name) as connection:
                yield connection
            return
        self.refused += 1
        if self.late and self.refused == 1:
            with self._write(ledger, name) as connection:
                yield connection
        raise self.error("ledger x is away: refused.")

    @contextmanager
    def read(self, ledger: Ledger) -> Iterator[Any]:
        if 0 < self.refused < self.tries:
            self.refused += 1
            raise self.error("ledger x is away: refused.")
        with self._read(ledger) as connection:
            yield connection


@pytest.mark.parametrize("late", [False, True], ids=["refused", "broken-in-the-commit"])
@pytest.mark.parametrize("after", range(3, 24, 4))
def test_an_absence_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, late: bool, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    run.store()
    Away(monkeypatch, after=after, tries=3, late=late)
    events = run.drive()
    assert isinstance(events[-1], Finished)
    kinds = [event.kind for event in events]
    assert kinds.count("ledger_away") == kinds.count("ledger_back") == 1
    records = run.records()
    assert search_of(records) == undisturbed
    stored = sorted(kind for _, kind, _ in records.events())
    assert stored == sorted(k for k in kinds if k not in ("rescoring", "ledger_away"))
    assert not list((tmp_path / "spool").glob("*"))


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_after_too_long_an_absence_nothing_that_was_finished_is_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    executors: list[ScriptedExecutor] = []

    def build(run: FakeRun) -> ScriptedExecutor:
        executors.append(ScriptedExecutor(run.worker, slots=4))
        return executors[-1]

    run = make(tmp_path, make_executor=build, settings={"mode": mode, "away_s": 0.5})
    run.store()
    with monkeypatch.context() as patch:
        away = Away(patch, after=8, tries=10**9, late=False)
        with pytest.raises(RunFailedError, match=r"is away.*evomerge resume"):
            run.drive()
        assert away.refused > 1
    assert executors[0].closed
    _change_driver(run, lease_s=0)  # it couldn't give the run back
    spooled = len(list((tmp_path / "spool").glob("*.npz")))
    assert spooled >= 4
    before = [job.candidate_id for job in run.worker.jobs]
    events = run.drive()
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == BUDGET
    again = [job.candidate_id for job in run.worker.jobs[len(before) :] if _search(job)]
    assert not set(before) & set(again)
    assert not list((tmp_path / "spool").glob("*"))


def test_a_run_that_waited_too_long_says_why_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3), settings={"away_s": 0.3})
    run.store()
    write_run(tmp_path, run_id=run.run_id, name="toy", ledger=run.url, config="{}\n")
    with monkeypatch.context() as patch:
        Away(patch, after=8, tries=10**9, late=False)
        with pytest.raises(RunFailedError, match="is away"):
            run.drive()
    _change_driver(run, lease_s=0)
    found = status_of(tmp_path)
    assert glance(tmp_path) == found
    assert (found.state, found.reason) == ("stopped", "ledger")
    assert found.message == "ledger x is away: refused."
    started = run.resume()
    events = []
    for event in started.drive():
        events.append(event)
        if isinstance(event, CandidateDone) and event.progress.evaluated == 15:
            started.request_stop("user")
    assert isinstance(events[-1], Stopped)
    found = status_of(tmp_path)
    assert (found.state, found.reason, found.message) == ("stopped", "user", "")


def test_an_absence_shows_in_the_figures_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    file, seen = tmp_path / "metrics.prom", []
    monkeypatch.setattr(upkeep, "EVERY_S", 0.0)
    away = Away(monkeypatch, after=8, tries=5, late=False)
    wait = ScriptedExecutor.wait

    def look(executor: ScriptedExecutor, timeout_s: float | None = None) -> list[Outcome]:
        if 0 < away.refused < away.tries:
            lines = file.read_text().splitlines()
            line = next(x for x in lines if x.startswith("evomerge_ledger_away_seconds{"))
            seen.append(float(line.split()[-1]))
            time.sleep(0.02)
        return wait(executor, timeout_s)

    monkeypatch.setattr(ScriptedExecutor, "wait", look)
    assert isinstance(list(run.start().drive())[-1], Finished)
    assert len(seen) >= 3
    assert seen == sorted(seen)
    assert 0 < seen[1] < seen[-1]


def test_a_disk_that_results_fill_while_the_ledger_is_away_ends_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3), settings={"away_s": 60.0, "grace_s": 0})
    away = Away(monkeypatch, after=8, tries=10**9, late=False)
    full = "the disk of /x has 0.10 GB free"
    monkeypatch.setattr(upkeep, "disk_trouble", lambda *_, **__: full if away.refused else None)
    began = time.monotonic()
    with pytest.raises(RunFailedError):
        run.drive()
    assert time.monotonic() - began < 30


def _search(job: Any) -> bool:
    return bool(job.blocks[0].split == "search")


def test_a_result_that_came_too_late_is_dropped(tmp_path: Path) -> None:
    run = make(tmp_path, make_executor=scripted(slots=2))
    run.drive()
    before = search_of(run.records())
    Spool(tmp_path / "spool").keep(Outcome(run.worker.jobs[0]))
    run.drive()
    assert search_of(run.records()) == before


def test_a_full_disk_ends_the_run_and_a_resume_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    run.store()
    with monkeypatch.context() as patch:
        away = Away(patch, after=9, tries=10**9, late=False)
        away.error = LedgerError
        with pytest.raises(LedgerError, match="refused"):
            run.drive()
    _change_driver(run, lease_s=0)
    assert isinstance(run.drive()[-1], Finished)
    assert search_of(run.records()) == undisturbed


def test_a_sqlite_ledger_that_is_locked_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 0.1)
    run = make(tmp_path, make_executor=scripted(slots=3))
    events = []
    started = run.start()
    locked = threading.Event()

    def lock() -> None:
        connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        locked.set()
        time.sleep(0.6)
        connection.execute("ROLLBACK")
        connection.close()

    for event in started.drive():
        events.append(event)
        if isinstance(event, CandidateDone) and event.progress.evaluated == 4:
            threading.Thread(target=lock).start()
            locked.wait()
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, LedgerAway) for event in events)
    back = next(event for event in events if isinstance(event, LedgerBack))
    assert back.away_s > 0.2


def test_a_driver_that_was_replaced_writes_nothing_more(tmp_path: Path) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    ledger = run.store()
    with held_run(ledger, run.run_id) as run.epoch:
        events = run.resume().drive()
        for event in events:
            if isinstance(event, CandidateDone) and event.progress.evaluated == 7:
                break
        _change_driver(run, epoch=99)
        with pytest.raises(FencedError, match="taken over"):
            list(events)
    assert len(run.records().attempts()) <= 9


def _change_driver(run: FakeRun, **values: Any) -> None:
    with Ledger.open(run.url).write("test") as connection:
        mine = tables.driver.c.run_id == run.run_id
        connection.execute(update(tables.driver).where(mine).values(values))


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    run = make(tmp_path)
    with (
        held_run(run.store(), run.run_id),
        pytest.raises(LedgerError, match="drives this run"),
        held_run(Ledger.open(run.url), run.run_id),
    ):
        pass


def test_a_stop_ends_the_waiting_for_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    started = run.start()
    events = []

    def drive() -> None:
        for event in started.drive():
            events.append(event)
            if isinstance(event, CandidateDone) and event.progress.evaluated == 4:
                Away(monkeypatch, after=0, tries=10**9, late=False)
            if isinstance(event, LedgerAway):
                started.request_stop("signal", 0)

    with pytest.raises(RunFailedError):
        drive()
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "ledger"


def test_a_disk_that_is_really_full_ends_the_run_and_keeps_what_was_finished(
    tmp_path: Path, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    run.store()
    started = run.resume()

    @hooks.listens_for(started.records.ledger._writer, "begin")
    def limit(connection: Connection) -> None:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        pages = used if pages_left[0] <= 0 else 10**6
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        pages_left[0] -= 1

    pages_left = [12]
    with pytest.raises(LedgerError, match="the disk is full"):
        list(started.drive())
    before = len(run.worker.jobs)
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert search_of(run.records()) == undisturbed
    assert len(run.worker.jobs) - before < BUDGET + 3 - 4


@pytest.mark.postgres
def test_a_server_that_is_away_for_a_while_is_waited_for(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str, undisturbed: Any
) -> None:
    class Watching(ScriptedExecutor):
        """Has the server started again a while after it was stopped."""

        stopped_at = float("inf")

        def wait(self, timeout_s: float | None = None) -> list[Outcome]:
            if time.monotonic() > self.stopped_at + 1.0:
                self.stopped_at = float("inf")
                postgres_server.start()
            return super().wait(timeout_s)

    executors: list[Watching] = []

    def build(run: FakeRun) -> Watching:
        executors.append(Watching(run.worker, slots=3))
        return executors[-1]

    run = make(tmp_path, make_executor=build, ledger=postgres_url, settings={"away_s": 60.0})
    events = []
    with held_run(run.store(), run.run_id) as run.epoch:
        for event in run.resume().drive():
            events.append(event)
            if isinstance(event, CandidateDone) and event.progress.evaluated == 5:
                postgres_server.stop()
                executors[0].stopped_at = time.monotonic()
    assert isinstance(events[-1], Finished)
    back = [event for event in events if isinstance(event, LedgerBack)]
    assert len(back) == 1
    assert back[0].away_s > 0.9
    assert search_of(run.records()) == undisturbed


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3))
    ledger, really = run.store(), time.time
    events = []
    with held_run(ledger, run.run_id) as run.epoch:
        for event in run.resume().drive():
            events.append(event)
            if isinstance(event, CandidateDone):
                # Forth and back by a day with every candidate.
                day = 86400 if event.progress.evaluated % 2 else -86400
                monkeypatch.setattr(time, "time", lambda day=day: really() + day)
    assert isinstance(events[-1], Finished)
    assert search_of(run.records()) == undisturbed
    done = [event for event in events if event.kind == "generation_done"]
    assert all(0 <= event.elapsed_s < 60 for event in done)
    assert list(run.resume().drive())[-1] == events[-1]

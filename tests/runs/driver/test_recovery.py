"""Drivers that die: what they had handed out, and what they had done to themselves."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evomerge.execution.protocol import LOST, Failure, Job
from evomerge.runs.events import CandidateFailed, Finished
from tests.runs.driver.local_driver import slow_run
from tests.runs.driver.test_workers import (
    BUDGET,
    make,
    scripted,
    search_of,
    settled,
    stop_after,
    undisturbed,
)
from tests.runs.fakes import BINARY, FakeRun, FakeWorker

__all__ = ["undisturbed"]


def die_after(run: FakeRun, n: int) -> None:
    """Leave the run as a driver does that is killed: nothing more is written."""
    events = run.resume().drive()
    for event in events:
        if event.kind == "candidate_done" and event.progress.evaluated >= n:  # type: ignore[attr-defined]  # of this kind
            return


class Died(BaseException):
    """Stands for the end of the process."""


def die_in(run: FakeRun) -> None:
    with pytest.raises(Died):
        list(run.resume().drive())


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_what_a_dead_driver_had_handed_out_is_scored_again(
    tmp_path: Path, mode: str, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=4, seed=1), settings={"mode": mode})
    run.store()
    for n in (2, 7, 12):
        die_after(run, n)
    assert isinstance(list(run.resume().drive())[-1], Finished)
    records = run.records()
    assert max(Counter(settled(records)).values()) == 1
    assert len(settled(records)) == BUDGET
    leases = [(row.candidate_id, row.split, row.number) for row in records.leases()]
    assert len(set(leases)) == len(leases) > len(records.attempts())
    if mode == "generation":
        assert search_of(records) == undisturbed


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_a_candidate_that_ends_its_driver_gets_only_its_attempts(tmp_path: Path, mode: str) -> None:
    def fails(job: Job) -> Failure | None:
        if job.candidate_id == ("0-2" if mode == "generation" else "2-0"):
            raise Died
        return None

    run = make(tmp_path, worker=FakeWorker(BINARY, fails), settings={"mode": mode, "attempts": 3})
    run.store()
    for _ in range(3):
        die_in(run)
    events = list(run.resume().drive())
    failed = [event for event in events if isinstance(event, CandidateFailed)]
    assert [(event.failure, event.attempt) for event in failed] == [(LOST, 3)]
    assert "the run's own process ended" in failed[0].message
    assert events[-1].progress.evaluated == BUDGET


def test_stops_by_the_user_cost_a_candidate_no_attempt(tmp_path: Path) -> None:
    def fails(job: Job) -> Failure | None:
        if job.candidate_id == "0-2" and job.attempt < 6:
            raise KeyboardInterrupt
        return None

    run = make(tmp_path, worker=FakeWorker(BINARY, fails), settings={"attempts": 2})
    run.store()
    for _ in range(5):
        list(run.resume().drive())
    finished = list(run.resume().drive())[-1]
    assert (finished.progress.evaluated, finished.progress.failed) == (BUDGET, 0)


def test_workers_elsewhere_are_not_blamed_for_their_drivers_end(tmp_path: Path) -> None:
    run = make(tmp_path, make_executor=scripted(slots=4), settings={"attempts": 1})
    run.store()
    for _ in range(3):
        die_after(run, 1)
    finished = list(run.resume().drive())[-1]
    assert finished.progress.failed == 0


def test_a_steady_search_tells_first_what_was_settled_and_not_told(tmp_path: Path) -> None:
    run = make(tmp_path, make_executor=scripted(slots=4), settings={"mode": "async"})
    list(stop_after(run, 6))
    records = run.records()
    order = settled(records)
    told = [r[0] for d in records.decisions("tell") for r in d.body["results"]]
    list(run.resume().drive())
    records = run.records()
    again = [r[0] for d in records.decisions("tell") for r in d.body["results"]]
    assert again[: len(order)] == order
    assert again[: len(told)] == told


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "kills"), [("generation", (3, 12)), ("async", (5,))])
def test_a_driver_killed_while_its_workers_are_busy_is_taken_over_at_once(
    tmp_path: Path, mode: str, kills: tuple[int, ...], undisturbed: Any
) -> None:
    script = Path(__file__).with_name("local_driver.py")
    run = slow_run(tmp_path, mode)
    run.store()
    for wanted in kills:
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), mode],
            env=os.environ | {"PYTHONPATH": str(script.parents[3])},
        )
        limit = time.monotonic() + 120
        while len(settled(run.records())) < wanted:
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.kill()
        process.wait()
    assert isinstance(run.drive()[-1], Finished)
    records = run.records()
    assert len(settled(records)) == BUDGET
    assert max(Counter(settled(records)).values()) == 1
    assert len(records.leases()) > len(records.attempts())
    if mode == "generation":
        assert search_of(records) == undisturbed

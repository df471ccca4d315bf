"""What the status says of losses, times, workers, drivers elsewhere and stops."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from evomerge.execution.protocol import LOST, Failure, WorkerState
from evomerge.runs.events import (
    CandidateDone,
    Finished,
    GenerationDone,
    Progress,
    Started,
    Stopped,
)
from evomerge.runs.folder import driver_lock, write_run
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import AttemptRecord
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading import covered
from evomerge.runs.reading.accounting import CUT_OFF, Spent
from evomerge.runs.reading.covered import Hypervolume
from evomerge.runs.reading.glance import glance
from evomerge.runs.reading.results import RunResults, status_of
from evomerge.runs.reading.status import Status
from evomerge.search import fronts
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import TWO, FakeRun


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    """A stored run that nobody has driven yet."""
    made = FakeRun(tmp_path)
    made.start()
    make_run_folder(made, tmp_path / "runs" / "toy")
    return made


def writer(fake: FakeRun) -> RunWriter:
    return RunWriter(Ledger.open(fake.url), fake.run_id)


def status(fake: FakeRun) -> Status:
    """Return the status, which must be the same by either reading."""
    folder = fake.folder / "runs" / "toy"
    found = glance(folder)
    assert found is not None
    results = RunResults.open(folder)
    assert results.status() == found
    results.close()
    return found


def change(fake: FakeRun, statement: str, *values: Any) -> None:
    """Change the ledger as no run does."""
    connection = sqlite3.connect(fake.folder / "ledger.db")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def attempt(number: int, failure: Failure | None = None, **times: float) -> AttemptRecord:
    lost = failure is not None and failure.kind == LOST
    return AttemptRecord("0-0", "search", number, failure, lost=lost, **times)


def test_a_lost_attempt_is_no_failure_and_its_time_counts(fake: FakeRun) -> None:
    change(fake, "UPDATE run SET config = json_set(config, '$.execution', json(?))",
           '{"cost_per_device_hour": 3600}')  # fmt: skip
    died = Failure(LOST, "worker ended by SIGKILL while merging", "exit SIGKILL")
    records = [
        attempt(1, died, busy_s=10.0, wait_s=1.0, devices=2.0),
        attempt(2, busy_s=8.0, merge_s=1.0, score_s=5.0, tokenise_s=0.5, devices=2.0),
    ]
    done = CandidateDone("0-0", {"mean": 0.25}, False, 1.0, 5.0, Progress(1, 0, 20))
    for record, event in zip(records, (None, done), strict=True):
        assert writer(fake).add_attempt(record, (), {}, event)
    found = status(fake)
    assert found.progress == Progress(1, 0, 20)
    assert found.best == {"mean": 0.25}
    taken = found.accounting
    assert (taken.attempts, taken.lost, taken.device_s, taken.cost) == (2, 1, 36.0, 38.0)
    assert taken.seconds == {
        "merge": 1.0, "score": 5.0, "tokenise": 0.5, "cut_off": 10.0, "overhead": 1.5, "wait": 1.0
    }  # fmt: skip
    assert taken.utilisation == pytest.approx(18 / 19)
    spent = Spent.of(records)
    assert taken.seconds == spent.parts()
    assert taken.device_s == spent.device_s
    assert LOST in CUT_OFF


def test_workers_are_those_of_the_driver_that_lives(fake: FakeRun) -> None:
    states = [
        WorkerState("w2", "n1", "cpu", "busy", "0-0", 1, 3.0, 4, 6.0, 8.0, 2**30),
        WorkerState("w1", "n1", "cpu", "gone", busy_s=9.0, alive_s=9.0, reason="its node is gone"),
        WorkerState("w3", "n2", "cpu", "idle", jobs=1, busy_s=2.0, alive_s=8.0),
    ]
    writer(fake).store_workers(states)
    assert status(fake).workers == ()
    assert status(fake).accounting.utilisation_now is None
    with driver_lock(fake.folder / "runs" / "toy"):
        found = status(fake)
    assert [(w.worker, w.state) for w in found.workers] == [
        ("w2", "busy"),
        ("w3", "idle"),
        ("w1", "gone"),
    ]
    assert vars(found.workers[0]) == {
        "worker": "w2", "node": "n1", "device": "cpu", "state": "busy", "candidate": "0-0",
        "attempt": 1, "since_s": 3.0, "jobs": 4, "busy_s": 6.0, "alive_s": 8.0,
        "utilisation": 0.75, "memory_bytes": 2**30, "reason": "",
    }  # fmt: skip
    assert found.workers[2].reason == "its node is gone"
    assert found.accounting.utilisation_now == 0.5
    assert found.accounting.utilisation == pytest.approx(17 / 25)


@pytest.mark.parametrize(
    ("holder", "age_s", "state"),
    [
        ("elsewhere:7", 5.0, "running"),
        ("elsewhere:7", 65.0, "interrupted"),
        # Nobody holds the folder here, so a driver of this machine is gone.
        (f"{os.uname().nodename}:7", 5.0, "interrupted"),
    ],
)
def test_a_driver_on_another_machine_lives_by_the_clock_of_the_database(
    fake: FakeRun, holder: str, age_s: float, state: str
) -> None:
    change(fake, "DELETE FROM driver")
    change(
        fake,
        "INSERT INTO driver (run_id, epoch, holder, beat_s, lease_s) VALUES (?, 1, ?, ?, 60)",
        *(fake.run_id, holder, time.time() - age_s),
    )
    found = glance(fake.folder / "runs" / "toy")
    assert found is not None
    assert found.state == state
    assert found.driver == (holder if state == "running" else "")


def test_asynchronous_runs_have_a_speed_and_no_generations(fake: FakeRun) -> None:
    change(fake, "UPDATE run SET config = json_set(config, '$.search.mode', 'async')")
    change(fake, "DELETE FROM event")
    for index in range(5):
        event = CandidateDone(
            f"{index}-0", {"mean": index / 8}, False, 1.0, 1.0, Progress(index + 1, 0, 20)
        )
        writer(fake).tell_of(event)
        change(fake, "UPDATE event SET at_s = ? WHERE sequence = ?", 1000.0 + 2 * index, index + 1)
    found = status(fake)
    assert (found.mode, found.generations) == ("async", None)
    assert found.candidates_per_s == pytest.approx(0.5)
    assert found.best == {"mean": 0.5}


@pytest.mark.parametrize("reason", ["user", "signal", "disk", "ledger"])
def test_a_clean_stop_says_why(fake: FakeRun, reason: str) -> None:
    stopped = Stopped(Progress(3, 1, 20), reason, f"because of {reason}")
    writer(fake).decide("stop", {"reason": reason}, stopped)
    found = status(fake)
    assert (found.state, found.reason, found.message) == (
        "stopped",
        reason,
        f"because of {reason}",
    )
    assert found.progress == Progress(3, 1, 20)


def test_the_newest_pages_of_a_long_run_tell_its_best(
    fake: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best comes first, before any generation is done, and many events come after."""
    monkeypatch.setattr("evomerge.runs.reading.newest._PAGE", 3)
    for index in range(20):
        values = {"mean": 1.0 if index == 0 else 0.5}
        progress = Progress(index + 1, 0, 20)
        writer(fake).tell_of(CandidateDone(f"0-{index}", values, False, 1.0, 1.0, progress))
    found = status(fake)
    assert found.best == {"mean": 1.0}
    assert found.progress.evaluated == 20


@pytest.mark.parametrize("reason", ["identical_failures", "no_scores", "executor"])
def test_a_failed_run_says_why_until_it_is_taken_up_again(fake: FakeRun, reason: str) -> None:
    body = {"reason": reason, "message": "no [luck]", "after_attempts": 0, "retry": []}
    writer(fake).decide("stop", body)
    found = status(fake)
    assert (found.state, found.reason, found.message) == ("failed", reason, "no [luck]")
    writer(fake).tell_of(Started(fake.run_id, "fake", True, Progress(0, 0, 20)))
    assert status(fake).state == "interrupted"  # its driver is gone again


@pytest.mark.postgres
def test_a_server_tells_what_a_file_tells(tmp_path: Path, postgres_url: str) -> None:
    """One run in either database, with a lost attempt: the same counts, best and front."""
    states = []
    for name, url in (("file", ""), ("server", postgres_url)):
        fake = FakeRun(tmp_path / name, budget=8, ledger=url)
        fake.folder.mkdir()
        run = fake.start()
        died = Failure(LOST, "worker ended", "exit SIGKILL")
        assert writer(fake).add_attempt(attempt(9, died, busy_s=3.0), (), {}, None)
        folder = fake.folder / "runs" / "toy"
        folder.mkdir(parents=True)
        write_run(folder, run_id=fake.run_id, name="toy", ledger=fake.url, config="{}\n")
        for event in run.drive():
            if event.kind == "generation_done":
                states.append((name, status_of(folder)))
        states.append((name, status_of(folder)))
        with driver_lock(folder):
            assert status_of(folder).state == "running"
        assert glance(folder) == (None if url else status_of(folder))
    halves = [
        [
            (s.state, s.progress, s.generations, s.best, s.accounting.lost, s.accounting.attempts)
            for name, s in states
            if name == which
        ]
        for which in ("file", "server")
    ]
    assert halves[0] == halves[1]
    assert halves[0][-1][0] == "finished"
    assert halves[0][-1][-2] == 1


@pytest.mark.postgres
@pytest.mark.parametrize(("age_s", "state"), [(5.0, "running"), (65.0, "interrupted")])
def test_a_driver_on_another_machine_lives_by_the_clock_of_the_server(
    tmp_path: Path, postgres_url: str, age_s: float, state: str
) -> None:
    fake = FakeRun(tmp_path, ledger=postgres_url)
    fake.start()
    folder = tmp_path / "runs" / "toy"
    folder.mkdir(parents=True)
    write_run(folder, run_id=fake.run_id, name="toy", ledger=fake.url, config="{}\n")
    ledger = Ledger.open(fake.url)
    with ledger.write("test") as connection:
        connection.execute(text("DELETE FROM driver"))
        connection.execute(
            text(
                "INSERT INTO driver (run_id, epoch, holder, beat_s, lease_s) VALUES "
                "(:run, 1, 'elsewhere:7', extract(epoch FROM clock_timestamp()) - :age, 60)"
            ),
            {"run": fake.run_id, "age": age_s},
        )
    ledger.close()
    assert status_of(folder).state == state


def test_the_hypervolume_is_told_with_what_it_is_measured_by(tmp_path: Path) -> None:
    bounded = {
        "near": {**TWO["near"], "reference": 0.0, "ideal": 1.0},
        "far": {**TWO["far"], "reference": 4.0, "ideal": 0.0},
    }
    made = FakeRun(tmp_path, budget=12, objectives=bounded)
    run = made.start()
    make_run_folder(made, tmp_path / "runs" / "toy")
    told = []
    for event in run.drive():
        if isinstance(event, GenerationDone):
            told.append(event.hypervolume or 0.0)
            run.request_stop()
    found = status(made).hypervolume
    assert found == Hypervolume(told[0], True, {"near": 0.0, "far": 4.0}, {"near": 1.0, "far": 0.0})
    (*_, last) = made.resume().drive()
    assert isinstance(last, Finished)
    found = status(made).hypervolume
    assert found is not None
    assert found.value == last.hypervolume
    results = RunResults.open(tmp_path / "runs" / "toy")
    assert results.front().hypervolume == found
    results.close()
    change(made, "DELETE FROM event WHERE kind = 'finished'")
    assert status_of(tmp_path / "runs" / "toy").hypervolume == found


def test_it_is_exact_for_as_many_objectives_as_is_said() -> None:
    assert covered.EXACT_UP_TO == fronts.EXACT_UP_TO
    many = {str(i): {"reference": 0.0, "ideal": 1.0} for i in range(covered.EXACT_UP_TO + 1)}
    found = covered.hypervolume_of(many, 0.5)
    assert found is not None
    assert not found.exact

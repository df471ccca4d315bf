"""A job's process: where it takes its run up, and what it heeds before it drives it."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, LedgerAwayError, Problem
from evomerge.runs import start
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.service.jobs import process
from evomerge.service.jobs.table import Job, Jobs
from tests.service.jobs import fake_process
from tests.service.jobs.test_table import new
from tests.service.test_safety import RUN

CONFIG = parse_config(RUN, where="x").model_dump(mode="json", by_alias=True)


@pytest.fixture
def job(ledger: Ledger, tmp_path: Path) -> Job:
    jobs = Jobs(ledger)
    folder = str(tmp_path / "runs" / "toy")
    made = jobs.add(new(folder=folder, body={"config": CONFIG, "plugins": ["p.py"]}))[0]
    jobs.begin(made.job_id)
    return jobs.get(made.job_id)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """What would have begun or taken up a run."""
    found: list[tuple[str, Any, dict[str, Any]]] = []

    def recorder(name: str) -> Any:
        @contextlib.contextmanager
        def record(what: Any, **given: Any) -> Iterator[str]:
            found.append((name, what, given))
            yield name

        return record

    for name in ("new_run", "stored_run"):
        monkeypatch.setattr(start, name, recorder(name))
    return found


def open_run(job: Job, ledger: Ledger) -> None:
    with process._opened(job, ledger):
        pass


def test_a_run_that_is_nowhere_yet_is_begun_under_the_jobs_id(
    job: Job, ledger: Ledger, calls: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    open_run(job, ledger)
    ((name, config, given),) = calls
    assert (name, config.name, given["run_id"]) == ("new_run", "toy", job.run_id)
    assert given["out"] == Path(job.folder)
    assert given["plugins"] == [Path("p.py")]


def test_a_run_that_was_stored_before_its_folder_was_written_is_taken_up(
    job: Job, ledger: Ledger, calls: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    row = RunRow(job.run_id, "toy", 0.0, CONFIG, {}, {}, {}, (), {}, (), True)
    RunWriter(ledger, job.run_id).create(row)
    open_run(job, ledger)
    assert [(name, what) for name, what, _ in calls] == [("stored_run", Path(job.folder))]
    assert RunFolder.open(Path(job.folder)).run_id == job.run_id
    Jobs(ledger).settle(job.job_id, "finished")
    open_run(Jobs(ledger).resume(job.job_id, budget=64), ledger)
    assert calls[-1][2]["overrides"] == ["search.budget=64"]


@pytest.fixture
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("wanted", ["pause", "cancel"])
def test_what_was_wanted_before_the_driver_was_there_is_heeded(
    job: Job, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    jobs = Jobs(ledger)
    monkeypatch.setattr(process, "_opened", fake_process.opened)
    getattr(jobs, wanted)(job.job_id)
    outcome = process._outcome(job, jobs, ledger)
    assert outcome == {"state": "stopped", "reason": wanted, "message": ""}
    jobs.settle(job.job_id, "paused")
    jobs.resume(job.job_id)
    assert process._outcome(job, jobs, ledger) == {"state": "finished"}


def test_mistakes_are_outcomes_and_an_absent_database_is_none(
    job: Job, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> None:
        raise ConfigError("toy", [Problem("base", "is gone.")])

    monkeypatch.setattr(process, "_opened", wrong)
    assert process._outcome(job, Jobs(ledger), ledger) == {
        "state": "failed",
        "message": "toy: base: is gone.",
        "problems": [["base", "is gone."]],
    }

    def away(*_: object) -> None:
        raise LedgerAwayError("locked.")

    monkeypatch.setattr(process, "_opened", away)
    with pytest.raises(LedgerAwayError):
        process._outcome(job, Jobs(ledger), ledger)

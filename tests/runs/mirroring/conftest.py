"""A run of two objectives on formulas, with failures, that a test can let go on."""

from pathlib import Path

import pytest

from evomerge.execution.protocol import Failure, Job
from evomerge.runs.events import GenerationDone
from evomerge.runs.folder import write_run
from tests.runs.fakes import EVALUATORS, TWO, FakeRun, FakeWorker


def _fails(job: Job) -> Failure | None:
    return Failure("merge", "singular <matrix>") if job.candidate_id.endswith("-1") else None


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    """The run, not yet begun; every second candidate of an ask fails."""
    worker = FakeWorker(EVALUATORS, fails=_fails)
    return FakeRun(tmp_path, objectives=TWO, worker=worker, run_id="5f" * 16, budget=12)


@pytest.fixture
def folder(fake: FakeRun, tmp_path: Path) -> Path:
    """Its folder."""
    path = tmp_path / "run"
    path.mkdir()
    write_run(path, run_id=fake.run_id, name="toy", ledger=fake.url, config="{}\n")
    return path


def half(fake: FakeRun) -> None:
    """Let the run do its first half, more or less."""
    run = fake.start()
    for event in run.drive():
        if isinstance(event, GenerationDone):
            run.request_stop()

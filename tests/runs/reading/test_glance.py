"""A glance at a run tells what the full reading of its ledger tells, at every moment."""

from pathlib import Path

import pytest

from evomerge.errors import LedgerError, RunFailedError
from evomerge.execution.protocol import Failure
from evomerge.runs.ledger.tables import REVISION
from evomerge.runs.reading import glance as module
from evomerge.runs.reading.glance import glance
from evomerge.runs.reading.results import RunResults, status_of
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import ONE, TWO, FakeRun


def both(folder: Path) -> dict[str, object]:
    """Return the status at a glance, which must be that of any database and of all rows."""
    quick = glance(folder)
    assert quick is not None
    results = RunResults.open(folder)
    full = results.status()
    assert quick == full == status_of(folder)
    state = results.state
    assert quick.progress == state.progress
    assert quick.generations == len(state.told)
    if state.final is None:
        scored = [results.objectives.values(item) for item in state.scored("search").values()]
        assert quick.best == results.objectives.best(scored)
    else:
        best = state.estimates["validation"][str(state.final["best"])]
        assert quick.best == results.objectives.values(best)
    results.close()
    return vars(quick)


def make(tmp_path: Path, fake: FakeRun) -> Path:
    return make_run_folder(fake, tmp_path / "runs" / "toy")


@pytest.mark.parametrize("objectives", [ONE, TWO])
def test_they_agree_after_every_event_of_a_run_and_of_its_extension(
    tmp_path: Path, objectives: dict[str, object]
) -> None:
    fake = FakeRun(tmp_path, budget=8, objectives=objectives)
    fake.worker.fails = lambda job: (
        Failure("exception", "bad luck") if job.candidate_id == "0-3" else None
    )
    run = fake.start()
    folder = make(tmp_path, fake)
    states = [both(folder)["state"] for _ in run.drive()]
    assert set(states) <= {"interrupted", "finished"}  # nobody holds the folder here
    assert both(folder)["state"] == "finished"
    again = fake.resume()
    again.extend(10)
    assert both(folder)["state"] != "finished"
    for _ in again.drive():
        both(folder)
    assert both(folder)["best_candidate"] is not None


def test_they_agree_on_a_stopped_run(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    run = fake.start()
    folder = make(tmp_path, fake)
    for event in run.drive():
        if event.kind == "candidate_done":
            run.request_stop()
    assert both(folder)["state"] == "stopped"


def test_they_agree_on_a_failed_run_and_its_second_try(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, identical_failures=4)
    fake.worker.fails = lambda job: Failure("exception", "no luck")
    run = fake.start()
    folder = make(tmp_path, fake)
    with pytest.raises(RunFailedError, match="no luck"):
        list(run.drive())
    assert both(folder)["state"] == "failed"
    fake.worker.fails = lambda job: None
    for _ in fake.resume().drive():
        both(folder)
    assert both(folder)["state"] == "finished"


def test_another_schema_is_left_to_the_full_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.REVISION == REVISION
    fake = FakeRun(tmp_path)
    fake.start()
    folder = make(tmp_path, fake)
    monkeypatch.setattr(module, "REVISION", "another")
    assert glance(folder) is None


def test_a_missing_ledger_is_left_to_the_full_reading(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    fake.start()
    folder = make(tmp_path, fake)
    (tmp_path / "ledger.db").unlink()
    assert glance(folder) is None
    with pytest.raises(LedgerError, match="is not the folder of a run"):
        glance(tmp_path)

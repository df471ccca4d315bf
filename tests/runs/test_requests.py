"""What may be asked of a driver, and when it is refused."""

from pathlib import Path

import pytest

from evomerge.errors import ExecutionError, LedgerError
from evomerge.runs.folder import driver_lock
from evomerge.runs.ledger.rows import STOPPING
from evomerge.runs.requests import request_scale, request_stop
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import FakeRun
from tests.runs.reading.test_status import change


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    made = FakeRun(tmp_path)
    made.start()
    make_run_folder(made, tmp_path / "runs" / "toy")
    executor(made, "local")
    return made


def executor(fake: FakeRun, name: str) -> None:
    statement = (
        "UPDATE run SET config = json_set(config, '$.execution', json_object('executor', ?))"
    )
    change(fake, statement, name)


def test_a_request_waits_in_the_ledger_for_the_driver(fake: FakeRun) -> None:
    folder = fake.folder / "runs" / "toy"
    with driver_lock(folder):
        assert [request_scale(folder, n) for n in (3, 1)] == [1, 2]
    stored = fake.records().requests()
    assert [(row.kind, row.body) for row in stored] == [
        ("scale", {"workers": 3}),
        ("scale", {"workers": 1}),
    ]


def test_a_run_that_nobody_drives_is_resumed_instead(fake: FakeRun) -> None:
    with pytest.raises(LedgerError, match=r"is interrupted.*--set execution.workers=3"):
        request_scale(fake.folder / "runs" / "toy", 3)
    assert fake.records().requests() == []


def test_a_finished_run_needs_more_candidates_before_more_workers(fake: FakeRun) -> None:
    list(fake.resume().drive())
    with pytest.raises(LedgerError, match=r"is finished.*search\.budget=N .*workers=3, N above 20"):
        request_scale(fake.folder / "runs" / "toy", 3)


def test_the_one_worker_in_the_driver_cannot_become_two(fake: FakeRun) -> None:
    executor(fake, "inprocess")
    folder = fake.folder / "runs" / "toy"
    with driver_lock(folder):
        with pytest.raises(ExecutionError, match=r"inprocess has one.*execution.executor=local"):
            request_scale(folder, 2)
        request_scale(folder, 1)


@pytest.mark.parametrize("kind", STOPPING)
def test_nobody_is_asked_to_stop_what_nobody_drives(fake: FakeRun, kind: str) -> None:
    folder = fake.folder / "runs" / "toy"
    with pytest.raises(LedgerError, match=f"is interrupted.*nothing to {kind}"):
        request_stop(folder, kind)  # type: ignore[arg-type]  # one of the two
    with driver_lock(folder):
        assert request_stop(folder, kind) == 1  # type: ignore[arg-type]  # likewise
    assert [(row.kind, row.body) for row in fake.records().requests()] == [(kind, {})]

import contextlib
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from evomerge.errors import LedgerError, ServiceError
from evomerge.execution.protocol import Failure
from evomerge.runs.driver.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.folder import change_ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.accounting import Spent
from evomerge.service.folders import Folders
from evomerge.service.reading import follow
from evomerge.service.reading.columns import DONE, FAILED, PENDING
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID, Place, make_place


def assert_agrees(run: FollowedRun, records: RunRecords) -> None:
    """The columns say what the driver's own reading of the ledger says."""
    state = SearchState.load(records, budget=records.run().config["search"]["budget"])
    columns = run.columns
    assert [n for n in columns.names if columns.kinds[columns.rows[n]] == "search"] == list(
        state.candidates
    )
    for split in (SEARCH, VALIDATION):
        found = columns.splits[split]
        for name, row in columns.rows.items():
            failure = state.failures[split].get(name)
            estimates = state.estimates[split].get(name)
            if estimates is not None:
                assert found.state[row] == DONE
                expected = columns.objectives.estimates(estimates)
                for place, item in enumerate(columns.objectives.all):
                    e = expected[item.name]
                    assert found.value[row, place] == e.value
                    ends = (found.low[row, place], found.high[row, place])
                    assert ends == pytest.approx((e.low, e.high))
                    assert found.examples[row, place] == e.n
            elif failure is not None:
                assert found.state[row] == FAILED
                assert found.failures[row] == (failure.kind, failure.message)
            else:
                assert found.state[row] == PENDING
    ended = {
        (item.candidate_id, item.split): item.finished_s
        for item in records.attempts()
        if not item.lost
    }
    for (name, split), finished_s in ended.items():
        row = columns.rows[name]
        if columns.splits[split].state[row] != PENDING:
            assert columns.splits[split].finished_s[row] == finished_s
    assert run.budget == state.budget
    assert run.final == state.final
    assert run.spent.attempts == state.n_attempts
    assert run.spent.busy_s == pytest.approx(state.spent.busy_s)


def test_a_finished_run_reads_as_the_driver_reads_it(finished: Place) -> None:
    records = finished.fake.records()
    run = FollowedRun(records)
    run.refresh()
    assert_agrees(run, records)
    assert int((run.columns.splits[SEARCH].state == FAILED).sum()) == 7
    assert run.spent == Spent.of(records.attempts())


def test_columns_follow_a_run_event_by_event(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=14)
    records = place.fake.records()
    run = FollowedRun(records)
    run.refresh()
    versions = [run.version]
    for count, _ in enumerate(place.fake.resume().drive()):
        run.refresh()
        versions.append(run.version)
        if count % 5 == 0:
            assert_agrees(run, records)
    assert_agrees(run, records)
    assert versions == sorted(versions)
    before = run.version
    run.refresh()
    assert run.version == before


def test_pages_of_any_size_give_the_same_columns(
    finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FollowedRun(finished.fake.records())
    whole.refresh()
    monkeypatch.setattr(follow, "PAGE", 3)
    paged = FollowedRun(finished.fake.records())
    paged.refresh()
    assert paged.columns.names == whole.columns.names
    for split, found in whole.columns.splits.items():
        n = whole.columns.n
        assert np.array_equal(
            paged.columns.splits[split].value[:n], found.value[:n], equal_nan=True
        )
        assert paged.columns.splits[split].scored().tolist() == found.scored().tolist()
        assert paged.columns.splits[split].failures == found.failures


def test_failures_that_a_stop_forgave_are_pending_until_tried_again(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=12, identical_failures=3)
    place.fake.worker.fails = lambda job: Failure("exception", "always")
    records = place.fake.records()
    run = FollowedRun(records)
    with pytest.raises(Exception, match="always"):
        place.fake.drive()
    run.refresh()
    assert_agrees(run, records)
    assert run.columns.splits[SEARCH].failures == {}
    place.fake.worker.fails = lambda job: None
    place.fake.drive()
    run.refresh()
    assert_agrees(run, records)
    assert run.columns.splits[SEARCH].n_scored == 12


def test_a_run_stored_in_another_form_says_so(finished: Place, tmp_path: Path) -> None:
    place = make_place(tmp_path)
    place.fake.objectives = {"near": {"of": ["near"]}}
    place.fake.run_id = "f" * 32
    place.fake.store().close()
    with pytest.raises(LedgerError, match=r"a form that this version .* doesn't know \(KeyError"):
        FollowedRun(place.fake.records())


def test_a_run_that_the_ledger_lacks_says_so(finished: Place) -> None:
    records = RunRecords(finished.fake.records().ledger, "e" * 32)
    with pytest.raises(LedgerError, match="has no run"):
        FollowedRun(records)


def test_who_comes_while_a_run_is_first_read_is_asked_to_come_again(
    finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "WAIT_S", 0.01)
    run = FollowedRun(finished.fake.records())
    begun, go_on = threading.Event(), threading.Event()
    page = run._page

    def slow() -> bool:
        begun.set()
        assert go_on.wait(10)
        return page()

    monkeypatch.setattr(run, "_page", slow)
    thread = threading.Thread(target=run.refresh)
    thread.start()
    assert begun.wait(10)
    with pytest.raises(ServiceError, match="is being read for the first time") as caught:
        run.refresh()
    assert caught.value.status == 503
    go_on.set()
    thread.join()
    run.refresh()
    assert run.columns.n > 0


def test_a_run_that_got_another_ledger_is_read_from_there(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=4)
    workspace = Workspace(Folders(place.runs), refresh_s=0.0)
    assert workspace.run(RUN_ID).columns.n == 0
    place.fake.drive()
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "moved.db"),))
    change_ledger(place.folder.path, f"sqlite:///{tmp_path}/moved.db")
    assert workspace.run(RUN_ID).columns.n > 0
    shutil.rmtree(place.folder.path)
    with pytest.raises(ServiceError, match="there is no run"):
        workspace.run(RUN_ID)
    workspace.close()

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import ExecutionError
from evomerge.execution.protocol import WorkerState
from evomerge.runs.driver import upkeep
from evomerge.runs.events import Asked, Finished, Scaled, Stopped, WorkerGone, WorkerJoined
from evomerge.runs.ledger.rows import STOPPING
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.driver.test_workers import BUDGET, Clock, make, scripted
from tests.runs.fakes import FakeRun, ScriptedExecutor


def ask_for(run: FakeRun, workers: int) -> None:
    RunWriter(run.records().ledger.open(run.url), run.run_id).add_request(
        "scale", {"workers": workers}
    )


def test_a_run_is_scaled_while_it_goes_on(tmp_path: Path) -> None:
    run = make(tmp_path, budget=60, make_executor=scripted(slots=2), clock=Clock())
    events = []
    for event in run.start().drive():
        if isinstance(event, Asked) and event.ask == 2:
            ask_for(run, 5)
        events.append(event)
    assert [event.workers for event in events if isinstance(event, Scaled)] == [5]
    (decision,) = run.records().decisions("scale")
    assert decision.body == {"request": 1, "workers": 5}
    # Answered once: the next driver has the workers of the run file.
    again = run.resume()
    again.extend(70)
    assert not any(isinstance(event, Scaled) for event in again.drive())


@pytest.mark.parametrize("kind", STOPPING)
def test_another_process_can_end_the_driver(tmp_path: Path, kind: str) -> None:
    run = make(tmp_path, budget=60, make_executor=scripted(slots=2), clock=Clock())
    events = []
    for event in run.start().drive():
        if isinstance(event, Asked) and event.ask == 2:
            RunWriter(run.records().ledger.open(run.url), run.run_id).add_request(kind, {})
        events.append(event)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == kind
    assert events[-1].progress.evaluated < 60
    assert [item.body for item in run.records().decisions(kind)] == [{"request": 1}]
    # What was handed out is finished before a pause, and left before a cancel.
    abandoned = run.records().decisions("stop")[-1].body["abandoned"]
    assert bool(abandoned) == (kind == "cancel")
    # Answered once: the next driver goes on to the end.
    assert isinstance(list(run.resume().drive())[-1], Finished)


def test_a_driver_heeds_no_stop_that_was_meant_for_one_before(tmp_path: Path) -> None:
    run = make(tmp_path, make_executor=scripted(slots=2), clock=Clock())
    run.start()
    for kind in ("pause", "scale"):
        RunWriter(run.records().ledger.open(run.url), run.run_id).add_request(kind, {"workers": 3})
    run.stale = 2
    events = list(run.resume().drive())
    assert isinstance(events[-1], Finished)
    assert [event.workers for event in events if isinstance(event, Scaled)] == [3]


def test_a_request_that_can_not_be_met_is_answered_too(tmp_path: Path) -> None:
    class Fixed(ScriptedExecutor):
        def resize(self, slots: int) -> None:
            raise ExecutionError("two and no more.")

    run = make(tmp_path, make_executor=lambda run: Fixed(run.worker), clock=Clock())
    started = run.start()
    ask_for(run, 5)
    events = list(started.drive())
    assert isinstance(events[-1], Finished)
    (decision,) = run.records().decisions("scale")
    assert decision.body["refused"] == "two and no more."


def test_workers_that_come_and_go_are_told_once(tmp_path: Path) -> None:
    class Changing(ScriptedExecutor):
        asked = 0

        def workers(self) -> Sequence[WorkerState]:
            self.asked += 1
            busy = WorkerState("w2", "n", "cuda:0", "busy", "0-1", 1, 2.5, memory_bytes=2**33)
            if self.asked == 1:
                return [WorkerState("w1", "n", "", "starting"), busy]
            if self.asked == 2:
                gone = WorkerState("w2", "n", "cuda:0", "gone", reason="ended by SIGKILL")
                return [WorkerState("w1", "n", "cpu", "idle"), gone]
            return [WorkerState("w1", "n", "cpu", "idle")]

    run = make(tmp_path, make_executor=lambda run: Changing(run.worker), clock=Clock())
    events = list(run.start().drive())
    told = [event for event in events if isinstance(event, (WorkerJoined, WorkerGone))]
    assert told == [
        WorkerJoined("w2", "n", "cuda:0"),
        WorkerJoined("w1", "n", "cpu"),
        WorkerGone("w2", "ended by SIGKILL"),
    ]
    stored = {state.name: state for state, _ in run.records().workers()}
    assert stored["w1"].state == "idle"
    assert stored["w2"].reason == "ended by SIGKILL"


def test_a_disk_that_fills_up_stops_the_run_cleanly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([None, None, "the disk of /x has 0.10 GB free"])
    monkeypatch.setattr(upkeep, "disk_trouble", lambda *_, **__: next(left, None))
    run = make(tmp_path, make_executor=scripted(slots=2), clock=Clock())
    events = list(run.start().drive())
    assert isinstance(events[-1], Stopped)
    assert (events[-1].reason, events[-1].message) == ("disk", "the disk of /x has 0.10 GB free")
    stop = run.records().decisions("stop")[-1].body
    assert stop["reason"] == "disk"
    assert list(run.resume().drive())[-1].progress.evaluated == BUDGET


def test_the_limits_of_the_plan_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[Any] = []
    monkeypatch.setattr(upkeep, "disk_trouble", lambda *_, **given: limits.append(given))
    run = make(tmp_path, settings={"disk_reserve_gb": 3.0, "disk_budget_gb": 4.0})
    list(run.start().drive())
    assert limits[0] == {"reserve_gb": 3.0, "budget_gb": 4.0}


def test_figures_for_others_are_written(tmp_path: Path) -> None:
    run = make(tmp_path, clock=Clock())
    list(run.start().drive())
    text = (tmp_path / "metrics.prom").read_text()
    assert "fake" in text

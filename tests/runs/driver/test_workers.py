"""Several workers that lose, delay and reorder what they were given."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evomerge.errors import ExecutionError, RunFailedError
from evomerge.execution.protocol import LOST, Failure, Job, Outcome
from evomerge.runs.events import (
    AttemptLost,
    CandidateDone,
    CandidateFailed,
    Draining,
    Finished,
    Stopped,
)
from evomerge.runs.ledger.records import RunRecords
from tests.runs.driver.test_loop import cma_searcher
from tests.runs.fakes import BINARY, FakeRun, FakeWorker, ScriptedExecutor

BUDGET = 20


def scripted(**options: Any) -> Any:
    return lambda run: ScriptedExecutor(run.worker, **options)


def make(folder: Path, **options: Any) -> FakeRun:
    folder.mkdir(parents=True, exist_ok=True)
    return FakeRun(
        folder,
        **{"budget": BUDGET, "finalists": 3, "evaluators": BINARY, "make_searcher": cma_searcher}
        | options,
    )


def settled(records: RunRecords, split: str = "search") -> list[str]:
    return [row.candidate_id for row in records.attempts() if row.split == split and not row.lost]


def search_of(records: RunRecords) -> dict[str, Any]:
    """All of a search that must not depend on who finished first."""
    return {
        "candidates": records.candidates(),
        "estimates": {s: records.estimates(s) for s in ("search", "validation")},
        "decisions": [(d.kind, d.body) for d in records.decisions("ask", "tell", "final")],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = make(tmp_path_factory.mktemp("undisturbed"))
    list(run.start().drive())
    return search_of(run.records())


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**16), slots=st.integers(1, 9), loss=st.sampled_from([0.0, 0.2, 0.5]))
def test_generations_do_not_depend_on_losses_and_order(
    seed: int, slots: int, loss: float, undisturbed: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = make(
        tmp_path_factory.mktemp("disturbed"),
        make_executor=scripted(seed=seed, slots=slots, loss=loss),
        settings={"attempts": 40},
    )
    events = list(run.start().drive())
    assert isinstance(events[-1], Finished)
    records = run.records()
    assert search_of(records) == undisturbed
    assert Counter(settled(records)) == Counter(undisturbed["estimates"]["search"].keys())
    lost = [row for row in records.attempts() if row.lost]
    assert len(lost) == sum(isinstance(event, AttemptLost) for event in events)
    # Numbers are handed out once: each has its lease, and leases have no holes.
    leases = {(row.candidate_id, row.split, row.number) for row in records.leases()}
    assert {(row.candidate_id, row.split, row.number) for row in records.attempts()} == leases


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**16), slots=st.integers(1, 9), loss=st.sampled_from([0.0, 0.3]))
def test_a_steady_search_settles_each_candidate_once_and_replays(
    seed: int, slots: int, loss: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = make(
        tmp_path_factory.mktemp("steady"),
        make_executor=scripted(seed=seed, slots=slots, loss=loss),
        settings={"attempts": 40, "mode": "async"},
    )
    events = list(run.start().drive())
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == BUDGET
    records = run.records()
    assert max(Counter(settled(records)).values()) == 1
    names = [row.candidate_id for row in records.candidates()]
    assert sorted(settled(records)) == sorted(names)
    assert len(names) == BUDGET
    # Told once each, in the order of commits.
    told = [r[0] for d in records.decisions("tell") for r in d.body["results"]]
    assert told == settled(records)[: len(told)]
    assert all(d.body["n"] >= len(d.body["candidates"]) > 0 for d in records.decisions("ask"))
    run.resume()  # replays asks and tells; raises where the searcher proposes something else


def test_a_steady_search_keeps_all_slots_and_some_more_supplied(tmp_path: Path) -> None:
    executors: list[ScriptedExecutor] = []

    def build(run: FakeRun) -> ScriptedExecutor:
        executors.append(ScriptedExecutor(run.worker, slots=16))
        return executors[-1]

    run = make(tmp_path, budget=60, make_executor=build, settings={"mode": "async"})
    list(run.start().drive())
    assert executors[0].most == 18


def test_more_workers_are_used_as_soon_as_there_are_more(tmp_path: Path) -> None:
    executors: list[ScriptedExecutor] = []

    def build(run: FakeRun) -> ScriptedExecutor:
        executors.append(ScriptedExecutor(run.worker, slots=1))
        return executors[-1]

    run = make(tmp_path, budget=60, make_executor=build, settings={"mode": "async"})
    for event in run.start().drive():
        if isinstance(event, CandidateDone) and event.progress.evaluated == 20:
            assert executors[0].most == 2
            executors[0].resize(8)
    assert executors[0].most == 9


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_a_candidate_that_ends_its_workers_fails_after_its_attempts(
    tmp_path: Path, mode: str
) -> None:
    def fails(job: Job) -> Failure | None:
        return Failure(LOST, "worker ended by SIGSEGV") if job.candidate_id == "0-0" else None

    run = make(
        tmp_path,
        worker=FakeWorker(BINARY, fails),
        make_executor=scripted(slots=2),
        settings={"attempts": 3, "mode": mode},
    )
    events = list(run.start().drive())
    assert [e.attempt for e in events if isinstance(e, AttemptLost)] == [1, 2]
    failed = [event for event in events if isinstance(event, CandidateFailed)]
    assert [(e.candidate, e.failure, e.attempt) for e in failed] == [("0-0", LOST, 3)]
    assert events[-1].progress.evaluated == BUDGET
    mine = [row for row in run.records().attempts() if row.candidate_id == "0-0"]
    assert [(row.number, row.lost) for row in mine] == [(1, True), (2, True), (3, False)]


def test_lost_attempts_do_not_count_as_failures_in_a_row(tmp_path: Path) -> None:
    attempts: Counter[str] = Counter()

    def fails(job: Job) -> Failure | None:
        attempts[job.candidate_id] += 1
        return Failure(LOST, "ended") if attempts[job.candidate_id] < 3 else None

    run = make(
        tmp_path,
        worker=FakeWorker(BINARY, fails),
        make_executor=scripted(slots=3),
        identical_failures=2,
    )
    assert isinstance(list(run.start().drive())[-1], Finished)


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_an_evaluator_that_raises_once_costs_one_candidate_and_always_stops_the_run(
    tmp_path: Path, mode: str
) -> None:
    raised = Failure("exception", "scoring task 'near': KeyError: 'x'")
    once = iter([raised])
    run = make(
        tmp_path / "once",
        worker=FakeWorker(BINARY, lambda job: next(once, None)),
        make_executor=scripted(slots=3),
        settings={"mode": mode},
    )
    finished = list(run.start().drive())[-1]
    assert (finished.progress.evaluated, finished.progress.failed) == (BUDGET, 1)
    always = make(
        tmp_path / "always",
        worker=FakeWorker(BINARY, lambda job: raised),
        make_executor=scripted(slots=3),
        identical_failures=5,
        settings={"mode": mode},
    )
    with pytest.raises(RunFailedError, match=r"candidates in a row failed alike.*: scoring task"):
        list(always.start().drive())
    always.worker.fails = lambda job: None
    again = list(always.resume().drive())[-1]
    assert (again.progress.evaluated, again.progress.failed) == (BUDGET, 0)


def test_equal_recipes_in_flight_wait_for_each_other(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, budget=30, step=1.0, make_executor=scripted(slots=4), evaluators=BINARY)
    events = list(run.start().drive())
    recipes = [job.recipe.hash() for job in run.worker.jobs if job.blocks[0].split == "search"]
    assert len(recipes) == len(set(recipes))
    assert events[-1].progress.evaluated == 30


def test_a_second_outcome_of_a_job_changes_nothing(tmp_path: Path) -> None:
    class Doubling(ScriptedExecutor):
        def wait(self, timeout_s: float | None = None) -> list[Outcome]:
            found = super().wait(timeout_s)
            return [*found, *found[:1]]

    run = make(tmp_path, make_executor=lambda run: Doubling(run.worker))
    assert list(run.start().drive())[-1].progress.evaluated == BUDGET
    assert max(Counter(settled(run.records())).values()) == 1


class Clock:
    """Moves on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def stop_after(run: FakeRun, n: int, **stop: Any) -> Iterator[Any]:
    started = run.start()
    for event in started.drive():
        if isinstance(event, CandidateDone) and event.progress.evaluated == n:
            started.request_stop(**stop)
        yield event


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_a_stop_waits_for_what_is_running_and_a_resume_goes_on(tmp_path: Path, mode: str) -> None:
    run = make(tmp_path, make_executor=scripted(slots=3), settings={"mode": mode})
    events = list(stop_after(run, 4, reason="signal"))
    draining = next(event for event in events if isinstance(event, Draining))
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "signal"
    records = run.records()
    assert {(r.candidate_id, r.number) for r in records.leases()} == {
        (r.candidate_id, r.number) for r in records.attempts()
    }
    assert events[-1].progress.evaluated == 4 + draining.running
    assert list(run.resume().drive())[-1].progress.evaluated == BUDGET
    assert max(Counter(settled(run.records())).values()) == 1


def test_what_has_not_finished_within_the_grace_is_scored_again_later(
    tmp_path: Path, undisturbed: Any
) -> None:
    run = make(tmp_path, make_executor=scripted(slots=4), clock=Clock())
    events = list(stop_after(run, 5, reason="signal", grace_s=0))
    assert isinstance(events[-1], Stopped)
    stop = run.records().decisions("stop")[-1].body
    assert stop["abandoned"]
    assert list(run.resume().drive())[-1].progress.evaluated == BUDGET
    assert search_of(run.records()) == undisturbed


def test_a_cluster_that_goes_away_ends_the_run_resumable(tmp_path: Path, undisturbed: Any) -> None:
    class Gone(ScriptedExecutor):
        left = 5

        def wait(self, timeout_s: float | None = None) -> list[Outcome]:
            self.left -= 1
            if self.left < 0:
                raise ExecutionError("the cluster at ray://head is gone.")
            return super().wait(timeout_s)

    run = make(tmp_path, make_executor=lambda run: Gone(run.worker))
    with pytest.raises(RunFailedError, match=r"the cluster at ray://head is gone.*evomerge resume"):
        list(run.start().drive())
    run.make_executor = scripted()
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert search_of(run.records()) == undisturbed


def test_no_cluster_to_begin_with_is_said_at_once(tmp_path: Path) -> None:
    class Absent(ScriptedExecutor):
        def start(self) -> None:
            raise ExecutionError("no cluster at ray://nowhere.")

    run = make(tmp_path, make_executor=lambda run: Absent(run.worker))
    with pytest.raises(ExecutionError, match="no cluster at ray://nowhere"):
        list(run.start().drive())
    run.make_executor = scripted()
    assert isinstance(list(run.resume().drive())[-1], Finished)


def test_a_numeric_class_of_a_workers_own_is_stored_and_found_again(tmp_path: Path) -> None:
    class Classy(FakeWorker):
        def run(self, job: Job) -> Outcome:
            return replace(super().run(job), numeric_class="gpu")

    run = FakeRun(tmp_path, budget=30, step=1.0, worker=Classy(BINARY), evaluators=BINARY)
    list(run.start().drive())
    rows = run.records().attempts()
    assert {row.numeric_class for row in rows if not row.reused} == {"gpu"}
    assert any(row.reused for row in rows)

"""What every executor promises, as test classes to derive from.

A test module derives ``TestX(ExecutorContract)`` (and ``MortalContract`` where workers are
processes of their own) and gives a fixture ``factory``: a function from a Crew to an executor.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.errors import EvomergeError, ExecutionError
from evomerge.evaluation.conversation import Message, Prompt, Reply
from evomerge.execution.protocol import LOST, Executor, Failure, Job, Outcome
from evomerge.execution.registry import Crew
from tests.execution.specs import RECIPE, ActingSpec, job, values

Factory = Callable[[Crew], Executor]
Make = Callable[..., Executor]


def collect(executor: Executor, n: int, *, within_s: float = 240) -> dict[str, Outcome]:
    """Wait for ``n`` outcomes and return them by candidate; one that comes twice is an error."""
    found: dict[str, Outcome] = {}
    deadline = time.monotonic() + within_s
    while len(found) < n:
        left = deadline - time.monotonic()
        assert left > 0, f"only {sorted(found)} after {within_s} s"
        for outcome in executor.wait(timeout_s=left):
            assert outcome.job.candidate_id not in found
            found[outcome.job.candidate_id] = outcome
    return found


def run_all(
    executor: Executor, jobs: Sequence[Job], *, within_s: float = 240
) -> dict[str, Outcome]:
    """Submit ``jobs`` and return their outcomes by candidate."""
    for item in jobs:
        executor.submit(item)
    return collect(executor, len(jobs))


def failure_of(outcome: Outcome) -> Failure:
    """Return the failure that an outcome must have."""
    assert outcome.failure is not None
    assert not outcome.scores
    return outcome.failure


def until(holds: Callable[[], bool], *, within_s: float = 240, executor: Executor) -> None:
    """Let ``executor`` work until ``holds()``; no job may end meanwhile."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        assert executor.wait(timeout_s=0.05) == []
        time.sleep(0.02)


class ExecutorContract:
    """Promises of every executor."""

    @pytest.fixture
    def make(self, factory: Factory, tmp_path: Path) -> Iterator[Make]:
        """Build executors that are closed at the end; logs go to ``tmp_path / "workers"``."""
        made: list[Executor] = []

        def build(spec: ActingSpec | None = None, **crew: object) -> Executor:
            whole = Crew(spec or ActingSpec(), folder=tmp_path / "workers", run_id="r")
            made.append(factory(replace(whole, **crew)))  # type: ignore[arg-type]  # Crew's fields
            return made[-1]

        yield build
        for executor in made:
            executor.close()

    def test_scores_come_back_exactly(self, make: Make) -> None:
        jobs = [job(f"0-{n}") for n in range(5)]
        outcomes = run_all(make(), jobs)
        for item in jobs:
            outcome = outcomes[item.candidate_id]
            assert outcome.failure is None
            assert outcome.job == item
            (scores,) = outcome.scores
            assert scores.ref == item.blocks[0]
            assert scores.values["score"].dtype == np.float64
            assert scores.values["score"].tobytes() == values(item.candidate_id).tobytes()
            assert (outcome.merge_s, outcome.score_s) == (0.25, 0.5)

    def test_one_worker_takes_jobs_in_order_and_says_what_time_they_took(self, make: Make) -> None:
        executor = make()
        executor.start()
        executor.start()
        names = [f"0-{n}" for n in range(4)]
        for name in names:
            executor.submit(job(name, "sleep 0.1"))
        outcomes: list[Outcome] = []
        while len(outcomes) < 4:
            outcomes += executor.wait()
        assert [outcome.job.candidate_id for outcome in outcomes] == names
        assert len({outcome.worker for outcome in outcomes}) == 1
        assert all(0.1 <= outcome.busy_s < 5 for outcome in outcomes)
        assert all(0 <= outcome.wait_s < 60 for outcome in outcomes)
        (state,) = executor.workers()
        assert (state.state, state.jobs) == ("idle", 4)
        assert state.busy_s == pytest.approx(sum(outcome.busy_s for outcome in outcomes))
        assert state.alive_s >= state.busy_s
        time.sleep(0.3)
        executor.submit(job("1-0"))
        (late,) = executor.wait()
        assert late.wait_s >= 0.3

    def test_nothing_queued_gives_nothing_at_once(self, make: Make) -> None:
        executor = make()
        run_all(executor, [job("0-0")])
        began = time.monotonic()
        assert executor.wait() == []
        assert time.monotonic() - began < 1

    def test_a_prompt_comes_back_with_its_reply(self, make: Make) -> None:
        executor = make()
        asked = Job("talk", 1, RECIPE, (), prompt=Prompt((Message("user", "hello"),)))
        outcomes = run_all(executor, [job("0-0"), asked, job("0-1")])
        assert outcomes["talk"].reply == Reply("hello", 1)
        assert outcomes["talk"].job.prompt == asked.prompt
        assert outcomes["0-1"].scores

    def test_a_failed_job_is_an_outcome_and_the_worker_goes_on(self, make: Make) -> None:
        outcomes = run_all(make(), [job("0-0", "raise no luck"), job("0-1")])
        failure = failure_of(outcomes["0-0"])
        assert (failure.kind, failure.message) == ("exception", "told to fail: no luck")
        assert outcomes["0-1"].failure is None

    def test_closing_drops_what_is_queued(self, make: Make) -> None:
        executor = make()
        executor.start()
        executor.submit(job("0-0", "sleep 0.1"))
        executor.close()
        assert executor.wait(timeout_s=0) == []
        executor.close()

    def test_a_worker_that_cannot_be_built_is_told_with_its_reason(self, make: Make) -> None:
        executor = make(ActingSpec(error="source 'a' is missing. Download it."), slots=1)
        with pytest.raises(EvomergeError, match="source 'a' is missing"):
            run_all(executor, [job("0-0")])


class MortalContract:
    """Promises of executors whose workers are processes that may end; beside ExecutorContract."""

    def test_scores_do_not_depend_on_the_number_of_workers(self, make: Make) -> None:
        jobs = [job(f"0-{n}", f"sleep {0.01 * (n % 3)}") for n in range(12)]
        pictures = []
        for slots in (1, 3):
            outcomes = run_all(make(slots=slots), jobs)
            pictures.append({k: o.scores[0].values["score"].tobytes() for k, o in outcomes.items()})
        assert pictures[0] == pictures[1]

    def test_workers_work_at_the_same_time(self, make: Make) -> None:
        executor = make(slots=3)
        executor.start()
        assert executor.slots == 3
        # One that is slow to come would find that the others have done its work.
        until(lambda: [s.state for s in executor.workers()] == ["idle"] * 3, executor=executor)
        outcomes = run_all(executor, [job(f"0-{n}", "sleep 1.5") for n in range(3)])
        assert len({outcome.worker for outcome in outcomes.values()}) == 3
        assert len({outcome.notes["pid"] for outcome in outcomes.values()}) == 3
        until(lambda: [s.state for s in executor.workers()] == ["idle"] * 3, executor=executor)
        states = executor.workers()
        assert {s.name for s in states} == {outcome.worker for outcome in outcomes.values()}
        assert all(s.node and s.jobs == 1 and s.busy_s >= 1.5 for s in states)

    def test_wait_returns_after_its_time(self, make: Make) -> None:
        executor = make()
        run_all(executor, [job("0-0")])
        executor.submit(job("0-1", "sleep 1"))
        began = time.monotonic()
        assert executor.wait(timeout_s=0.2) == []
        assert 0.15 <= time.monotonic() - began < 0.9
        until(lambda: executor.workers()[0].state == "busy", executor=executor, within_s=0.7)
        (state,) = executor.workers()
        assert (state.candidate_id, state.attempt) == ("0-1", 1)
        (outcome,) = executor.wait()
        assert outcome.job.candidate_id == "0-1"

    @pytest.mark.parametrize(
        ("command", "words"),
        [("signal 9", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit 3", "exit code 3")],
    )
    def test_a_worker_that_ends_costs_one_job_and_is_replaced(
        self, make: Make, command: str, words: str
    ) -> None:
        executor = make(slots=1)
        commands = f"print the last line; step scoring task 'x'; {command}"
        outcomes = run_all(executor, [job("0-0", commands), job("0-1"), job("0-2")])
        lost = failure_of(outcomes["0-0"])
        assert lost.kind == LOST
        assert "\n" not in lost.message
        assert outcomes["0-0"].job.attempt == 1
        assert outcomes["0-0"].busy_s > 0
        self.check_death(lost, words)
        assert outcomes["0-1"].failure is outcomes["0-2"].failure is None
        assert outcomes["0-1"].worker not in ("", outcomes["0-0"].worker)

    def check_death(self, failure: Failure, words: str) -> None:
        """Check how a worker's end is told; where an executor knows less, its test says what."""
        assert words in failure.message
        assert "while scoring task 'x'" in failure.message
        assert "the last line" in failure.detail
        assert "MiB" in failure.detail

    def test_equal_deaths_give_equal_messages(self, make: Make) -> None:
        outcomes = run_all(make(slots=1), [job(f"0-{n}", "signal 9") for n in range(2)])
        assert len({failure_of(outcome).message for outcome in outcomes.values()}) == 1

    def test_a_hang_is_cut_off(self, make: Make) -> None:
        executor = make(slots=1, time_limit_s=1.0)
        outcomes = run_all(executor, [job("0-0"), job("0-1", "sleep 600"), job("0-2")])
        failure = failure_of(outcomes["0-1"])
        assert failure.kind == "timeout"
        assert failure.message.startswith("no result after 1 s")
        assert outcomes["0-0"].failure is outcomes["0-2"].failure is None

    def test_a_hang_in_c_is_cut_off(self, make: Make) -> None:
        executor = make(slots=1, time_limit_s=1.0)
        outcomes = run_all(executor, [job("0-0", "hold 600"), job("0-1")])
        assert failure_of(outcomes["0-0"]).kind == "timeout"
        assert outcomes["0-1"].failure is None

    @pytest.mark.parametrize("command", ["unpicklable", "unreadable"])
    def test_an_outcome_that_cannot_travel_is_an_exception_and_no_death(
        self, make: Make, command: str
    ) -> None:
        outcomes = run_all(make(slots=1), [job("0-0", command), job("0-1")])
        assert failure_of(outcomes["0-0"]).kind == "exception"
        assert outcomes["0-1"].failure is None
        assert outcomes["0-0"].worker == outcomes["0-1"].worker

    def test_workers_join_and_leave(self, make: Make) -> None:
        executor = make(slots=1)
        executor.start()
        for n in range(2):
            executor.submit(job(f"0-{n}", "sleep 2"))
        executor.resize(2)
        assert executor.slots == 2
        outcomes = collect(executor, 2)
        assert len({outcome.worker for outcome in outcomes.values()}) == 2
        for n in range(2):
            executor.submit(job(f"1-{n}", "sleep 1"))
        until(lambda: [s.state for s in executor.workers()] == ["busy"] * 2, executor=executor)
        executor.resize(1)
        later = collect(executor, 2)
        assert all(outcome.failure is None for outcome in later.values())
        until(
            lambda: [s.state for s in executor.workers() if s.state != "gone"] == ["idle"],
            executor=executor,
        )
        last = run_all(executor, [job("3-0"), job("3-1")])
        assert len({outcome.worker for outcome in last.values()}) == 1

    def test_one_that_is_gone_is_told_once(self, make: Make) -> None:
        executor = make(slots=1)
        outcome = run_all(executor, [job("0-0", "signal 9")])["0-0"]
        gone = [state for state in executor.workers() if state.state == "gone"]
        assert [state.name for state in gone] == [outcome.worker]
        assert gone[0].reason
        assert "gone" not in [state.state for state in executor.workers()]

    def test_builds_that_fail_now_and_then_are_tried_again(
        self, make: Make, tmp_path: Path
    ) -> None:
        executor = make(ActingSpec(error="not yet.", good=tmp_path / "good"), slots=1)
        executor.start()
        timer = threading.Timer(0.0, lambda: _touch_after_one_try(tmp_path))
        timer.start()
        assert run_all(executor, [job("0-0")])["0-0"].failure is None
        timer.join()

    def test_workers_that_die_while_they_are_built_end_the_wait(self, make: Make) -> None:
        executor = make(ActingSpec(signal=int(signal.SIGKILL)), slots=1)
        with pytest.raises(ExecutionError, match="SIGKILL"):
            run_all(executor, [job("0-0")])

    def test_threads_are_set_before_numpy_loads(self, make: Make) -> None:
        outcome = run_all(make(slots=1, threads=3), [job("0-0")])["0-0"]
        assert outcome.notes["threads"] == "3 3 3"

    def test_no_process_is_left(self, make: Make) -> None:
        executor = make(slots=2)
        outcomes = run_all(executor, [job("0-0", "sleep 0.5"), job("0-1", "sleep 0.5")])
        executor.submit(job("0-2", "sleep 600"))
        until(lambda: "busy" in [state.state for state in executor.workers()], executor=executor)
        executor.close()
        pids = {int(outcome.notes["pid"]) for outcome in outcomes.values()}
        deadline = time.monotonic() + 10
        while any(_alive(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _touch_after_one_try(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "tries").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / "good").touch()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

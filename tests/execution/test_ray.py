import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from evomerge.errors import ExecutionError
from evomerge.execution import ray as module
from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import LOST, WorkerState
from evomerge.execution.ray import RayExecutor
from evomerge.execution.ray_worker import RayWorker
from evomerge.execution.registry import Crew
from evomerge.execution.worker import WorkerSpec
from tests.execution.executor_contract import (
    ExecutorContract,
    Factory,
    MortalContract,
    collect,
    failure_of,
    run_all,
    until,
)
from tests.execution.ray_clusters import STORE_BYTES, PickySpec, ray_cluster
from tests.execution.specs import ActingSpec, job
from tests.execution.test_worker import job as real_job
from tests.execution.test_worker import recipe, spec  # noqa: F401  spec is a fixture

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head has room for some workers; this process stays connected to it."""
    import ray

    with ray_cluster(num_cpus=4, num_gpus=1) as cluster:
        before = signal.getsignal(signal.SIGTERM)
        first = RayExecutor(Crew(ActingSpec()), address=cluster.address, resources={"none": 1})
        first.start()
        assert signal.getsignal(signal.SIGTERM) is before
        assert [state.state for state in first.workers()] == ["waiting"]
        yield cluster
        first.close()
        assert not ray.is_initialized()


@pytest.fixture
def factory(cluster: Any) -> Factory:
    return lambda crew: RayExecutor(crew, address=cluster.address, cpus=0.5)


class TestRay(ExecutorContract, MortalContract):
    # The worker process is the local executor's, which these are tested with.
    test_a_failed_job_is_an_outcome_and_the_worker_goes_on = None
    test_a_hang_in_c_is_cut_off = None
    test_an_outcome_that_cannot_travel_is_an_exception_and_no_death = None
    test_equal_deaths_give_equal_messages = None
    test_nothing_queued_gives_nothing_at_once = None
    test_scores_do_not_depend_on_the_number_of_workers = None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers give signs of life five times a second."""
    monkeypatch.setattr(module, "LISTEN_S", 0.2)


@contextmanager
def executor_on(
    cluster: Any, *, slots: int = 1, runner: Any = None, **options: Any
) -> Iterator[Any]:
    """Have an executor with ``options``, closed at the end."""
    limits = {name: options.pop(name) for name in ("time_limit_s",) if name in options}
    crew = Crew(runner or ActingSpec(), slots=slots, run_id="r", **limits)
    executor = RayExecutor(crew, address=cluster.address, **{"cpus": 0.5} | options)
    try:
        yield executor
    finally:
        executor.close()


@contextmanager
def node_of(cluster: Any, **has: Any) -> Iterator[Any]:
    """Have one more node for a while."""
    node = cluster.add_node(object_store_memory=STORE_BYTES, **{"num_cpus": 2} | has)
    try:
        yield node
    finally:
        if node in cluster.list_all_nodes():
            cluster.remove_node(node)


def states(executor: RayExecutor) -> list[str]:
    return sorted(state.state for state in executor.workers())


@pytest.mark.usefixtures("quick")
def test_a_lost_node_costs_its_jobs_an_attempt_and_one_that_joins_is_used(cluster: Any) -> None:
    with executor_on(cluster, slots=2, resources={"far": 1}) as executor:
        for n in range(3):
            executor.submit(job(f"0-{n}", "print the last line; step scoring task 'x'; sleep 600"))
        assert executor.wait(timeout_s=0.5) == []
        assert states(executor) == ["waiting", "waiting"]
        with node_of(cluster, resources={"far": 2}) as node:
            until(lambda: states(executor) == ["busy", "busy"], executor=executor, within_s=40)
            until(lambda: all(w._last_lines for w in executor._workers), executor=executor)
            cluster.remove_node(node)
            outcomes = collect(executor, 2)
        assert sorted(outcomes) == ["0-0", "0-1"]
        for outcome in outcomes.values():
            failure = failure_of(outcome)
            assert failure.kind == LOST
            assert failure.message == "the worker's node was lost while scoring task 'x'"
            assert "the last line" in failure.detail
            assert "resident memory 0 MiB" not in failure.detail
        told = executor.workers()
        gone = [state for state in told if state.state == "gone"]
        assert {state.name for state in gone} == {o.worker for o in outcomes.values()}
        assert all("node was lost" in state.reason for state in gone)
        assert [state.state for state in told if state not in gone] == ["waiting", "waiting"]
        with node_of(cluster, resources={"far": 1}):
            executor._queue.clear()
            assert run_all(executor, [job("1-0")])["1-0"].failure is None


@pytest.mark.usefixtures("quick")
def test_an_actor_that_is_killed_takes_its_worker_along(cluster: Any) -> None:
    with executor_on(cluster) as executor:
        pid = int(run_all(executor, [job("0-0")])["0-0"].notes["pid"])
        executor.submit(job("0-1", "step scoring task 'x'; sleep 600"))
        until(lambda: executor._workers[0]._step.startswith("scoring"), executor=executor)
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        failure = failure_of(collect(executor, 1)["0-1"])
        assert (failure.kind, failure.message) == (
            LOST,
            "the worker's Ray actor ended while scoring task 'x'",
        )
        until(lambda: not psutil.pid_exists(pid), executor=executor)
        assert run_all(executor, [job("0-2")])["0-2"].failure is None


@pytest.mark.usefixtures("quick")
def test_an_actor_that_is_silent_is_given_up(cluster: Any) -> None:
    with executor_on(cluster, silent_s=2.0) as executor:
        pid = int(run_all(executor, [job("0-0")])["0-0"].notes["pid"])
        executor.submit(job("0-1", "sleep 600"))
        until(lambda: states(executor) == ["busy"], executor=executor)
        actor = psutil.Process(pid).ppid()
        os.kill(actor, signal.SIGSTOP)
        failure = failure_of(collect(executor, 1, within_s=15)["0-1"])
        assert failure.kind == LOST
        assert failure.message.startswith("the worker's node gave no sign of life for 2 s")
        assert run_all(executor, [job("0-2")])["0-2"].failure is None
        until(lambda: not psutil.pid_exists(pid), executor=executor)


def test_two_runs_share_a_cluster_each_within_its_limit(cluster: Any) -> None:
    with executor_on(cluster, slots=1) as one, executor_on(cluster, slots=2) as two:
        for n in range(4):
            one.submit(job(f"a-{n}", "sleep 0.5"))
            two.submit(job(f"b-{n}", "sleep 0.5"))
        found: dict[str, set[str]] = {"a": set(), "b": set()}
        names: dict[str, set[str]] = {"a": set(), "b": set()}
        deadline = time.monotonic() + 60
        while len(found["a"]) + len(found["b"]) < 8:
            assert time.monotonic() < deadline
            for letter, executor in (("a", one), ("b", two)):
                for outcome in executor.wait(timeout_s=0.1):
                    found[letter].add(outcome.job.candidate_id)
                    names[letter].add(outcome.worker)
        assert found == {letter: {f"{letter}-{n}" for n in range(4)} for letter in "ab"}
        # A second worker that is slow to start may find nothing left to do.
        assert len(names["a"]) == 1
        assert len(names["b"]) <= 2
        assert [len(executor.workers()) for executor in (one, two)] == [1, 2]
        assert not names["a"] & names["b"]


def test_workers_share_a_gpu(cluster: Any) -> None:
    with executor_on(cluster, slots=2, gpus=0.5) as executor:
        outcomes = run_all(executor, [job(f"0-{n}", "sleep 3") for n in range(2)])
        assert len({outcome.worker for outcome in outcomes.values()}) == 2
        for outcome in outcomes.values():
            assert (outcome.notes["gpus"], outcome.devices) == ("0", 0.5)


def test_several_gpus_are_reserved_together_and_given_back(cluster: Any) -> None:
    import ray

    def free() -> float:
        return ray.available_resources().get("GPU", 0.0)

    with node_of(cluster, num_gpus=2):
        until_true(lambda: free() == 3)
        with executor_on(cluster, gpus=2) as executor:
            outcome = run_all(executor, [job("0-0")])["0-0"]
            assert (outcome.notes["gpus"], outcome.devices) == ("0,1", 2)
            until_true(lambda: free() == 1)
        until_true(lambda: free() == 3)


def test_a_node_on_which_no_worker_can_be_built_is_left_out(cluster: Any) -> None:
    bad = {"resources": {"room": 2}, "env_vars": {"EVOMERGE_TEST_NODE": "bad"}}
    with (
        node_of(cluster, **bad),
        executor_on(cluster, slots=2, runner=PickySpec(), resources={"room": 1}) as executor,
    ):
        executor.start()
        with node_of(cluster, resources={"room": 1}):
            gone: list[WorkerState] = []
            executor.submit(job("0-0"))
            assert collect(executor, 1)["0-0"].failure is None
            executor.submit(job("0-1", "sleep 1"))
            while not executor._trust.excluded:
                executor.wait(timeout_s=0.2)
                gone += executor.workers()
            told = executor.workers()
            assert [s.state for s in told if s.state != "gone"].count("waiting") == 1
            gone = [state for state in [*gone, *told] if state.state == "gone"]
            assert gone
            assert all("isn't on this node" in state.reason for state in gone)


def test_a_node_on_which_workers_keep_ending_is_left_out(cluster: Any) -> None:
    with (
        node_of(cluster, resources={"room": 1}),
        node_of(cluster, resources={"room": 1}),
        executor_on(cluster, resources={"room": 1}) as executor,
    ):
        outcomes = run_all(executor, [job(f"0-{n}", "signal 9") for n in range(3)])
        assert all(failure_of(outcome).kind == LOST for outcome in outcomes.values())
        (bad,) = executor._trust.excluded
        reasons = [state.reason for state in executor.workers() if state.state == "gone"]
        assert [reason for reason in reasons if "3 workers in a row ended there" in reason]
        assert run_all(executor, [job("1-0")])["1-0"].failure is None
        assert executor._workers[0].node_id not in ("", bad)


def test_what_the_machine_has_not_got_is_refused_at_the_start(cluster: Any) -> None:
    executor = RayExecutor(Crew(ActingSpec()), gpus=64)
    with pytest.raises(ExecutionError, match="a worker takes 1 CPU, 64 GPU, which this machine"):
        executor.start()
    executor = RayExecutor(Crew(ActingSpec()), address="127.0.0.1:1")
    with pytest.raises(ExecutionError, match="this process is connected to"):
        executor.start()


def test_a_runtime_env_reaches_workers_and_where_no_node_is_any_good_the_cause_is_told(
    cluster: Any,
) -> None:
    variables = {"env_vars": {"EVOMERGE_TEST_NODE": "bad"}}
    with executor_on(cluster, runner=PickySpec(), runtime_env=variables) as executor:
        executor.submit(job("0-0"))
        with pytest.raises(ExecutionError, match="source 'a' isn't on this node"):
            collect(executor, 1)


def until_true(holds: Any, *, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def driver(*arguments: str) -> Iterator[Any]:
    """Run a driver in a process of its own, for at most two minutes."""
    command = [sys.executable, "-m", "tests.execution.ray_driver", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(120, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


def heard(process: Any) -> dict[str, Any]:
    """Return the next thing that a driver says."""
    for line in process.stdout:
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            return told
    raise AssertionError(f"the driver ended with exit code {process.wait()}")


def test_a_lost_head_is_told_soon_and_a_killed_driver_leaves_no_actors(cluster: Any) -> None:
    with driver(cluster.address) as process:
        lost = heard(process)
        assert "is gone: its head has not answered for 3 s" in lost["message"]
        assert "evomerge resume" in lost["message"]
        assert lost["after_s"] < 20
        assert heard(process)["closed_after_s"] < 45
        told = heard(process)
        assert told["state"] == "busy"
        process.kill()
        until_true(lambda: not psutil.pid_exists(told["worker"]))
        until_true(lambda: not psutil.pid_exists(told["actor"]))


def test_scores_are_the_inprocess_executors_bit_for_bit(cluster: Any, spec: WorkerSpec) -> None:  # noqa: F811  the fixture
    jobs = [
        replace(real_job(recipe(spec, weights)), candidate_id=f"0-{n}")
        for n, weights in enumerate([[0.2, 0.8], [0.9, 0.1], [1.0, 1.0]])
    ]
    crew = Crew(spec, slots=2)
    pictures = []
    with executor_on(cluster, slots=2, runner=spec) as executor:
        for each in (executor, InprocessExecutor(crew)):
            outcomes = run_all(each, jobs)
            pictures.append(
                {
                    name: [
                        (scores.ref, scores.values["bits_per_byte"].tobytes())
                        for scores in outcome.scores
                    ]
                    for name, outcome in outcomes.items()
                }
            )
            assert len({outcome.numeric_class for outcome in outcomes.values()}) == 1
    assert pictures[0] == pictures[1]
    assert len({str(scores) for scores in pictures[0].values()}) == 3


def test_nodes_that_die_under_workers_that_start_say_nothing_of_those_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = RayExecutor(Crew(ActingSpec()))
    monkeypatch.setattr(executor, "_cluster", SimpleNamespace(name="here"))
    released = []
    seat: Any = SimpleNamespace(greeting=None, release=lambda: released.append(1))

    def lose(message: str, times: int) -> None:
        for number in range(times):
            worker = RayWorker(f"w{number}", seat)
            executor._workers.append(worker)
            executor._lose(worker, RuntimeError(message))
        executor._check_hope()

    lose("The actor died because its node has died. Node Id: 61", 5)
    assert len(released) == 5
    assert {state.reason for state in executor.workers()} == {
        "its node was lost before it had started"
    }
    with pytest.raises(ExecutionError, match="no such module"):
        lose("no such module", 3)

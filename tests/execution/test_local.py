"""What the executor ``local`` promises beyond the contract of all executors."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from evomerge.errors import ExecutionError
from evomerge.execution.local import TRIES, LocalExecutor
from evomerge.execution.protocol import LOST
from evomerge.execution.registry import EXECUTORS, Crew
from tests.execution.executor_contract import collect, failure_of, run_all, until
from tests.execution.specs import ActingSpec, job

ROOT = Path(__file__).parents[2]
Make = Callable[..., LocalExecutor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made = []

    def build(spec: ActingSpec | None = None, *, slots: int = 1, **options: Any) -> LocalExecutor:
        crew = Crew(spec or ActingSpec(), slots=slots, folder=tmp_path / "workers")
        made.append(LocalExecutor(crew, **options))
        return made[-1]

    yield build
    for executor in made:
        executor.close()


def process_of(executor: LocalExecutor, index: int = 0) -> psutil.Process:
    return psutil.Process(executor._workers[index].pid)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_for(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def busy(executor: LocalExecutor) -> bool:
    return any(state.state == "busy" for state in executor.workers())


def test_it_is_registered_with_its_settings() -> None:
    declaration = EXECUTORS.get("local").declaration
    assert [parameter.name for parameter in declaration.parameters] == [
        "gpus",
        "gpus_per_worker",
        "silent_s",
        "start_s",
    ]
    LocalExecutor(Crew(ActingSpec()), **declaration.fill({}))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_worker_finishes_its_job_whatever_a_batch_system_sends(
    make: Make, number: signal.Signals
) -> None:
    executor = make()
    executor.start()
    process = process_of(executor)
    process.send_signal(number)  # while Python starts
    executor.submit(job("0-0", "print at work; sleep 1"))
    until(lambda: busy(executor), executor=executor)
    process.send_signal(number)
    (outcome,) = collect(executor, 1).values()
    assert outcome.failure is None
    assert outcome.notes["pid"] == str(process.pid)


def test_the_terminals_ctrl_c_does_not_reach_workers(make: Make) -> None:
    executor = make()
    run_all(executor, [job("0-0")])
    assert os.getpgid(process_of(executor).pid) != os.getpgid(0)


def test_a_stopped_worker_is_dead(make: Make) -> None:
    executor = make(silent_s=2)
    executor.submit(job("0-0", "step merging; sleep 600"))
    until(lambda: busy(executor), executor=executor)
    stopped = process_of(executor)
    time.sleep(0.3)
    stopped.suspend()
    executor.submit(job("0-1"))
    outcomes = collect(executor, 2)
    failure = failure_of(outcomes["0-0"])
    assert failure.kind == LOST
    assert failure.message == ("worker gave no sign of life for 2 s and was killed while merging")
    assert outcomes["0-1"].failure is None
    assert is_gone(stopped.pid)


def test_a_stopped_idle_worker_is_replaced(make: Make) -> None:
    executor = make(silent_s=2)
    run_all(executor, [job("0-0")])
    process_of(executor).suspend()
    until(lambda: "gone" in [s.state for s in executor.workers()], executor=executor)
    assert run_all(executor, [job("0-1")])["0-1"].failure is None


def test_c_code_that_computes_is_no_silence(make: Make) -> None:
    silent_s = 2
    executor = make(silent_s=silent_s)
    outcome = run_all(executor, [job("0-0", "spin 6")])["0-0"]
    assert outcome.failure is None
    assert outcome.busy_s > silent_s


def test_a_driver_that_does_not_listen_holds_no_job_up(make: Make) -> None:
    executor = make()
    executor.submit(job("0-0", "steps 3000"))
    until(lambda: busy(executor), executor=executor)
    time.sleep(2)
    (outcome,) = collect(executor, 1).values()
    assert float(outcome.notes["seconds"]) < 1.9


@pytest.mark.parametrize("commands", ["spawn 600; sleep 600", "spawn 600; hold 600"])
def test_a_driver_killed_leaves_no_process(tmp_path: Path, commands: str) -> None:
    driver, pids = abandon(tmp_path, commands, "stay")
    logs = list(tmp_path.glob("*.log"))
    wait_for(lambda: all("spawned" in log.read_text() for log in logs))
    pids += [int(log.read_text().split()[1]) for log in logs]
    assert len(pids) == 4
    assert not any(is_gone(pid) for pid in pids)
    driver.kill()
    wait_for(lambda: all(is_gone(pid) for pid in pids), within_s=5)
    driver.communicate()


@pytest.mark.parametrize(("mode", "code"), [("leave", 0), ("raise", 1)])
def test_a_driver_that_forgets_to_close_ends_with_its_workers(
    tmp_path: Path, mode: str, code: int
) -> None:
    driver, pids = abandon(tmp_path, "sleep 600", mode)
    _, err = driver.communicate(timeout=20)
    assert driver.returncode == code
    assert ("a bug of the driver's" in err) == (code == 1)
    assert "resource_tracker" not in err
    assert all(is_gone(pid) for pid in pids)


def abandon(folder: Path, commands: str, mode: str) -> tuple["subprocess.Popen[str]", list[int]]:
    program = Path(__file__).with_name("abandoned_driver.py")
    driver = subprocess.Popen(
        [sys.executable, str(program), str(folder), commands, mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert driver.stdout is not None
    return driver, [int(pid) for pid in driver.stdout.readline().split()]


def test_what_a_killed_worker_started_ends_too(make: Make, tmp_path: Path) -> None:
    executor = make()
    outcomes = run_all(executor, [job("0-0", "spawn 600; signal 9"), job("0-1")])
    (log,) = (tmp_path / "workers").glob(f"{outcomes['0-0'].worker}.log")
    assert is_gone(int(log.read_text().split()[1]))


def test_build_errors_are_tried_a_few_times_and_told_with_the_mend(
    make: Make, tmp_path: Path
) -> None:
    spec = ActingSpec(error="source 'a' lacks\na file. Load it again.", good=tmp_path / "good")
    executor = make(spec, slots=2)
    with pytest.raises(ExecutionError, match=r"source 'a' lacks a file\. Load it again\."):
        run_all(executor, [job("0-0")])
    tries = len((tmp_path / "tries").read_text().splitlines())
    # The second of two that begin together may have started its last one by the time of the third.
    assert tries in (TRIES, TRIES + 1)
    assert [state.state for state in executor.workers()] == ["gone"] * tries


def test_those_that_live_go_on_while_another_cannot_be_built(make: Make, tmp_path: Path) -> None:
    spec = ActingSpec(error="no room on the GPU.", good=tmp_path / "good")
    spec_file = tmp_path / "good"
    spec_file.touch()
    executor = make(spec, slots=2)
    run_all(executor, [job(f"0-{n}", "sleep 0.5") for n in range(4)])
    spec_file.unlink()
    process_of(executor).kill()
    until(lambda: executor._failed_builds == TRIES, executor=executor)
    assert len(executor._workers) == 1
    outcomes = run_all(executor, [job(f"1-{n}") for n in range(3)])
    assert all(outcome.failure is None for outcome in outcomes.values())
    spec_file.touch()
    executor._retry_at = 0.0  # as if the pause were over
    until(lambda: len(executor._workers) == 2, executor=executor)
    until(lambda: all(w.is_ready for w in executor._workers), executor=executor)


def test_a_start_that_takes_too_long_is_given_up(make: Make) -> None:
    executor = make(ActingSpec(build_s=600), start_s=1)
    with pytest.raises(ExecutionError, match="wasn't ready after 1 s"):
        run_all(executor, [job("0-0")])


def test_output_goes_to_a_log_a_worker(make: Make, tmp_path: Path) -> None:
    outcome = run_all(make(), [job("0-0", "print hello")])["0-0"]
    (log,) = (tmp_path / "workers").iterdir()
    assert log.name == f"{outcome.worker}.log"
    assert log.read_text() == "hello\n"


def test_without_a_folder_logs_are_dropped_at_the_end() -> None:
    executor = LocalExecutor(Crew(ActingSpec()))
    failure = failure_of(run_all(executor, [job("0-0", "print odd; exit 4")])["0-0"])
    assert "odd" in failure.detail
    folder = executor._folder
    assert folder.is_dir()
    executor.close()
    assert not folder.exists()
    assert run_all(executor, [job("0-1")])["0-1"].failure is None  # a closed one starts again
    executor.close()


def test_the_own_environment_stays(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    outcome = run_all(make(), [job("0-0")])["0-0"]
    assert outcome.notes["threads"] == "1 1 1"
    assert dict(os.environ) == before


def test_workers_are_spread_over_gpus(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b,c,d")
    executor = make(ActingSpec(device="cuda"), slots=3, gpus=[1, 3])
    outcomes = run_all(executor, [job(f"0-{n}", "sleep 1.5") for n in range(3)])
    assert sorted(outcome.notes["gpus"] for outcome in outcomes.values()) == ["b", "b", "d"]
    until(lambda: not busy(executor), executor=executor)
    assert {outcome.devices for outcome in outcomes.values()} == {2 / 3}  # three share two GPUs
    assert [state.device for state in executor.workers()] == ["cuda:1", "cuda:3", "cuda:1"]
    process_of(executor, 1).kill()
    until(lambda: "gone" in [s.state for s in executor.workers()], executor=executor)
    assert [worker.gpus for worker in executor._workers] == [(1,), (1,), (3,)]  # its place


def test_no_workers_at_all_is_refused(make: Make) -> None:
    with pytest.raises(ExecutionError, match="expected at least 1"):
        make().resize(0)


def test_a_worker_on_its_way_out_stays_if_wanted_again(make: Make) -> None:
    executor = make(slots=2)
    for n in range(2):
        executor.submit(job(f"0-{n}", "sleep 2"))
    until(lambda: [s.state for s in executor.workers()] == ["busy"] * 2, executor=executor)
    names = {state.name for state in executor.workers()}
    executor.resize(1)
    executor.resize(2)
    collect(executor, 2)
    assert {state.name for state in executor.workers()} == names

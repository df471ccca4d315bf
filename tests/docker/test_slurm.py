"""The Slurm script runs or resumes, passes signals on and requeues what isn't finished."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "slurm.sbatch"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# Notes its arguments; as a driver it waits for a signal and ends with the code that EXIT names.
EVOMERGE = """#!/bin/bash
echo "evomerge $*" >> calls
if [ "$1" = status ]; then
    [ -n "$STATE" ] || exit 2
    printf '{\\n  "name": "toy",\\n  "state": "%s",\\n  "workers": [\\n    {\\n' "$STATE"
    printf '      "state": "busy"\\n    }\\n  ]\\n}\\n'
    exit 0
fi
trap 'echo "got USR1" >> calls; exit $EXIT' USR1
trap 'echo "got TERM" >> calls; sleep 0.3; exit $EXIT' TERM
echo ready >> calls
[ -n "$WAIT" ] || exit $EXIT
for _ in $(seq 600); do sleep 0.05; done
exit 99
"""
SCONTROL = '#!/bin/bash\necho "scontrol $*" >> calls\n'

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the script in ``tmp_path`` with stubs in its PATH."""
    for name, text in (("evomerge", EVOMERGE), ("scontrol", SCONTROL)):
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(text)
        stub.chmod(0o755)
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, state: str, code: int = 0, wait: bool = True) -> object:
        environment = os.environ | {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "STATE": state,
            "EXIT": str(code),
            "WAIT": "1" if wait else "",
            "SLURM_JOB_ID": "4711",
        }
        process = subprocess.Popen(
            ["bash", str(SCRIPT), *arguments], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        begun.append(process)
        if wait:
            until = time.monotonic() + 20
            while "ready" not in calls(tmp_path) and time.monotonic() < until:
                time.sleep(0.02)
        return process

    yield begin  # type: ignore[misc]  # a closure with keywords is such a callable
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_reaches_the_driver_and_an_unfinished_run_is_requeued(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    job = start("run.yaml", "runs/toy", "--set", "search.budget=9", state="stopped")
    job.send_signal(number)
    out, _ = job.communicate(timeout=20)
    assert job.returncode == 0
    assert calls(tmp_path) == [
        "evomerge run run.yaml --out runs/toy --set search.budget=9",
        "ready",
        f"got {number.name.removeprefix('SIG')}",
        "evomerge status runs/toy --json",
        "scontrol requeue 4711",
    ]
    assert "runs/toy is stopped; requeueing job 4711." in out


def test_a_run_that_exists_is_resumed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "runs" / "toy").mkdir(parents=True)
    (tmp_path / "runs" / "toy" / "run.json").write_text("{}")
    job = start("run.yaml", "runs/toy", state="finished", wait=False)
    out, _ = job.communicate(timeout=20)
    assert job.returncode == 0
    assert calls(tmp_path)[0] == "evomerge resume runs/toy"
    assert "runs/toy is finished." in out
    assert not any(line.startswith("scontrol") for line in calls(tmp_path))


@pytest.mark.parametrize(
    ("state", "code", "ends"), [("failed", 0, 1), ("failed", 1, 1), ("interrupted", 2, 2)]
)
def test_what_failed_is_not_requeued(
    start: Start, tmp_path: Path, state: str, code: int, ends: int
) -> None:
    job = start("run.yaml", "runs/toy", state=state, code=code)
    job.send_signal(signal.SIGUSR1)
    job.communicate(timeout=20)
    assert job.returncode == ends
    assert not any(line.startswith("scontrol") for line in calls(tmp_path))


def test_a_second_signal_does_not_cut_the_drain_short(start: Start, tmp_path: Path) -> None:
    job = start("run.yaml", "runs/toy", state="stopped")
    job.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=20)
    assert job.returncode == 0
    assert calls(tmp_path)[-1] == "scontrol requeue 4711"


def test_a_signal_before_there_is_a_run_requeues_too(start: Start, tmp_path: Path) -> None:
    job = start("run.yaml", "runs/toy", state="")
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate(timeout=20)
    assert "runs/toy is not begun; requeueing" in out
    assert calls(tmp_path)[-1] == "scontrol requeue 4711"


def test_without_a_run_it_says_how_it_is_used(start: Start, tmp_path: Path) -> None:
    job = start("run.yaml", state="", wait=False)
    out, _ = job.communicate(timeout=20)
    assert (job.returncode, calls(tmp_path)) == (2, [])
    assert out.startswith("usage: sbatch slurm.sbatch CONFIG RUN")

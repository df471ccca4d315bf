"""The short form of ``benchmarks/chaos.py``: workers, nodes and drivers die, nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def chaos(folder: Path, executor: str, mode: str) -> str:
    """Run it on 30 candidates; return its line, which it ends with 0 only if all is well."""
    command = [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), "--executor", executor]
    command += ["--modes", mode, "--candidates", "30", "--kills", "4", "--folder", str(folder)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_generations_end_as_if_no_worker_or_driver_was_killed(tmp_path: Path) -> None:
    line = chaos(tmp_path, "local", "generation")
    assert "kills={'driver': 1, 'worker': 3}" in line
    assert "faults=none identical=True" in line


@pytest.mark.slow
def test_async_gives_each_candidate_one_result_and_replays(tmp_path: Path) -> None:
    line = chaos(tmp_path, "local", "async")
    assert "kills={'driver': 1, 'worker': 3}" in line
    assert "faults=none identical=None" in line


@pytest.mark.slow
@pytest.mark.ray
def test_generations_end_as_if_no_node_was_killed(tmp_path: Path) -> None:
    line = chaos(tmp_path, "ray", "generation")
    assert "'node': " in line
    assert "faults=none identical=True" in line

"""Kills a run at seeded failpoints and resumes it; prints which points made a difference.

A program of its own, so that the processes it forks and kills hold nothing but a run.
Usage: python killed_run.py FOLDER N_POINTS SEED MODE [LEDGER]
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import alembic.command  # noqa: F401  imported once here instead of in every forked process
import numpy as np
import prometheus_client  # noqa: F401  likewise

from evomerge.runs.failpoints import VARIABLE, passed
from tests.runs.fakes import BINARY, FakeRun, picture


def main(folder: Path, n_points: int, seed: int, mode: str, ledger: str = "") -> dict[str, object]:
    whole = _fresh(folder / "whole", mode, ledger)
    passed_names = folder / "points.json"
    os.environ[VARIABLE] = "count"

    def count() -> None:
        whole.drive()
        passed_names.write_text(json.dumps(passed()))

    assert _in_child(count) == 0
    names = json.loads(passed_names.read_text())
    expected = picture(whole.records())
    rng = np.random.default_rng(seed)
    points = sorted(rng.choice(len(names), size=min(n_points, len(names)), replace=False) + 1)
    different, survived, counted_twice = [], [], []
    for point in points:
        run = _fresh(folder / f"point{point}", mode, ledger)
        os.environ[VARIABLE] = str(point)
        if _in_child(lambda run=run: run.drive()) != -signal.SIGKILL:
            survived.append(int(point))
        os.environ.pop(VARIABLE)
        assert _in_child(lambda run=run: run.drive()) == 0
        found = picture(run.records())
        if found != expected:
            different.append((int(point), names[point - 1]))
        keys = [attempt[:2] for attempt in found["attempts"]]
        if len(keys) != len(set(keys)):
            counted_twice.append(int(point))
    kinds = sorted({names[point - 1] for point in points})
    return {
        "points": len(points),
        "of": len(names),
        "kinds": kinds,
        "different": different,
        "survived": survived,
        "counted_twice": counted_twice,
    }


def _fresh(folder: Path, mode: str, ledger: str) -> FakeRun:
    """Return a run that isn't stored yet, and takes no scores from others of its ledger."""
    folder.mkdir(parents=True)
    return FakeRun(
        folder,
        budget=8,
        finalists=2,
        evaluators=BINARY,
        settings={"mode": mode},
        run_id=folder.name,
        ledger=ledger,
        reuse=False,
    )


def _in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])))

"""What the controller itself costs a candidate, and how long a long run takes to be resumed.

A ledger with 10,000 candidates is filled, taken up again (this is timed: reading, state, replay)
and driven on with an executor that answers at once, so that only proposing, recipes, commits,
estimates and tells are left. The executor's own time doesn't count. The reference is a bare commit
of one row, with its fsync, in the same folder.

    OMP_NUM_THREADS=1 python benchmarks/controller.py [--searchers random cma_es] [--profile]
    OMP_NUM_THREADS=1 python benchmarks/controller.py --resume 10000 100000
"""

import argparse
import cProfile
import os
import pstats
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filled_ledger import fill
from synthetic_run import Durations, Formula, Study, scores_of

from evomerge.execution.protocol import Job, Outcome, WorkerState

MEASURED = 500
WORKERS = 8
LARGE_BLOCKS = tuple(Formula(name, block_size=100) for name in ("reverse", "sort", "successor"))


class InstantExecutor:
    """Answers every job at once; ``spent_s`` and ``spent_cpu_s`` are its own time."""

    def __init__(self, study: Study) -> None:
        self._tasks = study.tasks
        self._queue: deque[Job] = deque()
        self.slots = study.workers
        self.spent_s = self.spent_cpu_s = 0.0

    def start(self) -> None:
        """Do nothing."""

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return the next outcome; with none queued, give up the processor for a moment."""
        began, began_cpu = time.perf_counter(), time.process_time()
        if not self._queue:
            time.sleep(min(timeout_s or 0.0, 0.0005))
            return []
        job = self._queue.popleft()
        outcome = Outcome(job, scores=scores_of(self._tasks, job), score_s=2.0, worker="worker1")
        self.spent_s += time.perf_counter() - began
        self.spent_cpu_s += time.process_time() - began_cpu
        return [outcome]

    def resize(self, slots: int) -> None:
        """Do nothing."""

    def workers(self) -> Sequence[WorkerState]:
        """Return none."""
        return []

    def close(self) -> None:
        """Drop what is queued."""
        self._queue.clear()


@dataclass(frozen=True)
class Cost:
    """What was measured: resuming, and milliseconds a candidate, by the wall and by the CPU."""

    resume_s: float
    wall_ms: float
    cpu_ms: float


def measure(study: Study, stored: int, measured: int, profile: cProfile.Profile | None) -> Cost:
    """Fill a ledger, take it up again and evaluate ``measured`` more candidates."""
    fill(study, stored)
    executor = InstantExecutor(study)
    began = time.perf_counter()
    run = study.open(executor)
    resume_s = time.perf_counter() - began
    if measured == 0:
        return Cost(resume_s, 0.0, 0.0)
    if profile:
        profile.enable()
    first: tuple[int, float, float] | None = None
    last = (0, 0.0, 0.0)
    for event in run.drive():
        done = getattr(event, "progress", None)
        if done is None:
            continue
        spent = time.perf_counter() - executor.spent_s
        last = (done.evaluated, spent, time.process_time() - executor.spent_cpu_s)
        first = first or last
        if done.evaluated >= study.budget:
            break
    if profile:
        profile.disable()
    assert first is not None
    n = last[0] - first[0]
    return Cost(resume_s, 1000 * (last[1] - first[1]) / n, 1000 * (last[2] - first[2]) / n)


def bare_commit_ms(folder: Path, n: int = 300) -> float:
    """Return the milliseconds of one row's commit with fsync, as the ledger commits."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a)")
    began = time.perf_counter()
    for index in range(n):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?)", (index,))
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return 1000 * took / n


def cases(names: Sequence[str], genes: Sequence[int], modes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the settings of the studies to measure."""
    options = {"optuna": {"sampler": "TPESampler"}}
    return [
        {"searcher": name, "genes": d, "mode": mode, "options": options.get(name, {})}
        for name in names
        for d in genes
        for mode in modes
    ]


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searchers", nargs="+", default=["random", "cma_es"])
    parser.add_argument("--genes", nargs="+", type=int, default=[18, 100], choices=[18, 100])
    parser.add_argument("--modes", nargs="+", default=["generation", "async"])
    parser.add_argument("--stored", type=int, default=10_000)
    parser.add_argument("--measured", type=int, default=MEASURED)
    parser.add_argument("--resume", nargs="+", type=int, help="Only resume runs of so many.")
    parser.add_argument("--profile", action="store_true", help="Show where the time goes.")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for settings in cases(arguments.searchers, arguments.genes, arguments.modes):
        for stored in arguments.resume or [arguments.stored]:
            measured = 0 if arguments.resume else arguments.measured
            profile = cProfile.Profile() if arguments.profile else None
            with tempfile.TemporaryDirectory() as name:
                study = Study(
                    Path(name),
                    budget=0,
                    workers=WORKERS,
                    durations=Durations(mean_s=0),
                    **settings,
                )
                study = replace(study, budget=stored + measured)
                if not measured:
                    # No resume reads single examples: fewer blocks are filled faster.
                    study = replace(study, tasks=LARGE_BLOCKS)
                cost = measure(study, stored, measured, profile)
                commit_ms = bare_commit_ms(Path(name))
            label = f"{study.searcher:8} genes={study.genes:<4} {study.mode:10} stored={stored:<7}"
            line = f"{label} resume_s={cost.resume_s:.2f}"
            if measured:
                line += (
                    f" candidate_ms={cost.wall_ms:.2f} cpu_ms={cost.cpu_ms:.2f}"
                    f" commit_ms={commit_ms:.2f} ratio={cost.wall_ms / commit_ms:.1f}"
                )
            print(line, flush=True)
            if profile:
                pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()

"""What the controller itself costs a candidate, and how long a long run takes to be resumed.

A ledger with 10,000 candidates is filled and taken up twice (this is timed: reading, state,
replay): first without a snapshot of the searcher, so that it is rebuilt from the ledger alone, then
with the one that this left, as every driven run has. Then it is driven on with an executor that
answers at once, so that only proposing, recipes, commits, estimates and tells are left. The
executor's own time doesn't count. The reference is a bare commit of one row, with its fsync, in the
same folder.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filled_ledger import fill
from synthetic_run import Study
from synthetic_worker import Durations, Formula, scores_of

from evomerge.execution.protocol import Job, Outcome, WorkerState

MEASURED = 500
WORKERS = 8
SMALL_BLOCKS = tuple(Formula(name) for name in ("reverse", "sort", "successor"))
LARGE_BLOCKS = tuple(Formula(name, block_size=100) for name in ("reverse", "sort", "successor"))


class InstantExecutor:
    """Is done with every job at once; ``spent_s`` and ``spent_cpu_s`` are its own time.

    Args:
        study: What is evaluated.
        singly: Return one outcome at a time, as where workers are few and slow, instead of all
            that are queued, as where results come faster than they can be told.
    """

    def __init__(self, study: Study, *, singly: bool = False) -> None:
        self._tasks = study.tasks
        self._singly = singly
        self._queue: deque[Job] = deque()
        self.slots = study.workers
        self.spent_s = self.spent_cpu_s = 0.0

    def start(self) -> None:
        """Do nothing."""

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return outcomes; with none queued, give up the processor for a moment."""
        began, began_cpu = time.perf_counter(), time.process_time()
        if not self._queue:
            time.sleep(min(timeout_s or 0.0, 0.0005))
            return []
        jobs = [self._queue.popleft() for _ in range(1 if self._singly else len(self._queue))]
        outcomes = [
            Outcome(job, scores=scores_of(self._tasks, job), score_s=2.0, worker="worker1")
            for job in jobs
        ]
        self.spent_s += time.perf_counter() - began
        self.spent_cpu_s += time.process_time() - began_cpu
        return outcomes

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
    """What was measured: a resume, and milliseconds a candidate by the wall and by the CPU."""

    resume_cpu_s: float
    wall_ms: float
    cpu_ms: float


def measure(
    study: Study, measured: int, *, singly: bool, profile: cProfile.Profile | None = None
) -> Cost:
    """Take up a filled ledger and evaluate ``measured`` more candidates."""
    executor = InstantExecutor(study, singly=singly)
    began_cpu = time.process_time()
    run = study.open(executor)
    resume_cpu_s = time.process_time() - began_cpu
    if measured == 0:
        return Cost(resume_cpu_s, 0.0, 0.0)
    budget = len(study.records().candidates()) + measured
    run.extend(budget)
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
        if done.evaluated >= budget:
            break
    if profile:
        profile.disable()
    assert first is not None
    n = last[0] - first[0]
    return Cost(resume_cpu_s, 1000 * (last[1] - first[1]) / n, 1000 * (last[2] - first[2]) / n)


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
            with tempfile.TemporaryDirectory() as name:
                study = Study(
                    Path(name),
                    budget=stored,
                    workers=WORKERS,
                    durations=Durations(mean_s=0),
                    # No resume reads single examples: fewer blocks are filled faster.
                    tasks=LARGE_BLOCKS if arguments.resume else SMALL_BLOCKS,
                    **settings,
                )
                _report(study, stored, 0 if arguments.resume else arguments.measured, arguments)


def _report(study: Study, stored: int, measured: int, arguments: argparse.Namespace) -> None:
    """Fill the ledger, measure, and print the figures."""
    fill(study, stored)
    label = f"{study.searcher:8} genes={study.genes:<4} {study.mode:10} stored={stored:<7}"
    anew = measure(study, 0, singly=False)  # leaves a snapshot, as a driven run has one
    again = measure(study, 0, singly=False)
    label += f" rebuilt_s={anew.resume_cpu_s:.2f} resume_s={again.resume_cpu_s:.2f}"
    if not measured:
        print(label, flush=True)
        return
    profile = cProfile.Profile(timer=time.thread_time) if arguments.profile else None
    crowd = measure(study, measured, singly=False, profile=profile)
    single = measure(study, measured, singly=True)
    commit_ms = bare_commit_ms(study.folder)
    print(
        f"{label} candidate_ms={crowd.wall_ms:.2f} "
        f"cpu_ms={crowd.cpu_ms:.2f} singly_ms={single.wall_ms:.2f} "
        f"singly_cpu_ms={single.cpu_ms:.2f} commit_ms={commit_ms:.2f} "
        f"ratio={crowd.wall_ms / commit_ms:.1f}",
        flush=True,
    )
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()

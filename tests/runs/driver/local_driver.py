"""Drives a run with real worker processes; a program of its own, to be killed.

Usage: python local_driver.py FOLDER MODE
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from evomerge.execution.local import LocalExecutor
from evomerge.execution.protocol import Executor, Failure, Job, JobRunner
from evomerge.execution.registry import Crew
from tests.runs.driver.test_workers import BUDGET, cma_searcher
from tests.runs.fakes import BINARY, FakeRun, FakeWorker

JOB_S = 0.15


def slowly(job: Job) -> Failure | None:
    time.sleep(JOB_S)
    return None


@dataclass(frozen=True)
class SlowSpec:
    """A worker that takes its time."""

    def build(self) -> JobRunner:
        return FakeWorker(BINARY, slowly)


def local(run: FakeRun) -> Executor:
    return LocalExecutor(Crew(SlowSpec(), slots=2, folder=run.folder / "workers", run_id="run1"))


def slow_run(folder: Path, mode: str) -> FakeRun:
    return FakeRun(
        folder,
        budget=BUDGET,
        finalists=3,
        evaluators=BINARY,
        make_searcher=cma_searcher,
        make_executor=local,
        settings={"mode": mode},
    )


if __name__ == "__main__":
    slow_run(Path(sys.argv[1]), sys.argv[2]).drive()

"""A job's process whose run is on fakes; it dies at a point of its first start.

The point is in ``EVOMERGE_JOB_FAILPOINT``, as a number, or ``count`` with a file for the names in
``EVOMERGE_JOB_POINTS``.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evomerge.errors import LedgerError
from evomerge.runs import failpoints
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.loop import Run
from evomerge.runs.folder import RunFolder, driver_lock, new_folder, write_run
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.jobs import process
from evomerge.service.jobs.table import Job
from tests.runs.fakes import BINARY, FakeRun

JOB_FAILPOINT, POINTS = "EVOMERGE_JOB_FAILPOINT", "EVOMERGE_JOB_POINTS"


@dataclass
class Opened:
    run: Run
    folder: RunFolder
    prepared: Any


@contextlib.contextmanager
def opened(job: Job, ledger: Ledger) -> Iterator[Opened]:
    """Begin or take up a run as ``evomerge.runs.start`` does, in the same order of steps."""
    folder = Path(job.folder)
    fake = FakeRun(
        folder,
        budget=8,
        finalists=2,
        evaluators=BINARY,
        run_id=job.run_id,
        ledger=str(ledger.url.render_as_string(hide_password=False)),
        reuse=False,
    )
    with contextlib.ExitStack() as stack:
        if not (folder / "run.json").exists():
            try:
                RunRecords(ledger, job.run_id).run()
                stack.enter_context(driver_lock(folder))
            except LedgerError:
                stack.enter_context(new_folder(folder))
                fake.store()
            write_run(folder, run_id=job.run_id, name="toy", ledger=fake.url, config="{}\n")
        else:
            stack.enter_context(driver_lock(folder))
        fake.epoch = stack.enter_context(held_run(ledger, job.run_id))
        execution = SimpleNamespace(grace_s=1.0, log="text")
        prepared = SimpleNamespace(config=SimpleNamespace(execution=execution))
        yield Opened(fake.resume(), RunFolder.open(folder), prepared)


def main(arguments: list[str]) -> int:
    with contextlib.closing(Ledger.open(arguments[arguments.index("--ledger") + 1])) as ledger:
        job = process.Jobs(ledger).get(arguments[0])
    wanted = os.environ.get(JOB_FAILPOINT, "")
    if wanted and job.starts == 1:
        os.environ[failpoints.VARIABLE] = wanted
    process._opened = opened  # type: ignore[assignment]  # instead of models
    code = process.main(arguments)
    if wanted == "count":
        Path(os.environ[POINTS] + job.kind).write_text(json.dumps(failpoints.passed()))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The process of one job: ``python -m evomerge.service.jobs.process JOB --ledger URL --lock FD``.

It does what the job's row says, goes on where an earlier process of the job stopped, and stores
what came of it. While it lives it holds the job's lock.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from evomerge.config.load import dump_config, parse_config
from evomerge.errors import EvomergeError, LedgerAwayError, LedgerError, ProblemsError
from evomerge.runs.failpoints import failpoint
from evomerge.runs.folder import driver_lock, write_run
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.driving import this_process
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.jobs.table import Job, Jobs

Outcome = dict[str, Any]
"""``state`` (finished, stopped or failed), ``reason``, ``message``, ``problems``; what it made."""


def main(arguments: list[str]) -> int:
    """Do the job that ``arguments`` name; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--lock", type=int, required=True)
    given = parser.parse_args(arguments)
    os.set_inheritable(given.lock, False)  # workers outlive nobody's lock
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _end)
    with contextlib.closing(Ledger.open(given.ledger)) as ledger:
        jobs = Jobs(ledger)
        job = jobs.hold(given.job, this_process())
        failpoint("job held")
        outcome = _outcome(job, jobs, ledger)
        failpoint("job done")
        jobs.tell(job.job_id, outcome)
    return 1 if outcome["state"] == "failed" else 0


def _outcome(job: Job, jobs: Jobs, ledger: Ledger) -> Outcome:
    """Do ``job``; a mistake of a user's is an outcome, a bug ends the process."""
    try:
        if job.kind == "talk":
            return _talk(job)
        return _run(job, jobs, ledger) if job.kind == "run" else _export(job)
    except LedgerAwayError:
        raise  # nothing is wrong with the job
    except ProblemsError as error:
        problems = [[item.key, item.message] for item in error.problems]
        return {"state": "failed", "message": str(error), "problems": problems}
    except EvomergeError as error:
        return {"state": "failed", "message": str(error)}


def _run(job: Job, jobs: Jobs, ledger: Ledger) -> Outcome:
    from evomerge.runs.events import Finished, Stopped
    from evomerge.runs.log import logging_to

    with _opened(job, ledger) as opened:
        failpoint("run opened")
        grace_s = opened.prepared.config.execution.grace_s

        def drain(number: int, frame: FrameType | None) -> None:
            opened.run.request_stop("signal", grace_s)

        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, drain)
        # A request through the ledger that came before this driver isn't heeded by it.
        wanted = jobs.get(job.job_id).wanted
        if wanted != "run":
            opened.run.request_stop(wanted, None if wanted == "pause" else 0.0)
        last = None
        with logging_to(opened.folder.log_file, opened.prepared.config.execution.log):
            for event in opened.run.drive():
                last = event
    if isinstance(last, Finished):
        return {"state": "finished"}
    assert isinstance(last, Stopped)
    return {"state": "stopped", "reason": last.reason, "message": last.message}


@contextlib.contextmanager
def _opened(job: Job, ledger: Ledger) -> Iterator[Any]:
    """Begin the job's run, or take it up where it is; however far an earlier process came."""
    from evomerge.runs.start import new_run, stored_run

    folder = Path(job.folder)
    plugins = [Path(path) for path in job.body.get("plugins", ())]
    if not (folder / "run.json").exists():
        try:
            row = RunRecords(ledger, job.run_id).run()
        except LedgerAwayError:
            raise
        except LedgerError:
            config = parse_config(dict(job.body["config"]), where=job.name)
            with new_run(
                config, where=job.name, out=folder, plugins=plugins, run_id=job.run_id
            ) as opened:
                yield opened
            return
        # It was stored, and killed before its folder said so.
        config = parse_config(dict(row.config), where=job.name)
        folder.mkdir(parents=True, exist_ok=True)
        with driver_lock(folder):
            write_run(
                folder,
                run_id=job.run_id,
                name=row.name,
                ledger=config.ledger,
                config=dump_config(config),
            )
    budget = job.body.get("budget")
    overrides = [] if budget is None else [f"search.budget={budget}"]
    with stored_run(folder, overrides=overrides, plugins=plugins) as opened:
        yield opened


def _export(job: Job) -> Outcome:
    from evomerge.service.jobs.exports import make_export

    made = make_export(
        Path(job.body["run"]),
        job.body["candidate"],
        Path(job.folder),
        format=job.body["format"],
        name=job.name,
    )
    return {"state": "finished", **made}


def _talk(job: Job) -> Outcome:
    from evomerge.runs.answering import answer_talks

    return {"state": "finished", "answers": answer_talks(Path(job.folder))}


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

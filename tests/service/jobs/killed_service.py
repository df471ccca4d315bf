"""Kills the service or a job's process at one point and starts it again; prints what came of it.

A program of its own, so that the processes it forks and kills hold nothing but a service.
Usage: python killed_service.py FOLDER [service|job] [POINT …]; without points it lists them.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401  imported once here instead of in every forked process

from evomerge.runs import failpoints
from evomerge.runs.failpoints import VARIABLE, failpoint, passed
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.integrity import check_ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.jobs import supervisor
from evomerge.service.jobs.locks import is_locked
from evomerge.service.jobs.supervisor import Supervisor
from evomerge.service.jobs.table import Job, Jobs, NewJob
from evomerge.service.settings import Settings
from tests.runs.fakes import picture
from tests.runs.stopping import in_child
from tests.service.jobs import fake_process
from tests.service.jobs.fake_process import JOB_FAILPOINT, POINTS

RUN, EXPORT = "a" * 32, "e" * 32
LIMIT_S = 120.0


def main(folder: Path, who: str, points: list[int]) -> dict[str, Any]:
    """Return the names of the points, or what was different after each kill."""
    if not points:
        names = _live(folder / "whole", who, "count")
        return {"names": names, "picture": _state(folder / "whole")}
    expected = json.loads((folder / "expected.json").read_text())
    found = {}
    for point in points:
        place = folder / f"{who}{point}"
        _live(place, who, str(point))
        state = _state(place)
        found[point] = [key for key in expected if state[key] != expected[key]]
    return {"different": found}


def _live(folder: Path, who: str, wanted: str) -> list[str]:
    """Let a service submit and do its jobs, killed once; return the points if it only counts."""
    names = folder.with_suffix(".json")
    service, job = (wanted, "") if who == "service" else ("", wanted)

    def whole() -> None:
        os.environ |= {JOB_FAILPOINT: job, POINTS: str(names)}
        if service:
            os.environ[VARIABLE] = service
        _serve(folder)
        if service == "count":
            names.write_text(json.dumps(passed()))

    code = in_child(whole)
    if who == "service" and wanted != "count":
        assert code == -signal.SIGKILL, code
        assert in_child(lambda: _serve(folder)) == 0
    else:
        assert code == 0, code
    if wanted != "count":
        return []
    counted = names if who == "service" else Path(f"{names}run")
    return list(json.loads(counted.read_text()))


class Forking(Supervisor):
    """Forks the jobs' processes, which then needn't load anything."""

    def _spawn(self, job: Job, lock: int) -> Any:
        pid = os.fork()
        if pid:
            return Forked(pid)
        code = 1
        try:
            os.setsid()
            os.environ[VARIABLE] = ""
            failpoints._passed.clear()
            arguments = [job.job_id, "--ledger", self._settings.ledger, "--lock", str(lock)]
            code = fake_process.main(arguments)
        finally:
            os._exit(code)


class Forked:
    """A forked process, as the supervisor looks at one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def poll(self) -> int | None:
        return None if os.waitpid(self._pid, os.WNOHANG) == (0, 0) else 0


def _serve(folder: Path) -> None:
    """Submit a run and then an export of it, each with a key, and look after them to the end."""
    # The jobs' processes die by themselves or not at all.
    supervisor.environment = lambda settings: {VARIABLE: ""}
    kind = Supervisor if folder.name == "whole" else Forking
    settings = Settings(ledger=f"sqlite:///{folder}/ledger.db", runs=folder / "runs")
    with contextlib.closing(Ledger.open(settings.ledger, create=True)) as ledger:
        jobs = Jobs(ledger)
        looking = kind(settings, ledger, program="tests.service.jobs.fake_process")
        run_folder = str(settings.runs / "toy")
        jobs.add(_new(RUN, "run", run_folder, {}))
        failpoint("submitted")
        _until_finished(looking, jobs, RUN)
        best = RunRecords(ledger, RUN).decisions("final")[0].body["best"]
        body = {"run": run_folder, "candidate": best, "format": "recipe"}
        jobs.add(_new(EXPORT, "export", str(settings.exports / EXPORT), body))
        _until_finished(looking, jobs, EXPORT)


def _new(job_id: str, kind: str, folder: str, body: dict[str, Any]) -> NewJob:
    key = f"t:{kind}"
    return NewJob(job_id, kind, "toy", RUN, folder, body, "ada", idempotency_key=key)


def _until_finished(looking: Supervisor, jobs: Jobs, job_id: str) -> None:
    until = time.monotonic() + LIMIT_S
    while (found := jobs.get(job_id)).state != "finished":
        assert not found.ended, found
        assert time.monotonic() < until, found
        looking.tick()
        time.sleep(0.02)


def _state(folder: Path) -> dict[str, Any]:
    """Return all that a kill must not change."""
    with contextlib.closing(Ledger.open(f"sqlite:///{folder}/ledger.db")) as ledger:
        jobs = Jobs(ledger)
        records = RunRecords(ledger, RUN)
        seen = picture(records)
        (file,) = (folder / "runs" / ".exports" / EXPORT).iterdir()
        export = jobs.get(EXPORT).outcome or {}
        attempts = [item[:2] for item in seen["attempts"]]
        return {
            "jobs": sorted([job.job_id, job.state] for job in jobs.newest()),
            "runs": [item.name for item in check_ledger(ledger).runs],
            "problems": check_ledger(ledger).problems,
            "folders": sorted(item.name for item in (folder / "runs").iterdir()),
            "candidates": [item.recipe_hash for item in seen["candidates"]],
            "decisions": json.loads(json.dumps(seen["decisions"])),
            "counted twice": len(attempts) - len(set(attempts)),
            "export": [file.name, file.read_text(), export["sha256"]],
            "alive": [j for j in (RUN, EXPORT) if is_locked(folder / "runs" / ".jobs", j)],
        }


if __name__ == "__main__":
    chosen = [int(text) for text in sys.argv[3:]]
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], chosen)))

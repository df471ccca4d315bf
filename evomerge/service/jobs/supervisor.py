"""Begins the jobs' processes, passes on what users want of them, and settles those that ended.

All that it knows stands in the ledger and in the jobs' locks, so that one that is killed at any
moment is followed by another that goes on from there: processes live on without it, are found
again by their locks, and are settled by what they stored.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import LedgerAwayError, LedgerError
from evomerge.runs.driver.heart import held_run
from evomerge.runs.failpoints import failpoint
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.drivers import SERVICE
from evomerge.runs.ledger.driving import read_driver
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.results import status_of
from evomerge.service.jobs.locks import is_locked, try_lock
from evomerge.service.jobs.table import Job, Jobs
from evomerge.service.safety import HUB
from evomerge.service.settings import Settings

logger = logging.getLogger(__name__)

EVERY_S = 1.0
CRASHES = 3
"""Processes of a job that may end without a word before it got any further."""
PATIENCE_S = (10.0, 60.0)
"""Seconds after which a process that is to be cancelled gets SIGTERM, and SIGKILL."""
QUOTA_S = 30.0
_CLAIM_S = 5.0


class Supervisor:
    """Looks after the jobs of one ledger, in a thread.

    Args:
        settings: How many run at a time, and where their files are.
        ledger: Where they are.
        over_quota: Says why a job may not go on; None where it may.
        changed: Is called with a job whose state has changed.
        program: Module that is run for each job.
        lease_s: Seconds without a sign of life after which another service takes over.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        *,
        over_quota: Callable[[Job], str | None] = lambda job: None,
        changed: Callable[[Job], None] = lambda job: None,
        program: str = "evomerge.service.jobs.process",
        lease_s: float = 60.0,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._jobs = Jobs(ledger)
        self._over_quota = over_quota
        self._changed = changed
        self._program = program
        self._lease_s = lease_s
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._children: list[subprocess.Popen[bytes]] = []
        self._asked: dict[tuple[str, int, str], float] = {}
        self._quota_due = 0.0
        self.ticked_s: float | None = None
        self.waits_for: str = ""

    # -- the thread -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after the jobs."""
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look at the jobs now: something has changed."""
        self._wake.set()

    def stop(self) -> None:
        """Stop looking after them; their processes live on."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def alive(self) -> bool:
        """Say if the jobs are looked after just now."""
        return self.ticked_s is not None and time.monotonic() - self.ticked_s < self._lease_s

    def _work(self) -> None:
        """Claim the ledger's jobs and look after them, again and again until the end."""
        while not self._ended.is_set():
            try:
                with held_run(self._ledger, SERVICE, lease_s=self._lease_s) as epoch:
                    self.waits_for = ""
                    while not self._ended.is_set() and self._is_mine(epoch):
                        self._tick_safely()
                        self._wake.wait(EVERY_S)
                        self._wake.clear()
            except LedgerError as error:
                if self.waits_for != str(error):
                    logger.warning("the jobs can't be looked after yet: %s", error)
                self.waits_for = str(error)
                self._ended.wait(_CLAIM_S)

    def _is_mine(self, epoch: int) -> bool:
        """Say if no other service has taken over, as one may after a minute of silence."""
        try:
            found = read_driver(self._ledger, SERVICE)
        except LedgerAwayError:
            return True
        return found is not None and found.epoch == epoch

    def _tick_safely(self) -> None:
        try:
            self.tick()
            self.ticked_s = time.monotonic()
        except LedgerAwayError as error:
            logger.warning("the jobs wait for the ledger: %s", error)
        except Exception:  # a bug in one round must not end the service's work for all jobs
            logger.exception("looking after the jobs failed")

    # -- one round ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at every job once."""
        self._children = [child for child in self._children if child.poll() is None]
        check_quota = time.monotonic() >= self._quota_due
        if check_quota:
            self._quota_due = time.monotonic() + QUOTA_S
        settings = self._settings
        most = {
            "run": settings.max_running,
            "export": settings.max_exports,
            "talk": settings.max_talks,
        }
        busy = dict.fromkeys(most, 0)
        for job in self._jobs.running():
            if is_locked(self._settings.jobs, job.job_id):
                busy[job.kind] += 1
                if check_quota and job.wanted == "run" and (reason := self._over_quota(job)):
                    self._jobs.hold_back(job.job_id, reason)
                if job.wanted != "run":
                    self._pass_on(job)
            else:
                self._settle(job)
        for kind in most:
            for job in self._jobs.queued(kind):
                if busy[kind] >= most[kind]:
                    break
                busy[kind] += self._begin(job)

    def _begin(self, job: Job) -> bool:
        """Begin a job's process; False where it can't be begun."""
        if reason := self._over_quota(job):
            self._jobs.hold_back(job.job_id, reason)
            return False
        lock = try_lock(self._settings.jobs, job.job_id)
        if lock is None:
            return False  # its last process is just ending
        try:
            failpoint("job locked")
            if not self._jobs.begin(job.job_id):
                return False
            failpoint("job begun")
            self._children.append(self._spawn(job, lock))
            failpoint("job spawned")
        except OSError as error:
            message = f"its process can't be begun: {error.strerror or error}."
            self._jobs.settle(job.job_id, "failed", message=message)
            return False
        finally:
            os.close(lock)
        logger.info("job %s (%s) begins", job.job_id, job.name)
        self._tell(job.job_id)
        return True

    def _spawn(self, job: Job, lock: int) -> "subprocess.Popen[bytes]":
        """Begin the process of a job in a session of its own, which outlives the service."""
        command = [sys.executable, "-m", self._program, job.job_id]
        command += ["--ledger", self._settings.ledger, "--lock", str(lock)]
        with log_of(self._settings, job.job_id).open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,
                env={**os.environ, **environment(self._settings)},
            )

    def _pass_on(self, job: Job) -> None:
        """Ask a job's process to end, with more and more weight where it is to be cancelled."""
        asked = self._asked.setdefault((job.job_id, job.starts, job.wanted), time.monotonic())
        waited_s = time.monotonic() - asked
        if job.wanted == "cancel":
            soft_s, hard_s = PATIENCE_S if job.kind == "run" else (0.0, PATIENCE_S[0])
            if waited_s >= soft_s:
                self._signal(job, signal.SIGKILL if waited_s >= hard_s else signal.SIGTERM)
        if job.kind == "run" and (job.job_id, job.starts, "told " + job.wanted) not in self._asked:
            try:
                RunWriter(self._ledger, job.run_id).add_request(job.wanted, {})
            except LedgerAwayError:
                raise
            except LedgerError:
                return  # the run isn't stored yet; its driver looks at the job once it is
            self._asked[job.job_id, job.starts, "told " + job.wanted] = asked

    def _signal(self, job: Job, number: int) -> None:
        """Signal a job's process, and with SIGKILL its workers too."""
        host, _, pid = job.holder.rpartition(":")
        # While the lock is held the holder lives, so that its number is nobody else's.
        if host != socket.gethostname() or not is_locked(self._settings.jobs, job.job_id):
            return
        try:
            (os.killpg if number == signal.SIGKILL else os.kill)(int(pid), number)
        except (OSError, ValueError):
            logger.info("the process %s of job %s can't be signalled", job.holder, job.job_id)

    # -- jobs whose process has ended -------------------------------------------------------------

    def _settle(self, job: Job) -> None:
        """Store where a job stands whose process is gone."""
        job = self._jobs.get(job.job_id)  # it may have stored its outcome since it was looked at
        state, values = self._after(job)
        failpoint("job settles")
        self._jobs.settle(job.job_id, state, **values)
        logger.info("job %s (%s) is %s", job.job_id, job.name, state)
        self._asked = {key: at for key, at in self._asked.items() if key[0] != job.job_id}
        if state == "cancelled" and job.kind == "export":
            _remove(Path(job.folder))
        self._tell(job.job_id)

    def _after(self, job: Job) -> tuple[str, Mapping[str, Any]]:
        """Return the state of a job whose process is gone, and what else to store."""
        outcome = job.outcome or {}
        message = str(outcome.get("message", ""))
        if outcome.get("state") == "finished":
            return "finished", {"crashes": 0}
        if job.wanted == "cancel":
            return "cancelled", {}
        if outcome.get("state") == "failed":
            return "failed", {"message": message}
        if job.wanted == "pause":
            return "paused", {"crashes": 0}
        if outcome.get("state") == "stopped":
            if outcome.get("reason") in ("disk", "ledger"):
                return "failed", {"message": message}
            return "queued", {"crashes": 0}
        return self._after_crash(job)

    def _after_crash(self, job: Job) -> tuple[str, Mapping[str, Any]]:
        """Return the state of a job whose process ended without a word: it is tried again."""
        evaluated = _evaluated(job)
        crashes = 1 if evaluated > job.evaluated else job.crashes + 1
        counted = {"crashes": crashes, "evaluated": evaluated}
        if crashes < CRASHES:
            return "queued", counted
        last = _last_line(log_of(self._settings, job.job_id))
        said = f" Its last words: {last}" if last else ""
        return "failed", {
            **counted,
            "message": f"its process ended {crashes} times without getting any further.{said}",
        }

    def _tell(self, job_id: str) -> None:
        try:
            self._changed(self._jobs.get(job_id))
        except Exception:  # whoever listens must not keep jobs from being looked after
            logger.exception("telling of job %s failed", job_id)


def environment(settings: Settings) -> dict[str, str]:
    """Return what the environment of a job says beside the service's own: what is reached."""
    if HUB in settings.hosts:
        return {}
    return {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def log_of(settings: Settings, job_id: str) -> Path:
    """Return the file with what a job's processes print."""
    return settings.jobs / f"{job_id}.log"


def _evaluated(job: Job) -> int:
    """Return the candidates that a job's run has evaluated, 0 where that can't be told."""
    if job.kind != "run":
        return 0
    try:
        return status_of(Path(job.folder)).progress.evaluated
    except LedgerError:
        return 0


def _last_line(file: Path) -> str:
    try:
        lines = file.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)

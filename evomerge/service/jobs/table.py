"""The jobs in the ledger: stored before anything is done about them, changed in one step each.

``state`` says where a job stands, ``wanted`` what its users want of it. Users change ``wanted``,
and the supervisor makes ``state`` follow; where no process has to be asked first, both change at
once. A job's place in the queue is its priority, then when it was submitted, so that a pause
keeps it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from evomerge.errors import ServiceError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.plain import text_of
from evomerge.runs.ledger.tables import job

Wanted = Literal["run", "pause", "cancel"]
ENDED = ("finished", "failed", "cancelled")
STATES = ("queued", "running", "paused", *ENDED)


@dataclass(frozen=True)
class NewJob:
    """What a job is submitted as.

    Args:
        job_id: 32 hexadecimal digits.
        kind: ``run``, ``export`` or ``talk``.
        name: For people.
        run_id: The run that it makes, exports from, or lets answer prompts.
        folder: The run's folder, or that of the export.
        body: What is to be done.
        submitted_by: Name of the caller.
        token_id: Their token.
        priority: Larger ones go first.
        idempotency_key: Equal keys of one caller are one job.
        fingerprint: Hash of what was submitted with it.
    """

    job_id: str
    kind: str
    name: str
    run_id: str
    folder: str
    body: Mapping[str, Any]
    submitted_by: str
    token_id: str | None = None
    priority: int = 0
    idempotency_key: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class Job(NewJob):
    """A job as it is stored.

    Args:
        submitted_s: When, in seconds since 1970.
        wanted: ``run``, ``pause`` or ``cancel``.
        state: One of ``STATES``.
        message: Why it failed or waits.
        outcome: What its process said when it ended.
        holder: ``HOST:PID`` of its process.
        starts: How often a process was begun for it.
        crashes: How often one ended without a word since the job last got anywhere.
        evaluated: Candidates when that was last looked at.
        changed_s: When the row last changed.
    """

    submitted_s: float = 0.0
    wanted: str = "run"
    state: str = "queued"
    message: str = ""
    outcome: Mapping[str, Any] | None = None
    holder: str = ""
    starts: int = 0
    crashes: int = 0
    evaluated: int = 0
    changed_s: float = 0.0

    @property
    def ended(self) -> bool:
        """Say if nothing more happens to it unless somebody asks."""
        return self.state in ENDED


class Jobs:
    """The jobs of one ledger; safe in several threads and processes.

    Args:
        ledger: Where they are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, new: NewJob) -> tuple[Job, bool]:
        """Store a job; one that was submitted with the same key is returned instead.

        Returns:
            The job, and whether it is new.

        Raises:
            ServiceError: 409: the key was used for something else.
        """
        now = time.time()
        values = dict(vars(new)) | {"body": dict(new.body), "name": text_of(new.name, 255)}
        made = Job(**values, submitted_s=now, changed_s=now)
        with self._ledger.write("job") as connection:
            if new.idempotency_key is not None:
                # Two submits at once: the second waits here until the first is stored.
                _lock(connection)
                query = select(job).where(job.c.idempotency_key == new.idempotency_key)
                found = connection.execute(query).one_or_none()
                if found is not None:
                    return _same(Job(**found._mapping), new), False
            connection.execute(insert(job), dict(vars(made)))
        return made, True

    def known(self, idempotency_key: str) -> Job | None:
        """Return the job that was submitted with ``idempotency_key``."""
        return next(iter(self._rows(_all().where(job.c.idempotency_key == idempotency_key))), None)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            ServiceError: 404: there is none.
        """
        rows = self._rows(_all().where(job.c.job_id == job_id))
        if not rows:
            raise ServiceError(404, f"there is no job {job_id!r}. GET /api/v1/jobs lists them.")
        return rows[0]

    def newest(
        self,
        *,
        states: Sequence[str] = (),
        kind: str | None = None,
        run_id: str | None = None,
        before: tuple[float, str] | None = None,
        n: int = 200,
    ) -> list[Job]:
        """Return jobs, newest first.

        Args:
            states: Only jobs in one of these.
            kind: Only jobs of this kind.
            run_id: Only jobs of this run.
            before: Only jobs older than the one submitted then, with that id.
            n: At most so many.
        """
        query = _all().order_by(job.c.submitted_s.desc(), job.c.job_id.desc()).limit(n)
        if states:
            query = query.where(job.c.state.in_(states))
        if kind is not None:
            query = query.where(job.c.kind == kind)
        if run_id is not None:
            query = query.where(job.c.run_id == run_id)
        if before is not None:
            at_s, job_id = before
            older = and_(job.c.submitted_s == at_s, job.c.job_id < job_id)
            query = query.where(or_(job.c.submitted_s < at_s, older))
        return self._rows(query)

    def queued(self, kind: str) -> Sequence[Job]:
        """Return the jobs that wait, in the order in which they are to begin."""
        order = job.c.priority.desc(), job.c.submitted_s, job.c.job_id
        waits = and_(job.c.state == "queued", job.c.wanted == "run", job.c.kind == kind)
        return self._rows(_all().where(waits).order_by(*order))

    def running(self) -> Sequence[Job]:
        """Return the jobs that have a process, or had one that wasn't looked after yet."""
        return self._rows(_all().where(job.c.state == "running"))

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by state."""
        query = select(job.c.state, func.count()).group_by(job.c.state)
        with self._ledger.read() as connection:
            found = {state: int(n) for state, n in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def of_token(self, token_id: str) -> Sequence[Job]:
        """Return all runs that were submitted with a token."""
        return self._rows(_all().where(job.c.token_id == token_id, job.c.kind == "run"))

    # -- users --------------------------------------------------------------------------------

    def pause(self, job_id: str) -> Job:
        """Want a job to pause; one that waits does so at once.

        Raises:
            ServiceError: 409: it has ended, or is no run.
        """
        with self._changing(job_id) as (connection, found):
            if found.kind != "run":
                raise ServiceError(409, f"{_a(found)} can't be paused; cancel it instead.")
            if found.ended or found.wanted == "cancel":
                raise ServiceError(409, f"this job is {_state(found)}, so it can't be paused.")
            state = "paused" if found.state == "queued" else found.state
            return _set(connection, found, wanted="pause", state=state)

    def resume(self, job_id: str, *, budget: int | None = None) -> Job:
        """Want a job to go on: it takes its old place in the queue.

        Args:
            job_id: The job.
            budget: The new total of candidates.

        Raises:
            ServiceError: 409: it is finished and gets no larger budget, or is being cancelled.
        """
        with self._changing(job_id) as (connection, found):
            if found.state == "finished" and (budget is None or found.kind != "run"):
                raise ServiceError(
                    409, "this job is finished. Resume it with a larger budget, or clone it."
                )
            if found.state == "running" and (found.wanted == "cancel" or budget is not None):
                raise ServiceError(
                    409, f"this job is {_state(found)}. Wait until it has stopped, and resume then."
                )
            state = "running" if found.state == "running" else "queued"
            body = dict(found.body) | ({} if budget is None else {"budget": budget})
            again = {} if state == "running" else {"crashes": 0, "outcome": None, "message": ""}
            return _set(connection, found, wanted="run", state=state, body=body, **again)

    def cancel(self, job_id: str) -> Job:
        """Want a job to end; one that has no process does so at once.

        Raises:
            ServiceError: 409: it has ended otherwise.
        """
        with self._changing(job_id) as (connection, found):
            if found.state in ("finished", "failed"):
                raise ServiceError(409, f"this job is {found.state}: there is nothing to cancel.")
            state = found.state if found.state == "running" else "cancelled"
            return _set(connection, found, wanted="cancel", state=state)

    def move(self, job_id: str, priority: int) -> Job:
        """Give a job another priority."""
        with self._changing(job_id) as (connection, found):
            return _set(connection, found, priority=priority)

    # -- the supervisor and the job's process ---------------------------------------------------

    def begin(self, job_id: str) -> bool:
        """Take a job from the queue; False where it no longer waits there."""
        waits = and_(job.c.job_id == job_id, job.c.state == "queued", job.c.wanted == "run")
        values = {"state": "running", "outcome": None, "message": "", "holder": ""}
        change = update(job).where(waits)
        with self._ledger.write("job begin") as connection:
            done = connection.execute(
                change.values(**values, starts=job.c.starts + 1, changed_s=time.time())
            )
            return done.rowcount == 1

    def hold(self, job_id: str, holder: str) -> Job:
        """Say which process does a job, and return the job."""
        with self._changing(job_id) as (connection, found):
            return _set(connection, found, holder=holder)

    def tell(self, job_id: str, outcome: Mapping[str, Any]) -> None:
        """Store what came of a job, as its process saw it."""
        with self._changing(job_id) as (connection, found):
            _set(connection, found, outcome=dict(outcome))

    def settle(self, job_id: str, state: str, **values: Any) -> None:
        """Store where a job stands after its process has ended; only ``running`` ones change."""
        with self._changing(job_id) as (connection, found):
            if found.state == "running":
                _set(connection, found, state=state, holder="", **values)

    def hold_back(self, job_id: str, message: str) -> None:
        """Pause a job on behalf of the service, which says why."""
        with self._changing(job_id) as (connection, found):
            if not found.ended and found.wanted == "run":
                state = "paused" if found.state == "queued" else found.state
                _set(connection, found, wanted="pause", state=state, message=message)

    # -- rows -----------------------------------------------------------------------------------

    def _changing(self, job_id: str) -> "_Changing":
        return _Changing(self._ledger, job_id)

    def _rows(self, query: Select[Any]) -> list[Job]:
        with self._ledger.read() as connection:
            return [Job(**row._mapping) for row in connection.execute(query)]


class _Changing:
    """A write transaction that holds one job's row; gives connection and job."""

    def __init__(self, ledger: Ledger, job_id: str) -> None:
        self._write = ledger.write("job change")
        self._job_id = job_id

    def __enter__(self) -> tuple[Connection, Job]:
        connection = self._write.__enter__()
        try:
            query = _all().where(job.c.job_id == self._job_id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise ServiceError(
                    404, f"there is no job {self._job_id!r}. GET /api/v1/jobs lists them."
                )
            return connection, Job(**row._mapping)
        except BaseException as error:
            self._write.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(self, *error: Any) -> None:
        self._write.__exit__(*error)


def _all() -> Select[Any]:
    return select(job)


def _set(connection: Connection, found: Job, **values: Any) -> Job:
    """Change a job and return it as it is now."""
    if isinstance(values.get("message"), str):
        values["message"] = text_of(values["message"])
    values["changed_s"] = time.time()
    connection.execute(update(job).where(job.c.job_id == found.job_id).values(**values))
    return Job(**{**vars(found), **values})


def _same(found: Job, new: NewJob) -> Job:
    if found.fingerprint != new.fingerprint:
        raise ServiceError(
            409,
            f"the idempotency key belongs to job {found.job_id}, which was something else. Use "
            "another key for another job.",
        )
    return found


def _a(found: Job) -> str:
    return f"{'an' if found.kind == 'export' else 'a'} {found.kind}"


def _state(found: Job) -> str:
    return "being cancelled" if found.wanted == "cancel" and not found.ended else found.state


def _lock(connection: Connection) -> None:
    """Let one submit with a key at a time in; SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("evomerge submit"))))

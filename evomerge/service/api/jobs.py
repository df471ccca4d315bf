"""Jobs: submit, queue, pause, resume, cancel, clone."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from evomerge.errors import ServiceError
from evomerge.service.access import Asking, Caller, Operator, Role, Viewer, note
from evomerge.service.api.job_models import JobBody, JobPage, body_of
from evomerge.service.jobs.submission import RunFile
from evomerge.service.jobs.supervisor import log_of
from evomerge.service.jobs.table import Job
from evomerge.service.state import Service

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="A job's id.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A submit that is sent again with the same key gives the same job.",
    ),
]
Priority = Annotated[int, Field(ge=-1000, le=1000, description="Larger ones begin first.")]
Override = Annotated[str, Field(max_length=10_000)]
_TAIL = 100_000


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunFileBody(_Asked):
    """A run file: ``config`` or ``text``."""

    config: dict[str, Any] | None = Field(None, description="The run file as plain data.")
    text: str | None = Field(None, max_length=200_000, description="The run file as YAML.")
    overrides: list[Override] = Field(
        default=[],
        max_length=200,
        description="KEY=VALUE, as --set takes them.",
        examples=[["search.budget=40"]],
    )
    plugins: list[str] = Field(
        default=[], max_length=20, description="Plug-in files of the server that it allows."
    )

    def file(self) -> RunFile:
        """Return what was submitted.

        Raises:
            ServiceError: 422: it holds neither or both.
        """
        if (self.config is None) == (self.text is None):
            raise ServiceError(422, "expected one of config (plain data) and text (YAML).")
        return RunFile(self.config, self.text, self.overrides, self.plugins)


class SubmitBody(RunFileBody):
    """A run to submit."""

    priority: Priority = 0


class CheckedBody(BaseModel):
    """A run file without mistakes."""

    config: dict[str, Any] = Field(description="The run file, defaults filled in.")
    warnings: list[str] = Field(description="What may go wrong all the same.")


class ChangeBody(_Asked):
    """What may be changed of a job."""

    priority: Priority


class ResumeBody(_Asked):
    """How a run goes on."""

    budget: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None, description="New total of candidates; as it was if absent."
    )


class CloneBody(_Asked):
    """What is different in the new job."""

    overrides: list[Override] = Field(
        default=[], max_length=200, examples=[["search.seed=1", "name=again"]]
    )
    priority: Priority = 0


@router.post("/jobs/check")
def check(body: RunFileBody, request: Request, caller: Asking) -> CheckedBody:
    """Check a run file as a submit does, with the same messages, and store nothing."""
    found = _service(request).submission.check(body.file())
    return CheckedBody(config=dict(found.config), warnings=list(found.warnings))


@router.post("/jobs", status_code=201)
def submit(
    body: SubmitBody, request: Request, response: Response, caller: Operator, key: Key = None
) -> JobBody:
    """Submit a run; it is checked, stored, and begins when its turn comes."""
    service = _service(request)
    job, is_new = service.submission.submit(body.file(), caller, priority=body.priority, key=key)
    return _stored(job, is_new, request, response)


@router.get("/jobs")
def jobs(
    request: Request,
    caller: Viewer,
    state: Annotated[
        list[Literal["queued", "running", "paused", "finished", "failed", "cancelled"]] | None,
        Query(description="Only jobs in one of these states."),
    ] = None,
    kind: Annotated[Literal["run", "export", "talk"] | None, Query()] = None,
    run: Annotated[str | None, Query(max_length=64, description="Only jobs of this run.")] = None,
    cursor: Annotated[str | None, Query(max_length=100, description="next of a page.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """List jobs, newest first."""
    found = _service(request).jobs.newest(
        states=state or (), kind=kind, run_id=run, before=_place(cursor), n=limit + 1
    )
    page = found[:limit]
    more = f"{page[-1].submitted_s!r}:{page[-1].job_id}" if len(found) > limit else None
    return JobPage(jobs=[body_of(job) for job in page], next=more)


@router.get("/jobs/{job_id}")
def job(job_id: JobId, request: Request, caller: Viewer) -> JobBody:
    """Show a job."""
    return body_of(_service(request).jobs.get(job_id))


@router.patch("/jobs/{job_id}")
def change(job_id: JobId, body: ChangeBody, request: Request, caller: Operator) -> JobBody:
    """Give a job another priority; of somebody else's only an admin may."""
    service = _service(request)
    check_owner(service.jobs.get(job_id), caller)
    note(request, f"priority {body.priority}")
    return _changed(service, service.jobs.move(job_id, body.priority))


@router.post("/jobs/{job_id}/pause")
def pause(job_id: JobId, request: Request, caller: Operator) -> JobBody:
    """Pause a run: what is running is finished, devices are freed, its place is kept."""
    service = _service(request)
    return _changed(service, service.jobs.pause(job_id))


@router.post("/jobs/{job_id}/resume")
def resume(
    job_id: JobId, request: Request, caller: Operator, body: ResumeBody | None = None
) -> JobBody:
    """Let a paused, failed or cancelled job go on where it stopped, or extend a finished run."""
    service = _service(request)
    budget = None if body is None else body.budget
    return _changed(service, service.jobs.resume(job_id, budget=budget))


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: JobId, request: Request, caller: Operator) -> JobBody:
    """End a job without waiting for what is running; somebody else's only by an admin."""
    service = _service(request)
    check_owner(service.jobs.get(job_id), caller)
    return _changed(service, service.jobs.cancel(job_id))


@router.post("/jobs/{job_id}/clone", status_code=201)
def clone(
    job_id: JobId,
    body: CloneBody,
    request: Request,
    response: Response,
    caller: Operator,
    key: Key = None,
) -> JobBody:
    """Submit a job's run file again, with changes."""
    service = _service(request)
    job, is_new = service.submission.clone(
        service.jobs.get(job_id), body.overrides, caller, priority=body.priority, key=key
    )
    return _stored(job, is_new, request, response)


@router.get("/jobs/{job_id}/log", response_class=Response)
def log(job_id: JobId, request: Request, caller: Viewer) -> Response:
    """Return the last 100 kB of what a job's processes printed; most is in its run's logs."""
    service = _service(request)
    service.jobs.get(job_id)
    file = log_of(service.settings, job_id)
    content = b""
    if file.is_file():
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL))
            content = stream.read()
    return Response(content, media_type="text/plain; charset=utf-8")


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def check_owner(job: Job, caller: Caller) -> None:
    """Refuse what takes something from another user, unless an admin does it.

    Raises:
        ServiceError: 403: the job is somebody else's.
    """
    same = (job.submitted_by, job.token_id) == (caller.name, caller.token_id)
    if not same and not caller.role.includes(Role.ADMIN):
        raise ServiceError(
            403, f"this job is of {job.submitted_by!r}. Only they and admins may do that."
        )


def _stored(job: Job, is_new: bool, request: Request, response: Response) -> JobBody:
    service = _service(request)
    service.supervisor.wake()
    note(request, f"job {job.job_id}")
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/v1/jobs/{job.job_id}"
    return body_of(job)


def _changed(service: Service, job: Job) -> JobBody:
    service.supervisor.wake()
    return body_of(job)


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    at_s, _, job_id = cursor.partition(":")
    try:
        return float(at_s), job_id
    except ValueError:
        raise ServiceError(422, "the cursor is none that a page gave. Leave it out.") from None

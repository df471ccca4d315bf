"""What may be done about a run, whoever began it: pause, cancel, resume, export, download."""

import base64
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from evomerge.errors import ServiceError
from evomerge.runs.requests import request_stop
from evomerge.service.access import Caller, Operator, Viewer, note
from evomerge.service.api.job_models import JobBody, body_of
from evomerge.service.api.jobs import JobId, Key, ResumeBody, check_owner
from evomerge.service.jobs.table import Job
from evomerge.service.state import Service

router = APIRouter(tags=["runs"])

RunId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="A run's id.")]


class Asked(BaseModel):
    """What was asked, and of whom."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"job": None, "request": 3, "message": "asked to pause."}]}
    )

    job: JobBody | None = Field(description="The run's job, if it has one.")
    request: int | None = Field(description="Number of the request to the run's own process.")
    message: str


class ExportBody(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")

    candidate: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        "best", description="A candidate's id, or best."
    )
    format: Literal["hf", "recipe", "mergekit"] = Field(
        "hf", description="hf: a checkpoint, as a tar archive; recipe or mergekit: one YAML file."
    )


@router.post("/runs/{run_id}/pause")
def pause_run(run_id: RunId, request: Request, caller: Operator) -> Asked:
    """Pause a run, also one that the command line drives: what is running is finished first."""
    return _stop(request, run_id, "pause", caller)


@router.post("/runs/{run_id}/cancel")
def cancel_run(run_id: RunId, request: Request, caller: Operator) -> Asked:
    """End a run that the command line drives at once, or cancel a run's job."""
    return _stop(request, run_id, "cancel", caller)


@router.post("/runs/{run_id}/resume", status_code=201)
def resume_run(
    run_id: RunId, request: Request, caller: Operator, body: ResumeBody | None = None
) -> JobBody:
    """Go on with a run that the command line began, as a job; one that is a job is resumed."""
    service: Service = request.app.state.service
    budget = None if body is None else body.budget
    job = _job_of(service, run_id)
    if job is None:
        job = service.submission.adopt(run_id, caller, budget=budget)
    else:
        job = service.jobs.resume(job.job_id, budget=budget)
    service.supervisor.wake()
    note(request, f"job {job.job_id}")
    return body_of(job)


@router.post("/runs/{run_id}/exports", status_code=201)
def export_candidate(
    run_id: RunId,
    body: ExportBody,
    request: Request,
    response: Response,
    caller: Operator,
    key: Key = None,
) -> JobBody:
    """Export a candidate, as a job whose file can be downloaded once it is finished."""
    service: Service = request.app.state.service
    job, is_new = service.submission.export(run_id, body.candidate, body.format, caller, key=key)
    service.supervisor.wake()
    note(request, f"job {job.job_id}")
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/v1/jobs/{job.job_id}"
    return body_of(job)


@router.get("/jobs/{job_id}/download", response_class=FileResponse)
def download(job_id: JobId, request: Request, caller: Viewer) -> FileResponse:
    """Download what an export made: all of it, or the range that is asked for."""
    service: Service = request.app.state.service
    job = service.jobs.get(job_id)
    if job.kind != "export" or job.state != "finished":
        raise ServiceError(409, f"this is no finished export: {job.kind}, {job.state}.")
    outcome = job.outcome or {}
    file = FilePath(job.folder) / outcome["file"]
    if not file.is_file():
        raise ServiceError(404, "the file was removed from the server. Export it again.")
    # The name was made of plain letters when the file was, so that no header can break.
    return FileResponse(
        file,
        filename=outcome["file"],
        media_type="application/x-tar" if file.suffix == ".tar" else "application/yaml",
        headers={
            "ETag": f'"{outcome["sha256"]}"',
            "Repr-Digest": f"sha-256=:{_base64(outcome['sha256'])}:",
        },
    )


def _stop(request: Request, run_id: str, kind: Literal["pause", "cancel"], caller: Caller) -> Asked:
    service: Service = request.app.state.service
    job = _job_of(service, run_id)
    if job is not None and not job.ended:
        if kind == "cancel":
            check_owner(job, caller)
        change = service.jobs.pause if kind == "pause" else service.jobs.cancel
        job = change(job.job_id)
        service.supervisor.wake()
        note(request, f"job {job.job_id}")
        return Asked(job=body_of(job), request=None, message=f"the job is to {kind}.")
    folder = service.folders.find(run_id)
    number = request_stop(folder.path, kind)
    return Asked(job=None, request=number, message=f"its driver was asked to {kind}.")


def _job_of(service: Service, run_id: str) -> Job | None:
    """Return the job that makes a run."""
    return next(iter(service.jobs.newest(kind="run", run_id=run_id, n=1)), None)


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()

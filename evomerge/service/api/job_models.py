"""What the API says of jobs."""

from pydantic import BaseModel, ConfigDict, Field

from evomerge.service.jobs.table import Job


class Problem(BaseModel):
    """One mistake."""

    key: str
    message: str


class Download(BaseModel):
    """What an export made."""

    file: str = Field(description="Name of the file.")
    bytes: int = Field(description="Its size.")
    sha256: str = Field(description="Its checksum.")
    url: str = Field(description="Where it is downloaded; ranges are answered.")


class JobBody(BaseModel):
    """A job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job_id": "5f3c1a0e9b7d4c2f8a6e1d0c3b5a7f90",
                    "kind": "run",
                    "name": "quickstart",
                    "state": "running",
                    "wanted": "run",
                    "message": "",
                    "problems": [],
                    "run_id": "5f3c1a0e9b7d4c2f8a6e1d0c3b5a7f90",
                    "folder": "/srv/runs/quickstart-5f3c1a0e",
                    "priority": 0,
                    "submitted_s": 1795290000.0,
                    "submitted_by": "ada",
                    "starts": 1,
                    "changed_s": 1795290001.5,
                    "candidate": None,
                    "format": None,
                    "download": None,
                }
            ]
        }
    )

    job_id: str
    kind: str = Field(description="run, export or talk (prompts to models of a run).")
    name: str
    state: str = Field(description="queued, running, paused, finished, failed or cancelled.")
    wanted: str = Field(description="What its users want of it: run, pause or cancel.")
    message: str = Field(description="Why it failed or waits; may be empty.")
    problems: list[Problem] = Field(description="Single mistakes, where it failed for several.")
    run_id: str = Field(description="The run that it makes, exports from or talks to.")
    folder: str = Field(description="Where that is on the server.")
    priority: int
    submitted_s: float = Field(description="Seconds since 1970.")
    submitted_by: str
    starts: int = Field(description="How often a process was begun for it.")
    changed_s: float = Field(description="Seconds since 1970.")
    candidate: str | None = Field(description="What is exported.")
    format: str | None = Field(description="What it is exported as: hf, recipe or mergekit.")
    download: Download | None = Field(description="What a finished export made.")


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobBody]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


def body_of(job: Job) -> JobBody:
    """Return what the API says of ``job``."""
    outcome = job.outcome or {}
    download = None
    if job.kind == "export" and job.state == "finished":
        url = f"/api/v1/jobs/{job.job_id}/download"
        known = {key: outcome[key] for key in ("file", "bytes", "sha256")}
        download = Download(**known, url=url)
    return JobBody(
        job_id=job.job_id,
        kind=job.kind,
        name=job.name,
        state=job.state,
        wanted=job.wanted,
        message=job.message,
        problems=[Problem(key=key, message=text) for key, text in outcome.get("problems", ())],
        run_id=job.run_id,
        folder=job.folder,
        priority=job.priority,
        submitted_s=job.submitted_s,
        submitted_by=job.submitted_by,
        starts=job.starts,
        changed_s=job.changed_s,
        candidate=job.body.get("candidate"),
        format=job.body.get("format") if job.kind == "export" else None,
        download=download,
    )

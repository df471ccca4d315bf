"""Commands for the jobs of a service: submit, jobs, logs, pause, resume-job, cancel, fetch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import print_json, print_table, say, table
from evomerge.cli.options import JsonOption, SetOption

if TYPE_CHECKING:
    from evomerge.service.client import Client, RemoteJob

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="EVOMERGE_SERVER",
        help="Address of the service; your token is taken from EVOMERGE_TOKEN.",
    ),
]
JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or the first letters of one.")
]
_SERVER = "http://127.0.0.1:8321"
_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("submit")(submit)
    app.command("jobs")(jobs)
    app.command("logs")(logs)
    app.command("pause")(pause)
    app.command("resume-job")(resume_job)
    app.command("cancel")(cancel)
    app.command("fetch")(fetch)


def submit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Run file, on this machine.")],
    overrides: SetOption = None,
    priority: Annotated[int, typer.Option(help="Larger ones begin first.")] = 0,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Submits with one key are one job.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has ended.")] = False,
    server: ServerOption = _SERVER,
    json: JsonOption = False,
) -> None:
    """Submit a run file to a service; paths in it are the server's."""
    from evomerge.config.load import load_config

    load_config(config, overrides or ())  # what is wrong with its form is told here
    with _client(server) as client:
        text = config.read_text(encoding="utf-8")
        job = client.submit(text, overrides=overrides or (), priority=priority, key=key)
        if wait:
            say(f"job {job.job_id} is {job.state}")
            job = client.wait(job.job_id)
    _tell(job, json=json)
    if job.state == "failed":
        raise typer.Exit(_FAILED)


def jobs(
    all_jobs: Annotated[
        bool, typer.Option("--all", help="Ended ones too, not only the last ten.")
    ] = False,
    server: ServerOption = _SERVER,
    json: JsonOption = False,
) -> None:
    """List a service's jobs, newest first."""
    with _client(server) as client:
        found = list(client.jobs())
    ended = [job for job in found if job.ended]
    left_out = set() if all_jobs else {job.job_id for job in ended[10:]}
    shown = [job for job in found if job.job_id not in left_out]
    if json:
        print_json({"jobs": shown})
        return
    rows = [
        (job.job_id, job.kind, job.name, _state(job), job.priority, job.submitted_by, job.message)
        for job in shown
    ]
    columns = ["job", "kind", "name", "state", ">priority", "by", "message"]
    print_table(table("Jobs", columns, rows))


def logs(job: JobArgument, server: ServerOption = _SERVER, json: JsonOption = False) -> None:
    """Print the last of a job's log."""
    from evomerge.errors import ServiceError

    with _client(server) as client:
        found = _find(client, job)
        own = client.log(found.job_id)
        lines: list[str] = []
        with contextlib.suppress(ServiceError):  # a run that hasn't begun has no log
            lines = [str(line) for line in client.run_log(found.run_id)["lines"]]
    if json:
        print_json({"job": found, "lines": lines, "printed": own})
        return
    for line in lines:
        print(line)
    if own.strip():
        say(own.rstrip())


def pause(job: JobArgument, server: ServerOption = _SERVER, json: JsonOption = False) -> None:
    """Pause a job: what runs is finished, devices are freed, its place in the queue is kept."""
    with _client(server) as client:
        _tell(client.pause(_find(client, job).job_id), json=json)


def resume_job(
    job: JobArgument,
    budget: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="New total of candidates.")
    ] = None,
    server: ServerOption = _SERVER,
    json: JsonOption = False,
) -> None:
    """Let a paused, failed or cancelled job go on, or give a finished one more candidates."""
    with _client(server) as client:
        _tell(client.resume(_find(client, job).job_id, budget=budget), json=json)


def cancel(job: JobArgument, server: ServerOption = _SERVER, json: JsonOption = False) -> None:
    """End a job without waiting for what is running."""
    with _client(server) as client:
        _tell(client.cancel(_find(client, job).job_id), json=json)


def fetch(
    job: JobArgument,
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="A candidate's id, or 'best'.")
    ] = "best",
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="File, or a folder that exists.")
    ] = Path(),
    format: Annotated[str, typer.Option(help="hf, recipe or mergekit.")] = "hf",
    server: ServerOption = _SERVER,
    json: JsonOption = False,
) -> None:
    """Export a candidate of a job's run on the server and download it."""
    from evomerge.errors import RunFailedError

    with _client(server) as client:
        made = client.export(_find(client, job).run_id, candidate, format=format)
        made = client.wait(made.job_id)
        if made.state != "finished":
            raise RunFailedError(f"the export is {made.state}: {made.message}")
        file = client.download(made, out)
    if json:
        print_json({"job": made, "file": file})
    else:
        say(f"{file}: candidate {candidate} of {job}")


@contextlib.contextmanager
def _client(server: str) -> "Iterator[Client]":
    with _connect(server) as client:
        yield client


def _connect(server: str) -> "Client":
    from evomerge.service.client import Client

    return Client(server)


def _find(client: "Client", job: str) -> "RemoteJob":
    """Return the job whose id is ``job`` or begins with it."""
    from evomerge.errors import ServiceError

    if len(job) == 32:
        return client.job(job)
    found = [item for item in client.jobs() if item.job_id.startswith(job)]
    if len(found) != 1:
        n = "no job" if not found else f"{len(found)} jobs"
        raise ServiceError(404, f"{n} begin with {job!r}. 'evomerge jobs --all' lists them.")
    return found[0]


def _state(job: "RemoteJob") -> str:
    """Return a job's state, and what is wanted where that is something else."""
    waits = job.state == "running" and job.wanted != "run"
    return f"{job.state}, to {job.wanted}" if waits else job.state


def _tell(job: "RemoteJob", *, json: bool) -> None:
    if json:
        print_json({"job": job})
        return
    reason = f": {job.message}" if job.message else ""
    say(f"job {job.job_id} ({job.name}) is {_state(job)}{reason}")

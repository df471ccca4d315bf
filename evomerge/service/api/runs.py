"""Runs: all of a workspace as a list, and each with everything but its candidates."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.reading.models import RunDetail, RunList
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.run_list import STATES, Wanted, list_runs, run_of

router = APIRouter(tags=["runs"])

RunId = Annotated[str, Path(max_length=64, description="Id of the run.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="'next' of the page before; none: the first.")
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items.")]


@router.get("/runs", response_model=RunList)
def get_runs(
    caller: Viewer,
    request: Request,
    text: Annotated[str, Query(max_length=200, description="Part of the name.")] = "",
    state: Annotated[
        list[str] | None, Query(description=f"Only runs that are: {', '.join(STATES)}.")
    ] = None,
    run: Annotated[
        str | None, Query(max_length=64, description="Only this run; it may not be there yet.")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List the runs of the workspace, the newest first."""
    workspace = workspace_of(request)
    wanted = Wanted(text=text, states=tuple(state or ()), run_id=run)
    answer = workspace.answers.get(
        ("runs", wanted, limit, cursor),
        None,
        lambda: list_runs(workspace, wanted, limit=limit, cursor=cursor),
    )
    return respond(request, answer)


@router.get("/runs/{run}", response_model=RunDetail)
def get_run(caller: Viewer, request: Request, run: RunId) -> Response:
    """Tell everything about a run but its candidates."""
    workspace = workspace_of(request)
    answer = workspace.answer(run, "run", None, lambda: run_of(workspace, run))
    return respond(request, answer)

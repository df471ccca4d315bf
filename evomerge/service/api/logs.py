"""Logs: the end of a run's log, and what comes after it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.answers import encoded
from evomerge.service.reading.logs import MOST_LINES, read_log
from evomerge.service.reading.models import Log
from evomerge.service.reading.respond import respond, workspace_of

router = APIRouter(tags=["logs"])


@router.get("/runs/{run}/logs", response_model=Log)
def get_logs(
    caller: Viewer,
    request: Request,
    run: RunId,
    after: Annotated[
        int | None,
        Query(ge=0, le=2**53, description="'next' of the answer before; none: the last lines."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES, description="Most lines.")] = 200,
) -> Response:
    """Give the last lines of a run's log, or those after a place in it."""
    folder = workspace_of(request).folder(run)
    return respond(request, encoded(read_log(folder.log_file, after=after, lines=limit)))

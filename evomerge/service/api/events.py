"""Events: what happens in a run, as it happens."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from evomerge.service.access import Viewer, still_allowed
from evomerge.service.api.runs import RunId
from evomerge.service.reading.respond import workspace_of

router = APIRouter(tags=["events"])

_EXAMPLE = 'id: 17\nevent: candidate_done\ndata: {"sequence":17,"kind":"candidate_done",…}\n\n'


@router.get(
    "/runs/{run}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events; data is JSON with sequence, kind, at_s and body.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
)
async def get_events(
    caller: Viewer,
    request: Request,
    run: RunId,
    after: Annotated[
        int | None,
        Query(ge=0, le=2**31 - 1, description="Only later events; 0: all. None: only new ones."),
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, description="Where a broken stream goes on.")
    ] = None,
) -> StreamingResponse:
    """Tell what happens in a run, as it happens; a browser's EventSource goes on by itself."""
    workspace = workspace_of(request)
    records = await run_in_threadpool(workspace.records, run)
    workspace.feeds.check_room()
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        after = min(int(last_event_id), 2**31 - 1)

    async def allowed() -> bool:
        return await run_in_threadpool(still_allowed, request)

    return StreamingResponse(
        workspace.feeds.stream(records, after, allowed),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )

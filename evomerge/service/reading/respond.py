"""Answers as HTTP: with their tag, or only that nothing has changed."""

from fastapi import Request, Response

from evomerge.service.reading.answers import Answer
from evomerge.service.reading.workspace import Workspace

JSON = "application/json"


def workspace_of(request: Request) -> Workspace:
    """Return what reads the runs of the service that got ``request``."""
    found: Workspace = request.app.state.service.reading
    return found


def respond(request: Request, answer: Answer) -> Response:
    """Return an answer, without body where the client has it already."""
    # Only this client may keep it, and has to ask each time if it still holds.
    headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or answer.etag in (item.strip() for item in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=JSON, headers=headers)

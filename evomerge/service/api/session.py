"""Sessions: a browser shows a token once and goes on with a cookie."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from evomerge.service.access import (
    Viewer,
    access_of,
    address_of,
    check_same_site,
    cookie_name,
)
from evomerge.service.sessions import LASTS_S, csrf_of
from evomerge.service.tokens import Role

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """What begins a session."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"token": "evm_0123456789ab_…"}]}
    )

    token: Annotated[str, Field(max_length=200, description="A token of 'evomerge token create'.")]


class WhoAmI(BaseModel):
    """Who the caller is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "ada", "role": "operator", "csrf": None}]}
    )

    name: str = Field(description="Name of the caller's token; 'local' without tokens.")
    role: Role = Field(description="What the caller may do.")
    csrf: str | None = Field(
        description="What a page sends as X-CSRF-Token with whatever changes something; "
        "null for who shows a token with each request."
    )


@router.post("/session", status_code=201)
def begin_session(login: Login, request: Request, response: Response) -> WhoAmI:
    """Begin a session: the answer sets its cookie."""
    access = access_of(request)
    check_same_site(request)
    caller = access.holder(request, login.token)
    access.audit.begin(
        caller, address=address_of(request), method="POST", path=request.url.path, status=201
    )
    session = access.sessions.begin(caller)
    response.set_cookie(
        cookie_name(request),
        session.value,
        max_age=int(LASTS_S),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return WhoAmI(name=caller.name, role=caller.role, csrf=session.csrf)


@router.get("/session")
def who_am_i(caller: Viewer, request: Request) -> WhoAmI:
    """Tell who the caller is, and the CSRF token of a session."""
    value = request.cookies.get(cookie_name(request))
    by_cookie = value is not None and "authorization" not in request.headers
    csrf = csrf_of(value) if value is not None and by_cookie else None
    return WhoAmI(name=caller.name, role=caller.role, csrf=csrf)


@router.delete("/session", status_code=204)
def end_session(caller: Viewer, request: Request, response: Response) -> None:
    """End the session; its cookie is worth nothing any more."""
    value = request.cookies.get(cookie_name(request))
    if value is not None:
        access_of(request).sessions.end(value)
        response.delete_cookie(cookie_name(request))

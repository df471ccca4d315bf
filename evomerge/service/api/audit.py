"""The audit log, for admins."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from evomerge.service.access import Admin, access_of

router = APIRouter(tags=["audit"])

_EXAMPLE: dict[str, Any] = {
    "entry_id": 17,
    "at_s": 1767225600.0,
    "who": "ada",
    "token_id": "0123456789ab",
    "role": "operator",
    "address": "192.0.2.7",
    "method": "POST",
    "path": "/api/v1/jobs",
    "detail": "job 5f3c1a0e9b7d4c2f8a6e1d0c3b5a7f90",
    "status": 201,
}


class AuditEntry(BaseModel):
    """One thing that somebody did, or tried."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    entry_id: int
    at_s: float = Field(description="When it began, in seconds since 1970.")
    who: str = Field(description="Name of their token; empty where nobody was known.")
    token_id: str | None
    role: str
    address: str
    method: str = Field(description="POST and the like; 'command' for the command line.")
    path: str
    detail: str = Field(description="What came of it, in words.")
    status: int | None = Field(description="The answer's status; null where none was given.")


class AuditPage(BaseModel):
    """Entries, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE], "next": 17}]})

    items: list[AuditEntry]
    next: int | None = Field(description="Give it as 'before' to get older ones; null: no more.")


@router.get("/audit")
def list_audit(
    caller: Admin,
    request: Request,
    before: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Only entries older than this one.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries a page.")] = 100,
) -> AuditPage:
    """List who did what, newest first."""
    rows = access_of(request).audit.rows(before=before, limit=limit + 1)
    items = [AuditEntry(**asdict(row)) for row in rows[:limit]]
    return AuditPage(items=items, next=items[-1].entry_id if len(rows) > limit else None)

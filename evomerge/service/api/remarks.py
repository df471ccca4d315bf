"""Remarks: stars, notes, bans and pins of candidates, told and changed."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from evomerge.errors import ServiceError
from evomerge.runs.remarks import LONGEST, add_note, set_star
from evomerge.runs.steering import Steered, steer
from evomerge.service.access import Operator, Viewer, note
from evomerge.service.api.candidates import CandidateId
from evomerge.service.api.runs import RunId
from evomerge.service.reading.answers import encoded
from evomerge.service.reading.details import read_all_remarks, read_remark, row_of
from evomerge.service.reading.models import Remark, example
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.stored import readable

router = APIRouter(tags=["remarks"])

PATIENCE_S = 5.0
"""Seconds that a ban or pin waits for the driver of the run, which answers every two."""
_REMARK = {"candidate": "3-2", "starred": True, "notes": [], "banned": False, "pinned": False}


class Remarks(BaseModel):
    """What users have said of a run's candidates."""

    model_config = example(items=[_REMARK])

    items: list[Remark] = Field(description="Only candidates of which something was said.")


class RemarkBody(BaseModel):
    """What is to change; what is absent stays as it is."""

    model_config = example(starred=True)

    starred: bool | None = None
    banned: bool | None = Field(None, description="Its recipe is never chosen nor scored again.")
    pinned: bool | None = Field(None, description="It is always among the finalists.")


class NoteBody(BaseModel):
    """A note to write."""

    model_config = example(text="try this one on the long prompts")

    text: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]


class Changed(BaseModel):
    """A candidate's remark after a change."""

    model_config = example(remark=_REMARK, message="")

    remark: Remark
    message: str = Field(description="What else is to be known of it; mostly empty.")


@router.get("/runs/{run}/remarks", response_model=Remarks)
def get_remarks(caller: Viewer, request: Request, run: RunId) -> Response:
    """List all stars, notes, bans and pins of a run."""
    workspace = workspace_of(request)
    records, name = workspace.records(run), workspace.folder(run).name
    with readable(name, "the remarks"), records.ledger.read() as connection:
        found = read_all_remarks(connection, run)
    return respond(request, encoded({"items": [asdict(remark) for remark in found.values()]}))


@router.patch("/runs/{run}/candidates/{candidate}/remark")
def change_remark(
    caller: Operator, request: Request, run: RunId, candidate: CandidateId, body: RemarkBody
) -> Changed:
    """Star, ban or pin a candidate, or take that back."""
    workspace = workspace_of(request)
    row_of(workspace.run(run).columns, candidate)
    path = workspace.folder(run).path
    messages = []
    if body.starred is not None:
        set_star(path, candidate, on=body.starred)
    steps: list[tuple[Literal["ban", "pin"], bool | None]]
    steps = [("ban", body.banned), ("pin", body.pinned)]
    # What is taken back comes first: a pinned candidate can't be banned, nor the other way round.
    for kind, on in sorted(steps, key=lambda step: bool(step[1])):
        if on is not None:
            steered = steer(path, kind, candidate, on=on, patience_s=PATIENCE_S)
            messages.append(_outcome(steered, kind))
    said = ", ".join(f"{key}={on}" for key, on in body.model_dump(exclude_none=True).items())
    note(request, f"{candidate}: {said}")
    return _changed(request, run, candidate, " ".join(filter(None, messages)))


@router.post("/runs/{run}/candidates/{candidate}/notes", status_code=201)
def write_note(
    caller: Operator, request: Request, run: RunId, candidate: CandidateId, body: NoteBody
) -> Changed:
    """Write a note on a candidate; it stays for good."""
    workspace = workspace_of(request)
    row_of(workspace.run(run).columns, candidate)
    if not body.text.strip() or "\0" in body.text:
        raise ServiceError(422, "the note is empty, or no plain text. Say what others should know.")
    add_note(workspace.folder(run).path, candidate, body.text)
    note(request, f"{candidate}: a note")
    return _changed(request, run, candidate, "")


def _outcome(steered: Steered, kind: str) -> str:
    """Return what is to be known of a ban or pin beside that it holds."""
    if not steered.answered:
        return f"The run is busy and takes the {kind} up soon."
    if kind == "ban" and steered.changed and steered.best != "":
        best = steered.best
        return f"The run's best is {best} now." if best else "The run has no best candidate now."
    return ""


def _changed(request: Request, run: str, candidate: str, message: str) -> Changed:
    with workspace_of(request).records(run).ledger.read() as connection:
        remark = read_remark(connection, run, candidate)
    return Changed(remark=Remark.model_validate(asdict(remark)), message=message)

"""Talks: prompts to models of a run, answered behind its search or by a job, and the answers."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from evomerge.runs.asking import Question, ask
from evomerge.service.access import Caller, Operator, Viewer, note
from evomerge.service.api.run_actions import RunId as DrivenRunId
from evomerge.service.api.runs import RunId
from evomerge.service.reading.answers import encoded
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.talk_models import AskBody, Talk, TalkPage
from evomerge.service.reading.talks import one_talk, talk_page
from evomerge.service.state import Service

router = APIRouter(tags=["talks"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a talk.")]


@router.post("/runs/{run_id}/talks", status_code=201, response_model=Talk)
def ask_models(
    run_id: DrivenRunId, body: AskBody, request: Request, response: Response, caller: Operator
) -> dict[str, Any]:
    """Ask candidates, their parents, the base or the sources something.

    A run that goes on has its own workers answer, behind what the search has handed out; nothing of
    the search changes by that. Of other runs a job answers.
    """
    service: Service = request.app.state.service
    folder = service.folders.find(run_id)
    given = body.model_dump()
    question = Question(
        candidates=tuple(given.pop("candidates")), template=given.pop("chat_template"), **given
    )
    asked = ask(folder.path, question, by=caller.name)
    if not asked.driven:
        _begin(service, run_id, caller)
    note(request, f"talk {asked.number}")
    response.headers["Location"] = f"/api/v1/runs/{run_id}/talks/{asked.number}"
    records = service.reading.records(run_id)
    return one_talk(records, asked.number, _who_answers(request, run_id))


@router.post("/runs/{run_id}/talks/{talk}/answer", response_model=Talk)
def answer_now(
    run_id: DrivenRunId, talk: Number, request: Request, caller: Operator
) -> dict[str, Any]:
    """Have a job answer what waits, where the run stopped before its workers did."""
    service: Service = request.app.state.service
    records = service.reading.records(run_id)
    who = _who_answers(request, run_id)
    if one_talk(records, talk, who)["waits_for"] == "nobody":
        _begin(service, run_id, caller)
    return one_talk(records, talk, who)


@router.get("/runs/{run}/talks", response_model=TalkPage)
def get_talks(
    caller: Viewer,
    request: Request,
    run: RunId,
    before: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="'next' of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most talks.")] = 20,
) -> Response:
    """List what was asked of the run's models and what they said, the newest first."""
    records = workspace_of(request).records(run)
    who = _who_answers(request, run)
    return respond(request, encoded(talk_page(records, who, before=before, limit=limit)))


@router.get("/runs/{run}/talks/{talk}", response_model=Talk)
def get_talk(caller: Viewer, request: Request, run: RunId, talk: Number) -> Response:
    """Tell what was asked and what is answered so far."""
    records = workspace_of(request).records(run)
    return respond(request, encoded(one_talk(records, talk, _who_answers(request, run))))


def _begin(service: Service, run_id: str, caller: Caller) -> None:
    service.submission.answers(run_id, caller)
    service.supervisor.wake()


def _who_answers(request: Request, run_id: str) -> Callable[[], str]:
    """Return what says who is to answer: ``driver``, ``job`` or ``nobody``."""
    service: Service = request.app.state.service

    def who() -> str:
        if service.reading.status(run_id).state == "running":
            return "driver"
        at_work = ("queued", "running")
        return (
            "job" if service.jobs.newest(states=at_work, kind="talk", run_id=run_id) else "nobody"
        )

    return who

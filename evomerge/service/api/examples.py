"""Examples: what a candidate wins and loses against another, with prompts and answers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from evomerge.service.access import Viewer
from evomerge.service.api.candidates import CandidateId
from evomerge.service.api.runs import Limit, RunId
from evomerge.service.reading.answers import encoded
from evomerge.service.reading.details import row_of
from evomerge.service.reading.examples import examples_of
from evomerge.service.reading.models import Split
from evomerge.service.reading.paired import differences_of, task_name
from evomerge.service.reading.relation_models import Differences, Examples
from evomerge.service.reading.respond import respond, workspace_of

router = APIRouter(tags=["examples"])


@router.get("/runs/{run}/examples/{candidate}", response_model=Examples)
def get_examples(
    caller: Viewer,
    request: Request,
    run: RunId,
    candidate: CandidateId,
    against: Annotated[
        str | None,
        Query(max_length=300, description="Another candidate; none: the first parent."),
    ] = None,
    task: Annotated[
        str | None, Query(max_length=255, description="An evaluator; none: the first.")
    ] = None,
    split: Annotated[Split, Query(description="Split of the examples.")] = "search",
    outcome: Annotated[
        Literal["won", "lost", "changed", "all"],
        Query(description="Only examples on which the candidate is better, worse or either."),
    ] = "all",
    after: Annotated[
        int, Query(ge=-1, le=2**31 - 1, description="'next' of the page before; −1: the first.")
    ] = -1,
    limit: Limit = 50,
    wait_s: Annotated[
        float, Query(ge=0, le=10, description="Seconds to wait for prompts that are being read.")
    ] = 1.0,
) -> Response:
    """List examples with scores and answers; prompts as soon as they are read."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    row_of(found.columns, candidate)
    name = task_name(found, task)
    folder = workspace.folder(run)
    texts = workspace.texts.get((str(folder.path), name, split), wait_s=wait_s)
    body = examples_of(
        found,
        workspace.records(run),
        candidate,
        against=against,
        task=name,
        split=split,
        outcome=outcome,
        after=after,
        limit=limit,
        texts=texts,
    )
    return respond(request, encoded(body))


@router.get("/runs/{run}/candidates/{candidate}/differences", response_model=Differences)
def get_differences(
    caller: Viewer,
    request: Request,
    run: RunId,
    candidate: CandidateId,
    against: Annotated[
        list[Annotated[str, StringConstraints(max_length=300)]] | None,
        Query(max_length=8, description="Another candidate; repeatable. None: the parents."),
    ] = None,
    split: Annotated[Split, Query(description="Split of the examples.")] = "search",
) -> Response:
    """Compare a candidate with others, task by task, on the examples that both were scored on."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    row_of(found.columns, candidate)
    others = tuple(against or ())
    answer = workspace.answer(
        run,
        ("differences", candidate, others, split),
        found.version,
        lambda: differences_of(
            found, workspace.records(run), candidate, against=others, split=split
        ),
    )
    return respond(request, answer)

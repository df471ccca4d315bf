"""What a new run may begin from: templates, and what can stand in a run file."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from evomerge.config import json_schema
from evomerge.service.access import Viewer
from evomerge.service.reading.models import example
from evomerge.service.state import Service
from evomerge.service.templates import templates_in

router = APIRouter(tags=["templates"])


class TemplateBody(BaseModel):
    """A run file to begin from."""

    model_config = example(name="quickstart", summary="The quickstart.", text="name: quickstart\n")

    name: str = Field(description="Name of its file, without ending.")
    summary: str = Field(description="What its first line says of it.")
    text: str = Field(description="The run file as YAML.")


class Templates(BaseModel):
    """Run files to begin from, and the schema of all run files."""

    model_config = example(templates=[], schema={"title": "evomerge run file"})

    templates: list[TemplateBody]
    run_schema: dict[str, Any] = Field(
        alias="schema", description="The JSON schema of run files, as 'evomerge schema' prints it."
    )


class ChoiceBody(BaseModel):
    """A plug-in that a run file may name."""

    model_config = example(name="ties", summary="Trim, elect signs, and merge.", several=False)

    name: str
    summary: str
    several: bool = Field(description="(searchers) It takes several objectives.")


class Choices(BaseModel):
    """Plug-ins that a run file may name, by kind."""

    model_config = example(methods=[], evaluators=[], searchers=[], executors=["inprocess"])

    methods: list[ChoiceBody]
    evaluators: list[ChoiceBody]
    searchers: list[ChoiceBody]
    executors: list[str] = Field(description="Those that this service allows.")


@router.get("/templates")
def templates(request: Request, caller: Viewer) -> Templates:
    """List the run files to begin from."""
    service: Service = request.app.state.service
    found = templates_in(service.settings.templates)
    items = [TemplateBody(**asdict(item)) for item in found]
    return Templates(templates=items, schema=json_schema())


@router.get("/templates/choices")
def choices(request: Request, caller: Viewer) -> Choices:
    """List methods, evaluators, searchers and executors; the first answer takes some seconds."""
    service: Service = request.app.state.service
    return Choices(**service.checker.choices(), executors=list(service.settings.executors))

"""The bodies of prompts to models of a run, and of what those said."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evomerge.runs.asking import LONGEST_PROMPT, MOST_CANDIDATES
from evomerge.service.reading.models import Seconds, example

_ANSWER: dict[str, Any] = {
    "model": "3-2",
    "role": "candidate",
    "state": "done",
    "text": "1 2 3",
    "message": "",
    "n_tokens": 6,
    "capped": False,
    "truncated": False,
    "templated": True,
    "merge_s": 0.41,
    "answer_s": 0.12,
}
_ASKED: dict[str, Any] = {
    "prompt": "3 1 2 =",
    "system": "",
    "follows": None,
    "chat_template": True,
    "max_new_tokens": 128,
    "temperature": 0.0,
    "seed": 0,
}
_TALK = {
    "talk": 7,
    "asked_s": 1767225600.0,
    "by": "ada",
    **_ASKED,
    "state": "done",
    "waits_for": None,
    "answers": [_ANSWER],
}


class AskBody(BaseModel):
    """A prompt to candidates of a run, and to those that they are compared with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{**_ASKED, "candidates": ["3-2"]}]}
    )

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
    candidates: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(
        default=[],
        max_length=MOST_CANDIDATES,
        description="Ids; best; ref-NAME is a source.",
    )
    parents: bool = Field(False, description="Ask the candidates' parents too.")
    base: bool = Field(False, description="Ask the base too.")
    sources: bool = Field(False, description="Ask all sources too.")
    system: Annotated[str, Field(max_length=4000, description="The system message.")] = ""
    follows: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="The talk before it: models are given that too, with what they said."
    )
    chat_template: bool = Field(True, description="Use the chat template where there is one.")
    max_new_tokens: Annotated[int, Field(ge=1, le=2048)] = 128
    temperature: Annotated[float, Field(ge=0, le=5, description="0: the likeliest tokens.")] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Of draws above 0.")] = 0


class Answer(BaseModel):
    """What one model said."""

    model_config = example(**_ANSWER)

    model: str = Field(description="A candidate's id, or ref-NAME for a source.")
    role: Literal["candidate", "parent", "base", "source"]
    state: Literal["waiting", "answering", "done", "failed"]
    text: str = Field(description="What it said; empty until then.")
    message: str = Field(description="Why it failed.")
    n_tokens: int | None
    capped: bool | None = Field(description="The limit of tokens ended it.")
    truncated: bool | None = Field(description="The beginning was cut off: there was no room.")
    templated: bool | None = Field(description="A chat template was used.")
    merge_s: float | None = Field(description="Seconds for building the model.")
    answer_s: float | None = Field(description="Seconds for the answer.")


class Talk(BaseModel):
    """A prompt, and what each model said."""

    model_config = example(**_TALK)

    talk: int = Field(description="Its number in the run.")
    asked_s: Seconds
    by: str
    prompt: str
    system: str
    follows: int | None
    chat_template: bool
    max_new_tokens: int
    temperature: float
    seed: int
    state: Literal["waiting", "done"] = Field(description="done: nothing is waited for.")
    waits_for: Literal["driver", "job", "nobody"] | None = Field(
        description="Who is to answer: the run's own workers behind the search, a job, or nobody "
        "any more, until somebody asks for it again."
    )
    answers: list[Answer]


class TalkPage(BaseModel):
    """Talks of a run, the newest first."""

    model_config = example(items=[_TALK], next=None)

    items: list[Talk]
    next: int | None = Field(description="'before' of the next page; null on the last one.")

"""Prompts of people to models of a run: what was asked of whom, and what is still to answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import LedgerError
from evomerge.evaluation.conversation import Message, Prompt
from evomerge.execution.protocol import Outcome
from evomerge.recipes.recipe import Recipe
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow, RequestRow

KIND = "talk"
"""Kind of the requests."""
TRIES = 2
"""Processes that may end while one answer is made, before it counts as failed."""
MOST_TURNS = 20
"""Turns of a conversation that a model is given; older ones are left out."""

References = Callable[[], Mapping[str, Recipe]]
"""Gives the recipes of base and sources by their ids."""


@dataclass(frozen=True)
class Addressee:
    """One model that is asked.

    Args:
        model: A candidate's id, or ``ref-NAME`` for a source.
        role: ``candidate``, ``parent``, ``base`` or ``source``.
        recipe: Hash of its recipe; empty for base and sources.
    """

    model: str
    role: str
    recipe: str = ""


@dataclass(frozen=True)
class Talk:
    """One prompt to some models.

    Args:
        number: Sequence of the request.
        asked_s: Seconds since 1970.
        by: Who asked.
        prompt: What was asked.
        system: The system message; may be empty.
        follows: The talk before it in the conversation; None for the first turn.
        template: Use the chat template where there is one.
        max_new_tokens, temperature, seed: How it is answered.
        models: Who is asked, in this order.
    """

    number: int
    asked_s: float
    by: str
    prompt: str
    system: str
    follows: int | None
    template: bool
    max_new_tokens: int
    temperature: float
    seed: int
    models: tuple[Addressee, ...]


def talk_of(request: RequestRow) -> Talk:
    """Return a stored request as a talk."""
    body = dict(request.body)
    models = tuple(Addressee(**item) for item in body.pop("models"))
    return Talk(number=request.sequence, asked_s=request.made_s, models=models, **body)


def body_of(talk: Mapping[str, Any], models: Sequence[Addressee]) -> dict[str, Any]:
    """Return what a request holds: fields of ``Talk`` but its number and time."""
    return {**talk, "models": [vars(item) for item in models]}


def read_talks(records: RunRecords, *, after: int = 0) -> list[Talk]:
    """Return the talks of a run, in the order of asking."""
    return [talk_of(row) for row in records.requests(KIND, after=after)]


def unanswered(
    talks: Iterable[Talk], replies: Iterable[ReplyRow]
) -> list[tuple[Talk, Addressee, int]]:
    """Return what is still to answer, in order, each with how often that was begun."""
    begun: dict[tuple[int, str], int] = {}
    ended = set()
    for row in replies:
        key = row.talk, row.model
        if row.state == "begun":
            begun[key] = begun.get(key, 0) + 1
        else:
            ended.add(key)
    return [
        (talk, item, begun.get((talk.number, item.model), 0))
        for talk in talks
        for item in talk.models
        if (talk.number, item.model) not in ended
    ]


def prompt_for(talk: Talk, model: str, records: RunRecords) -> Prompt:
    """Return what a model is given: the turns that it took part in, and the prompt.

    Raises:
        LedgerError: The ledger can't be read.
    """
    before = turns_before(talk, {item.number: item for item in read_talks(records)})
    said = {
        row.talk: row.text
        for row in records.replies([item.number for item in before])
        if row.model == model and row.state == "done"
    }
    messages = [Message("system", talk.system)] if talk.system else []
    for turn in before:
        if turn.number in said:
            messages.append(Message("user", turn.prompt))
            messages.append(Message("assistant", said[turn.number]))
    messages.append(Message("user", talk.prompt))
    return Prompt(
        tuple(messages), talk.max_new_tokens, talk.temperature, talk.seed, template=talk.template
    )


def turns_before(talk: Talk, talks: Mapping[int, Talk]) -> list[Talk]:
    """Return the turns of a conversation that come before ``talk``, oldest first."""
    found: list[Talk] = []
    # A talk follows one with a smaller number, so that this ends.
    while talk.follows is not None and talk.follows in talks and len(found) < MOST_TURNS:
        talk = talks[talk.follows]
        found.append(talk)
    return found[::-1]


def recipe_of(
    item: Addressee,
    records: RunRecords,
    read_recipe: Callable[[Mapping[str, Any]], Recipe],
    references: References,
) -> Recipe:
    """Return the recipe of a model that is asked.

    Raises:
        EvomergeError: It can't be read or built.
    """
    if item.recipe:
        return read_recipe(records.recipe(item.recipe))
    found = references()
    if item.model not in found:
        raise LedgerError(f"the run has no source that is called {item.model!r}.")
    return found[item.model]


def reply_to(talk: Talk, model: str, outcome: Outcome) -> ReplyRow:
    """Return what came of a job as it is stored."""
    reply = outcome.reply
    if reply is None:
        failure = outcome.failure
        text = failure.message if failure is not None else "the worker gave no answer"
        return ReplyRow(talk.number, model, "failed", text, worker=outcome.worker)
    facts = {
        "n_tokens": reply.n_tokens,
        "capped": reply.capped,
        "truncated": reply.truncated,
        "templated": reply.templated,
        "merge_s": outcome.merge_s,
        "answer_s": outcome.score_s,
    }
    return ReplyRow(talk.number, model, "done", reply.text, facts, outcome.worker)


def given_up(talk: Talk, model: str) -> ReplyRow:
    """Return what is stored of an answer under which too many processes ended."""
    text = f"{TRIES} processes ended while they made this answer. Ask for fewer tokens, or again."
    return ReplyRow(talk.number, model, "failed", text)

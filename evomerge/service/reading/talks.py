"""What was asked of models of a run and what they said, as the API tells it."""

from collections.abc import Callable, Sequence
from typing import Any

from evomerge.errors import ServiceError
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow
from evomerge.runs.talks import Talk, read_talks

_FACTS = ("n_tokens", "capped", "truncated", "templated", "merge_s", "answer_s")

WaitsFor = Callable[[], str]
"""Says who is to answer; asked only where something waits."""


def talk_page(
    records: RunRecords, waits_for: WaitsFor, *, before: int | None, limit: int
) -> dict[str, Any]:
    """Return talks, the newest first.

    Args:
        records: The run's rows.
        waits_for: Says who is to answer.
        before: Only those with smaller numbers.
        limit: At most so many.
    """
    talks = [item for item in read_talks(records) if before is None or item.number < before]
    shown = talks[::-1][:limit]
    more = shown[-1].number if len(talks) > len(shown) else None
    return {"items": _told(records, shown, waits_for), "next": more}


def one_talk(records: RunRecords, number: int, waits_for: WaitsFor) -> dict[str, Any]:
    """Return one talk.

    Raises:
        ServiceError: 404: there is none.
    """
    found = [item for item in read_talks(records, after=number - 1) if item.number == number]
    if not found:
        raise ServiceError(404, f"this run has no talk {number}. GET …/talks lists them.")
    return _told(records, found, waits_for)[0]


def _told(records: RunRecords, talks: Sequence[Talk], waits_for: WaitsFor) -> list[dict[str, Any]]:
    replies: dict[tuple[int, str], ReplyRow] = {}
    for row in records.replies([item.number for item in talks]):
        known = replies.get((row.talk, row.model))
        # Two processes may have answered: then the first answer stays.
        if known is None or known.state != "done":
            replies[row.talk, row.model] = row
    found = [_talk(item, replies) for item in talks]
    who = waits_for() if any(item["state"] == "waiting" for item in found) else None
    return [item | {"waits_for": who if item["state"] == "waiting" else None} for item in found]


def _talk(talk: Talk, replies: dict[tuple[int, str], ReplyRow]) -> dict[str, Any]:
    answers = [
        {
            "model": item.model,
            "role": item.role,
            **_answer(replies.get((talk.number, item.model))),
        }
        for item in talk.models
    ]
    ended = all(item["state"] in ("done", "failed") for item in answers)
    return {
        "talk": talk.number,
        "asked_s": talk.asked_s,
        "by": talk.by,
        "prompt": talk.prompt,
        "system": talk.system,
        "follows": talk.follows,
        "chat_template": talk.template,
        "max_new_tokens": talk.max_new_tokens,
        "temperature": talk.temperature,
        "seed": talk.seed,
        "state": "done" if ended else "waiting",
        "answers": answers,
    }


def _answer(row: ReplyRow | None) -> dict[str, Any]:
    state = "waiting" if row is None else {"begun": "answering"}.get(row.state, row.state)
    said = row.text if row is not None else ""
    facts = row.facts if row is not None else {}
    return {
        "state": state,
        "text": said if state == "done" else "",
        "message": said if state == "failed" else "",
        **{name: facts.get(name) for name in _FACTS},
    }

"""What a candidate wins and loses against another, example by example."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading.columns import Array
from evomerge.service.reading.details import row_of
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.paired import Paired, task_name
from evomerge.service.reading.texts import Texts

LONGEST = 20_000
"""Characters of a prompt or an answer; the rest is left out."""
OUTCOMES = ("won", "lost", "changed", "all")


def examples_of(
    run: FollowedRun,
    records: RunRecords,
    name: str,
    *,
    against: str | None,
    task: str | None,
    split: str,
    outcome: str,
    after: int,
    limit: int,
    texts: Texts,
) -> dict[str, Any]:
    """Return a page of a candidate's examples as plain data.

    Args:
        run: The run.
        records: Its rows.
        name: The candidate.
        against: Another one to compare it with; None for its first parent, if it has one.
        task: The evaluator; None for the first.
        split: ``search``, ``validation`` or ``test``.
        outcome: One of ``OUTCOMES``.
        after: Only examples with a number above this.
        limit: Most examples.
        texts: Prompts and expected answers, as far as they are there.

    Raises:
        ServiceError: 404: no such candidate; 422: no such task.
    """
    row = row_of(run.columns, name)
    other = against or next(iter(run.columns.parents[row]), None)
    if against is not None:
        row_of(run.columns, against)
    task = task_name(run, task)
    pair = Paired.read(run, records, (name, other), task, split)
    own, theirs, gain, metric = pair.own, pair.theirs, pair.gain, pair.metric
    chosen = _chosen(own, gain, outcome)
    page = chosen[chosen > after][:limit]
    last = int(page[-1]) if len(page) else after
    answers = [records.answers(one, split, task) if one else [] for one in (name, other)]
    return {
        "candidate": name,
        "against": other if pair.comparable else None,
        "task": task,
        "metric": metric.name,
        "direction": metric.direction,
        "split": split,
        "counts": pair.counts(),
        "difference": pair.difference(),
        "texts": {"state": texts.state, "reason": texts.reason},
        "items": [
            {
                "index": index,
                "outcome": None if gain is None else _word(gain[index]),
                "value": None if own is None else own[index],
                "against_value": None if gain is None or theirs is None else theirs[index],
                "answer": _at(answers[0], index),
                "against_answer": None if gain is None else _at(answers[1], index),
                **texts.at(index, LONGEST),
            }
            for index in page.tolist()
        ],
        "total": len(chosen),
        "next": last if len(chosen) and last < int(chosen[-1]) else None,
    }


def _chosen(own: Array | None, gain: Array | None, outcome: str) -> NDArray[np.intp]:
    if own is None:
        return np.zeros(0, dtype=np.intp)
    if gain is None:
        return np.arange(len(own) if outcome == "all" else 0)
    masks = {"won": gain > 0, "lost": gain < 0, "changed": gain != 0}
    return np.flatnonzero(masks.get(outcome, np.ones(len(gain), dtype=bool)))


def _word(gain: float) -> str:
    return "won" if gain > 0 else "lost" if gain < 0 else "same"


def _at(answers: Sequence[str | None], index: int) -> str | None:
    answer = answers[index] if index < len(answers) else None
    return None if answer is None else answer[:LONGEST]

"""What a candidate wins and loses against another, example by example."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import ServiceError, nearest
from evomerge.evaluation.intervals import estimate
from evomerge.evaluation.protocol import Metric
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading.columns import Array
from evomerge.service.reading.details import row_of
from evomerge.service.reading.follow import FollowedRun
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
    task, metric = _task_metric(run, task)
    own = _values(records, name, split, task, metric)
    theirs = None if other is None else _values(records, other, split, task, metric)
    comparable = own is not None and theirs is not None and len(own) == len(theirs)
    gain = _gain(metric, own, theirs) if comparable else None
    chosen = _chosen(own, gain, outcome)
    page = chosen[chosen > after][:limit]
    last = int(page[-1]) if len(page) else after
    answers = [records.answers(one, split, task) if one else [] for one in (name, other)]
    return {
        "candidate": name,
        "against": other if comparable else None,
        "task": task,
        "metric": metric.name,
        "direction": metric.direction,
        "split": split,
        "counts": _counts(own, gain),
        "difference": None if gain is None else _difference(metric, own, theirs),
        "texts": {"state": texts.state, "reason": texts.reason},
        "items": [
            {
                "index": index,
                "outcome": None if gain is None else _word(gain[index]),
                "value": None if own is None else own[index],
                "against_value": theirs[index] if comparable and theirs is not None else None,
                "answer": _at(answers[0], index),
                "against_answer": _at(answers[1], index) if comparable else None,
                **texts.at(index, LONGEST),
            }
            for index in page.tolist()
        ],
        "total": len(chosen),
        "next": last if len(chosen) and last < int(chosen[-1]) else None,
    }


def task_name(run: FollowedRun, task: str | None) -> str:
    """Return the task that is asked for, the first one where none is.

    Raises:
        ServiceError: 422: there is no such task.
    """
    known = list(run.row.tasks)
    if task is None:
        return known[0]
    if task not in known:
        raise ServiceError(422, f"task: no evaluator is called {task!r}; {nearest(task, known)}")
    return task


def _task_metric(run: FollowedRun, task: str | None) -> tuple[str, Metric]:
    name = task_name(run, task)
    facts = run.row.tasks[name]
    found = next(item for item in facts["metrics"] if item["name"] == facts["primary"])
    return name, Metric(**found)


def _values(records: RunRecords, name: str, split: str, task: str, metric: Metric) -> Array | None:
    """Return one number an example, shape ``(n,)``; None where it wasn't scored there."""
    values = records.scores(name, split, task, metric.name)
    if not len(values):
        return None
    return values[:, 0] if values.shape[1] == 1 else metric.utilities(values)


def _gain(metric: Metric, own: Array | None, theirs: Array | None) -> Array:
    assert own is not None
    assert theirs is not None
    difference: Array = own - theirs
    # Values of several numbers were turned into utilities already.
    return -difference if metric.direction == "minimize" and metric.width == 1 else difference


def _chosen(own: Array | None, gain: Array | None, outcome: str) -> NDArray[np.intp]:
    if own is None:
        return np.zeros(0, dtype=np.intp)
    if gain is None:
        return np.arange(len(own) if outcome == "all" else 0)
    masks = {"won": gain > 0, "lost": gain < 0, "changed": gain != 0}
    return np.flatnonzero(masks.get(outcome, np.ones(len(gain), dtype=bool)))


def _counts(own: Array | None, gain: Array | None) -> dict[str, int | None]:
    if gain is None:
        n = 0 if own is None else len(own)
        return {"examples": n, "won": None, "lost": None}
    won, lost = int((gain > 0).sum()), int((gain < 0).sum())
    return {"examples": len(gain), "won": won, "lost": lost}


def _difference(metric: Metric, own: Array | None, theirs: Array | None) -> Mapping[str, Any]:
    assert own is not None
    assert theirs is not None
    found = estimate((own - theirs)[:, None], lambda rows: float(rows[:, 0].mean()))
    return dict(vars(found))


def _word(gain: float) -> str:
    return "won" if gain > 0 else "lost" if gain < 0 else "same"


def _at(answers: Sequence[str | None], index: int) -> str | None:
    answer = answers[index] if index < len(answers) else None
    return None if answer is None else answer[:LONGEST]

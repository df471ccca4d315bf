"""Two candidates on the same examples: what one wins, what it loses, and by how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evomerge.errors import ServiceError, nearest
from evomerge.evaluation.intervals import estimate
from evomerge.evaluation.protocol import Metric
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading.columns import Array
from evomerge.service.reading.details import row_of
from evomerge.service.reading.follow import FollowedRun


@dataclass(frozen=True)
class Paired:
    """One task's scores of a candidate, beside those of another one.

    Args:
        metric: What is compared.
        own: One number an example, shape ``(n,)``; None where it wasn't scored.
        theirs: The other candidate's.
    """

    metric: Metric
    own: Array | None
    theirs: Array | None

    @classmethod
    def read(
        cls,
        run: FollowedRun,
        records: RunRecords,
        names: tuple[str, str | None],
        task: str,
        split: str,
    ) -> "Paired":
        """Read the scores of two candidates; without a second one there is nothing beside."""
        metric = primary_metric(run, task)
        own, theirs = (_values(records, name, split, task, metric) for name in names)
        return cls(metric, own, theirs)

    @property
    def comparable(self) -> bool:
        """Both were scored, on the same examples."""
        return (
            self.own is not None and self.theirs is not None and len(self.own) == len(self.theirs)
        )

    @cached_property
    def gain(self) -> Array | None:
        """How much better the candidate is on each example; None where that isn't known."""
        if not self.comparable:
            return None
        difference = self._difference()
        # Values of several numbers were turned into utilities already.
        down = self.metric.direction == "minimize" and self.metric.width == 1
        return -difference if down else difference

    def counts(self) -> dict[str, int | None]:
        """Return on how many examples it is better or worse."""
        if self.gain is None:
            n = 0 if self.own is None else len(self.own)
            return {"examples": n, "won": None, "lost": None}
        won, lost = int((self.gain > 0).sum()), int((self.gain < 0).sum())
        return {"examples": len(self.gain), "won": won, "lost": lost}

    def difference(self) -> Mapping[str, Any] | None:
        """Return the mean difference over the examples, in the metric's unit, with its interval."""
        if not self.comparable:
            return None
        values = self._difference()[:, None]
        return dict(vars(estimate(values, lambda rows: float(rows[:, 0].mean()))))

    def _difference(self) -> Array:
        assert self.own is not None
        assert self.theirs is not None
        difference: Array = self.own - self.theirs
        return difference


def differences_of(
    run: FollowedRun,
    records: RunRecords,
    name: str,
    *,
    against: Sequence[str],
    split: str,
) -> dict[str, Any]:
    """Return how a candidate differs from others, task by task, as plain data.

    Args:
        run: The run.
        records: Its rows.
        name: The candidate.
        against: Others; its parents where none is given.
        split: ``search``, ``validation`` or ``test``.

    Raises:
        ServiceError: 404: there is no such candidate.
    """
    row = row_of(run.columns, name)
    for other in against:
        row_of(run.columns, other)
    others = against or run.columns.parents[row]
    return {
        "candidate": name,
        "split": split,
        "items": [
            {"against": other, "tasks": _by_task(run, records, (name, other), split)}
            for other in dict.fromkeys(others)
        ],
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


def primary_metric(run: FollowedRun, task: str) -> Metric:
    """Return what a task is mainly measured by."""
    facts = run.row.tasks[task]
    found = next(item for item in facts["metrics"] if item["name"] == facts["primary"])
    return Metric(**found)


def _by_task(
    run: FollowedRun, records: RunRecords, names: tuple[str, str], split: str
) -> list[dict[str, Any]]:
    found = []
    for task in run.row.tasks:
        pair = Paired.read(run, records, names, task, split)
        head = {"task": task, "metric": pair.metric.name, "direction": pair.metric.direction}
        found.append(head | pair.counts() | {"difference": pair.difference()})
    return found


def _values(
    records: RunRecords, name: str | None, split: str, task: str, metric: Metric
) -> Array | None:
    """Return one number an example, shape ``(n,)``; None where it wasn't scored there."""
    if name is None:
        return None
    values = records.scores(name, split, task, metric.name)
    if not len(values):
        return None
    return values[:, 0] if values.shape[1] == 1 else metric.utilities(values)

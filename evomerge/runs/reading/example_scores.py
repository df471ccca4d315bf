"""What candidates were told to have scored on each example, read for many of them at once."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Text, cast, select

from evomerge.evaluation.protocol import Metric
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import unpack_scores
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.objectives import Objectives

Array = NDArray[np.float64]


class ExampleScores:
    """Reads examples' utilities as a searcher that lives by them was told them.

    Args:
        records: The run's rows.
        objectives: What the run optimises.
        tasks: Facts of its evaluators.
    """

    def __init__(
        self, records: RunRecords, objectives: Objectives, tasks: Mapping[str, Any]
    ) -> None:
        self._records = records
        self._metrics = _metrics(objectives, tasks)

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Task and metric of each run of examples, in order."""
        return list(self._metrics)

    def read(self, names: Sequence[str]) -> dict[str, list[Array]]:
        """Return candidate → utilities in [0, 1] of each part; empty ones where it has none."""
        found: dict[tuple[str, str, str], list[Array]] = {}
        table = tables.score_block
        tasks = sorted({task for task, _ in self._metrics})
        query = (
            select(
                table.c.candidate_id, table.c.task, table.c.metric,
                table.c.data, table.c.n, table.c.width,
            )
            .where(table.c.run_id == self._records.run_id, table.c.candidate_id.in_(names))
            .where(table.c.task.in_(tasks), table.c.split == SEARCH)
            .order_by(table.c.candidate_id, table.c.task, table.c.metric, table.c.block)
        )  # fmt: skip
        with self._records.ledger.read() as connection:
            for name, task, metric, data, n, width in connection.execute(query):
                if (task, metric) in self._metrics:
                    found.setdefault((name, task, metric), []).append(unpack_scores(data, n, width))
        return {
            name: [self._utilities(part, found.get((name, *part), [])) for part in self._metrics]
            for name in names
        }

    def parents(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return candidate → the candidates that it was made from."""
        c = tables.candidate.c
        query = select(c.candidate_id, cast(c.parents, Text)).where(
            c.run_id == self._records.run_id, c.candidate_id.in_(names)
        )
        with self._records.ledger.read() as connection:
            return {name: tuple(json.loads(text)) for name, text in connection.execute(query)}

    def _utilities(self, part: tuple[str, str], blocks: Sequence[Array]) -> Array:
        if not blocks:
            return np.zeros(0)
        facts, turned = self._metrics[part]
        utilities = facts.utilities(np.concatenate(blocks))
        assert utilities is not None
        if turned:
            utilities = 1.0 - utilities
        return np.clip(np.nan_to_num(utilities), 0.0, 1.0)


def _metrics(
    objectives: Objectives, tasks: Mapping[str, Any]
) -> dict[tuple[str, str], tuple[Metric, bool]]:
    """(task, metric) whose examples count, in order, and whether they are turned round."""
    found: dict[tuple[str, str], tuple[Metric, bool]] = {}
    for item in objectives.all:
        for task, name in () if item.is_of_recipe else item.parts:
            facts = next(Metric(**m) for m in tasks[task]["metrics"] if m["name"] == name)
            if facts.utilities(np.zeros((0, facts.width))) is not None:
                found[task, name] = facts, item.direction != facts.direction
    return found

"""Utilities of single examples, for searchers whose candidates compete for examples."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.evaluation.intervals import STABILITY
from evomerge.evaluation.objectives import find_metric
from evomerge.evaluation.protocol import Evaluator, Metric
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import Block
from evomerge.runs.objectives import Objectives


class Examples:
    """The examples of all objectives, one after the other, as utilities in [0, 1].

    Objectives whose numbers have no known range (tokens) or no examples (steps), and stabilities,
    are left out.

    Args:
        objectives: What is optimised.
        evaluators: Task → evaluator.

    Raises:
        SearchError: Nothing is left.
    """

    def __init__(self, objectives: Objectives, evaluators: Mapping[str, Evaluator]) -> None:
        self._parts: dict[tuple[str, str], tuple[Metric, bool]] = {}
        for item in objectives.all:
            # What is even isn't good: a stability's examples count where another needs them.
            of_examples = not item.is_of_recipe and item.aggregate != STABILITY
            for task, name in item.parts if of_examples else ():
                metric = find_metric(evaluators[task], name, task)
                if metric.utilities(np.zeros((0, metric.width))) is not None:
                    self._parts[task, name] = metric, item.direction != metric.direction
        if not self._parts:
            metrics = ", ".join(f"{task}.{metric}" for task, metric in sorted(objectives.parts))
            raise SearchError(
                f"this searcher compares candidates example by example, by scores from 0 to 1, but "
                f"none of {metrics} has such scores. Make an objective of one that has, such as "
                "accuracy or log-likelihood."
            )

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(task, metric) whose examples they are, in order."""
        return tuple(self._parts)

    def of_blocks(self, blocks: Sequence[Block]) -> NDArray[np.float64]:
        """Return a candidate's utilities, shape ``(n,)``, from all of its blocks, in order."""
        return self._join(
            {
                (task, name): np.concatenate([b.values[name] for b in blocks if b.ref.task == task])
                for task, name in self._parts
            }
        )

    def of_stored(self, records: RunRecords, candidate_id: str) -> NDArray[np.float64]:
        """Return a candidate's utilities, shape ``(n,)``, from the ledger."""
        return self._join(
            {part: records.scores(candidate_id, SEARCH, *part) for part in self.parts}
        )

    def _join(self, values: Mapping[tuple[str, str], NDArray[np.float64]]) -> NDArray[np.float64]:
        found = []
        for part, (metric, turned) in self._parts.items():
            utilities = metric.utilities(values[part])
            assert utilities is not None, "metrics without a range were left out"
            found.append(1.0 - utilities if turned else utilities)
        return np.concatenate(found)


class FreshExamples:
    """Utilities of candidates that the searcher is to be told of: remembered, or read back.

    Args:
        examples: Makes them.
        records: The run's rows.
    """

    def __init__(self, examples: Examples, records: RunRecords) -> None:
        self._examples = examples
        self._records = records
        self._fresh: dict[str, NDArray[np.float64]] = {}

    def keep(self, candidate_id: str, blocks: Sequence[Block]) -> None:
        """Remember a candidate's until the searcher is told of it."""
        self._fresh[candidate_id] = self._examples.of_blocks(blocks)

    def take(self, candidate_id: str) -> NDArray[np.float64]:
        """Return a candidate's, shape ``(n,)``, and forget them."""
        found = self._fresh.pop(candidate_id, None)
        return self._examples.of_stored(self._records, candidate_id) if found is None else found

"""What a run is made of besides its records: space, searcher, executor, evaluators, settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.protocol import Executor
from evomerge.recipes.space import SearchSpace
from evomerge.runs.objectives import Objectives
from evomerge.search.protocol import Searcher


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs besides its records.

    Args:
        space: The search space.
        searcher: Freshly built; the run brings it to where the ledger says it was.
        executor: Where candidates are evaluated; the run starts and closes it.
        evaluators: Task → evaluator.
        objectives: What is optimised.
        finalists: Candidates to re-score on the validation split.
        identical_failures: Equal failures in a row that stop the run.
        dtype: Element type of merged weights; None keeps the base's.
        numeric_class: Device, library versions and threads.
        reuse: Take scores of other runs from the ledger.
        workers: Workers of the executor.
        versions: Package versions; None reads the installed ones.
    """

    space: SearchSpace
    searcher: Searcher
    executor: Executor
    evaluators: Mapping[str, Evaluator]
    objectives: Objectives
    finalists: int
    identical_failures: int
    dtype: str | None
    numeric_class: str
    reuse: bool
    workers: int = 1
    versions: Mapping[str, str] | None = None


def needed_numbers(
    objectives: Objectives, evaluators: Mapping[str, Evaluator]
) -> frozenset[tuple[str, str]]:
    """Return (task, metric) of all objectives, and of every task's primary metric."""
    primaries = {(name, evaluator.primary) for name, evaluator in evaluators.items()}
    return objectives.parts | primaries

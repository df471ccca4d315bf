"""What a run is made of besides its records: space, searcher, executor, evaluators, settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import Executor
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver.enough import StopRules
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.objectives import Objectives
from evomerge.runs.sizes import Sizes
from evomerge.search.protocol import Searcher

ReadRecipe = Callable[[Mapping[str, Any]], Recipe]
"""A recipe's plain form → the recipe, or an EvomergeError."""


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
        mode: Whole generations, or ``async``: ask as workers become free.
        attempts: Attempts at a candidate whose worker ended under it.
        grace_s: Seconds that running candidates get where the disk is full.
        away_s: Seconds to wait for a ledger that is away.
        disk_reserve_gb: GB that stay free on the disk.
        disk_budget_gb: GB that folder and ledger may take; None for no limit.
        folder: The run's folder, for results that wait for the ledger, and figures; None for none.
        stop_rules: When to end before the budget is spent.
        sizes: Counts steps and parameters of recipes; None where nothing needs them.
        panel: Base and sources, which are scored first where a stability needs them.
        read_recipe: Makes a recipe of its plain form, for recipes that users inject and models that
            they talk to; None where there is no such thing.
        references: Gives the recipes of base and sources by their ids, for those who talk to them.
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
    mode: Literal["generation", "async"] = "generation"
    attempts: int = 4
    grace_s: float = 60.0
    away_s: float = 1800.0
    disk_reserve_gb: float = 0.0
    disk_budget_gb: float | None = None
    folder: Path | None = None
    stop_rules: StopRules = field(default_factory=StopRules)
    sizes: Sizes | None = None
    panel: Sequence[tuple[CandidateRow, Recipe]] = ()
    read_recipe: ReadRecipe | None = None
    references: Callable[[], Mapping[str, Recipe]] = dict

    @property
    def in_driver(self) -> bool:
        """Say if candidates are scored in the driver's own process, one at a time."""
        return isinstance(self.executor, InprocessExecutor)


def needed_numbers(
    objectives: Objectives, evaluators: Mapping[str, Evaluator]
) -> frozenset[tuple[str, str]]:
    """Return (task, metric) of all objectives, and of every task's primary metric."""
    primaries = {(name, evaluator.primary) for name, evaluator in evaluators.items()}
    return objectives.parts | primaries

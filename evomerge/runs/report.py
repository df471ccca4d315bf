"""The report of a finished run on the test split: base, sources, uniform average, best found.

The search never sees the test split; each time it is opened is a decision in the ledger.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import LedgerError, RunFailedError
from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import Failure
from evomerge.recipes.recipe import Recipe
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.state import TEST, SearchState
from evomerge.runs.folder import RunFolder, driver_lock
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objective
from evomerge.runs.reading.comparison import Difference, paired_difference
from evomerge.runs.reading.references import Reference, references
from evomerge.runs.recipes import stored_recipe
from evomerge.runs.rescoring import OnModel, Rescorer
from evomerge.runs.setup.prepare import Prepared
from evomerge.runs.start import prepare_stored


@dataclass(frozen=True)
class Contestant:
    """One line of the table.

    Args:
        candidate: Id in the ledger.
        label: ``base (NAME)``, a source's name, ``uniform average`` or ``best found``.
        recipe_hash: Its recipe.
        tasks: Task → its primary metric's estimate; empty where it failed.
        objectives: Objective → estimate; empty where it failed.
        failure: Why it has no scores, or None.
    """

    candidate: str
    label: str
    recipe_hash: str
    tasks: Mapping[str, Estimate]
    objectives: Mapping[str, Estimate]
    failure: Failure | None = None


@dataclass(frozen=True)
class Report:
    """The table, all of it on the test split; raw values in the declared direction.

    Args:
        name: The run's name.
        contestants: Base, sources, uniform average, then the best found.
        metrics: Task → its primary metric.
        directions: Objective → ``maximize`` or ``minimize``.
        same: Ids of the references that the best found is the same model as.
        recipe: The best found's recipe, plain.
        differences: Objective by objective, the best found against the best other model.
        openings: How often this run's test split was opened, this time included.
    """

    name: str
    contestants: Sequence[Contestant]
    metrics: Mapping[str, str]
    directions: Mapping[str, str]
    differences: Sequence[Difference]
    openings: int
    same: Sequence[str] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain data."""
        return {
            "name": self.name,
            "split": TEST,
            "models": [
                {
                    "candidate": item.candidate,
                    "label": item.label,
                    "recipe_hash": item.recipe_hash,
                    "tasks": {name: vars(e) for name, e in item.tasks.items()},
                    "objectives": {name: vars(e) for name, e in item.objectives.items()},
                    "failure": None if item.failure is None else item.failure.message,
                }
                for item in self.contestants
            ],
            "metrics": dict(self.metrics),
            "directions": dict(self.directions),
            "differences": [
                {
                    "objective": item.objective,
                    "candidate": item.candidate,
                    "other": item.other,
                    **vars(item.estimate),
                }
                for item in self.differences
            ],
            "openings": self.openings,
            "same": list(self.same),
            "recipe": dict(self.recipe),
        }


def make_report(path: Path, *, on_model: OnModel = lambda label, index, total: None) -> Report:
    """Score base, sources, uniform average and the best found on the test split.

    What is scored already is read from the ledger.

    Args:
        path: The run's folder.
        on_model: Told before each model that has to be scored.

    Raises:
        LedgerError: The run isn't finished, is driven by another process, or a source or task has
            changed since.
        RunFailedError: The best model can't be scored.
    """
    _need_final(RunFolder.open(path))
    folder, prepared, row = prepare_stored(path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(driver_lock(path))
        ledger = stack.enter_context(contextlib.closing(Ledger.open(folder.ledger)))
        epoch = stack.enter_context(held_run(ledger, row.run_id))
        writer = RunWriter(ledger, row.run_id, epoch)
        return _Reporter(prepared, row, writer, on_model).report()


def _need_final(folder: RunFolder) -> None:
    """Refuse a run that isn't finished before its sources are read."""
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        records = RunRecords(ledger, folder.run_id)
        budget = records.run().config["search"]["budget"]
        if SearchState.load(records, budget=budget).final is None:
            raise LedgerError(
                f"run {folder.name!r} isn't finished, and its test split stays closed until then. "
                f"Go on with it: evomerge resume {folder.path}"
            )


class _Reporter:
    """Makes one report.

    Args:
        prepared: What the run is made of.
        row: The run.
        writer: Writes its records.
        on_model: Told before each model that has to be scored.
    """

    def __init__(
        self, prepared: Prepared, row: RunRow, writer: RunWriter, on_model: OnModel
    ) -> None:
        self._prepared = prepared
        self._row = row
        self._records = RunRecords(writer.ledger, row.run_id)
        self._rescorer = Rescorer(prepared, row, writer, on_model)
        self._state = self._rescorer.state
        self._writer = writer

    def report(self) -> Report:
        """Record that the test split is opened, score what is missing, and return the table."""
        assert self._state.final is not None
        best = str(self._state.final["best"])
        others = references(self._prepared)
        stored = self._state.candidates[best]
        recipe = stored_recipe(self._records.recipe(stored.recipe_hash))
        self._writer.add_references([(item.row, item.recipe.to_dict()) for item in others])
        ids = [*(item.row.candidate_id for item in others), best]
        self._writer.decide("open_test", {"candidates": ids})
        models = [(item.row.candidate_id, item.label, item.recipe) for item in others]
        models.append((best, "best found", recipe))
        self._rescorer.score(models, TEST)
        if failure := self._state.failures[TEST].get(best):
            raise RunFailedError(
                f"the best candidate {best} failed on the test split: {failure.message}. Mend the "
                "cause and ask for the report again."
            )
        same = [r.row.candidate_id for r in others if self._is_same(r, best, recipe)]
        rivals = [r.row.candidate_id for r in others if r.row.candidate_id not in same]
        return Report(
            name=self._row.name,
            contestants=[self._contestant(*model) for model in models],
            metrics={name: item.primary for name, item in self._prepared.evaluators.items()},
            directions={item.name: item.direction for item in self._prepared.objectives.all},
            differences=[
                found
                for item in self._prepared.objectives.all
                if (found := self._difference(item, best, rivals)) is not None
            ],
            openings=len(self._records.decisions("open_test")),
            same=same,
            recipe=recipe.to_dict(),
        )

    def _contestant(self, candidate_id: str, label: str, recipe: Recipe) -> Contestant:
        estimates = self._state.estimates[TEST].get(candidate_id)
        if estimates is None:
            failure = self._state.failures[TEST][candidate_id]
            return Contestant(candidate_id, label, recipe.hash(), {}, {}, failure)
        return Contestant(
            candidate=candidate_id,
            label=label,
            recipe_hash=recipe.hash(),
            tasks={
                name: estimates[name, item.primary]
                for name, item in self._prepared.evaluators.items()
            },
            objectives=self._prepared.objectives.estimates(estimates),
        )

    def _is_same(self, reference: Reference, best: str, recipe: Recipe) -> bool:
        """Say if the best found is the reference: by recipe, or a warm start that scores alike."""
        name = reference.row.candidate_id
        if recipe.hash() == reference.recipe.hash():
            return True
        origin = self._state.candidates[best].origin
        label = "uniform" if name == "uniform" else f"parent:{name.removeprefix('ref-')}"
        labels = {label, "base"} if name == f"ref-{self._prepared.base}" else {label}
        if origin.removeprefix("warm:") not in labels or name not in self._state.estimates[TEST]:
            return False
        # A range may have moved the warm start off the reference: only its scores tell.
        scores = self._records.scores
        return all(
            np.array_equal(scores(name, TEST, task, m.name), scores(best, TEST, task, m.name))
            for task, evaluator in self._prepared.evaluators.items()
            for m in evaluator.metrics
        )

    def _difference(
        self, objective: Objective, best: str, rivals: Sequence[str]
    ) -> Difference | None:
        """Compare the best found with the rival that is best on ``objective``."""
        found = self._state.estimates[TEST]
        ids = [name for name in rivals if name in found]
        if not ids:
            return None
        rival = max(ids, key=lambda n: objective.utility(objective.estimate(found[n]).value))
        if objective.is_of_recipe:
            gap = objective.value(found[best]) - objective.value(found[rival])
            return Difference(objective.name, best, rival, Estimate(gap, gap, gap, 1))
        mine, theirs = (
            {
                (task, metric): self._records.scores(name, TEST, task, metric)
                for task, metric in objective.parts
            }
            for name in (best, rival)
        )
        estimate = paired_difference(objective, self._prepared.evaluators, mine, theirs)
        return Difference(objective.name, best, rival, estimate)

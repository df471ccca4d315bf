"""Scores single models of a stored run on another split, in this process."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import Executor, Outcome
from evomerge.execution.registry import Crew
from evomerge.recipes.recipe import Recipe
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.plan import needed_numbers
from evomerge.runs.driver.scoring import Pending, Scorer
from evomerge.runs.driver.state import VALIDATION, SearchState
from evomerge.runs.folder import driver_lock
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.recipes import stored_recipe
from evomerge.runs.setup.prepare import Prepared
from evomerge.runs.start import prepare_stored

OnModel = Callable[[str, int, int], None]
"""Called before a model is scored: its label, its number from 1, how many there are."""


class Rescorer:
    """Scores models that have no scores on a split, and writes them to the ledger.

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
        self._writer = writer
        self._on_model = on_model
        records = RunRecords(writer.ledger, row.run_id)
        self.state = SearchState.load(records, budget=row.config["search"]["budget"])

    def score(self, models: Sequence[tuple[str, str, Recipe]], split: str) -> None:
        """Score those of ``models``, ``(id, label, recipe)``, that have no scores on ``split``."""
        missing = [m for m in models if m[0] not in self.state.estimates[split]]
        if not missing:
            return
        prepared = self._prepared
        runner = prepared.runner(self._writer.ledger, self._row.run_id)
        executor = InprocessExecutor(Crew(runner))
        scorer = Scorer(
            self._writer.ledger,
            prepared.evaluators,
            tasks=list(prepared.evaluators),
            dtype=prepared.config.recipe.dtype,
            numeric_class=prepared.numeric_class,
            needed=needed_numbers(prepared.objectives, prepared.evaluators),
            run_id=None if self._row.reuse else self._row.run_id,
            sizes=prepared.sizes,
        )
        try:
            for index, (candidate_id, label, recipe) in enumerate(missing):
                self._on_model(label, index + 1, len(missing))
                number = self.state.next_number(candidate_id, split)
                pending = Pending(candidate_id, recipe, split, number, keep_answers=True)
                self._score_one(scorer, executor, pending)
        finally:
            executor.close()

    def _score_one(self, scorer: Scorer, executor: Executor, pending: Pending) -> None:
        (flight,) = scorer.flights([pending])
        outcome = Outcome(flight.job)
        if flight.job.blocks:
            executor.submit(flight.job)
            (outcome,) = executor.wait()
        scored = scorer.scored(flight, outcome)
        self._writer.add_attempt(scored.record, scored.blocks, scored.estimates, None)
        self.state.attempted(
            pending.candidate_id, pending.split, pending.number, scored.failure, scored.estimates
        )


def validate(
    path: Path,
    candidates: Sequence[str],
    *,
    on_model: OnModel = lambda label, index, total: None,
) -> None:
    """Score ``candidates`` on the validation split; what is scored already is left alone.

    Args:
        path: The run's folder.
        candidates: Their ids.
        on_model: Told before each model that has to be scored.

    Raises:
        LedgerError: The run is driven by another process, or a source or task has changed since.
    """
    folder, prepared, row = prepare_stored(path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(driver_lock(path))
        ledger = stack.enter_context(contextlib.closing(Ledger.open(folder.ledger)))
        epoch = stack.enter_context(held_run(ledger, row.run_id))
        rescorer = Rescorer(prepared, row, RunWriter(ledger, row.run_id, epoch), on_model)
        records = RunRecords(ledger, row.run_id)
        models = []
        for name in candidates:
            stored = records.recipe(rescorer.state.candidates[name].recipe_hash)
            models.append((name, name, stored_recipe(stored)))
        rescorer.score(models, VALIDATION)

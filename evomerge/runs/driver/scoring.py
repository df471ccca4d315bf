"""What a candidate needs to be scored, and what its outcome is worth.

Scores that the ledger holds already are taken from there; only the rest goes to an executor.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvomergeError
from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.objectives import estimate_task
from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.protocol import LOST, BlockRef, Failure, Job, Outcome
from evomerge.recipes.recipe import Recipe
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.blocks import BlockKey
from evomerge.runs.ledger.cache import CachedBlock, find_blocks
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import AttemptRecord, Block
from evomerge.runs.objectives import BANNED, CONSTRAINT, Constraint
from evomerge.runs.sizes import Sizes


@dataclass(frozen=True)
class Pending:
    """A candidate that waits for scores.

    Args:
        candidate_id: Which one.
        recipe: What to build.
        split: What to score it on.
        number: The number that its next attempt gets.
        lost: Attempts whose worker ended under it.
        keep_answers: Keep the models' answers too.
        any_size: It is scored whatever limits its recipe misses: a reference.
    """

    candidate_id: str
    recipe: Recipe
    split: str
    number: int
    lost: int = 0
    keep_answers: bool = False
    any_size: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Candidate and split."""
        return self.candidate_id, self.split


@dataclass(frozen=True)
class Flight:
    """A candidate's blocks: those found in the ledger, and those still to score.

    Args:
        pending: The candidate.
        keys: All of its blocks, in order, with the keys under which their scores are found again.
        numeric_class: Of the keys.
        found: The blocks that the ledger holds.
        job: What an executor has to do; no blocks where the ledger holds everything.
        refused: Why it isn't scored at all, or None.
    """

    pending: Pending
    keys: Mapping[BlockRef, str]
    numeric_class: str
    found: Mapping[BlockRef, Block]
    job: Job
    refused: Failure | None = None


@dataclass(frozen=True)
class Scored:
    """What became of an attempt, ready to be committed.

    Args:
        pending: The candidate.
        outcome: What the attempt gave.
        record: The attempt's row.
        blocks: Its scores, in order; empty where it failed.
        estimates: (task, metric) → estimate; empty where it failed.
    """

    pending: Pending
    outcome: Outcome
    record: AttemptRecord
    blocks: Sequence[Block] = ()
    estimates: Estimates = field(default_factory=dict)

    @property
    def failure(self) -> Failure | None:
        """Why it failed, or None."""
        return self.record.failure


class Scorer:
    """Says what is left to score, and makes results of outcomes.

    Args:
        ledger: Where scores may be found.
        evaluators: Task → evaluator.
        tasks: Those that are scored.
        dtype: Element type of merged weights, as part of the cache key.
        numeric_class: Device, versions and threads, as part of the cache key; a worker's own takes
            its place once one has told it.
        needed: (task, metric) that a candidate must have; without one it has failed.
        run_id: Take scores of this run alone; None takes those of all runs.
        attempts: Attempts at a candidate whose worker ended under it.
        sizes: Counts steps and parameters; None where nothing needs them.
        limits: Constraints of the recipe alone; a candidate that misses one isn't scored.
        banned: Hashes of recipes that aren't scored in the search.
    """

    def __init__(
        self,
        ledger: Ledger,
        evaluators: Mapping[str, Evaluator],
        *,
        tasks: Sequence[str],
        dtype: str | None,
        numeric_class: str,
        needed: Collection[tuple[str, str]],
        run_id: str | None,
        attempts: int = 1,
        sizes: Sizes | None = None,
        limits: Sequence[Constraint] = (),
        banned: Collection[str] = (),
    ) -> None:
        self._ledger = ledger
        self._evaluators = evaluators
        self._tasks = tuple(tasks)
        self._dtype = dtype or "base"
        self._own_class = self._class = numeric_class
        self._needed = frozenset(needed)
        self._run_id = run_id
        self._attempts = attempts
        self._sizes = sizes
        self._limits = tuple(limits)
        self._banned = banned
        self._fingerprints = {name: item.fingerprint() for name, item in evaluators.items()}
        self._refs: dict[str, tuple[BlockRef, ...]] = {}

    def flights(self, items: Sequence[Pending]) -> list[Flight]:
        """Look up what the ledger holds of each candidate.

        Raises:
            LedgerError: The ledger can't be read.
        """
        if not items:
            return []
        refused = {item.key: self._refusal(item) for item in items}
        keys = [self._keys(item, self._class) for item in items]
        every = [key for own in keys for key in own.values()]
        cached = find_blocks(self._ledger, every, run_id=self._run_id)
        return [
            self._flight(item, own, cached, refused[item.key])
            for item, own in zip(items, keys, strict=True)
        ]

    def _refusal(self, pending: Pending) -> Failure | None:
        """Return why a candidate isn't scored: it is banned, or its recipe misses a constraint."""
        if pending.split == SEARCH and pending.recipe.hash() in self._banned:
            return Failure(BANNED, "its recipe is banned")
        if not self._limits or self._sizes is None or pending.any_size or pending.split != SEARCH:
            return None
        try:
            estimates = self._sizes.estimates(pending.recipe)
        except EvomergeError as error:
            return Failure("exception", str(error))
        missed = [item for item in self._limits if item.violation(estimates)]
        if not missed:
            return None
        reasons = [f"{item.number.value(estimates):g}, wanted {item.text}" for item in missed]
        return Failure(CONSTRAINT, "; ".join(reasons))

    def _flight(
        self,
        pending: Pending,
        keys: Mapping[BlockRef, str],
        cached: Mapping[str, CachedBlock],
        refused: Failure | None,
    ) -> Flight:
        found = {
            ref: Block(ref, key, cached[key].values, cached[key].answers, reused=True)
            for ref, key in keys.items()
            if key in cached and self._complete(ref.task, cached[key].values)
        }
        job = Job(
            candidate_id=pending.candidate_id,
            attempt=pending.number,
            recipe=pending.recipe,
            blocks=() if refused else tuple(ref for ref in keys if ref not in found),
            keep_answers=pending.keep_answers,
        )
        return Flight(pending, keys, self._class, found, job, refused)

    def scored(self, flight: Flight, outcome: Outcome) -> Scored:
        """Return what ``outcome`` is worth, together with what the ledger held already.

        A worker's end is the candidate's failure only at the last of its attempts.
        """
        pending, failure = flight.pending, outcome.failure
        if outcome.scores:
            self._class = outcome.numeric_class or self._own_class
        keys = flight.keys
        if outcome.scores and flight.numeric_class != self._class:
            keys = self._keys(pending, self._class)
        blocks = dict(flight.found)
        for item in outcome.scores:
            if item.ref in keys:
                blocks[item.ref] = Block(item.ref, keys[item.ref], item.values, item.answers)
        failure = failure or flight.refused or self._unsound(flight, blocks)
        estimates: Estimates = {}
        if failure is None:
            estimates, failure = self._estimates([blocks[ref] for ref in keys])
        if failure is None and self._sizes is not None:
            try:
                estimates = {**estimates, **self._sizes.estimates(pending.recipe)}
            except EvomergeError as error:
                failure = Failure("exception", str(error))
        lost = failure is not None and failure.kind == LOST
        record = AttemptRecord(
            candidate_id=pending.candidate_id,
            split=pending.split,
            number=pending.number,
            failure=failure,
            merge_s=outcome.merge_s,
            score_s=outcome.score_s,
            tokenise_s=outcome.tokenise_s,
            wait_s=outcome.wait_s,
            busy_s=outcome.busy_s,
            devices=outcome.devices,
            worker=outcome.worker,
            numeric_class=outcome.numeric_class or self._own_class,
            reused=not flight.job.blocks and flight.refused is None,
            notes=outcome.notes,
            lost=lost and pending.lost + 1 < self._attempts,
        )
        if failure is not None:
            return Scored(pending, outcome, record)
        ordered = [blocks[ref] for ref in keys]
        return Scored(pending, outcome, record, ordered, estimates)

    def _blocks(self, split: str) -> tuple[BlockRef, ...]:
        """Return all blocks of ``split``, task by task."""
        if split not in self._refs:
            self._refs[split] = tuple(
                BlockRef(task, split, block)
                for task in self._tasks
                for block in range(
                    math.ceil(
                        self._evaluators[task].n_examples(split) / self._evaluators[task].block_size
                    )
                )
            )
        return self._refs[split]

    def _keys(self, pending: Pending, numeric_class: str) -> dict[BlockRef, str]:
        """Return the candidate's blocks, in order, each with its key."""
        recipe_hash = pending.recipe.hash()
        return {
            ref: BlockKey(
                recipe_hash=recipe_hash,
                fingerprint=self._fingerprints[ref.task],
                dtype=self._dtype,
                numeric_class=numeric_class,
                split=ref.split,
                block=ref.block,
            ).digest()
            for ref in self._blocks(pending.split)
        }

    def _complete(self, task: str, values: Mapping[str, NDArray[np.float64]]) -> bool:
        return {metric.name for metric in self._evaluators[task].metrics} <= set(values)

    def _unsound(self, flight: Flight, blocks: Mapping[BlockRef, Block]) -> Failure | None:
        """Return why the blocks can't be used: some are absent or of another shape."""
        for ref in flight.keys:
            if ref not in blocks:
                message = f"task {ref.task!r} gave no scores for block {ref.block}"
                return Failure("exception", message)
            evaluator = self._evaluators[ref.task]
            first = ref.block * evaluator.block_size
            n = min(evaluator.block_size, evaluator.n_examples(ref.split) - first)
            for metric in evaluator.metrics:
                values = blocks[ref].values.get(metric.name)
                if values is None or values.shape != (n, metric.width):
                    found = "nothing" if values is None else f"shape {values.shape}"
                    message = (
                        f"task {ref.task!r} gave {found} for metric {metric.name!r}, expected "
                        f"shape {(n, metric.width)}"
                    )
                    return Failure("exception", message)
        return None

    def _estimates(self, blocks: Sequence[Block]) -> tuple[Estimates, Failure | None]:
        """Return the tasks' numbers with intervals, or why a needed one can't be had.

        On the search split only the needed ones: some intervals cost as much as a small model.
        """
        found: dict[tuple[str, str], Estimate] = {}
        for task in dict.fromkeys(block.ref.task for block in blocks):
            mine = [block for block in blocks if block.ref.task == task]
            for metric in self._evaluators[task].metrics:
                needed = (task, metric.name) in self._needed
                if not needed and mine[0].ref.split == SEARCH:
                    continue
                estimate = self._estimate(task, metric.name, mine)
                if isinstance(estimate, Estimate):
                    found[task, metric.name] = estimate
                elif needed:
                    return {}, estimate
        return found, None

    def _estimate(self, task: str, metric: str, blocks: Sequence[Block]) -> Estimate | Failure:
        """Return a task's number with its interval, or why there is none."""
        values = np.concatenate([block.values[metric] for block in blocks])
        not_finite = Failure("nan", f"task {task!r} gave a {metric} that is not finite")
        if not np.isfinite(values).all():
            return not_finite
        try:
            estimate = estimate_task(self._evaluators[task], metric, values)
        except Exception as error:  # noqa: BLE001  aggregates may be a plug-in's code
            reason = f"{type(error).__name__}: {error}"
            return Failure("exception", f"task {task!r}: {metric} can't be aggregated: {reason}")
        if estimate.n == 0:
            reason = "no scored example is of a member that has it; take another, or more examples"
            return Failure("nan", f"task {task!r}: metric {metric!r}: {reason}")
        bounds = (estimate.value, estimate.low, estimate.high)
        return estimate if all(math.isfinite(bound) for bound in bounds) else not_finite

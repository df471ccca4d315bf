"""Scores candidates on a split: from the ledger if it holds the scores, else by the executor.

Every finished candidate is one commit: its attempt, its blocks, its estimates and the event that
tells of it.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.objectives import estimate_task
from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.protocol import BlockRef, Executor, Failure, Job, Outcome
from evomerge.recipes.recipe import Recipe
from evomerge.runs.events import Event
from evomerge.runs.ledger.blocks import BlockKey
from evomerge.runs.ledger.cache import find_blocks
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import AttemptRecord, Block
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.state import SEARCH


@dataclass(frozen=True)
class Pending:
    """A candidate that waits for scores; ``attempt`` is the number that its next attempt gets."""

    candidate_id: str
    recipe: Recipe
    attempt: int


@dataclass(frozen=True)
class Scored:
    """What became of a candidate, committed.

    Args:
        candidate_id: Whose result it is.
        failure: Why it failed, or None.
        estimates: (task, metric) → estimate; empty where it failed.
        reused: All scores came from the ledger.
        merge_s, score_s: Seconds spent building and scoring.
    """

    candidate_id: str
    failure: Failure | None
    estimates: Estimates
    reused: bool = False
    merge_s: float = 0.0
    score_s: float = 0.0


TellOf = Callable[[Scored], Event | None]
"""Takes a result into account and returns the event that goes into its commit."""


@dataclass(frozen=True)
class _Plan:
    """A candidate's blocks: those found in the ledger, and those still to score."""

    pending: Pending
    keys: Mapping[BlockRef, str]
    found: Mapping[BlockRef, Block]
    missing: tuple[BlockRef, ...]


class Scorer:
    """Scores candidates and commits the results.

    Args:
        writer: Writes the run's rows.
        executor: Scores what the ledger doesn't hold.
        evaluators: Task → evaluator.
        dtype: Element type of merged weights, as part of the cache key.
        numeric_class: Device, versions and threads, as part of the cache key.
        needed: (task, metric) that a candidate must have; without one it has failed.
        reuse: Take scores of other runs; those of this run are always taken.
        in_flight: Jobs that are with the executor at a time.
    """

    def __init__(
        self,
        writer: RunWriter,
        executor: Executor,
        evaluators: Mapping[str, Evaluator],
        *,
        dtype: str | None,
        numeric_class: str,
        needed: Collection[tuple[str, str]],
        reuse: bool,
        in_flight: int = 1,
    ) -> None:
        self._writer = writer
        self._executor = executor
        self._evaluators = evaluators
        self._dtype = dtype or "base"
        self._numeric_class = numeric_class
        self._needed = frozenset(needed)
        self._scope = None if reuse else writer.run_id
        self._in_flight = in_flight
        self._fingerprints = {name: item.fingerprint() for name, item in evaluators.items()}

    def score(
        self,
        candidates: Sequence[Pending],
        split: str,
        tasks: Sequence[str],
        *,
        keep_answers: bool,
        tell_of: TellOf,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Scored, Event | None]]:
        """Score ``candidates`` on ``split``, yielding each result once it is committed.

        Candidates of one recipe go one after another, so that nothing is scored twice. Once
        ``stopping`` says so, what is with the executor is finished and the rest is left.
        """
        queue = deque(candidates)
        flying: dict[str, _Plan] = {}
        while (queue and not stopping()) or flying:
            busy = {plan.pending.recipe.hash() for plan in flying.values()}
            held: list[Pending] = []
            while queue and len(flying) < self._in_flight and not stopping():
                item = queue.popleft()
                if item.recipe.hash() in busy:
                    held.append(item)
                    continue
                plan = self._plan(item, split, tasks)
                if not plan.missing:
                    yield self._commit(plan, Outcome(self._job(plan, keep_answers)), tell_of)
                    continue
                flying[item.candidate_id] = plan
                busy.add(item.recipe.hash())
                self._executor.submit(self._job(plan, keep_answers))
            queue.extendleft(reversed(held))
            if flying:
                for outcome in self._executor.wait():
                    done = flying.pop(outcome.job.candidate_id)
                    yield self._commit(done, outcome, tell_of)

    def _plan(self, pending: Pending, split: str, tasks: Sequence[str]) -> _Plan:
        keys = {
            ref: BlockKey(
                recipe_hash=pending.recipe.hash(),
                fingerprint=self._fingerprints[ref.task],
                dtype=self._dtype,
                numeric_class=self._numeric_class,
                split=split,
                block=ref.block,
            ).digest()
            for task in tasks
            for ref in self._refs(task, split)
        }
        cached = find_blocks(self._writer.ledger, list(keys.values()), run_id=self._scope)
        found = {
            ref: Block(ref, key, cached[key].values, cached[key].answers, reused=True)
            for ref, key in keys.items()
            if key in cached and self._complete(ref.task, cached[key].values)
        }
        return _Plan(pending, keys, found, tuple(ref for ref in keys if ref not in found))

    def _refs(self, task: str, split: str) -> list[BlockRef]:
        evaluator = self._evaluators[task]
        n_blocks = math.ceil(evaluator.n_examples(split) / evaluator.block_size)
        return [BlockRef(task, split, block) for block in range(n_blocks)]

    def _complete(self, task: str, values: Mapping[str, NDArray[np.float64]]) -> bool:
        return {metric.name for metric in self._evaluators[task].metrics} <= set(values)

    def _job(self, plan: _Plan, keep_answers: bool) -> Job:
        return Job(
            candidate_id=plan.pending.candidate_id,
            attempt=plan.pending.attempt,
            recipe=plan.pending.recipe,
            blocks=plan.missing,
            keep_answers=keep_answers,
        )

    def _commit(
        self, plan: _Plan, outcome: Outcome, tell_of: TellOf
    ) -> tuple[Scored, Event | None]:
        """Store an outcome together with what was found, and return it."""
        blocks = dict(plan.found)
        for scores in outcome.scores:
            blocks[scores.ref] = Block(
                scores.ref, plan.keys[scores.ref], scores.values, scores.answers
            )
        failure = outcome.failure or self._unsound(plan, blocks)
        estimates: Estimates = {}
        if failure is None:
            ordered = [blocks[ref] for ref in plan.keys]
            estimates, failure = self._estimates(ordered)
        ordered = [] if failure else [blocks[ref] for ref in plan.keys]
        scored = Scored(
            candidate_id=plan.pending.candidate_id,
            failure=failure,
            estimates={} if failure else estimates,
            reused=not plan.missing,
            merge_s=outcome.merge_s,
            score_s=outcome.score_s,
        )
        record = AttemptRecord(
            candidate_id=scored.candidate_id,
            split=next(iter(plan.keys)).split,
            number=plan.pending.attempt,
            failure=failure,
            merge_s=outcome.merge_s,
            score_s=outcome.score_s,
            worker=outcome.worker,
            numeric_class=self._numeric_class,
            reused=scored.reused,
            notes=outcome.notes,
        )
        event = tell_of(scored)
        self._writer.add_attempt(record, ordered, scored.estimates, event)
        return scored, event

    def _unsound(self, plan: _Plan, blocks: Mapping[BlockRef, Block]) -> Failure | None:
        """Return why the blocks can't be used: some are absent or of another shape."""
        for ref in plan.keys:
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

"""The search loop: ask, evaluate, tell, generation by generation, then re-score the finalists.

Every proposal, result and decision is committed before anything acts on it, so the ledger alone
says where a run stands. ``Run.drive`` yields typed events; the command line and the ledger read
the same ones.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from evomerge.errors import LedgerError, RunFailedError
from evomerge.runs.events import (
    Asked,
    CandidateDone,
    CandidateFailed,
    Event,
    Finished,
    GenerationDone,
    Rescoring,
    Started,
    Stopped,
)
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.plan import Plan, needed_numbers
from evomerge.runs.ranking import choose_finalists, final_order
from evomerge.runs.replay import evaluations_of, replay
from evomerge.runs.scoring import Pending, Scored, Scorer
from evomerge.runs.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.versions import versions_now

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)


class Run:
    """One search, driven from wherever its records stand.

    Args:
        records: The run's rows; the run itself is stored already.
        plan: What to run.
    """

    def __init__(self, records: RunRecords, plan: Plan) -> None:
        self.records = records
        self.plan = plan
        self._writer = RunWriter(records.ledger, records.run_id)
        self._row = records.run()
        self._state = SearchState.load(records, budget=self._row.config["search"]["budget"])
        scored = self._state.scored(SEARCH).values()
        self._best = plan.objectives.best(plan.objectives.values(item) for item in scored)
        self._stop_asked = False
        self._clock = time.monotonic()
        self._scorer = Scorer(
            self._writer,
            plan.executor,
            plan.evaluators,
            dtype=plan.dtype,
            numeric_class=plan.numeric_class,
            needed=needed_numbers(plan.objectives, plan.evaluators),
            reuse=plan.reuse,
            in_flight=1 if plan.workers == 1 else 2 * plan.workers,
        )
        replay(
            plan.searcher,
            plan.space,
            records.decisions("ask", "tell"),
            self._state.candidates,
            versions_then=self._row.versions,
            versions_now=plan.versions or versions_now(),
        )

    def request_stop(self) -> None:
        """Ask ``drive`` to end after the candidate in hand; safe in a signal handler."""
        self._stop_asked = True

    def extend(self, budget: int) -> None:
        """Make ``budget`` the run's new total.

        Raises:
            LedgerError: More candidates than that are evaluated already.
        """
        evaluated = self._state.progress.evaluated
        if budget < evaluated:
            raise LedgerError(
                f"search.budget: got {budget}, but {evaluated} candidates are evaluated already. "
                f"Give a new total of at least {evaluated}."
            )
        if budget != self._state.budget:
            self._writer.decide("extend", {"budget": budget})
            self._state.budget = budget
            self._state.final = None

    def drive(self) -> Iterator[Event]:
        """Run to the end of the budget and yield what happens.

        Ends with ``Finished``, or with ``Stopped`` after ``request_stop`` or Ctrl-C.

        Raises:
            RunFailedError: Too many equal failures in a row, or nothing was scored at all; the run
                stays resumable.
        """
        self._clock = time.monotonic()
        try:
            yield self._told(
                Started(
                    run_id=self._row.run_id,
                    name=self._row.name,
                    resumed=bool(self._state.generations),
                    progress=self._state.progress,
                )
            )
            if self._state.final is None:
                self.plan.executor.start()
                yield from self._search()
                if not self._stop_asked:
                    yield from self._rescore()
            yield self._stopped() if self._stop_asked else self._finished()
        except KeyboardInterrupt:
            yield self._stopped()
        finally:
            self.plan.executor.close()

    # -- searching ------------------------------------------------------------------------------

    def _search(self) -> Iterator[Event]:
        """Go through generations until the budget is spent or nothing is left to propose."""
        state = self._state
        while not self._stop_asked:
            ask = state.open_generation()
            if ask is None:
                if state.progress.evaluated >= state.budget or state.exhausted:
                    return
                event = self._ask()
                yield event
                if not event.candidates:
                    return
                ask = event.ask
            rows = [r for r in state.generations[ask] if not state.settled(r.candidate_id)]
            rows = rows[: state.budget - state.progress.evaluated]
            yield from self._evaluate(rows)
            if not all(state.settled(r.candidate_id) for r in state.generations[ask]):
                return
            yield self._tell(ask)

    def _ask(self) -> Asked:
        """Store the searcher's next generation before anything acts on it."""
        ask = len(self._state.generations)
        items = []
        for place, proposal in enumerate(self.plan.searcher.ask()):
            genome = self.plan.space.decode(proposal.genome)
            recipe = self.plan.space.recipe(genome)
            row = CandidateRow(
                candidate_id=proposal.id,
                ask=ask,
                place=place,
                kind="search",
                origin=proposal.origin,
                parents=proposal.parents,
                genome=genome,
                recipe_hash=recipe.hash(),
            )
            items.append((row, recipe.to_dict()))
        event = Asked(ask, tuple(row.candidate_id for row, _ in items))
        self._writer.add_ask(ask, items, event)
        self._state.candidates |= {row.candidate_id: row for row, _ in items}
        self._state.generations[ask] = [row for row, _ in items]
        return event

    def _tell(self, ask: int) -> GenerationDone:
        """Store the results of a whole generation in their order, then tell the searcher."""
        state = self._state
        results: list[list[Any]] = []
        for row in state.generations[ask]:
            failure = state.failures[SEARCH].get(row.candidate_id)
            if failure is not None:
                results.append([row.candidate_id, None, failure.message or failure.kind])
            else:
                estimates = state.estimates[SEARCH][row.candidate_id]
                utilities = list(self.plan.objectives.utilities(estimates))
                results.append([row.candidate_id, utilities, ""])
        event = GenerationDone(
            ask=ask,
            best=dict(self._best),
            elapsed_s=time.monotonic() - self._clock,
            progress=state.progress,
        )
        self._writer.decide("tell", {"ask": ask, "results": results}, event)
        state.told.add(ask)
        self.plan.searcher.tell(evaluations_of(results))
        logger.info(
            "generation=%d evaluated=%d failed=%d best=%s elapsed_s=%.1f",
            ask,
            event.progress.evaluated,
            event.progress.failed,
            ",".join(f"{value:.4f}" for value in event.best.values()) or "none",
            event.elapsed_s,
        )
        return event

    def _evaluate(self, rows: Sequence[CandidateRow]) -> Iterator[Event]:
        """Score proposals on the search split."""
        yield from self._score(rows, SEARCH, keep_answers=False)

    def _score(
        self, rows: Sequence[CandidateRow], split: str, *, keep_answers: bool
    ) -> Iterator[Event]:
        """Score candidates on ``split`` and stop the run if they fail alike too often."""

        def tell_of(scored: Scored) -> Event | None:
            self._state.attempted(scored.candidate_id, split, scored.failure, scored.estimates)
            return self._event_of(scored) if split == SEARCH else None

        pending = [self._pending(row, split) for row in rows]
        for scored, event in self._scorer.score(
            pending,
            split,
            self.plan.objectives.tasks,
            keep_answers=keep_answers,
            tell_of=tell_of,
            stopping=lambda: self._stop_asked,
        ):
            failed = scored.failure is not None
            logger.debug("candidate=%s split=%s failed=%s", scored.candidate_id, split, failed)
            if event is not None:
                yield event
            self._check_streak()

    def _pending(self, row: CandidateRow, split: str) -> Pending:
        """Return a candidate with its recipe, which must be the one that was stored."""
        recipe = self.plan.space.recipe(row.genome or {})
        if recipe.hash() != row.recipe_hash:
            raise LedgerError(
                f"candidate {row.candidate_id} no longer gives the recipe that is stored for it "
                f"({recipe.hash()[:12]} instead of {row.recipe_hash[:12]}): evomerge or a method's "
                "declaration changed. Resume with the code that the run was started with."
            )
        number = self._state.attempts[row.candidate_id, split] + 1
        return Pending(row.candidate_id, recipe, number)

    def _event_of(self, scored: Scored) -> CandidateDone | CandidateFailed:
        progress = self._state.progress
        if scored.failure is not None:
            return CandidateFailed(
                candidate=scored.candidate_id,
                failure=scored.failure.kind,
                message=scored.failure.message,
                progress=progress,
            )
        values = self.plan.objectives.values(scored.estimates)
        self._best = self.plan.objectives.best([values, *([self._best] if self._best else [])])
        return CandidateDone(
            candidate=scored.candidate_id,
            objectives=values,
            reused=scored.reused,
            merge_s=scored.merge_s,
            score_s=scored.score_s,
            progress=progress,
        )

    def _check_streak(self) -> None:
        """Stop where the latest candidates all failed for one reason."""
        state = self._state
        if len(state.streak) < self.plan.identical_failures:
            return
        candidate_id, split = state.streak[-1]
        message = state.failures[split][candidate_id].message
        raise self._failed(
            "identical_failures",
            f"{len(state.streak)} candidates in a row failed alike: {message}",
            "Mend the cause, then go on with 'evomerge resume'; these candidates are tried again.",
            retry=state.to_retry(),
        )

    def _failed(
        self, reason: str, message: str, mend: str, *, retry: Sequence[tuple[str, str]]
    ) -> RunFailedError:
        """Store that the run stops and which attempts a resume repeats; return what to raise."""
        body = {
            "reason": reason,
            "message": message,
            "after_attempts": self._state.attempts.total(),
            "retry": [list(item) for item in retry],
        }
        self._writer.decide("stop", body)
        self._state.forgive(retry)
        return RunFailedError(f"{message.rstrip('.')}. {mend}")

    # -- the end --------------------------------------------------------------------------------

    def _rescore(self) -> Iterator[Event]:
        """Score the best candidates on the validation split and decide which is best."""
        state = self._state
        objectives = self.plan.objectives
        search = {n: objectives.utilities(e) for n, e in state.scored(SEARCH).items()}
        if not search:
            raise self._failed(
                "no_scores",
                f"all {state.progress.evaluated} candidates failed; the last one: "
                f"{self._last_failure(SEARCH)}",
                "Mend the cause and start a new run, or give this one more candidates with "
                "'evomerge resume RUN --set search.budget=N'.",
                retry=(),
            )
        hashes = {name: row.recipe_hash for name, row in state.candidates.items()}
        finalists = choose_finalists(search, hashes, self.plan.finalists)
        for index, name in enumerate(finalists):
            if self._stop_asked:
                return
            if state.settled(name, VALIDATION):
                continue
            yield Rescoring(candidate=name, index=index + 1, total=len(finalists))
            yield from self._score([state.candidates[name]], VALIDATION, keep_answers=True)
        if self._stop_asked:
            return
        validated = state.scored(VALIDATION)
        scores = {n: objectives.utilities(validated[n]) for n in finalists if n in validated}
        if not scores:
            raise self._failed(
                "no_scores",
                f"all {len(finalists)} finalists failed on the validation split; the last one: "
                f"{self._last_failure(VALIDATION)}",
                "Mend the cause, then go on with 'evomerge resume'; they are tried again.",
                retry=[(name, VALIDATION) for name in finalists],
            )
        order = final_order(scores, search)
        body = {
            "best": order.best,
            "front": list(order.front),
            "finalists": finalists,
            "reason": "exhausted" if state.exhausted else "budget",
            "budget": state.budget,
        }
        self._writer.decide("final", body)
        state.final = body

    def _last_failure(self, split: str) -> str:
        failures = list(self._state.failures[split].values())
        return failures[-1].message if failures else "unknown"

    def _finished(self) -> Finished:
        assert self._state.final is not None
        best = str(self._state.final["best"])
        front: list[str] = self._state.final["front"]
        return self._told(
            Finished(
                best=best,
                front=tuple(front),
                objectives=self.plan.objectives.values(self._state.estimates[VALIDATION][best]),
                reason=str(self._state.final["reason"]),
                progress=self._state.progress,
            )
        )

    def _stopped(self) -> Stopped:
        event = Stopped(self._state.progress)
        self._writer.decide("stop", {"reason": "user"}, event)
        return event

    def _told(self, event: E) -> E:
        """Store ``event`` and return it."""
        self._writer.tell_of(event)
        return event

"""The run loop: hand out, wait, commit, tell; until the budget is spent, then the finalists.

Every proposal, result and decision is committed before anything acts on it, so the ledger alone
says where a run stands. ``Run.drive`` yields typed events; the command line and the ledger read
the same ones.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from evomerge.errors import ExecutionError, LedgerError, RunFailedError
from evomerge.execution.protocol import WorkerState
from evomerge.runs.accounting import Spent
from evomerge.runs.dialogue import Dialogue
from evomerge.runs.dispatch import Dispatcher
from evomerge.runs.events import (
    AttemptLost,
    CandidateDone,
    CandidateFailed,
    Draining,
    Event,
    Finished,
    Started,
    Stopped,
)
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.log import log_event
from evomerge.runs.metrics import Snapshot
from evomerge.runs.pace import Best, FinalistsPace, GenerationPace, Pace, SteadyPace
from evomerge.runs.patience import GivenUp, Patience
from evomerge.runs.plan import Plan, needed_numbers
from evomerge.runs.ranking import choose_finalists, final_order
from evomerge.runs.recovery import left_behind
from evomerge.runs.replay import replay
from evomerge.runs.scoring import Scored, Scorer
from evomerge.runs.snapshots import RememberedSearcher
from evomerge.runs.spool import Spool
from evomerge.runs.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.upkeep import EVERY_S, Upkeep
from evomerge.runs.versions import versions_now

THINKING_S = 0.02
"""Seconds after which the loop looks whether a searcher has finished thinking."""


@dataclass(frozen=True)
class _Stop:
    """Why the run stops, and when it stops waiting for what is running; None: never."""

    reason: str
    message: str = ""
    until: float | None = None


class Run:
    """One search, driven from wherever its records stand.

    Args:
        records: The run's rows; the run itself is stored already.
        plan: What to run.
        epoch: This driver's, from ``heart.held_run``; None where nobody else can drive the run.
        clock: Seconds of a monotonic clock; all time that the loop measures is by it.
    """

    def __init__(
        self,
        records: RunRecords,
        plan: Plan,
        *,
        epoch: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records = records
        self.plan = plan
        self._clock = clock
        self._began = clock()
        self._stop: _Stop | None = None
        self._row = records.run()
        self._state = SearchState.load(records, budget=self._row.config["search"]["budget"])
        if plan.in_driver:
            # A candidate scored in this process may be what ended it; elsewhere it can't be.
            self._state.lost.update((name, split) for name, split, _ in self._state.orphans)
        scored = self._state.scored(SEARCH).values()
        best = plan.objectives.best(plan.objectives.values(item) for item in scored)
        self._best = Best(best, lambda: clock() - self._began)
        self._spent = Spent.of(records.attempts())
        self._writer = RunWriter(records.ledger, records.run_id, epoch)
        self._spool = Spool(plan.folder and plan.folder / "spool")
        now = plan.versions or versions_now()
        self._searcher = RememberedSearcher(
            plan.searcher, plan.folder, run_id=records.run_id, versions=now
        )
        self._connect()
        replay(
            self._searcher,
            plan.space,
            records.decisions("ask", "tell"),
            self._state.candidates,
            versions_then=self._row.versions,
            versions_now=now,
            recall=self._searcher.recall,
        )

    def _connect(self) -> None:
        """Build the parts that the loop turns."""
        plan, records, state, writer = self.plan, self.records, self._state, self._writer
        self._patience = Patience(
            writer,
            plan.executor,
            self._spool,
            away_s=plan.away_s,
            leave=self._may_leave,
            clock=self._clock,
        )
        scorer = Scorer(
            records.ledger,
            plan.evaluators,
            tasks=plan.objectives.tasks,
            dtype=plan.dtype,
            numeric_class=plan.numeric_class,
            needed=needed_numbers(plan.objectives, plan.evaluators),
            run_id=None if plan.reuse else records.run_id,
            attempts=plan.attempts,
        )
        self._dispatcher = Dispatcher(
            plan.executor, scorer, writer, self._patience, in_driver=plan.in_driver
        )
        self._dialogue = Dialogue(
            self._searcher, plan.space, plan.objectives, state, writer, self._patience
        )
        self._upkeep = Upkeep(
            records,
            writer,
            self._patience,
            plan,
            stop=lambda message: self.request_stop("disk", plan.grace_s, message),
            snapshot=self._snapshot,
            clock=self._clock,
        )

    def request_stop(
        self, reason: str = "user", grace_s: float | None = None, message: str = ""
    ) -> None:
        """Ask ``drive`` to end once what is running has finished; safe in a signal handler.

        Args:
            reason: ``user``, ``signal`` or ``disk``; the first one given stands.
            grace_s: Seconds that running candidates get, None for as long as they take; the
                earliest end stands.
            message: What is the matter, if anything.
        """
        until = None if grace_s is None else self._clock() + grace_s
        before = self._stop
        if before is None:
            self._stop = _Stop(reason, message, until)
        elif until is not None and (before.until is None or until < before.until):
            self._stop = _Stop(before.reason, before.message, until)

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
            self._state.decided("extend", {"budget": budget})

    def drive(self) -> Iterator[Event]:
        """Run to the end of the budget and yield what happens.

        Ends with ``Finished``, or with ``Stopped`` after ``request_stop`` or Ctrl-C.

        Raises:
            RunFailedError: Too many equal failures in a row, nothing was scored at all, no worker
                can be had any more, or the ledger stayed away; the run stays resumable.
            ExecutionError: There are no workers to begin with.
            LedgerError: The ledger can't be written, or another driver has taken the run over.
        """
        with contextlib.closing(self._drive()) as events:
            for event in events:
                log_event(event, run_id=self.records.run_id)
                yield event

    # -- phases ---------------------------------------------------------------------------------

    def _drive(self) -> Generator[Event, None, None]:
        state = self._state
        self._began = self._clock()
        run_id, name = self.records.run_id, self._row.name
        try:
            yield from self._say(Started(run_id, name, bool(state.generations), state.progress))
            if state.final is None:
                self.plan.executor.start()
                yield from self._recover()
                yield from self._work(self._pace())
                if self._stop is None:
                    yield from self._rescore()
            yield from self._stopped() if self._stop else self._say(self._finished())
        except KeyboardInterrupt:
            self.request_stop(grace_s=0)
            yield from self._stopped()
        except GivenUp as error:
            yield Stopped(state.progress, "ledger", str(error))
            raise RunFailedError(
                f"{error} This run waited {self.plan.away_s:.0f} s for it, and keeps "
                f"{len(self._spool)} finished results on the disk. Go on with 'evomerge resume' "
                "once the ledger is back."
            ) from error
        finally:
            self.plan.executor.close()

    def _recover(self) -> Iterator[Event]:
        """Commit what an earlier driver left behind."""
        before = left_behind(
            self._state,
            self._spool,
            self._dialogue,
            self._dispatcher,
            attempts=self.plan.attempts,
        )
        for scored in before:
            yield from self._settle([scored], None)

    def _pace(self) -> Pace:
        parts = self._dialogue, self._dispatcher, self._state, self._best
        if self.plan.mode == "async":
            return SteadyPace(*parts, in_line=self.plan.in_driver)
        return GenerationPace(*parts)

    def _rescore(self) -> Iterator[Event]:
        """Score the best candidates on the validation split and decide which is best."""
        state, objectives = self._state, self.plan.objectives
        search = {n: objectives.utilities(e) for n, e in state.scored(SEARCH).items()}
        if not search:
            raise (
                yield from self._failed(
                    "no_scores",
                    f"all {state.progress.evaluated} candidates failed; the last one: "
                    f"{self._last_failure(SEARCH)}",
                    "Mend the cause and start a new run, or give this one more candidates with "
                    "'evomerge resume RUN --set search.budget=N'.",
                )
            )
        hashes = {name: row.recipe_hash for name, row in state.candidates.items()}
        finalists = choose_finalists(search, hashes, self.plan.finalists)
        yield from self._work(FinalistsPace(finalists, self._dialogue, self._dispatcher, state))
        if self._stop is not None:
            return
        validated = state.scored(VALIDATION)
        scores = {n: objectives.utilities(validated[n]) for n in finalists if n in validated}
        if not scores:
            raise (
                yield from self._failed(
                    "no_scores",
                    f"all {len(finalists)} finalists failed on the validation split; the last one: "
                    f"{self._last_failure(VALIDATION)}",
                    "Mend the cause, then go on with 'evomerge resume'; they are tried again.",
                    retry=[(name, VALIDATION) for name in finalists],
                )
            )
        order = final_order(scores, search)
        body = {
            "best": order.best,
            "front": list(order.front),
            "finalists": finalists,
            "reason": "exhausted" if state.exhausted else "budget",
            "budget": state.budget,
        }
        yield from self._patience.write(lambda: self._writer.decide("final", body))
        state.decided("final", body)

    # -- turns ----------------------------------------------------------------------------------

    def _work(self, pace: Pace) -> Iterator[Event]:
        """Hand out, wait and commit until nothing is left to do, or a stop leaves the rest."""
        drained = False
        while True:
            yield from self._upkeep.tick()
            scored: list[Scored] = []
            if self._stop is None:
                yield from pace.propose()
                scored = yield from self._dispatcher.hand_out()
            elif not drained:
                drained = True
                yield from self._say(Draining(self._stop.reason, self._dispatcher.running))
            if not scored:
                if self._may_leave() or not (self._dispatcher.running or pace.thinking):
                    return
                scored = yield from self._wait(pace)
            if scored:
                yield from self._settle(scored, pace)

    def _wait(self, pace: Pace) -> Generator[Event, None, list[Scored]]:
        """Return what has finished; empty where something else has to be looked after first."""
        timeout_s = THINKING_S if pace.thinking else EVERY_S
        if self._stop is not None and self._stop.until is not None:
            timeout_s = min(timeout_s, max(self._stop.until - self._clock(), 0.0))
        if not self._dispatcher.running:
            pace.wait(timeout_s)
            return []
        try:
            return self._dispatcher.collect(timeout_s)
        except ExecutionError as error:
            mend = "Everything that was finished is stored; go on with 'evomerge resume'."
            raise (yield from self._failed("executor", str(error), mend)) from error

    def _settle(self, scored: Sequence[Scored], pace: Pace | None) -> Iterator[Event]:
        """Commit results together with what is told of them; stop if too many failed alike."""
        events = [self._take(item) for item in scored]
        tell = pace.tell() if pace else None

        def write() -> None:
            with self._writer.batch("attempt"):
                for item, event in zip(scored, events, strict=True):
                    self._writer.add_attempt(item.record, item.blocks, item.estimates, event)
                if tell:
                    self._dialogue.write(tell)

        yield from self._patience.write(
            write, [item.outcome for item in scored if not item.record.reused]
        )
        self._dispatcher.settle(scored, again=pace is not None)
        if tell:
            self._dialogue.told(tell)
            events.append(tell.event)
        yield from filter(None, events)
        yield from self._check_streak()

    def _take(self, scored: Scored) -> Event | None:
        """Take a result into account and return the event that goes into its commit."""
        record, failure, objectives = scored.record, scored.failure, self.plan.objectives
        name, split, number = record.candidate_id, record.split, record.number
        self._spent = self._spent.plus(record)
        self._state.attempted(name, split, number, failure, scored.estimates, lost=record.lost)
        if failure is not None and record.lost:
            return AttemptLost(name, number, record.worker, failure.message)
        if split != SEARCH:
            return None
        progress = self._state.progress
        if failure is not None:
            return CandidateFailed(
                name, failure.kind, failure.message, progress, number, record.worker
            )
        values = objectives.values(scored.estimates)
        known = [self._best.values] if self._best.values else []
        self._best.values = objectives.best([values, *known])
        return CandidateDone(
            candidate=name,
            objectives=values,
            reused=record.reused,
            merge_s=record.merge_s,
            score_s=record.score_s,
            progress=progress,
            attempt=number,
            worker=record.worker,
        )

    # -- ends -----------------------------------------------------------------------------------

    def _may_leave(self) -> bool:
        """Say if the run stops and waits no longer for what is running."""
        stop = self._stop
        if stop is None:
            return False
        late = stop.until is not None and self._clock() >= stop.until
        return late or not self._dispatcher.running

    def _check_streak(self) -> Iterator[Event]:
        """Stop where the latest candidates all failed for one reason."""
        state = self._state
        if len(state.streak) < self.plan.identical_failures:
            return
        candidate_id, split = state.streak[-1]
        message = state.failures[split][candidate_id].message
        raise (
            yield from self._failed(
                "identical_failures",
                f"{len(state.streak)} candidates in a row failed alike: {message}",
                "Mend the cause, then go on with 'evomerge resume'; these candidates are tried "
                "again.",
                retry=state.to_retry(),
            )
        )

    def _failed(
        self, reason: str, message: str, mend: str, *, retry: Sequence[tuple[str, str]] = ()
    ) -> Generator[Event, None, RunFailedError]:
        """Store that the run stops and which attempts a resume repeats; return what to raise."""
        body = {
            "reason": reason,
            "message": message,
            "after_attempts": self._state.n_attempts,
            "retry": [list(item) for item in retry],
            "abandoned": [list(lease) for lease in self._dispatcher.leases()],
        }
        yield from self._patience.write(lambda: self._writer.decide("stop", body))
        self._state.forgive(retry)
        return RunFailedError(f"{message.rstrip('.')}. {mend}")

    def _stopped(self) -> Iterator[Event]:
        """Store that the run was stopped, and what was running then."""
        stop = self._stop
        assert stop is not None
        event = Stopped(self._state.progress, stop.reason, stop.message)
        body = {
            "reason": stop.reason,
            "message": stop.message,
            "abandoned": [list(lease) for lease in self._dispatcher.leases()],
        }
        with contextlib.suppress(GivenUp):
            yield from self._patience.write(lambda: self._writer.decide("stop", body, event))
        yield event

    def _finished(self) -> Finished:
        assert self._state.final is not None
        best = str(self._state.final["best"])
        front: list[str] = self._state.final["front"]
        return Finished(
            best=best,
            front=tuple(front),
            objectives=self.plan.objectives.values(self._state.estimates[VALIDATION][best]),
            reason=str(self._state.final["reason"]),
            progress=self._state.progress,
        )

    def _last_failure(self, split: str) -> str:
        failures = list(self._state.failures[split].values())
        return failures[-1].message if failures else "unknown"

    def _say(self, event: Event) -> Iterator[Event]:
        """Store an event that no other write goes with, and yield it."""
        yield from self._patience.write(lambda: self._writer.tell_of(event))
        yield event

    def _snapshot(self, states: Sequence[WorkerState]) -> Snapshot:
        since = self._patience.away_since
        return Snapshot(
            name=self._row.name,
            run_id=self._row.run_id,
            progress=self._state.progress,
            spent=self._spent,
            workers=states,
            best=dict(self._best.values),
            away_s=0.0 if since is None else self._clock() - since,
            spooled=len(self._spool),
        )

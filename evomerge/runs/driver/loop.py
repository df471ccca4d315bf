"""The run loop: hand out, wait, commit, tell; until the budget is spent, then the finalists.

Every proposal, result and decision is committed before anything acts on it, so the ledger alone
says where a run stands. ``Run.drive`` yields typed events; the command line and the ledger read
the same ones.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence

from evomerge.errors import ExecutionError, LedgerError, RunFailedError
from evomerge.execution.protocol import WorkerState
from evomerge.runs.driver.dialogue import Dialogue
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.enough import StopRules, Watch
from evomerge.runs.driver.finals import FinalistsPace, Finals
from evomerge.runs.driver.injections import Injections
from evomerge.runs.driver.pace import GenerationPace, Pace, SteadyPace
from evomerge.runs.driver.panel import PanelStage
from evomerge.runs.driver.patience import GivenUp, Patience
from evomerge.runs.driver.plan import Plan, needed_numbers
from evomerge.runs.driver.recovery import left_behind
from evomerge.runs.driver.replay import REPLAYED, replay
from evomerge.runs.driver.scoring import Scored, Scorer
from evomerge.runs.driver.settling import Settler, Tally
from evomerge.runs.driver.snapshots import RememberedSearcher
from evomerge.runs.driver.spool import Spool
from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.driver.steering import Steering
from evomerge.runs.driver.stops import Stops
from evomerge.runs.driver.talks import Talks
from evomerge.runs.driver.upkeep import EVERY_S, Upkeep
from evomerge.runs.driver.verdict import best_so_far, cover_of
from evomerge.runs.events import (
    Draining,
    Event,
    Started,
    Stopped,
)
from evomerge.runs.examples import Examples, FreshExamples
from evomerge.runs.folder import forget_stop, note_stop
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.log import log_event
from evomerge.runs.metrics import Snapshot
from evomerge.runs.versions import versions_now
from evomerge.search.protocol import Archived, needs_examples, needs_measures

THINKING_S = 0.02
"""Seconds after which the loop looks whether a searcher has finished thinking."""


class Run:
    """One search, driven from wherever its records stand.

    Args:
        records: The run's rows; the run itself is stored already.
        plan: What to run.
        epoch: This driver's, from ``heart.held_run``; None where nobody else can drive the run.
        stale: Number of the last request that was made before this driver took the run up: to
            pause or cancel it then isn't meant for this driver.
        clock: Seconds of a monotonic clock; all time that the loop measures is by it.
    """

    def __init__(
        self,
        records: RunRecords,
        plan: Plan,
        *,
        epoch: int | None = None,
        stale: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records = records
        self.plan = plan
        self._stale = stale
        self._clock = clock
        self._began = clock()
        self._row = records.run()
        self._state = SearchState.load(records, budget=self._row.config["search"]["budget"])
        if plan.in_driver:
            # A candidate scored in this process may be what ended it; elsewhere it can't be.
            self._state.lost.update((name, split) for name, split, _ in self._state.orphans)
        plan.objectives.panel.fill(self._state.references())
        self._tally = Tally(
            best_so_far(self._state, plan.objectives),
            self._state.spent,
            cover_of(self._state, plan.objectives),
        )
        self._writer = RunWriter(records.ledger, records.run_id, epoch)
        self._spool = Spool(plan.folder and plan.folder / "spool")
        now = plan.versions or versions_now()
        self._searcher = RememberedSearcher(
            plan.searcher, plan.folder, run_id=records.run_id, versions=now
        )
        self._examples = (
            FreshExamples(Examples(plan.objectives, plan.evaluators), records)
            if needs_examples(plan.searcher)
            else None
        )
        self._measures_of = self._measures if needs_measures(plan.searcher) else None
        self._connect()
        replay(
            self._searcher,
            plan.space,
            [d for d in records.decisions(*REPLAYED) if "refused" not in d.body],
            self._state.candidates,
            versions_then=self._row.versions,
            versions_now=now,
            recall=self._searcher.recall,
            examples_of=None if self._examples is None else self._examples.take,
            measures_of=self._measures_of,
        )

    def _connect(self) -> None:
        """Build the parts that the loop turns."""
        plan, records, state, writer = self.plan, self.records, self._state, self._writer
        self._patience = Patience(
            writer,
            plan.executor,
            self._spool,
            away_s=plan.away_s,
            leave=lambda: self._stops.may_leave(),  # made below
            meanwhile=lambda: self._upkeep.tick_away(),
            clock=self._clock,
        )
        self._dispatcher = Dispatcher(
            plan.executor, self._scorer(), writer, self._patience, in_driver=plan.in_driver
        )
        injections = Injections(
            self._searcher, plan.space, writer, self._patience, plan.read_recipe
        )
        self._dialogue = Dialogue(
            self._searcher,
            plan.space,
            plan.objectives,
            state,
            writer,
            self._patience,
            plan.sizes,
            self._examples,
            self._watch(),
            self._measures_of,
            injections,
        )
        self._stops = Stops(
            state,
            writer,
            self._patience,
            self._dispatcher,
            identical_failures=plan.identical_failures,
            whole=plan.mode != "async",
            clock=self._clock,
        )
        self._steering = Steering(
            records, writer, self._patience, state, self._tally, plan.objectives, injections
        )
        self._talks = Talks(records, writer, self._patience, self._dispatcher, plan)
        self._settler = Settler(
            state,
            self._tally,
            plan.objectives,
            writer,
            self._patience,
            self._dispatcher,
            self._dialogue,
        )
        self._panel = PanelStage(
            plan.panel,
            plan.objectives,
            state,
            self._dispatcher,
            writer,
            self._patience,
            self._stops,
        )
        self._finals = Finals(
            plan.finalists, state, plan.objectives, writer, self._patience, self._stops
        )
        self._upkeep = self._look_after()

    def _scorer(self) -> Scorer:
        """Build what says what of each candidate is left to score."""
        plan = self.plan
        return Scorer(
            self.records.ledger,
            plan.evaluators,
            tasks=plan.objectives.tasks,
            dtype=plan.dtype,
            numeric_class=plan.numeric_class,
            needed=needed_numbers(plan.objectives, plan.evaluators),
            run_id=None if plan.reuse else self.records.run_id,
            attempts=plan.attempts,
            sizes=plan.sizes,
            limits=plan.objectives.limits,
            banned=self._state.banned,
        )

    def _look_after(self) -> Upkeep:
        """Build what is done from time to time."""
        return Upkeep(
            self.records,
            self._writer,
            self._patience,
            self.plan,
            stop=lambda message: self._stops.ask("disk", self.plan.grace_s, message),
            end=lambda kind: self.request_stop(kind, None if kind == "pause" else 0.0),
            stale=self._stale,
            snapshot=self._snapshot,
            living=self._living,
            steer=self._take_up,
            clock=self._clock,
        )

    def _take_up(self) -> Iterator[Event]:
        """Deal with what users have asked of the search and of its models."""
        yield from self._steering.take_up()
        yield from self._talks.take_up()

    def _measures(self, candidate_id: str) -> tuple[float, ...]:
        """Return a scored candidate's measures."""
        return self.plan.objectives.measured(self._state.estimates[SEARCH][candidate_id])

    def _living(self) -> set[str]:
        """Return the recipes of all that candidates are or will be made of, as far as is known."""
        state, searcher = self._state, self.plan.searcher
        settled = state.estimates[SEARCH].keys() | state.failures[SEARCH].keys()
        names = {name for name in state.candidates if name not in settled} | state.untold.keys()
        names.update(*(state.candidates[name].parents for name in tuple(names)))
        names.update(state.pinned)
        names.update(searcher.living() if isinstance(searcher, Archived) else ())
        return {state.candidates[name].recipe_hash for name in names}

    def _watch(self) -> Watch | None:
        """Return what ends the search early; without rules there is nothing to read back for."""
        if self.plan.stop_rules == StopRules():
            return None
        decisions = self.records.decisions("tell", "extend")
        told = [(item.kind, item.body) for item in decisions]
        return Watch(self.plan.stop_rules, self.plan.objectives, told)

    def request_stop(self, reason: str = "user", grace_s: float | None = None) -> None:
        """Ask ``drive`` to end once what is running has finished; safe in a signal handler.

        Args:
            reason: ``user``, ``signal``, ``pause`` or ``cancel``; the first one given stands.
            grace_s: Seconds that running candidates get, None for as long as they take; the
                earliest end stands.
        """
        self._stops.ask(reason, grace_s)

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
        if self.plan.folder is not None:
            forget_stop(self.plan.folder)
        try:
            yield from self._say(Started(run_id, name, bool(state.generations), state.progress))
            if state.final is None:
                self.plan.executor.start()
                yield from self._recover()
                yield from self._panel.score(self._work)
                if self._stops.asked is None:
                    yield from self._work(self._pace())
                if self._stops.asked is None:
                    yield from self._finals.rescore(self._score_finalists)
            if self._stops.asked is None:
                yield from self._say(self._finals.finished())
            else:
                yield from self._stops.stopped()
        except KeyboardInterrupt:
            self.request_stop(grace_s=0)
            yield from self._stops.stopped()
        except GivenUp as error:
            if self.plan.folder is not None:
                note_stop(self.plan.folder, "ledger", str(error))
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
            yield from self._settler.settle([scored], lambda: None, again=False)

    def _pace(self) -> Pace:
        parts = self._dialogue, self._dispatcher, self._state, self._tally, self._elapsed_s
        if self.plan.mode == "async":
            return SteadyPace(*parts, in_line=self.plan.in_driver)
        return GenerationPace(*parts)

    def _score_finalists(self, names: list[str]) -> Iterator[Event]:
        pace = FinalistsPace(names, self._dialogue, self._dispatcher, self._state)
        return self._work(pace, is_last=True)

    # -- turns ----------------------------------------------------------------------------------

    def _work(self, pace: Pace, *, is_last: bool = False) -> Iterator[Event]:
        """Hand out, wait and commit until nothing is left to do, or a stop leaves the rest.

        The last work of a run waits for answers to people's prompts too.
        """
        drained = False
        yield from self._stops.check_streak()  # a driver before may have ended in front of it
        while True:
            yield from self._upkeep.tick()
            scored: list[Scored] = []
            if self._stops.asked is None:
                yield from pace.propose()
                scored = yield from self._dispatcher.hand_out()
                yield from self._talks.hand_out()
            elif not drained:
                drained = True
                running = self._dispatcher.running
                yield from self._say(Draining(self._stops.asked.reason, running))
            if not scored:
                busy = self._dispatcher.running or pace.thinking
                if self._stops.may_leave() or not (busy or (is_last and self._talks.waiting)):
                    return
                scored = yield from self._wait(pace)
                yield from self._talks.settle()
            if scored:
                yield from self._settler.settle(scored, pace.tell)
                yield from self._stops.check_streak()

    def _wait(self, pace: Pace) -> Generator[Event, None, list[Scored]]:
        """Return what has finished; empty where something else has to be looked after first."""
        timeout_s = min(THINKING_S if pace.thinking else EVERY_S, self._stops.left_s())
        if not (self._dispatcher.running or self._talks.running):
            pace.wait(timeout_s)
            return []
        try:
            return self._dispatcher.collect(timeout_s)
        except ExecutionError as error:
            mend = "Everything that was finished is stored; go on with 'evomerge resume'."
            raise (yield from self._stops.failed("executor", str(error), mend)) from error

    def _say(self, event: Event) -> Iterator[Event]:
        """Store an event that no other write goes with, and yield it."""
        yield from self._patience.write(lambda: self._writer.tell_of(event))
        yield event

    def _elapsed_s(self) -> float:
        return self._clock() - self._began

    def _snapshot(self, states: Sequence[WorkerState]) -> Snapshot:
        since = self._patience.away_since
        return Snapshot(
            name=self._row.name,
            run_id=self._row.run_id,
            progress=self._state.progress,
            spent=self._tally.spent,
            workers=states,
            best=dict(self._tally.best),
            hypervolume=self._tally.hypervolume,
            away_s=0.0 if since is None else self._clock() - since,
            spooled=len(self._spool),
        )

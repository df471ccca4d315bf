"""How busy workers are kept: the real controller over simulated workers, then over real ones.

Loop, searcher, scoring and SQLite ledger are the real ones. Only the workers are simulated: a job
takes a heavy-tailed number of simulated seconds (log-normal, the 95th percentile 5 times the 5th,
mean 2 s) and the simulated clock leaps while the controller waits for results. While the controller
itself works (asks, recipes, commits, tells) the clock runs on with the real time that this takes,
and so do the workers, so that its cost counts in full. Utilisation is the workers' share of busy
time from the run's start until its last ask. ``--real local`` sleeps the same durations in 8 real
worker processes (``--real ray``: actors) and compares.

    OMP_NUM_THREADS=1 python benchmarks/scheduling.py [--workers 8 64 256] [--real local ray]
"""

import argparse
import heapq
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from synthetic_run import Study, make_space
from synthetic_worker import Durations, Formula, scores_of

from evomerge.execution.protocol import Executor, Job, Outcome, WorkerState
from evomerge.execution.registry import EXECUTORS, Crew
from evomerge.runs.ledger import tables
from evomerge.search.protocol import Evaluation, Proposal, Searcher

ROUNDS = 20
"""Candidates a worker, on average."""
REAL_WORKERS = 8

Mode = Literal["generation", "async"]


class SimulatedClock:
    """Simulated seconds since its making: real ones while it runs, leaps while it is held.

    Args:
        timer: Real seconds.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._at = 0.0
        self._since: float | None = timer()

    def __call__(self) -> float:
        """Return the simulated time."""
        since = self._since
        return self._at if since is None else self._at + self._timer() - since

    def hold(self) -> None:
        """Stop."""
        self._at, self._since = self(), None

    def leap(self, to: float) -> None:
        """Go to ``to`` if that is later; only while held."""
        self._at = max(self._at, to)

    def run(self) -> None:
        """Run on."""
        self._since = self._timer()


@dataclass(order=True)
class _Running:
    """A job in a simulated worker."""

    ends: float
    began: float
    worker: int
    job: Any


class SimulatedExecutor:
    """Workers on a simulated clock; each takes the next queued job the moment it is free.

    Args:
        study: What is evaluated, and by how many workers.
        clock: Runs while the controller works.
        asking: Set while an ask is being computed in another thread: waiting can't leap over it.
    """

    def __init__(self, study: Study, clock: SimulatedClock, asking: threading.Event) -> None:
        self._study, self._clock, self._asking = study, clock, asking
        self._queue: deque[tuple[float, Job]] = deque()
        self._free = [(0.0, worker) for worker in range(study.workers)]
        self._running: list[_Running] = []
        self._done: deque[Outcome] = deque()
        self.busy: list[tuple[float, float]] = []
        self.slots = study.workers

    def start(self) -> None:
        """Do nothing: all workers are there."""

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append((self._clock(), job))

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return what has finished by now; else leap to the next end, or by ``timeout_s``."""
        clock = self._clock
        until = float("inf") if timeout_s is None else clock() + timeout_s
        while True:
            clock.hold()
            self._advance(clock())
            nothing = not self._done and not self._running and not self._queue
            if self._done or clock() >= until or (nothing and timeout_s is None):
                break
            if self._asking.is_set():
                # An ask in another thread takes its real time; so does the wait.
                clock.run()
                time.sleep(0.0002)
                continue
            clock.leap(min([until, *(job.ends for job in self._running[:1])]))
        done = list(self._done)
        self._done.clear()
        clock.run()
        return done

    def resize(self, slots: int) -> None:
        """Do nothing."""

    def workers(self) -> Sequence[WorkerState]:
        """Return none: nobody looks."""
        return []

    def close(self) -> None:
        """Drop everything."""
        self._queue.clear()
        self._running.clear()

    def _advance(self, now: float) -> None:
        """Let workers end and take jobs, in order of time, up to ``now``."""
        while True:
            self._begin()
            if not self._running or self._running[0].ends > now:
                return
            self._end(heapq.heappop(self._running))

    def _begin(self) -> None:
        """Give queued jobs to free workers."""
        while self._queue and self._free:
            queued_at, job = self._queue.popleft()
            free_at, worker = heapq.heappop(self._free)
            began = max(queued_at, free_at)
            ends = began + self._study.durations.of(job.candidate_id)
            heapq.heappush(self._running, _Running(ends, began, worker, job))

    def _end(self, item: _Running) -> None:
        heapq.heappush(self._free, (item.ends, item.worker))
        self.busy.append((item.began, item.ends))
        self._done.append(
            Outcome(
                item.job,
                scores=scores_of(self._study.tasks, item.job),
                score_s=item.ends - item.began,
                busy_s=item.ends - item.began,
                worker=f"worker{item.worker}",
            )
        )


class WatchedSearcher:
    """A searcher that tells when it is asked, and notes when it was last so."""

    def __init__(self, inner: Searcher, asking: threading.Event) -> None:
        self._inner, self._asking = inner, asking

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the inner searcher's proposals."""
        self._asking.set()
        try:
            return self._inner.ask(n)
        finally:
            self._asking.clear()

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Hand them on."""
        self._inner.tell(evaluations)


@dataclass(frozen=True)
class Used:
    """What a run gave: share of busy time until the last ask, and how long it took."""

    utilisation: float
    until_s: float
    candidates: int


def simulate(study: Study, timer: Callable[[], float] = time.perf_counter) -> Used:
    """Run ``study`` on the simulated clock; the controller's own time is by ``timer``."""
    study.create()
    asking = threading.Event()
    searcher = WatchedSearcher(study.searcher_in(make_space(study.genes)), asking)
    clock = SimulatedClock(timer)
    executor = SimulatedExecutor(study, clock, asking)
    run = study.open(executor, searcher=searcher, clock=clock)
    last_ask = 0.0
    for event in run.drive():
        if event.kind == "asked":
            last_ask = clock()
        if event.kind == "rescoring":
            break
    return _used(executor.busy, min(begin for begin, _ in executor.busy), last_ask, study)


def _used(busy: Sequence[tuple[float, float]], began: float, until: float, study: Study) -> Used:
    inside = sum(max(0.0, min(end, until) - max(begin, began)) for begin, end in busy)
    return Used(inside / (study.workers * (until - began)), until - began, len(busy))


def sleep_through(study: Study, executor: Executor) -> tuple[Used, float]:
    """Run ``study`` with real workers; return what was used, from when all had begun to work.

    The second number is the seconds from the start until then.
    """
    study.create()
    run = study.open(executor)
    started = time.time()
    for event in run.drive():
        if event.kind == "rescoring":
            break
    records = study.records()
    table = tables.attempt
    query = select(table.c.worker, table.c.notes).where(table.c.split == "search")
    with records.ledger.read() as connection:
        rows = connection.execute(query).all()
    busy = [(float(row.notes["began"]), float(row.notes["ended"])) for row in rows]
    first: dict[str, float] = {}
    for row, (begin, _) in zip(rows, busy, strict=True):
        first[row.worker] = min(begin, first.get(row.worker, begin))
    ready = max(first.values())
    asks = [d.made_s for d in records.decisions("ask") if d.body["candidates"]]
    return _used(busy, ready, max(asks), study), ready - started


def main() -> None:
    """Print one line a number of workers and way of asking."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", nargs="*", type=int, default=[8, 64, 256])
    parser.add_argument("--searcher", default="cma_es")
    parser.add_argument("--mean", type=float, default=2.0, help="Mean seconds of a candidate.")
    parser.add_argument("--real", nargs="*", default=[], choices=["local", "ray"])
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="Count the controller's processor time, for a machine that others use too.",
    )
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for workers in arguments.workers:
        ways: list[tuple[str, Mode, dict[str, Any]]] = [("async", "async", {})]
        if arguments.searcher == "cma_es":
            ways += [
                ("generation, its own population", "generation", {}),
                ("generation, population = workers", "generation", {"population": workers}),
            ]
        for label, mode, options in ways:
            with tempfile.TemporaryDirectory() as name:
                study = _study(name, arguments, workers, mode, options)
                used = simulate(study, time.process_time if arguments.cpu else time.perf_counter)
            print(_line(f"simulated {label}", workers, used), flush=True)
    for kind in arguments.real:
        _compare(kind, arguments)


def _study(
    name: str, arguments: argparse.Namespace, workers: int, mode: Mode, options: dict[str, Any]
) -> Study:
    return Study(
        Path(name),
        budget=ROUNDS * workers,
        searcher=arguments.searcher,
        options=options,
        mode=mode,
        workers=workers,
        durations=Durations(mean_s=arguments.mean),
        tasks=(Formula("reverse"), Formula("sort"), Formula("successor")),
    )


def _compare(kind: str, arguments: argparse.Namespace) -> None:
    """Sleep in real workers and print how far the simulation is from them."""
    with tempfile.TemporaryDirectory() as name:
        study = _study(f"{name}/real", arguments, REAL_WORKERS, "async", {})
        crew = Crew(study.spec, slots=study.workers, folder=Path(name) / "workers", run_id="bench")
        plugin = EXECUTORS.get(kind)
        executor = plugin.value(crew, **plugin.declaration.fill({}))
        real, ready_s = sleep_through(study, executor)
        print(_line(f"real {kind} async", REAL_WORKERS, real), f"ready_s={ready_s:.1f}", flush=True)


def _line(label: str, workers: int, used: Used) -> str:
    return (
        f"{label:42} workers={workers:<4} candidates={used.candidates:<5} "
        f"until_s={used.until_s:.1f} utilisation={100 * used.utilisation:.1f}%"
    )


if __name__ == "__main__":
    main()

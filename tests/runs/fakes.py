"""A run without torch: a space of three genes, evaluators that are formulas, a faulty worker."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import LedgerError
from evomerge.evaluation.conversation import Reply
from evomerge.evaluation.protocol import Metric
from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import (
    LOST,
    BlockScores,
    Executor,
    Failure,
    Job,
    Outcome,
    WorkerState,
)
from evomerge.execution.registry import Crew
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from evomerge.recipes.space import Gene, Genome, SearchSpace
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.loop import Run
from evomerge.runs.driver.plan import Plan
from evomerge.runs.events import Event
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives
from evomerge.search.protocol import Searcher
from evomerge.search.random import RandomSearcher
from tests.search.segmented import space_of

GENES = tuple(Gene(f"stage1.weights.{name}", "float", -1.0, 1.0) for name in ("a", "b", "c"))
SOURCES = tuple(Source(name, f"models/{name}", name * 64) for name in ("a", "b", "c"))


class FakeSpace(SearchSpace):
    """Three weights of a linear merge; a large ``step`` makes recipes repeat."""

    def __init__(self, step: float = 0.0) -> None:
        super().__init__([Gene(g.name, g.kind, g.low, g.high, step=step) for g in GENES])

    def recipe(self, genome: Genome) -> Recipe:
        weights = tuple(genome[gene.name] for gene in self.genes)
        inputs = tuple(StageInput(source.name) for source in SOURCES)
        stage = Stage("stage1", "linear", inputs, None, {"weights": weights})
        return Recipe(sources=SOURCES, base="a", stages=(stage,), tokenizer="a")


def segmented_space(step: float = 0.0) -> SearchSpace:
    """Coefficients of three sources along the tensors of ``tests.search.segmented``."""
    space = space_of(3)[0]
    inputs = tuple(StageInput(source.name) for source in SOURCES)

    def recipe(genome: Genome) -> Recipe:
        stage = Stage("s", "segments", inputs, None, {"segments": genome["s.segments"]})
        return Recipe(sources=SOURCES, base="a", stages=(stage,), tokenizer="a")

    space.recipe = recipe  # type: ignore[method-assign]  # instead of a template
    return space


def weights_of(recipe: Recipe) -> NDArray[np.float64]:
    """Three weights; of segments their mean, whatever their lengths."""
    found = recipe.stages[0].parameters
    rows = [s["weights"] for s in found["segments"]] if "segments" in found else [found["weights"]]
    return np.array(rows, dtype=float).mean(axis=0)


@dataclass
class FakeEvaluator:
    """Examples that are hit where the weights are close enough to a point, noise added."""

    name: str
    target: tuple[float, float, float]
    n: int = 20
    block_size: int = 8
    primary: str = "hit"
    metrics: Sequence[Metric] = (Metric("hit", binary=True),)

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def n_examples(self, split: str) -> int:
        return self.n

    def examples(self, split: str, indices: Sequence[int]) -> list[Any]:
        return []

    def prepare(self, model: Any, split: str) -> Any:
        return None

    def score(self, model: Any, requests: Any, indices: Sequence[int]) -> list[Any]:
        raise AssertionError("the fake worker scores by itself")

    def values(self, recipe: Recipe, split: str, index: int) -> dict[str, tuple[float, ...]]:
        seed = {"search": 1, "validation": 2, "test": 3}[split]
        noise = np.random.default_rng((seed, index)).normal(0, 0.3, 3)
        distance = float(np.linalg.norm(weights_of(recipe) - np.array(self.target) + noise))
        return {"hit": (float(distance < 1.0),), "distance": (distance, float(index))}

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        return float(values[:, 0].mean())


@dataclass(frozen=True)
class Ready:
    """The spec of a worker that exists already."""

    worker: Any

    def build(self) -> Any:
        return self.worker


@dataclass
class FakeWorker:
    """Scores by formula; ``fails`` returns a failure for a job or None; every job is noted."""

    evaluators: Mapping[str, FakeEvaluator]
    fails: Callable[[Job], Failure | None] = lambda job: None
    jobs: list[Job] = field(default_factory=list)
    poison: Callable[[Job], bool] = lambda job: False

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        if failure := self.fails(job):
            return Outcome(job, failure=failure, worker="fake")
        if job.prompt is not None:
            said = " | ".join(item.content for item in job.prompt.messages)
            return Outcome(job, reply=Reply(f"{job.candidate_id} heard {said}", 3), worker="fake")
        scores = []
        for ref in job.blocks:
            item = self.evaluators[ref.task]
            first = ref.block * item.block_size
            indices = range(first, min(first + item.block_size, item.n))
            rows = [item.values(job.recipe, ref.split, index) for index in indices]
            values = {
                metric.name: np.array([row[metric.name] for row in rows]) for metric in item.metrics
            }
            if self.poison(job):
                values["hit"][0, 0] = np.nan
            answers = [f"answer {index}" for index in indices] if job.keep_answers else None
            scores.append(BlockScores(ref, values, answers))
        return Outcome(job, scores=scores, merge_s=0.5, score_s=1.5, worker="fake")


class ScriptedExecutor:
    """Workers that end, dawdle and overtake each other as a seeded generator says.

    Args:
        worker: Scores the jobs that aren't lost.
        slots: Workers.
        seed: Decides which jobs come back together, in which order, and which are lost.
        loss: Chance that a job is lost with its worker.
    """

    def __init__(
        self, worker: "FakeWorker", *, slots: int = 4, seed: int = 0, loss: float = 0.0
    ) -> None:
        self.worker = worker
        self.slots = slots
        self.loss = loss
        self.queue: list[Job] = []
        self.most = 0
        self.closed = False
        self.started = 0
        self._rng = np.random.default_rng(seed)

    def start(self) -> None:
        self.started += 1

    def submit(self, job: Job) -> None:
        self.queue.append(job)
        self.most = max(self.most, len(self.queue))

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        running = min(self.slots, len(self.queue))
        if not running or (timeout_s is not None and self._rng.random() < 0.2):
            return []
        places = self._rng.permutation(running)[: self._rng.integers(1, running + 1)]
        jobs = [self.queue[place] for place in places]
        for job in jobs:
            self.queue.remove(job)
        return [self._outcome(job) for job in jobs]

    def resize(self, slots: int) -> None:
        self.slots = slots

    def workers(self) -> Sequence[WorkerState]:
        return [WorkerState(f"w{i}", "node", "cpu", "idle") for i in range(self.slots)]

    def close(self) -> None:
        self.closed = True
        self.queue.clear()

    def _outcome(self, job: Job) -> Outcome:
        if self._rng.random() < self.loss:
            return Outcome(job, failure=Failure(LOST, "worker ended by SIGKILL"), worker="gone")
        return self.worker.run(job)


EVALUATORS = {
    "near": FakeEvaluator("near", (0.5, -0.25, 0.1)),
    "far": FakeEvaluator(
        "far",
        (-0.5, 0.5, 0.6),
        n=12,
        metrics=(Metric("hit", binary=True), Metric("distance", "minimize", width=2)),
    ),
}
ONE = {"mean": {"from": ["near", "far"], "aggregate": "mean", "direction": "maximize"}}
BINARY = {name: FakeEvaluator(name, item.target) for name, item in EVALUATORS.items()}
"""The same without a metric that needs a bootstrap, for runs that are made by the hundred."""
TWO = {
    "near": {"from": ["near"], "aggregate": "mean", "direction": "maximize"},
    "far": {"from": ["far.distance"], "aggregate": "mean", "direction": "minimize"},
}


def random_searcher(space: SearchSpace, objectives: int) -> Searcher:
    return RandomSearcher(space, seed=3, n_objectives=objectives, population=6)


@dataclass
class FakeRun:
    """A run on fakes: ``start`` stores it, ``resume`` takes it up again with a fresh searcher."""

    folder: Path
    budget: int = 20
    finalists: int = 4
    identical_failures: int = 10
    objectives: Mapping[str, Any] = field(default_factory=lambda: ONE)
    measures: Mapping[str, Any] | None = None
    reuse: bool = True
    run_id: str = "run1"
    step: float = 0.0
    evaluators: Mapping[str, FakeEvaluator] = field(default_factory=lambda: EVALUATORS)
    worker: FakeWorker = None  # type: ignore[assignment]  # set below, from the evaluators
    make_searcher: Callable[[SearchSpace, int], Searcher] = random_searcher
    make_space: Callable[[float], SearchSpace] = FakeSpace
    versions: Mapping[str, str] = field(default_factory=lambda: {"evomerge": "1"})
    workers: int = 1
    ledger: str = ""
    make_executor: Callable[["FakeRun"], Executor] | None = None
    epoch: int | None = None
    stale: int = 0
    clock: Callable[[], float] = time.monotonic
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.worker is None:
            self.worker = FakeWorker(self.evaluators)

    @property
    def url(self) -> str:
        return self.ledger or f"sqlite:///{self.folder}/ledger.db"

    def start(self) -> Run:
        return self._run(self.store())

    def drive(self) -> list[Event]:
        """Go on as the command line does: under a claim, storing the run where it isn't yet."""
        ledger = Ledger.open(self.url, create=True)
        try:
            RunRecords(ledger, self.run_id).run()
        except LedgerError:
            self.store()
        with held_run(ledger, self.run_id) as self.epoch:
            return list(self._run(ledger).drive())

    def store(self) -> Ledger:
        ledger = Ledger.open(self.url, create=True)
        config = {"search": {"budget": self.budget}, "objectives": dict(self.objectives)}
        RunWriter(ledger, self.run_id).create(
            RunRow(
                run_id=self.run_id,
                name="fake",
                started_s=0.0,
                config=config,
                sources={},
                tasks=facts_of(self.evaluators),
                space=self.make_space(self.step).to_dict(),
                starts=(),
                versions=self.versions,
                plugins=(),
                reuse=self.reuse,
            )
        )
        return ledger

    def resume(self) -> Run:
        return self._run(Ledger.open(self.url))

    def records(self) -> RunRecords:
        return RunRecords(Ledger.open(self.url, read_only=True), self.run_id)

    def _run(self, ledger: Ledger) -> Run:
        space = self.make_space(self.step)
        executor: Executor = InprocessExecutor(Crew(Ready(self.worker)))
        if self.make_executor is not None:
            executor = self.make_executor(self)
        plan = Plan(
            space=space,
            searcher=self.make_searcher(space, len(self.objectives)),
            executor=executor,
            evaluators=self.evaluators,
            objectives=Objectives.from_plain(
                self.objectives, facts_of(self.evaluators), measures=self.measures
            ),
            finalists=self.finalists,
            identical_failures=self.identical_failures,
            dtype=None,
            numeric_class="fake",
            reuse=self.reuse,
            workers=self.workers,
            versions=self.versions,
            folder=self.folder,
            **self.settings,
        )
        return Run(
            RunRecords(ledger, self.run_id),
            plan,
            epoch=self.epoch,
            stale=self.stale,
            clock=self.clock,
        )


def facts_of(evaluators: Mapping[str, FakeEvaluator]) -> dict[str, Any]:
    return {
        name: {
            "primary": item.primary,
            "metrics": [{"name": m.name, "direction": m.direction} for m in item.metrics],
        }
        for name, item in evaluators.items()
    }


def picture(records: RunRecords) -> dict[str, Any]:
    """All that must not depend on kills: candidates, scores, estimates, tells, final decision."""
    scored = [
        (row.candidate_id, row.split, row.number)
        for row in records.attempts()
        if row.failure is None
    ]
    arrays = {}
    for name, split, _ in scored:
        for task in ("near", "far"):
            for metric in ("hit", "distance"):
                values = records.scores(name, split, task, metric)
                arrays[name, split, task, metric] = values.tobytes()
    return {
        "candidates": records.candidates(),
        "attempts": [(row.candidate_id, row.split, row.failure) for row in records.attempts()],
        "scores": arrays,
        "estimates": {s: records.estimates(s) for s in ("search", "validation", "test")},
        "decisions": [(d.kind, d.body) for d in records.decisions("ask", "tell", "final")],
    }

"""A whole run without torch or models, so that what drives a run can be timed or killed alone.

Space, recipes, searcher, ledger, scoring and loop are the real ones; only the evaluators are
formulas and the worker sleeps (``synthetic_worker.py``).
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from synthetic_worker import Durations, Formula, SleeperSpec

from evomerge.errors import LedgerError
from evomerge.execution.protocol import Executor
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.build import RecipeSpec, build_space
from evomerge.recipes.declarations import Declaration, Parameter, WarmStart
from evomerge.recipes.recipe import Source
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver.loop import Run
from evomerge.runs.driver.plan import Plan
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives
from evomerge.search.protocol import Searcher, Start, build_searcher

RUN_ID = "0123456789abcdef0123456789abcdef"
VERSIONS = {"evomerge": "benchmark"}
LAYERS = {18: (3, 6), 100: (4, 25)}
"""Genes → (sources, layers) of the space that has so many."""


def _weights_start(inputs: Sequence[str]) -> list[WarmStart]:
    return [WarmStart("uniform", {"weights": [1 / len(inputs)] * len(inputs)})]


def make_space(genes: int) -> SearchSpace:
    """Return the space of one weight a source and layer, ``genes`` of them (18 or 100)."""
    n_sources, n_layers = LAYERS[genes]
    weights = Parameter(
        "weights",
        "float",
        "Weight of each input.",
        required=True,
        search_low=-0.5,
        search_high=1.5,
        searchable=True,
        per_source=True,
    )
    method = Declaration(
        "task_arithmetic", "", (weights,), needs_base=True, warm_starts=_weights_start
    )
    names = [f"expert{index}" for index in range(n_sources)]
    sources = tuple(
        Source(name, f"models/{name}", hashlib.sha256(name.encode()).hexdigest())
        for name in ["base", *names]
    )
    stage = {
        "method": method.name,
        "inputs": names,
        "weights": {"search": {}, "granularity": "block:1"},
    }
    tensors = [
        TensorFacts(f"model.layers.{layer}.mlp.up_proj.weight", (8, 8), "F32", layer, "mlp")
        for layer in range(n_layers)
    ]
    spec = RecipeSpec(sources=sources, base="base", stages=(stage,))
    return build_space(spec, {method.name: method}, n_layers, {t.name: t for t in tensors})


@dataclass(frozen=True)
class Study:
    """One run: what is searched, how, and where its ledger is.

    Args:
        folder: Holds the ledger.
        budget: Candidates.
        searcher, options: Registered searcher and its settings.
        genes: 18 or 100.
        mode: ``generation`` or ``async``.
        workers: Workers of the executor.
        tasks: What is scored.
        durations: How long a candidate takes.
        attempts: Attempts at a candidate whose worker died.
        finalists: Candidates that are re-scored at the end.
    """

    folder: Path
    budget: int
    searcher: str = "random"
    options: Mapping[str, Any] = field(default_factory=dict)
    genes: int = 18
    mode: Literal["generation", "async"] = "generation"
    workers: int = 1
    tasks: tuple[Formula, ...] = (Formula("reverse"), Formula("sort"), Formula("successor"))
    durations: Durations = field(default_factory=Durations)
    attempts: int = 4
    finalists: int = 4

    @property
    def url(self) -> str:
        """The ledger's URL."""
        return f"sqlite:///{self.folder}/ledger.db"

    @property
    def spec(self) -> SleeperSpec:
        """What its workers are built from."""
        return SleeperSpec(self.tasks, self.durations)

    def create(self) -> None:
        """Store the run; nothing is evaluated yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        search = {"budget": self.budget, "mode": self.mode}
        ledger = Ledger.open(self.url, create=True)
        RunWriter(ledger, RUN_ID).create(
            RunRow(
                run_id=RUN_ID,
                name="benchmark",
                started_s=time.time(),
                config={"search": search, "objectives": self._objectives()},
                sources={},
                tasks=self._facts(),
                space=make_space(self.genes).to_dict(),
                starts=(),
                versions=VERSIONS,
                plugins=(),
                reuse=True,
            )
        )
        ledger.close()

    def create_once(self) -> None:
        """Store the run unless it is stored already."""
        if (self.folder / "ledger.db").is_file():
            ledger = Ledger.open(self.url, create=True)
            with contextlib.closing(ledger), contextlib.suppress(LedgerError):
                RunRecords(ledger, RUN_ID).run()
                return
        self.create()

    def searcher_in(self, space: SearchSpace) -> Searcher:
        """Return a fresh searcher."""
        start = Start("uniform", np.full(space.n_dims, 0.4))
        return build_searcher(
            self.searcher, space, seed=0, starts=[start], options=dict(self.options)
        )

    def open(
        self,
        executor: Executor,
        *,
        searcher: Searcher | None = None,
        ledger: Ledger | None = None,
        epoch: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Run:
        """Take the run up where its ledger says it stands.

        Args:
            executor: Where candidates are evaluated.
            searcher: A fresh one; None builds it.
            ledger: None opens it.
            epoch: The driver's, where others may drive the run too.
            clock: What the loop measures time by.
        """
        space = make_space(self.genes)
        objectives = Objectives.from_plain(self._objectives(), self._facts())
        plan = Plan(
            space=space,
            searcher=searcher or self.searcher_in(space),
            executor=executor,
            evaluators={task.name: task for task in self.tasks},
            objectives=objectives,
            finalists=self.finalists,
            identical_failures=10,
            dtype=None,
            numeric_class="benchmark",
            reuse=True,
            workers=self.workers,
            versions=VERSIONS,
            mode=self.mode,
            attempts=self.attempts,
            folder=self.folder,
        )
        records = RunRecords(ledger or Ledger.open(self.url), RUN_ID)
        return Run(records, plan, epoch=epoch, clock=clock)

    def records(self) -> RunRecords:
        """Return its rows, for reading."""
        return RunRecords(Ledger.open(self.url, read_only=True), RUN_ID)

    def _objectives(self) -> dict[str, Any]:
        names = [task.name for task in self.tasks]
        return {"mean": {"from": names, "aggregate": "mean", "direction": "maximize"}}

    def _facts(self) -> dict[str, Any]:
        return {
            task.name: {
                "fingerprint": task.fingerprint(),
                "primary": task.primary,
                "block_size": task.block_size,
                "metrics": [vars(metric) for metric in task.metrics],
                "n": dict.fromkeys(("search", "validation", "test"), task.n),
            }
            for task in self.tasks
        }

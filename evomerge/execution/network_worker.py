"""A worker that builds networks from their lineage and scores them."""

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from os import getpid
from pathlib import Path
from typing import Any

import torch

from evomerge.evaluation.network_model import NetworkModel
from evomerge.evaluation.protocol import Evaluator
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.devices import make_repeatable, numeric_class, resolve_device
from evomerge.execution.failures import failure_of
from evomerge.execution.protocol import BlockScores, Failure, Job, Outcome
from evomerge.execution.task_scores import TaskScores, by_task
from evomerge.merging.evolving import Nursery
from evomerge.merging.network_registry import NETWORKS
from evomerge.recipes.declarations import load_plugin_file
from evomerge.recipes.recipe import Recipe


@dataclass(frozen=True)
class NetworkSpec:
    """What a worker for networks is built from; plain data that travels to another process.

    Args:
        network: Registered network.
        options: Its settings.
        evaluators: Tasks.
        recipe_of: Hash of a recipe → that recipe, for parents whose weights are gone.
        folder: Where weights are kept; all workers of a run share it.
        device: As in ``WorkerSpec``.
        threads: Torch threads; part of the numeric class.
        plugins: Plug-in files to load first.
        built: Evaluators that this process has built already; they don't travel to another one.
    """

    network: str
    options: Mapping[str, Any]
    evaluators: tuple[EvaluatorSpec, ...]
    recipe_of: Callable[[str], Recipe]
    folder: Path | None = None
    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Path, ...] = ()
    built: Mapping[str, Evaluator] | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"built": None}

    def build(self) -> "NetworkWorker":
        """Build the worker.

        Raises:
            EvomergeError: The network, a plug-in, an evaluator or the device can't be used.
        """
        if self.device != "cpu":
            make_repeatable()
        evaluators = self.built
        if evaluators is None:
            for plugin in self.plugins:
                load_plugin_file(plugin)
            evaluators = {spec.name: spec.build() for spec in self.evaluators}
        torch.set_num_threads(self.threads)
        device = resolve_device(self.device)
        plugin_ = NETWORKS.get(self.network)
        options = plugin_.declaration.fill(self.options)
        model = NetworkModel(plugin_.value(**options), device)
        return NetworkWorker(
            model=model,
            nursery=Nursery(model.size, self.folder, self.recipe_of),
            evaluators=evaluators,
            device=device,
            numeric_class=numeric_class(device, self.threads),
        )


@dataclass
class NetworkWorker:
    """Builds and scores networks, one at a time; every error becomes a recorded failure.

    Args:
        model: The resident network.
        nursery: Gives weights.
        evaluators: Task → evaluator.
        device: Where the network lies.
        numeric_class: What decides rounding besides the recipe.
        name: How the ledger names this worker.
        on_step: Told what a job does next: ``building``, ``scoring task 'digits'``.
    """

    model: NetworkModel
    nursery: Nursery
    evaluators: Mapping[str, Evaluator]
    device: str = "cpu"
    numeric_class: str = ""
    name: str = field(default_factory=lambda: f"{platform.node()}:{getpid()}")
    on_step: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self._scores = TaskScores(self.model)

    def run(self, job: Job) -> Outcome:
        """Build the network of ``job.recipe`` and score the job's blocks."""
        seconds: defaultdict[str, float] = defaultdict(float)

        @contextmanager
        def timed(part: str) -> Any:
            began = time.perf_counter()
            yield
            seconds[part] += time.perf_counter() - began

        found: list[BlockScores] = []
        failure: Failure | None = None
        step = "building"
        try:
            self._tell(step)
            with timed("merge"):
                self.model.load(self.nursery.weights(job.recipe))
            for key, blocks in by_task(job.blocks):
                step = f"scoring task {key[0]!r}"
                self._tell(step)
                with timed("score"), torch.inference_mode():
                    found += self._task(job, key, blocks, lambda: timed("tokenise"))
        except Exception as error:  # noqa: BLE001  a candidate must never end a run
            failure = failure_of(error, step)
        return Outcome(
            job=job,
            scores=() if failure else found,
            failure=failure,
            merge_s=seconds["merge"],
            score_s=seconds["score"] - seconds["tokenise"],
            tokenise_s=seconds["tokenise"],
            worker=self.name,
            numeric_class=self.numeric_class,
        )

    def _task(
        self,
        job: Job,
        key: tuple[str, str],
        blocks: list[int],
        preparing: Callable[[], AbstractContextManager[None]],
    ) -> list[BlockScores]:
        return self._scores.score(
            self.evaluators[key[0]],
            key,
            blocks,
            keep_answers=job.keep_answers,
            preparing=preparing,
        )

    def _tell(self, step: str) -> None:
        if self.on_step is not None:
            self.on_step(step)

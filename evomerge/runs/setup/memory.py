"""What a run needs of memory, reckoned before it starts, and what would fit where it doesn't."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evomerge.errors import EvomergeError, ModelError, NotFiniteError, Problem
from evomerge.evaluation.protocol import Evaluator
from evomerge.runs.setup.memory_shape import MergeShape, ModelShape

if TYPE_CHECKING:
    from evomerge.evaluation.sketch import Sketch

logger = logging.getLogger(__name__)

MAIN, GPU = "main memory", "GPU"
PROCESS_BYTES = 500_000_000
"""Python with torch, transformers and an evaluator's data; measured, see benchmarks."""

CUDA_BYTES = 600_000_000
"""CUDA's context and kernels in a worker, on the device."""

SHARED_PART = 4
"""A worker's activations that routes share take one part in so many of what is left."""

SHARED_MAIN_BYTES = 2**31
"""Most that they take of main memory, which other programs want too, unless more is asked for."""

SPLITS = ("search", "validation")
"""What a run scores; the test split is scored once, later, by the report."""


@dataclass(frozen=True)
class MemoryRow:
    """One thing that takes memory.

    Args:
        what: What it is.
        where: ``main memory`` or ``GPU``.
        per: ``worker``, ``node`` or ``run``: how often it is there.
        n_bytes: Bytes of one.
        needed: A run can't do without; what isn't needed makes it faster.
    """

    what: str
    where: str
    per: str
    n_bytes: int
    needed: bool = True


@dataclass(frozen=True)
class MemoryPlan:
    """What goes where.

    Args:
        rows: Everything that takes memory.
        workers: Workers of this node.
        per_gpu: Workers that share one GPU; 0 without GPUs.
        needed: Where → bytes that this node (of GPUs: the fullest) needs.
        free: Where → bytes that are free there.
        compared: The workers are on this machine, so that ``free`` says whether they fit.
        problem: What can't fit and what would; None where all fits.
        notes: What isn't known, one line each.
        prefix_bytes: What a worker keeps of activations that routes share; None where only the
            worker can tell.
    """

    rows: tuple[MemoryRow, ...]
    workers: int
    per_gpu: int
    needed: Mapping[str, int]
    free: Mapping[str, int]
    compared: bool
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    prefix_bytes: int | None = 0


@dataclass(frozen=True)
class Demand:
    """What a run asks of memory, whatever the machine.

    Args:
        model: The resident model.
        merge: What merging takes.
        sketches: Task → what it puts through the model.
        batch_sizes: Task → its ``batch_size``, where it has one.
        n_tensors: Tensors of the model.
        source_bytes: Bytes of all sources' files.
        workers: Number of workers.
        threads: Threads of each.
        gpus: GPUs that the workers share; 0 for CPU workers.
        alone: The worker is in the driver's own process.
        routed_bytes: Bytes of the models that routes go through, beside the resident one.
        prefix_bytes: Bytes wanted for activations that routes share; None for a part of what is
            left.
    """

    model: ModelShape
    merge: MergeShape
    sketches: Mapping[str, "Sketch"]
    batch_sizes: Mapping[str, int]
    n_tensors: int
    source_bytes: int
    workers: int
    threads: int
    gpus: int = 0
    alone: bool = False
    routed_bytes: int = 0
    prefix_bytes: int | None = 0

    @property
    def per_gpu(self) -> int:
        """Workers that share one GPU."""
        return math.ceil(self.workers / self.gpus) if self.gpus else 0

    def batch_bytes(self, task: str, limit: int | None = None) -> tuple[int, int]:
        """Return (bytes of a task's largest batch, bytes of its cache)."""
        return self.model.largest_pass(self.sketches[task].passes, limit)

    def worst_task(self, limit: int | None = None) -> str | None:
        """Return the task whose batches are largest."""
        return max(self.sketches, key=lambda task: sum(self.batch_bytes(task, limit)), default=None)

    def rows(self, limit: int | None = None) -> Iterator[MemoryRow]:
        """Yield everything that takes memory, with batches of at most ``limit`` rows."""
        where = GPU if self.gpus else MAIN
        worst = self.worst_task(limit)
        batch, cache = (0, 0) if worst is None else self.batch_bytes(worst, limit)
        yield MemoryRow("resident model", where, "worker", self.model.n_bytes)
        if self.routed_bytes:
            yield MemoryRow("models to route through", where, "worker", self.routed_bytes)
        yield MemoryRow(f"activations and logits ({worst or 'none'})", where, "worker", batch)
        yield MemoryRow(f"keys and values ({worst or 'none'})", where, "worker", cache)
        scratch = self.merge.scratch_bytes(self.model, threads=self.threads, gpu=bool(self.gpus))
        yield MemoryRow("scratch of merges", where, "worker", scratch)
        tokens = 8 * sum(sketch.n_tokens for sketch in self.sketches.values())
        yield MemoryRow("tokenised requests", where, "worker", tokens)
        figures = self.merge.figure_bytes(self.n_tensors)
        yield MemoryRow("figures of the sources", MAIN, "worker", figures)
        yield MemoryRow("worker process", MAIN, "worker", PROCESS_BYTES)
        if self.gpus:
            yield MemoryRow("CUDA context", GPU, "worker", CUDA_BYTES)
            yield MemoryRow("model while it is loaded", MAIN, "worker", self.model.n_bytes)
            yield MemoryRow("copies of the sources", GPU, "worker", self.source_bytes, False)
        if not self.alone:
            yield MemoryRow("driver", MAIN, "run", PROCESS_BYTES)
        yield MemoryRow("mapped sources (page cache)", MAIN, "node", self.source_bytes, False)

    def needed(self, limit: int | None = None) -> dict[str, int]:
        """Return where → bytes that have to be free; of GPUs the fullest one."""
        found = {MAIN: 0, **({GPU: 0} if self.gpus else {})}
        for row in self.rows(limit):
            if row.needed:
                shared = self.per_gpu if row.where == GPU else self.workers
                found[row.where] += row.n_bytes * (shared if row.per == "worker" else 1)
        return found

    def shared_bytes(self, free: Mapping[str, int]) -> int:
        """Return what a worker may keep of activations that routes share: no more than is left."""
        where, workers = (GPU, self.per_gpu) if self.gpus else (MAIN, self.workers)
        left = max(0, free[where] - self.needed()[where]) // workers
        if self.prefix_bytes is not None:
            return min(left, self.prefix_bytes)
        return left // SHARED_PART if self.gpus else min(left // SHARED_PART, SHARED_MAIN_BYTES)

    def fits(self, free: Mapping[str, int], limit: int | None = None) -> bool:
        """Tell whether all that is needed is free."""
        return all(n_bytes <= free[where] for where, n_bytes in self.needed(limit).items())


def plan_memory(
    demand: Demand, free: Mapping[str, int], *, compared: bool = True, notes: Sequence[str] = ()
) -> MemoryPlan:
    """Say what goes where and, where it can't fit, what would.

    Args:
        demand: What the run asks for.
        free: Where → free bytes; of GPUs those of the fullest.
        compared: The workers are on this machine.
        notes: What isn't known.
    """
    problem = None
    if compared and not demand.fits(free):
        problem = _problem(demand, free)
    rows, told = list(demand.rows()), list(notes)
    wanted = demand.prefix_bytes
    shared = demand.shared_bytes(free) if compared else wanted
    if shared:
        where = GPU if demand.gpus else MAIN
        rows.append(MemoryRow("activations that routes share", where, "worker", shared, False))
    if wanted and shared is not None and shared < wanted:
        told.append(
            f"execution.prefix_cache_gb: {_gb(wanted)} a worker are wanted, and {_gb(shared)} are "
            "left: so much is taken."
        )
    return MemoryPlan(
        rows=tuple(rows),
        workers=demand.workers,
        per_gpu=demand.per_gpu,
        needed=demand.needed(),
        free=dict(free),
        compared=compared,
        problem=problem,
        notes=tuple(told),
        prefix_bytes=shared,
    )


def sketch_tasks(
    folder: Path,
    tokenizer_folder: Path,
    evaluators: Mapping[str, Evaluator],
    problems: list[Problem],
    *,
    trust_remote_code: bool = False,
) -> tuple[dict[str, "Sketch"], list[str]]:
    """Return task → what it puts through the model, and a note for each that can't be told.

    Tokenises every task once, so a prompt that the model can't take is found here too.
    """
    from evomerge.evaluation.sketch import SketchModel

    try:
        model = SketchModel(folder, tokenizer_folder, trust_remote_code=trust_remote_code)
    except ModelError as error:
        return {}, [f"batches are not counted: {error}"]
    found: dict[str, Sketch] = {}
    notes: list[str] = []
    for name, evaluator in evaluators.items():
        try:
            found[name] = model.sketch(evaluator, SPLITS)
        except NotFiniteError:
            notes.append(f"task {name!r} runs the model before it is scored: not counted.")
        except EvomergeError as error:
            problems += [Problem(f"evaluators.{name}", line) for line in str(error).splitlines()]
        except Exception as error:
            logger.debug("task %r can't be sketched", name, exc_info=True)
            notes.append(f"task {name!r} is not counted ({type(error).__name__}: {error}).")
    return found, notes


def _problem(demand: Demand, free: Mapping[str, int]) -> Problem:
    """Name the key to change and the largest value that fits."""
    where = next(w for w, n_bytes in demand.needed().items() if n_bytes > free[w])
    found = (
        f"{demand.workers} workers need {_gb(demand.needed()[where])} of {where}"
        f"{' on one device' if where == GPU else ''}, and {_gb(free[where])} are free."
    ).replace("1 workers need", "one worker needs")
    fitting = [n for n in range(1, demand.workers) if replace(demand, workers=n).fits(free)]
    if fitting:
        return Problem("execution.workers", f"{found} At most {fitting[-1]} fit.")
    alone = replace(demand, workers=1)
    prefix = f"{found} " + ("Not even one fits. " if demand.workers > 1 else "")
    worst = demand.worst_task()
    if worst is not None:
        limit = _fitting_limit(alone, free)
        if limit is not None:
            others = [
                task
                for task, size in demand.batch_sizes.items()
                if size > limit and task != worst and not _fits_alone(alone, task, free)
            ]
            also = f" So do it for {', '.join(others)}." if others else ""
            key = f"evaluators.{worst}.batch_size"
            return Problem(key, f"{prefix}With batch_size {limit} one does.{also}")
    half = replace(alone, model=replace(demand.model, item=2))
    if demand.model.item > 2:
        limit = None if half.fits(free) else _fitting_limit(half, free)
        if limit is not None or half.fits(free):
            more = "" if limit is None else f" and batch_size {limit}"
            return Problem("recipe.dtype", f"{prefix}With bfloat16{more} one does.")
    smallest = min(sum(half.needed(1).values()), sum(alone.needed(1).values()))
    return Problem(
        "sources",
        f"{prefix}Neither a batch of 1 nor bfloat16 makes one fit ({_gb(smallest)}). Use smaller "
        "sources, or a machine with more memory.",
    )


def _fits_alone(demand: Demand, task: str, free: Mapping[str, int]) -> bool:
    return replace(demand, sketches={task: demand.sketches[task]}).fits(free)


def _fitting_limit(demand: Demand, free: Mapping[str, int]) -> int | None:
    """Return the largest power of two that fits as batch size, or None."""
    largest = max((p.rows for s in demand.sketches.values() for p in s.passes), default=1)
    limits = [1 << power for power in range(largest.bit_length()) if 1 << power < largest]
    fitting = [limit for limit in limits if demand.fits(free, limit)]
    return fitting[-1] if fitting else None


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"

"""The memory that a run file's run takes, beside what this machine has free."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from evomerge.config.run import RunConfig
from evomerge.errors import EvomergeError, Problem
from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.devices import resolve_device
from evomerge.merging.registry import METHODS
from evomerge.runs.setup.machine import Device, accelerators, free_memory
from evomerge.runs.setup.memory import GPU, MAIN, Demand, MemoryPlan, plan_memory, sketch_tasks
from evomerge.runs.setup.memory_shape import MergeShape, ModelShape
from evomerge.runs.setup.routes import longest_route, routed_models
from evomerge.runs.setup.sources import OpenedSource

ELSEWHERE = frozenset({"ray"})
"""Executors whose workers may be on other machines than this one."""


def check_memory(
    config: RunConfig,
    sources: Mapping[str, OpenedSource],
    base: str,
    tokenizer: str,
    evaluators: Mapping[str, Evaluator],
    problems: list[Problem],
) -> MemoryPlan:
    """Plan a run's memory; what can't fit is added to ``problems``, as are broken tasks.

    Args:
        config: The run file; its names are checked.
        sources: Opened sources.
        base: Source of the resident model's configuration.
        tokenizer: Source of the tokenizer.
        evaluators: Task → evaluator.
        problems: What keeps the run from starting.
    """
    execution = config.execution
    checkpoint = sources[base].checkpoint
    sketches, notes = sketch_tasks(
        sources[base].folder,
        sources[tokenizer].folder,
        evaluators,
        problems,
        trust_remote_code=sources[base].source.trust_remote_code,
    )
    gpus = _gpus(execution.device, execution.options.get("gpus"))
    model = ModelShape.of(checkpoint, config.recipe.dtype)
    routed = [
        ModelShape.of(sources[name].checkpoint, config.recipe.dtype).n_bytes
        for name in routed_models(config, base)
    ]
    demand = Demand(
        model=replace(model, layers=longest_route(config, sources, base)),
        merge=_merge_shape(config, sources),
        sketches=sketches,
        batch_sizes=_batch_sizes(evaluators),
        n_tensors=len(checkpoint.tensors),
        source_bytes=sum(item.checkpoint.total_bytes for item in sources.values()),
        workers=execution.workers,
        threads=execution.threads,
        gpus=len(gpus),
        alone=execution.executor == "inprocess",
        routed_bytes=sum(routed),
        prefix_bytes=prefix_bytes(config),
    )
    free = {MAIN: free_memory()}
    if gpus:
        free[GPU] = min(device.free_bytes for device in gpus)
    compared = execution.executor not in ELSEWHERE
    if not compared:
        notes.append("workers may be on other machines: compare with what those have.")
    if not gpus and demand.model.item < 4:
        notes.append(
            "half precision on a CPU: its products take scratch memory that isn't counted; up "
            "to two thirds more was measured."
        )
    several = float(execution.options.get("gpus_per_worker") or 1) > 1
    if gpus and several:
        compared = False
        notes.append("a worker with several GPUs spreads its model over them: not compared.")
    plan = plan_memory(demand, free, compared=compared, notes=notes)
    if plan.problem is not None:
        problems.append(plan.problem)
    return plan


def prefix_bytes(config: RunConfig) -> int | None:
    """Return the bytes that a run file gives activations that routes share; None: not said."""
    if config.dataflow is None:
        return 0
    wanted = config.execution.prefix_cache_gb
    return None if wanted is None else round(1e9 * wanted)


def _batch_sizes(evaluators: Mapping[str, Evaluator]) -> dict[str, int]:
    """Return task → its batch size; an evaluator need not have one."""
    found = {name: getattr(item, "settings", {}) for name, item in evaluators.items()}
    return {name: int(s["batch_size"]) for name, s in found.items() if "batch_size" in s}


def _gpus(device: str, chosen: Collection[int] | None) -> list[Device]:
    """Return the GPUs of this machine that the workers share; ``chosen`` are their numbers."""
    try:
        resolved = resolve_device(device)
    except EvomergeError:
        return []
    found = accelerators() if resolved != "cpu" else []
    names = {f"cuda:{index}" for index in chosen or ()}
    if device not in ("auto", "cuda"):
        names = {resolved}
    return [item for item in found if not names or item.name in names]


def _merge_shape(config: RunConfig, sources: Mapping[str, OpenedSource]) -> MergeShape:
    stages = config.recipe.parameters
    names = {stage.name for stage in stages[:-1]}
    methods = [METHODS.get(stage.method).value for stage in stages]
    staged = any(
        set(method.needs) - {"layer"} and set(stage.inputs) & (names | _numbered(len(stages)))
        for stage, method in zip(stages, methods, strict=True)
    )
    return MergeShape(
        sources=len(sources),
        whole=staged or not all(method.chunked for method in methods),
        counted=any("thresholds" in method.needs for method in methods),
        double=any(
            facts.dtype == "F64"
            for item in sources.values()
            for facts in item.checkpoint.tensors.values()
        ),
    )


def _numbered(count: int) -> set[str]:
    """Names of stages that have none of their own."""
    return {f"stage{number}" for number in range(1, count + 1)}

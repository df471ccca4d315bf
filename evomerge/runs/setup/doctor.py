"""What a run file would meet on this machine: sources, licences, tasks, and all that is wrong."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evomerge.config import RunConfig
from evomerge.errors import EvomergeError, Problem, ProblemsError
from evomerge.evaluation.protocol import SPLITS, Evaluator
from evomerge.models.licences import conflicts
from evomerge.models.tokenizers import tokenizer_differences
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs
from evomerge.runs.setup.machine import Machine, inspect_machine
from evomerge.runs.setup.memory import MemoryPlan
from evomerge.runs.setup.memory_check import check_memory
from evomerge.runs.setup.pilot import Pilot, run_pilot
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.setup.sources import OpenedSource, open_sources


@dataclass(frozen=True)
class SourceReport:
    """One source, as it lies on this machine.

    Args:
        name: Its name in the run file.
        folder: Where it lies.
        revision: The hub's commit.
        architecture: Class that transformers loads it with.
        n_layers: Number of layers.
        hidden_size: Width of the residual stream.
        vocabulary: Rows of the embedding.
        parameters: Number of elements of all tensors.
        dtypes: Element type → number of elements.
        tied: The head is the embedding.
        n_bytes: Bytes of all tensors.
        licence: What it states.
        differences: What its tokenizer and shape differ in from the base's, one line each.
    """

    name: str
    folder: Path
    revision: str | None
    architecture: str
    n_layers: int
    hidden_size: int | None
    vocabulary: int | None
    parameters: int
    dtypes: Mapping[str, int]
    tied: bool
    n_bytes: int
    licence: str | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskReport:
    """One evaluator: its splits and metrics.

    Args:
        name: Its name in the run file.
        type: Registered evaluator.
        splits: Split → number of examples.
        metrics: Metric → direction; the primary one first.
    """

    name: str
    type: str
    splits: Mapping[str, int]
    metrics: Mapping[str, str]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Args:
        machine: This machine.
        sources: Sources that could be read.
        tasks: Evaluators that could be built.
        licences: What stands against passing a merge on, one line each.
        warnings: What may go wrong.
        problems: What keeps the run from starting.
        memory: What goes where; None where the run file is too broken to tell.
        pilot: What three candidates took; None where none were tried.
    """

    machine: Machine
    sources: tuple[SourceReport, ...] = ()
    tasks: tuple[TaskReport, ...] = ()
    licences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    memory: MemoryPlan | None = None
    pilot: Pilot | None = None


def diagnose(config: RunConfig | None = None, *, where: str = "", pilot: bool = False) -> Diagnosis:
    """Look at this machine and, if there is one, at everything that ``config`` names.

    Args:
        config: The run file.
        where: The file, for messages.
        pilot: Try three candidates, where nothing keeps the run from starting.

    Raises:
        RunFailedError: All candidates of the pilot failed.
        ExecutionError: The pilot's workers can't be had.
    """
    machine = inspect_machine()
    if config is None:
        return Diagnosis(machine)
    warnings: list[str] = []
    problems: tuple[Problem, ...] = ()
    tried = None
    try:
        prepared = prepare(config, where=where)
        sources, evaluators = prepared.sources, prepared.evaluators
        warnings += prepared.warnings
        memory = prepared.memory
        tried = run_pilot(prepared) if pilot else None
    except ProblemsError as error:
        problems = error.problems
        # What can be read is still worth showing.
        sources = open_sources(config.sources, [])
        evaluators = build_evaluators(evaluator_specs(config), [])
        memory = _memory(config, sources, evaluators)
    base = config.base or next(iter(config.sources), "")
    return Diagnosis(
        machine=machine,
        sources=tuple(_describe(name, item, sources.get(base)) for name, item in sources.items()),
        tasks=tuple(_task(name, item, config) for name, item in evaluators.items()),
        licences=tuple(conflicts({name: item.licence for name, item in sources.items()})),
        warnings=tuple(warnings),
        problems=problems,
        memory=memory,
        pilot=tried,
    )


def _memory(
    config: RunConfig,
    sources: Mapping[str, OpenedSource],
    evaluators: Mapping[str, Evaluator],
) -> MemoryPlan | None:
    """Plan the memory of a run that can't start, where enough of it is sound."""
    if not config.sources:
        return None
    base = config.base or next(iter(config.sources))
    tokenizer = config.recipe.tokenizer or base
    if set(sources) < set(config.sources) or not {base, tokenizer} <= set(sources):
        return None
    try:
        return check_memory(config, sources, base, tokenizer, evaluators, [])
    except EvomergeError:  # a method or an executor that isn't there; it is told already
        return None


def _describe(name: str, opened: OpenedSource, base: OpenedSource | None) -> SourceReport:
    checkpoint = opened.checkpoint
    dtypes: Counter[str] = Counter()
    for facts in checkpoint.tensors.values():
        dtypes[facts.dtype] += math.prod(facts.shape)
    embeds = [
        facts.shape
        for facts in checkpoint.tensors.values()
        if facts.role == "embed" and len(facts.shape) == 2
    ]
    rows, width = embeds[0] if embeds else (None, None)
    architectures = checkpoint.config.get("architectures") or ["unknown"]
    return SourceReport(
        name=name,
        folder=opened.folder,
        revision=opened.source.revision,
        architecture=str(architectures[0]),
        n_layers=checkpoint.n_layers,
        hidden_size=width,
        vocabulary=rows,
        parameters=sum(dtypes.values()),
        dtypes=dict(dtypes),
        tied=checkpoint.tied,
        n_bytes=checkpoint.total_bytes,
        licence=opened.licence,
        differences=() if base is None or base is opened else _differences(opened, base),
    )


def _differences(opened: OpenedSource, base: OpenedSource) -> tuple[str, ...]:
    """Return what a source differs in from the base."""
    mine, others = opened.checkpoint, base.checkpoint
    lines = []
    if mine.n_layers != others.n_layers:
        lines.append(f"{mine.n_layers} layers, the base has {others.n_layers}.")
    shapes = [
        f"{name} is {list(facts.shape)}, in the base {list(others.tensors[name].shape)}."
        for name, facts in mine.tensors.items()
        if name in others.tensors and facts.shape != others.tensors[name].shape
    ]
    lines += shapes[:3] + ([f"… and {len(shapes) - 3} more tensors."] if len(shapes) > 3 else [])
    try:
        lines += tokenizer_differences(base.folder, opened.folder)
    except EvomergeError as error:
        lines.append(str(error))
    return tuple(lines)


def _task(name: str, evaluator: Evaluator, config: RunConfig) -> TaskReport:
    metrics = sorted(evaluator.metrics, key=lambda metric: metric.name != evaluator.primary)
    return TaskReport(
        name=name,
        type=config.evaluators[name].type,
        splits={split: evaluator.n_examples(split) for split in SPLITS},
        metrics={metric.name: metric.direction for metric in metrics},
    )

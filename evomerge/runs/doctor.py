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
from evomerge.runs.builders import build_evaluators, evaluator_specs
from evomerge.runs.machine import Machine, free_memory, inspect_machine
from evomerge.runs.prepare import prepare
from evomerge.runs.sources import OpenedSource, open_sources


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
    """

    machine: Machine
    sources: tuple[SourceReport, ...] = ()
    tasks: tuple[TaskReport, ...] = ()
    licences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def diagnose(config: RunConfig | None = None, *, where: str = "") -> Diagnosis:
    """Look at this machine and, if there is one, at everything that ``config`` names.

    Args:
        config: The run file.
        where: The file, for messages.
    """
    machine = inspect_machine()
    if config is None:
        return Diagnosis(machine)
    warnings: list[str] = []
    problems: tuple[Problem, ...] = ()
    try:
        prepared = prepare(config, where=where)
        sources, evaluators = prepared.sources, prepared.evaluators
        warnings += prepared.warnings
    except ProblemsError as error:
        problems = error.problems
        # What can be read is still worth showing.
        sources = open_sources(config.sources, [])
        evaluators = build_evaluators(evaluator_specs(config), [])
    warnings += _memory_warnings(config, sources)
    base = config.base or next(iter(config.sources))
    return Diagnosis(
        machine=machine,
        sources=tuple(_describe(name, item, sources.get(base)) for name, item in sources.items()),
        tasks=tuple(_task(name, item, config) for name, item in evaluators.items()),
        licences=tuple(conflicts({name: item.licence for name, item in sources.items()})),
        warnings=tuple(warnings),
        problems=problems,
    )


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


def _memory_warnings(config: RunConfig, sources: Mapping[str, OpenedSource]) -> list[str]:
    """Warn where a resident model a worker won't fit in memory; sources are mapped, not loaded."""
    largest = max((item.checkpoint.total_bytes for item in sources.values()), default=0)
    needed, free = largest * config.execution.workers, free_memory()
    if needed <= free:
        return []
    return [
        f"the resident model needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are "
        "free. Use smaller sources, or a machine with more memory."
    ]

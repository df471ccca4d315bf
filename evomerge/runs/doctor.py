"""What a run file would meet on this machine: sources, licences, tasks, and all that is wrong."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.config import EvaluatorConfig, RunConfig, SourceConfig
from evomerge.errors import EvomergeError, Problem, ProblemsError
from evomerge.evaluation.protocol import EVALUATORS, SPLITS, Evaluator
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.hub import locate
from evomerge.models.licences import conflicts, licence_of
from evomerge.models.tokenizers import tokenizer_differences
from evomerge.runs.machine import Machine, free_memory, inspect_machine


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


def diagnose(
    config: RunConfig | None = None,
    *,
    check: Callable[[RunConfig], None] = lambda config: None,
) -> Diagnosis:
    """Look at this machine and, if there is one, at everything that ``config`` names.

    Args:
        config: The run file.
        check: Raises a ``ProblemsError`` with all that keeps the run from starting.
    """
    machine = inspect_machine()
    if config is None:
        return Diagnosis(machine)
    sources = _Sources(config)
    tasks = [
        task for name, item in config.evaluators.items() if (task := _task(name, item, config))
    ]
    problems: tuple[Problem, ...] = ()
    try:
        check(config)
    except ProblemsError as error:
        problems = error.problems
    except EvomergeError as error:
        problems = (Problem("", str(error)),)
    return Diagnosis(
        machine=machine,
        sources=tuple(sources.reports.values()),
        tasks=tuple(tasks),
        licences=tuple(conflicts({r.name: r.licence for r in sources.reports.values()})),
        warnings=tuple(_warnings(config, sources)),
        problems=problems,
    )


@dataclass
class _Sources:
    """Every source of a run file that can be read."""

    config: RunConfig
    reports: dict[str, SourceReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        base = self.config.base or next(iter(self.config.sources))
        found = {
            name: opened
            for name, source in self.config.sources.items()
            if (opened := _open(source)) is not None
        }
        for name, (folder, revision, checkpoint) in found.items():
            other = found.get(base)
            differences = (
                _differences(checkpoint, other[2], folder, other[0])
                if other is not None and name != base
                else ()
            )
            self.reports[name] = _describe(name, folder, revision, checkpoint, differences)


def _open(source: SourceConfig) -> tuple[Path, str | None, Checkpoint] | None:
    """Return folder, commit and checkpoint of ``source``; None where ``check`` will say why not."""
    try:
        located = locate(source.path, source.revision)
        return located.folder, located.revision, Checkpoint.open(located.folder)
    except EvomergeError:
        return None


def _describe(
    name: str,
    folder: Path,
    revision: str | None,
    checkpoint: Checkpoint,
    differences: tuple[str, ...],
) -> SourceReport:
    dtypes: Counter[str] = Counter()
    for facts in checkpoint.tensors.values():
        dtypes[facts.dtype] += math.prod(facts.shape)
    embeds = [
        f.shape for f in checkpoint.tensors.values() if f.role == "embed" and len(f.shape) == 2
    ]
    rows, width = embeds[0] if embeds else (None, None)
    architectures = checkpoint.config.get("architectures") or ["unknown"]
    return SourceReport(
        name=name,
        folder=folder,
        revision=revision,
        architecture=str(architectures[0]),
        n_layers=checkpoint.n_layers,
        hidden_size=width,
        vocabulary=rows,
        parameters=sum(dtypes.values()),
        dtypes=dict(dtypes),
        tied=checkpoint.tied,
        n_bytes=checkpoint.total_bytes,
        licence=licence_of(folder),
        differences=differences,
    )


def _differences(
    checkpoint: Checkpoint, base: Checkpoint, folder: Path, base_folder: Path
) -> tuple[str, ...]:
    """Return what a source differs in from the base."""
    lines = []
    if checkpoint.n_layers != base.n_layers:
        lines.append(f"{checkpoint.n_layers} layers, the base has {base.n_layers}.")
    shapes = [
        f"{name} is {list(facts.shape)}, in the base {list(base.tensors[name].shape)}."
        for name, facts in checkpoint.tensors.items()
        if name in base.tensors and facts.shape != base.tensors[name].shape
    ]
    lines += shapes[:3] + ([f"… and {len(shapes) - 3} more tensors."] if len(shapes) > 3 else [])
    try:
        lines += tokenizer_differences(base_folder, folder)
    except EvomergeError as error:
        lines.append(str(error))
    return tuple(lines)


def _task(name: str, item: EvaluatorConfig, config: RunConfig) -> TaskReport | None:
    """Return what is known of a task; None where ``check`` will say what is wrong with it."""
    try:
        plugin = EVALUATORS.get(item.type)
        evaluator: Evaluator = plugin.value(name, seed=config.search.seed, **_options(item))
        splits = {split: evaluator.n_examples(split) for split in SPLITS}
    except (EvomergeError, TypeError):
        return None
    metrics = sorted(evaluator.metrics, key=lambda metric: metric.name != evaluator.primary)
    return TaskReport(name, item.type, splits, {m.name: m.direction for m in metrics})


def _options(item: EvaluatorConfig) -> dict[str, Any]:
    return dict(item.model_extra or {})


def _warnings(config: RunConfig, sources: _Sources) -> list[str]:
    """Return what may go wrong without keeping the run from starting."""
    found = []
    sizes = [report.n_bytes for report in sources.reports.values()]
    if sizes:
        # The resident model, and the sources' pages as far as they stay in memory.
        needed = max(sizes) * config.execution.workers
        if needed > free_memory():
            found.append(
                f"the resident model needs {needed / 1e9:.1f} GB, and {free_memory() / 1e9:.1f} GB "
                "of memory are free. Use fewer workers or smaller sources."
            )
    return found

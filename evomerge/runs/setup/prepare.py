"""From a run file to everything a run needs, with every mistake in it reported at once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evomerge.config.run import RunConfig
from evomerge.errors import (
    ConfigError,
    EvomergeError,
    LedgerError,
    MissingExtraError,
    Problem,
    nearest,
)
from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.devices import numeric_class, parse_device, resolve_device, unseen_class
from evomerge.execution.network_worker import NetworkSpec
from evomerge.execution.protocol import RunnerSpec
from evomerge.execution.worker import WorkerSpec
from evomerge.merging.engine import Merger
from evomerge.models.cache import cache_dir
from evomerge.recipes.declarations import load_plugin_file
from evomerge.recipes.space import Genome, SearchSpace
from evomerge.runs.ledger.database import Ledger, check_ledger_url
from evomerge.runs.networks import FOLDER, LedgerRecipes
from evomerge.runs.objectives import Objectives
from evomerge.runs.setup.bounds import bounded, with_ends
from evomerge.runs.setup.builders import (
    build_objectives,
    check_executor,
    check_searcher,
    make_searcher,
)
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs
from evomerge.runs.setup.memory import MemoryPlan
from evomerge.runs.setup.memory_check import ELSEWHERE, check_memory, prefix_bytes
from evomerge.runs.setup.networks import check_evaluators, network_space, network_spec
from evomerge.runs.setup.phases import Phases
from evomerge.runs.setup.sources import OpenedSource, open_sources
from evomerge.runs.setup.spaces import Spaces
from evomerge.runs.setup.starts import collect_starts
from evomerge.runs.sizes import Sizes
from evomerge.search.protocol import Searcher


@dataclass(frozen=True)
class Prepared:
    """A run file whose every name is checked, turned into what a run needs.

    Args:
        config: The run file, hub revisions pinned to commits.
        sources: Name → opened source, in the user's order.
        base: Source of configuration and buffers.
        tokenizer: Source of the tokenizer.
        space: The search space.
        starts: (label, genome) of generation 0.
        evaluators: Task → evaluator.
        objectives: What is optimised.
        worker: What workers are built from.
        numeric_class: Device, library versions and threads.
        plugins: (path, sha256) of plug-ins loaded by path.
        warnings: What may go wrong without keeping the run from starting.
        memory: What goes where; None where it wasn't asked for.
        sizes: Counts steps and parameters where an objective or constraint needs them.
        phases: The search's phases, if it has any.
    """

    config: RunConfig
    sources: Mapping[str, OpenedSource]
    base: str
    tokenizer: str
    space: SearchSpace
    starts: tuple[tuple[str, Genome], ...]
    evaluators: Mapping[str, Evaluator]
    objectives: Objectives
    worker: WorkerSpec | NetworkSpec
    numeric_class: str
    plugins: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    memory: MemoryPlan | None = None
    sizes: Sizes | None = None
    phases: Phases | None = None

    def runner(self, ledger: Ledger, run_id: str, folder: Path | None = None) -> RunnerSpec:
        """Return what workers of a stored run are built from.

        Args:
            ledger: The run's.
            run_id: The run.
            folder: The run's folder, where evolved networks are kept; None keeps them in memory.
        """
        if not isinstance(self.worker, NetworkSpec):
            return self.worker
        kept = None if folder is None else folder.absolute() / FOLDER
        url = ledger.url.render_as_string(hide_password=False)
        return replace(self.worker, folder=kept, recipe_of=LedgerRecipes(url, run_id))

    def make_searcher(
        self, starts: Sequence[tuple[str, Genome]] | None = None, *, budget: int | None = None
    ) -> Searcher:
        """Build a fresh searcher.

        Args:
            starts: What it begins with; the starts of this object if None.
            budget: The budget that phases share; the run file's if None. What a resume adds to it
                goes to the last phase.
        """
        chosen = self.starts if starts is None else starts
        if self.phases is not None:
            return self.phases.searcher(chosen, budget or self.config.search.budget)
        return make_searcher(self.config, self.space, chosen, len(self.objectives.all))


def prepare(
    config: RunConfig,
    *,
    where: str = "",
    plugins: Sequence[Path] = (),
    find_starts: bool = True,
    plan: bool = True,
) -> Prepared:
    """Check every name in ``config``, open its sources and build what a run needs.

    Args:
        config: The run file; its shape is valid.
        where: The file, for messages.
        plugins: Plug-in files to load first.
        find_starts: Look for warm starts, the user's recipes and other runs' fronts; a resumed run
            has them stored.
        plan: Plan the memory of its workers; a report needs none.

    Raises:
        ConfigError: All mistakes at once, one line each.
        PluginError: A plug-in can't be loaded.
    """
    loaded = tuple(_load_plugin(path) for path in plugins)
    problems: list[Problem] = []
    warnings: list[str] = []
    _check_settings(config, problems, warnings)
    sources = open_sources(config.sources, problems)
    base = _source_name(config.base, "base", config, problems)
    tokenizer = _source_name(config.recipe.tokenizer, "recipe.tokenizer", config, problems) or base
    phases = Phases(config, Spaces(sources, base)) if config.search.phases else None
    space = phases.check(problems) if phases else _space(config, sources, base, problems)
    evaluators = build_evaluators(evaluator_specs(config), problems)
    check_evaluators(config, evaluators, problems)
    objectives = build_objectives(config, evaluators, problems, warnings)
    expected = _expected_class(config, problems)
    starts: tuple[tuple[str, Genome], ...] = ()
    if space is not None and find_starts and not problems:
        starts = collect_starts(config, sources, space, problems, warnings)
    if phases is None:
        check_searcher(config, space, starts, problems)
    if objectives is not None and not problems:
        objectives = bounded(objectives, evaluators, sources, problems, warnings)
    memory = None
    if plan and sources and not problems:
        memory = check_memory(config, sources, base, tokenizer, evaluators, problems)
    if problems or space is None or objectives is None:
        raise ConfigError(where, problems)
    pinned = {
        name: item.model_copy(update={"revision": sources[name].source.revision})
        for name, item in config.sources.items()
    }
    return Prepared(
        config=config.model_copy(
            update={"sources": pinned, "objectives": with_ends(config, objectives)}
        ),
        sources=sources,
        base=base,
        tokenizer=tokenizer,
        space=space,
        starts=starts,
        evaluators=evaluators,
        objectives=objectives,
        worker=(
            _worker(config, sources, base, tokenizer, plugins, evaluators, memory)
            if sources
            else network_spec(config, plugins, evaluators)
        ),
        numeric_class=expected,
        plugins=loaded,
        warnings=tuple(warnings),
        memory=memory,
        sizes=_sizes(sources, base, objectives),
        phases=phases,
    )


def _space(
    config: RunConfig, sources: Mapping[str, OpenedSource], base: str, problems: list[Problem]
) -> SearchSpace | None:
    """Return the space of a search without phases."""
    if config.network is not None:
        return network_space(config, problems)
    return Spaces(sources, base).checked(config, problems)


def _merger(sources: Mapping[str, OpenedSource]) -> Merger:
    names = {name: item.source for name, item in sources.items()}
    return Merger({name: item.checkpoint for name, item in sources.items()}, names)


def _sizes(sources: Mapping[str, OpenedSource], base: str, objectives: Objectives) -> Sizes | None:
    if not any(item.is_of_recipe for item in objectives.numbers):
        return None
    return Sizes(_merger(sources), sources[base].checkpoint.n_layers)


def _worker(
    config: RunConfig,
    sources: Mapping[str, OpenedSource],
    base: str,
    tokenizer: str,
    plugins: Sequence[Path],
    evaluators: Mapping[str, Evaluator],
    memory: MemoryPlan | None,
) -> WorkerSpec:
    """Return what a worker of the run is built from."""
    return WorkerSpec(
        folders={name: item.folder for name, item in sources.items()},
        sources=tuple(item.source for item in sources.values()),
        base=base,
        tokenizer=tokenizer,
        dtype=config.recipe.dtype,
        evaluators=evaluator_specs(config),
        device=config.execution.device,
        threads=config.execution.threads,
        plugins=tuple(Path(path).absolute() for path in plugins),
        cache_dir=cache_dir() / "statistics",
        prefix_bytes=prefix_bytes(config) if memory is None else memory.prefix_bytes,
        built=evaluators,
    )


def _load_plugin(path: Path) -> tuple[str, str]:
    load_plugin_file(path)
    return str(path.absolute()), hashlib.sha256(path.read_bytes()).hexdigest()


def _source_name(name: str | None, key: str, config: RunConfig, problems: list[Problem]) -> str:
    """Return the source that ``name`` names; the first one for None."""
    if name is None:
        return "" if key == "recipe.tokenizer" else next(iter(config.sources), "")
    if name not in config.sources:
        hint = nearest(name, config.sources)
        problems.append(Problem(key, f"no source is called {name!r}; {hint}"))
        return next(iter(config.sources))
    return name


def _check_settings(config: RunConfig, problems: list[Problem], warnings: list[str]) -> None:
    """Check executor and ledger."""
    check_executor(config, problems, warnings)
    try:
        check_ledger_url(config.ledger)
    except (LedgerError, MissingExtraError) as error:
        problems.append(Problem("ledger", str(error)))


def _expected_class(config: RunConfig, problems: list[Problem]) -> str:
    """Return the numeric class that workers should have; they tell their own with each outcome.

    A device is looked for only where the workers are on this machine.
    """
    device, threads = config.execution.device, config.execution.threads
    try:
        if device != "auto" and config.execution.executor in ELSEWHERE:
            parse_device(device)
            return numeric_class("cpu", threads) if device == "cpu" else unseen_class(device)
        return numeric_class(resolve_device(device), threads)
    except EvomergeError as error:
        problems.append(Problem("execution.device", str(error)))
        return ""

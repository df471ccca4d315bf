"""Evaluators, objectives and the searcher of a run file, each mistake in it collected."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from evomerge.config.run import RunConfig
from evomerge.errors import EvomergeError, Problem, nearest
from evomerge.evaluation.intervals import STABILITY
from evomerge.evaluation.objectives import Term, check_direction, find_metric, parse_term
from evomerge.evaluation.protocol import Evaluator
from evomerge.execution.protocol import Executor, RunnerSpec
from evomerge.execution.registry import EXECUTORS, Crew
from evomerge.recipes.space import Genome, SearchSpace
from evomerge.runs.examples import Examples
from evomerge.runs.objectives import RECIPE_NUMBERS, Objectives, parse_constraint
from evomerge.runs.setup.evaluators import facts_of
from evomerge.runs.setup.measures import axes_of, check_measures
from evomerge.runs.setup.memory_check import ELSEWHERE
from evomerge.runs.setup.scalarise import check_scalarise, scalarised
from evomerge.search.protocol import SEARCHERS, Searcher, Start, needs_examples, needs_measures

MOST_THREADS = 1024
"""Threads that a worker may have. A smaller machine may resume a run with as many as it has had:
scores depend on them."""


def build_objectives(
    config: RunConfig,
    evaluators: Mapping[str, Evaluator],
    problems: list[Problem],
    warnings: list[str],
) -> Objectives | None:
    """Check what objectives and constraints are made of.

    Names of evaluators that couldn't be built are fine.
    """
    known = [*config.evaluators, *RECIPE_NUMBERS]
    _check_constraints(config, evaluators, problems)
    check_measures(config, evaluators, problems)
    for name, item in config.objectives.items():
        terms = []
        for index, entry in enumerate(item.sources):
            if entry in RECIPE_NUMBERS and entry not in config.evaluators:
                if len(item.sources) > 1:
                    message = f"{entry!r} can't be combined. Make it an objective of its own."
                    problems.append(Problem(f"objectives.{name}.from[{index}]", message))
                continue
            if _is_of_broken(entry, config, evaluators):
                continue
            try:
                terms.append(parse_term(entry, evaluators, known))
            except EvomergeError as error:
                problems.append(Problem(f"objectives.{name}.from[{index}]", str(error)))
        if item.aggregate == STABILITY:
            _check_stability(name, config, terms, evaluators, problems)
        elif warning := check_direction(item.direction, terms, evaluators):
            warnings.append(f"objectives.{name}: {warning}")
    if problems:
        return None
    plain = {name: item.model_dump(by_alias=True) for name, item in config.objectives.items()}
    measures = {n: m.model_dump(by_alias=True) for n, m in config.search.measures.items()}
    objectives = Objectives.from_plain(plain, facts_of(evaluators), config.constraints, measures)
    if not objectives.tasks:
        message = "no objective needs a score. Add one from an evaluator."
        problems.append(Problem("objectives", message))
    for name in evaluators:
        if name not in objectives.tasks:
            warnings.append(f"evaluators.{name}: no objective uses it; only the report scores it.")
    _check_examples(config, objectives, evaluators, problems)
    for name in config.search.stop.target or {}:
        if name not in config.objectives:
            message = f"no objective is called {name!r}; {nearest(name, config.objectives)}"
            problems.append(Problem(f"search.stop.target.{name}", message))
    return objectives


def _check_stability(
    name: str,
    config: RunConfig,
    terms: Sequence[Term],
    evaluators: Mapping[str, Evaluator],
    problems: list[Problem],
) -> None:
    """Check that there are models to take units from, and that all parts point one way."""
    if len(config.sources) < 2:
        message = "stability compares a model with the sources, and there is one. Add another."
        problems.append(Problem(f"objectives.{name}.aggregate", message))
    ways = [find_metric(evaluators[t.evaluator], t.metric, t.evaluator).direction for t in terms]
    if len(set(ways)) > 1:
        message = (
            "stability needs parts of which more is better, or parts of which less is; these mix "
            "both. Take another metric of one of them."
        )
        problems.append(Problem(f"objectives.{name}.from", message))


def _check_examples(
    config: RunConfig,
    objectives: Objectives,
    evaluators: Mapping[str, Evaluator],
    problems: list[Problem],
) -> None:
    """Check that a searcher whose candidates compete for examples gets some."""
    search = config.search
    names = [item.searcher for item in search.phases] if search.phases else [search.searcher]
    known = SEARCHERS.declarations()
    if any(needs_examples(SEARCHERS.get(name).value) for name in names if name in known):
        try:
            Examples(objectives, evaluators)
        except EvomergeError as error:
            problems.append(Problem("objectives", str(error)))


def _check_constraints(
    config: RunConfig, evaluators: Mapping[str, Evaluator], problems: list[Problem]
) -> None:
    """Check the form of constraints and what they bound."""
    known = [*config.objectives, *config.evaluators, *RECIPE_NUMBERS]
    for index, text in enumerate(config.constraints):
        try:
            name, _, _ = parse_constraint(text)
            of_task = name not in {*config.objectives, *RECIPE_NUMBERS}
            if of_task and not _is_of_broken(name, config, evaluators):
                parse_term(name, evaluators, known)
        except EvomergeError as error:
            problems.append(Problem(f"constraints[{index}]", str(error)))


def _is_of_broken(entry: str, config: RunConfig, evaluators: Mapping[str, Evaluator]) -> bool:
    """Say if ``entry`` names an evaluator that couldn't be built."""
    broken = set(config.evaluators) - set(evaluators)
    return any(entry == other or entry.startswith(f"{other}.") for other in broken)


def check_searcher(
    config: RunConfig,
    space: SearchSpace | None,
    starts: Sequence[tuple[str, Genome]],
    problems: list[Problem],
) -> None:
    """Check the searcher's name and settings, and that it takes so many objectives."""
    search = config.search
    try:
        declaration = SEARCHERS.get(search.searcher).declaration
    except EvomergeError as error:
        problems.append(Problem("search.searcher", str(error)))
        return
    wrong = declaration.check_options(search.options, "search.options")
    problems += wrong
    n_objectives = len(config.objectives)
    n_problems = len(problems)
    check_scalarise(config, problems)
    wrong += problems[n_problems:]
    if n_objectives > 1 and not declaration.multi_objective and search.scalarise is None:
        fitting = [name for name, d in SEARCHERS.declarations().items() if d.multi_objective]
        message = (
            f"{search.searcher} optimises one objective, and there are {n_objectives}. Make one "
            "number of them (search.scalarise: {kind: chebyshev}), or take one of: "
            f"{', '.join(fitting)}."
        )
        problems.append(Problem("search.searcher", message))
    elif space is not None and not wrong:
        try:
            make_searcher(config, space, starts, n_objectives)
        except EvomergeError as error:
            # A searcher of numbers can't search paths, whatever its options are.
            key = "search.options" if space.is_cube else "search.searcher"
            problems.append(Problem(key, str(error)))


def make_searcher(
    config: RunConfig,
    space: SearchSpace,
    starts: Sequence[tuple[str, Genome]],
    n_objectives: int,
) -> Searcher:
    """Build a fresh searcher.

    Raises:
        SearchError: Its settings don't fit the space.
    """
    plugin = SEARCHERS.get(config.search.searcher)
    one = config.search.scalarise
    axes = {"measures": axes_of(config)} if needs_measures(plugin.value) else {}
    searcher = plugin.value(
        space,
        seed=config.search.seed,
        n_objectives=n_objectives if one is None else 1,
        starts=[Start(label, space.encode(genome)) for label, genome in starts],
        **axes,
        **plugin.declaration.fill(config.search.options),
    )
    return searcher if one is None else scalarised(config, one, searcher)


def check_executor(config: RunConfig, problems: list[Problem], warnings: list[str]) -> None:
    """Check the executor's name and settings, and that it can have so many workers."""
    execution = config.execution
    try:
        declaration = EXECUTORS.get(execution.executor).declaration
    except EvomergeError as error:
        problems.append(Problem("execution.executor", str(error)))
        return
    problems += declaration.check_options(execution.options, "execution.options")
    if execution.executor == "inprocess" and execution.workers != 1:
        message = (
            f"got {execution.workers}, but the executor inprocess has one worker. Give 1, or take "
            "the executor local."
        )
        problems.append(Problem("execution.workers", message))
    if execution.executor == "inprocess" and execution.time_limit_s is not None:
        warnings.append(
            f"execution.time_limit_s: {execution.time_limit_s:g} is ignored: the executor inprocess"
            " can't cut off a candidate in its own process. Take the executor local to have it."
        )
    processors = os.cpu_count() or 1
    if execution.threads > MOST_THREADS:
        message = (
            f"got {execution.threads}, expected at most {MOST_THREADS}: the threads of one worker. "
            f"This machine has {processors} processors."
        )
        problems.append(Problem("execution.threads", message))
    elif execution.threads > processors and execution.executor not in ELSEWHERE:
        warnings.append(
            f"execution.threads: {execution.threads} a worker, but this machine has {processors} "
            f"processors: slower than {processors}, which new runs should take."
        )


def make_executor(
    config: RunConfig, spec: RunnerSpec, *, folder: Path | None = None, run_id: str = ""
) -> Executor:
    """Build the run file's executor; nothing is acquired before its start.

    Args:
        config: The run file; its names are checked.
        spec: What each worker is built from.
        folder: The run's folder, for the workers' logs in ``workers/``.
        run_id: The run.
    """
    execution = config.execution
    plugin = EXECUTORS.get(execution.executor)
    crew = Crew(
        spec=spec,
        slots=execution.workers,
        time_limit_s=execution.time_limit_s,
        folder=None if folder is None else folder / "workers",
        run_id=run_id,
        threads=execution.threads,
    )
    return plugin.value(crew, **plugin.declaration.fill(execution.options))

"""The measures of a run file: what they are made of, and the axes that a searcher gets."""

from collections.abc import Mapping

from evomerge.config.run import RunConfig
from evomerge.errors import EvomergeError, Problem
from evomerge.evaluation.objectives import parse_term
from evomerge.evaluation.protocol import Evaluator
from evomerge.runs.objectives import RECIPE_NUMBERS
from evomerge.search.grid_archive import Axis
from evomerge.search.protocol import SEARCHERS, needs_measures

MOST_CELLS = 100_000


def check_measures(
    config: RunConfig, evaluators: Mapping[str, Evaluator], problems: list[Problem]
) -> None:
    """Check what ``search.measures`` are made of, and that the searcher is one that has them.

    Names of evaluators that couldn't be built are fine.
    """
    search = config.search
    known = [*config.evaluators, *RECIPE_NUMBERS]
    broken = set(config.evaluators) - set(evaluators)
    cells = 1
    for name, item in search.measures.items():
        cells *= item.bins
        if item.source in RECIPE_NUMBERS and item.source not in config.evaluators:
            continue
        if any(item.source == other or item.source.startswith(f"{other}.") for other in broken):
            continue
        try:
            parse_term(item.source, evaluators, known)
        except EvomergeError as error:
            problems.append(Problem(f"search.measures.{name}.from", str(error)))
    if cells > MOST_CELLS:
        message = (
            f"got {cells} cells, expected at most {MOST_CELLS}, most of which stay empty. Give "
            "fewer measures, or fewer bins."
        )
        problems.append(Problem("search.measures", message))
    declared = SEARCHERS.declarations()
    names = [item.searcher for item in search.phases] if search.phases else [search.searcher]
    used = [name for name in names if name in declared]
    # A name that isn't known, or left to the phase's space, is looked at elsewhere.
    if len(used) == len(names):
        _check_use(config, used, problems)


def axes_of(config: RunConfig) -> tuple[Axis, ...]:
    """Return the axes of the run file's archive, in its order."""
    return tuple(
        Axis(name, item.low, item.high, item.bins) for name, item in config.search.measures.items()
    )


def _check_use(config: RunConfig, names: list[str], problems: list[Problem]) -> None:
    """Check that there are measures if, and only if, one of the searchers has a use for them."""
    wanting = [name for name in names if needs_measures(SEARCHERS.get(name).value)]
    if wanting and not config.search.measures:
        message = (
            f"{wanting[0]} keeps the best model of each kind, but nothing says what kinds there "
            "are. Give one measure or more: {NAME: {from: EVALUATOR.METRIC, low: 0, high: 1}}."
        )
        problems.append(Problem("search.measures", message))
    if config.search.measures and not wanting:
        takers = [n for n in SEARCHERS.names() if needs_measures(SEARCHERS.get(n).value)]
        message = (
            f"{' and '.join(names)} has no use for measures. Remove them, or take one of: "
            f"{', '.join(takers)}."
        )
        problems.append(Problem("search.measures", message))

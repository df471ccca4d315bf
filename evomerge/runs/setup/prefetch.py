"""Everything that a run file needs, brought onto this machine: sources and the tasks' data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evomerge.config import RunConfig
from evomerge.errors import ConfigError, Problem, ProblemsError
from evomerge.evaluation.protocol import SPLITS
from evomerge.models import hub
from evomerge.models.hub import Located
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs


@dataclass(frozen=True)
class Prefetched:
    """What is here now.

    Args:
        sources: Name → where it lies.
        tasks: Evaluator → number of examples in all splits.
    """

    sources: Mapping[str, Located]
    tasks: Mapping[str, int]


def prefetch(
    config: RunConfig,
    *,
    where: str = "",
    on_source: Callable[[str, Located], None] | None = None,
) -> Prefetched:
    """Download what ``config`` names and isn't here yet.

    Building an evaluator downloads its data, and says at once where it can't.

    Raises:
        ConfigError: All that couldn't be had.
    """
    problems: list[Problem] = []
    wanted = {name: (source.path, source.revision) for name, source in config.sources.items()}
    sources: Mapping[str, Located] = {}
    try:
        sources = hub.prefetch(wanted, on_source=on_source)
    except ProblemsError as error:
        problems += error.problems
    evaluators = build_evaluators(evaluator_specs(config), problems)
    if problems:
        raise ConfigError(where, problems)
    return Prefetched(
        sources=sources,
        tasks={
            name: sum(item.n_examples(split) for split in SPLITS)
            for name, item in evaluators.items()
        },
    )

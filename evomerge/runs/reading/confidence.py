"""How sure a front is: all candidates' scores over the same examples, drawn again and again.

A candidate is beaten only where another one dominates it in nearly all draws. Pairing is what makes
that sharp: both are scored on the same drawn examples, so what is hard for both cancels out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, Problem
from evomerge.evaluation.intervals import resamples
from evomerge.evaluation.objectives import find_metric, strata_of
from evomerge.evaluation.protocol import Evaluator
from evomerge.recipes.declarations import load_plugin_file
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.objectives import Objective, Objectives
from evomerge.runs.reading.comparison import Scores
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs
from evomerge.search.fronts import knee, pareto_ranks

SAMPLES = 1000
SURELY = 0.95
"""Share of draws in which one candidate must dominate another to beat it."""
MOST = 64
"""Candidates that are compared, unless the plain front alone has more."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Utilities of candidates over the same draws of examples.

    Args:
        names: The candidates.
        utilities: Shape ``(draws, candidates, objectives)``, larger is better.
    """

    names: tuple[str, ...]
    utilities: Array

    def dominated(self) -> NDArray[np.bool_]:
        """Return whether ``[draw, i, j]``: candidate ``i`` dominates ``j`` in that draw."""
        draws, n, _ = self.utilities.shape
        ahead = np.ones((draws, n, n), dtype=bool)
        behind = np.ones((draws, n, n), dtype=bool)
        for column in np.moveaxis(self.utilities, 2, 0):
            ahead &= column[:, :, None] >= column[:, None, :]
            behind &= column[:, :, None] <= column[:, None, :]
        found: NDArray[np.bool_] = ahead & ~behind
        return found

    def on_front(self) -> dict[str, float]:
        """Return candidate → share of draws in which nothing dominates it.

        Left out is what one and the same other candidate dominates in nearly all draws.
        """
        if not len(self.utilities):
            return dict.fromkeys(self.names, float("nan"))
        dominated = self.dominated()
        beaten = (dominated.mean(axis=0) >= SURELY).any(axis=0)
        share = 1 - dominated.any(axis=1).mean(axis=0)
        return {
            name: float(share[index]) for index, name in enumerate(self.names) if not beaten[index]
        }

    def knees(self) -> dict[str, float]:
        """Return candidate → share of draws in which it is the knee, or what stands for it.

        The shares of all candidates add up to 1.
        """
        if not len(self.utilities):
            return dict.fromkeys(self.names, float("nan"))
        counts = np.zeros(len(self.names))
        dominated = np.asarray(self.dominated().any(axis=1))
        for values, beaten in zip(self.utilities, dominated, strict=True):
            front = np.flatnonzero(~beaten)
            counts[front[knee(values[front]).index]] += 1
        return dict(zip(self.names, (counts / len(self.utilities)).tolist(), strict=True))


def neighbours(
    objectives: Objectives, scored: Mapping[str, Estimates], front: Sequence[str]
) -> list[str]:
    """Return the front and what may belong to it: no member's lower bounds beat its upper bounds.

    Of more than ``MOST`` the best ranks are taken.

    Args:
        objectives: The run's.
        scored: Candidate → estimates.
        front: The plain front.
    """
    if not front:
        return []
    names = list(scored)
    bounds = {name: _bounds(objectives, scored[name]) for name in names}
    low = np.array([bounds[name][0] for name in front])
    high = np.array([bounds[name][1] for name in names])
    near = np.array([not (low >= point).all(axis=1).any() for point in high])
    near |= np.isin(names, front)
    ranks = pareto_ranks([objectives.utilities(scored[name]) for name in names])
    order = [int(i) for i in np.argsort(ranks, kind="stable") if near[i] and names[i] not in front]
    return [*front, *(names[i] for i in order[: max(MOST - len(front), 0)])]


def resampled(
    objectives: Objectives,
    evaluators: Mapping[str, Evaluator],
    scores: Mapping[str, Scores],
    fixed: Mapping[str, Estimates],
    *,
    seed: int = 0,
    samples: int = SAMPLES,
) -> Resampled:
    """Return the utilities of candidates over draws of examples, the same for all.

    Examples are drawn with replacement, task by task and in a group member by member. Draws in
    which an objective has no value for some candidate are left out.

    Args:
        objectives: The run's.
        evaluators: Task → evaluator, whose aggregates count.
        scores: Candidate → (task, metric) → per-example values.
        fixed: Candidate → estimates, for numbers of the recipe alone, which have no noise.
        seed: Seed of the draws.
        samples: Number of draws.
    """
    names = tuple(scores)
    draws: dict[str, NDArray[np.intp]] = {}
    parts: dict[tuple[str, str], Array] = {}
    for item in objectives.all:
        if item.is_of_recipe:
            continue
        for task, metric in item.parts:
            first = scores[names[0]][task, metric]
            if task not in draws:
                rng = np.random.default_rng((seed, len(draws)))
                strata = strata_of(evaluators[task], first)
                draws[task] = resamples(rng, len(first), samples, strata)
            parts[task, metric] = np.stack(
                [
                    _aggregates(evaluators[task], metric, scores[name][task, metric], draws[task])
                    for name in names
                ],
                axis=1,
            )
    utilities = np.empty((samples, len(names), len(objectives.all)))
    for place, item in enumerate(objectives.all):
        for column, name in enumerate(names):
            if item.is_of_recipe:
                utilities[:, column, place] = item.utility(item.value(fixed[name]))
                continue
            drawn = [parts[part][:, column] for part in item.parts]
            utilities[:, column, place] = _combined(item, drawn)
    sound = np.isfinite(utilities).all(axis=(1, 2))
    return Resampled(names, utilities[sound])


def stored_evaluators(row: RunRow) -> dict[str, Evaluator]:
    """Build the evaluators of a stored run; its sources aren't needed.

    Raises:
        ConfigError: One can't be built any more, or is another than the run was scored by.
    """
    for path, _ in row.plugins:
        load_plugin_file(Path(path))
    config = parse_config(dict(row.config), where=row.name)
    problems: list[Problem] = []
    found = build_evaluators(evaluator_specs(config), problems)
    for name, evaluator in found.items():
        if evaluator.fingerprint() != row.tasks[name]["fingerprint"]:
            message = "has changed since the run was scored. Restore its data and code."
            problems.append(Problem(f"evaluators.{name}", message))
    if problems:
        raise ConfigError(row.name, problems)
    return found


def _bounds(objectives: Objectives, estimates: Estimates) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest utilities of an interval."""
    found = [(item, item.estimate(estimates)) for item in objectives.all]
    ends = [sorted((item.utility(e.low), item.utility(e.high))) for item, e in found]
    return [low for low, _ in ends], [high for _, high in ends]


def _combined(objective: Objective, drawn: Sequence[Array]) -> Array:
    """Return the utilities of one candidate from its parts' numbers in each draw."""
    sign = objective.utility(1.0)
    if len(drawn) == 1:
        return sign * drawn[0]
    rows = zip(*drawn, strict=True)
    return sign * np.array([objective.combined(row) for row in rows])


def _aggregates(evaluator: Evaluator, metric: str, values: Array, draws: NDArray[np.intp]) -> Array:
    """Return a task's number in each draw, NaN where it has none, shape ``(draws,)``."""
    known = find_metric(evaluator, metric, metric)
    if known.binary and values.shape[1] == 1 and strata_of(evaluator, values) is None:
        drawn = np.ma.masked_invalid(values[:, 0][draws])
        share: Array = drawn.mean(axis=1).filled(np.nan)
        return share
    found = np.full(len(draws), np.nan)
    scored = np.logical_not(np.isnan(values).any(axis=1))
    for index, draw in enumerate(draws):
        try:
            found[index] = float(evaluator.aggregate(metric, values[draw[scored[draw]]]))
        except ArithmeticError:
            continue
    return found

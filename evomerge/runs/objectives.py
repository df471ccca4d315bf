"""A run's objectives: which task numbers each is made of, and their values for a candidate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.objectives import combine, combine_values
from evomerge.runs.ledger.records import Estimates

RECIPE = "(recipe)"
"""Stands where a task does for numbers that a recipe has by itself."""

RECIPE_NUMBERS = ("steps", "parameters")
"""What an objective may be made of instead of a task's numbers; see ``runs.sizes``."""


@dataclass(frozen=True)
class Objective:
    """A named number with a direction.

    Args:
        name: Its name in the run file.
        parts: ``(task, metric)`` that it is made of, in order.
        aggregate: ``mean``, ``min`` or ``max`` of them.
        direction: ``maximize`` or ``minimize``.
        weights: (mean) one weight a part, None for equal ones.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    aggregate: str
    direction: str
    weights: tuple[float, ...] | None = None

    @property
    def is_of_recipe(self) -> bool:
        """Say if it is a number of the recipe, which nothing has to be scored for."""
        return self.parts[0][0] == RECIPE

    def estimate(self, estimates: Estimates) -> Estimate:
        """Return the raw value with its interval, in the declared direction."""
        parts = [estimates[part] for part in self.parts]
        return combine(self.aggregate, parts, self.weights)

    def value(self, estimates: Estimates) -> float:
        """Return the raw value alone, which costs a tenth of its interval."""
        values = [estimates[part].value for part in self.parts]
        return combine_values(self.aggregate, values, self.weights)

    def utility(self, value: float) -> float:
        """Return ``value`` turned so that larger is better."""
        return value if self.direction == "maximize" else -value


@dataclass(frozen=True)
class Objectives:
    """All objectives of a run, in the user's order."""

    all: tuple[Objective, ...]

    @classmethod
    def from_plain(
        cls, config: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, Mapping[str, Any]]
    ) -> "Objectives":
        """Build them from the ``objectives`` block of a run file and the stored facts of tasks."""
        found = []
        for name, raw in config.items():
            parts = [_part(source, tasks) for source in raw["from"]]
            weights = raw.get("weights")
            found.append(
                Objective(
                    name=name,
                    parts=tuple((task, metric or tasks[task]["primary"]) for task, metric in parts),
                    aggregate=raw["aggregate"],
                    direction=raw["direction"],
                    weights=None if weights is None else tuple(weights),
                )
            )
        return cls(tuple(found))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that any objective needs, each once, in order."""
        scored = [item for item in self.all if not item.is_of_recipe]
        return tuple(dict.fromkeys(task for item in scored for task, _ in item.parts))

    @property
    def parts(self) -> frozenset[tuple[str, str]]:
        """Every (task, metric) that any objective needs."""
        return frozenset(part for item in self.all for part in item.parts)

    def estimates(self, estimates: Estimates) -> dict[str, Estimate]:
        """Return objective → raw value with interval."""
        return {item.name: item.estimate(estimates) for item in self.all}

    def values(self, estimates: Estimates) -> dict[str, float]:
        """Return objective → raw value."""
        return {item.name: item.value(estimates) for item in self.all}

    def utilities(self, estimates: Estimates) -> tuple[float, ...]:
        """Return one number an objective, larger is better, shape ``(k,)``."""
        return tuple(item.utility(item.value(estimates)) for item in self.all)

    def best(self, rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
        """Return objective → its best raw value among ``rows``; empty where there is none."""
        found = list(rows)
        if not found:
            return {}
        return {
            item.name: max((row[item.name] for row in found), key=item.utility) for item in self.all
        }


def split_source(source: str, tasks: Iterable[str]) -> tuple[str, str | None] | None:
    """Return (task, metric) that ``EVALUATOR`` or ``EVALUATOR.METRIC`` names; None if none fits.

    The recipe's own numbers have ``RECIPE`` as task; an evaluator of such a name goes before them.
    """
    names = set(tasks)
    if source in names:
        return source, None
    for name in sorted(names, key=len, reverse=True):
        if source.startswith(f"{name}."):
            return name, source[len(name) + 1 :]
    return (RECIPE, source) if source in RECIPE_NUMBERS else None


def _part(source: str, tasks: Mapping[str, Any]) -> tuple[str, str | None]:
    part = split_source(source, tasks)
    assert part is not None, f"{source!r} was checked when the run was prepared"
    return part

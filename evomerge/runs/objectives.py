"""A run's objectives and constraints: what each is made of, and its value for a candidate."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.errors import EvaluationError
from evomerge.evaluation.intervals import STABILITY, TEMPERATURE, Estimate, Scales
from evomerge.evaluation.objectives import combine, combine_values
from evomerge.runs.ledger.records import Estimates

RECIPE = "(recipe)"
"""Stands where a task does for numbers that a recipe has by itself."""

RECIPE_NUMBERS = ("steps", "parameters")
"""What an objective may be made of instead of a task's numbers; see ``runs.sizes``."""


class Panel:
    """Base and sources on the search split: what a stability takes its units from.

    A run scores them before it asks for candidates, once and for all; until then it is empty.
    """

    def __init__(self, scored: Iterable[Estimates] = ()) -> None:
        self.fill(scored)

    def fill(self, scored: Iterable[Estimates]) -> None:
        """Take the models' scores in."""
        self._scored: list[Estimates] = list(scored)
        self._scales: dict[tuple[tuple[str, str], ...], Scales] = {}

    def scales(self, parts: tuple[tuple[str, str], ...]) -> Scales | None:
        """Return mean and standard deviation of each part over the models; None while empty."""
        if not self._scored:
            return None
        if parts not in self._scales:
            values = np.array([[found[part].value for part in parts] for found in self._scored])
            pairs = zip(values.mean(axis=0), values.std(axis=0), strict=True)
            self._scales[parts] = [(float(mean), float(spread)) for mean, spread in pairs]
        return self._scales[parts]


@dataclass(frozen=True)
class Objective:
    """A named number with a direction.

    Args:
        name: Its name in the run file.
        parts: ``(task, metric)`` that it is made of, in order.
        aggregate: How they are combined, one of ``AGGREGATES``.
        direction: ``maximize`` or ``minimize``.
        weights: (mean) one weight a part, None for equal ones.
        temperature: (soft_min, soft_max) in the parts' unit.
        reference: Value of a useless model, where a hypervolume begins; None where it isn't known.
        ideal: The best value that there can be, where it ends.
        panel: (stability) The models that it takes its units from.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    aggregate: str
    direction: str
    weights: tuple[float, ...] | None = None
    temperature: float = TEMPERATURE
    reference: float | None = None
    ideal: float | None = None
    panel: Panel = field(default_factory=Panel, compare=False)

    @property
    def is_of_recipe(self) -> bool:
        """Say if it is a number of the recipe, which nothing has to be scored for."""
        return self.parts[0][0] == RECIPE

    def estimate(self, estimates: Estimates) -> Estimate:
        """Return the raw value with its interval, in the declared direction."""
        parts = [estimates[part] for part in self.parts]
        return combine(self.aggregate, parts, self.weights, self.temperature, self._scales())

    def value(self, estimates: Estimates) -> float:
        """Return the raw value alone, which costs a tenth of its interval."""
        return self.combined([estimates[part].value for part in self.parts])

    def combined(self, values: Sequence[float]) -> float:
        """Return the raw value from those of its parts."""
        weights, temperature = self.weights, self.temperature
        return combine_values(self.aggregate, values, weights, temperature, self._scales())

    def utility(self, value: float) -> float:
        """Return ``value`` turned so that larger is better."""
        return value if self.direction == "maximize" else -value

    def _scales(self) -> Scales | None:
        return self.panel.scales(self.parts) if self.aggregate == STABILITY else None


BANNED = "banned"
"""Kind of a failure: the recipe is banned, so that it wasn't scored."""
CONSTRAINT = "constraint"
"""Kind of failure of a candidate whose recipe alone misses a constraint; nothing of it is scored.
"""


@dataclass(frozen=True)
class Constraint:
    """A bound that a candidate must keep to be chosen.

    Args:
        text: As in the run file.
        number: What is bounded.
        at_least: The bound is a lower one.
        bound: In the number's own unit.
    """

    text: str
    number: Objective
    at_least: bool
    bound: float

    def violation(self, estimates: Estimates) -> float:
        """Return by how much the bound is missed, in units of the bound or of 1 if that's more."""
        value = self.number.value(estimates)
        missed = self.bound - value if self.at_least else value - self.bound
        return max(missed, 0.0) / max(abs(self.bound), 1.0)


@dataclass(frozen=True)
class Measure:
    """What a model is like, as an axis of an archive; neither good nor bad.

    Args:
        number: What is measured; its direction means nothing.
        low, high: Its range on the axis, raw.
        bins: Parts that the range is cut into.
    """

    number: Objective
    low: float
    high: float
    bins: int


@dataclass(frozen=True)
class Objectives:
    """All objectives of a run, in the user's order, its constraints and measures."""

    all: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    measures: tuple[Measure, ...] = ()
    panel: Panel = field(default_factory=Panel, compare=False)

    @classmethod
    def from_plain(
        cls,
        config: Mapping[str, Mapping[str, Any]],
        tasks: Mapping[str, Mapping[str, Any]],
        constraints: Sequence[str] = (),
        measures: Mapping[str, Mapping[str, Any]] | None = None,
        panel: Panel | None = None,
    ) -> "Objectives":
        """Build them from what a run file has of each, and facts of its tasks.

        ``panel`` is what stabilities take their units from; an empty one if None.

        Raises:
            EvaluationError: A constraint that isn't one; the others were checked before.
        """
        panel = panel or Panel()
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
                    temperature=raw.get("temperature") or TEMPERATURE,
                    reference=raw.get("reference"),
                    ideal=raw.get("ideal"),
                    panel=panel,
                )
            )
        return cls(
            tuple(found),
            tuple(_constraint(text, found, tasks) for text in constraints),
            tuple(_measure(name, raw, tasks) for name, raw in (measures or {}).items()),
            panel,
        )

    @property
    def needs_panel(self) -> bool:
        """Say if base and sources have to be scored before any candidate can be judged."""
        return any(item.aggregate == STABILITY for item in self.all)

    @property
    def numbers(self) -> tuple[Objective, ...]:
        """Objectives, what constraints bound, and measures."""
        bounded = (item.number for item in self.constraints)
        return (*self.all, *bounded, *(item.number for item in self.measures))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that any of the numbers needs, each once, in order."""
        scored = [item for item in self.numbers if not item.is_of_recipe]
        return tuple(dict.fromkeys(task for item in scored for task, _ in item.parts))

    @property
    def parts(self) -> frozenset[tuple[str, str]]:
        """Every (task, metric) that any of the numbers needs."""
        return frozenset(part for item in self.numbers for part in item.parts)

    @property
    def limits(self) -> tuple[Constraint, ...]:
        """The constraints of the recipe alone, for which nothing has to be scored."""
        return tuple(item for item in self.constraints if item.number.is_of_recipe)

    def violation(self, estimates: Estimates) -> float:
        """Return by how much ``estimates`` miss the constraints in all, 0 if they keep them."""
        return sum(item.violation(estimates) for item in self.constraints)

    def eligible(self, scored: Mapping[str, Estimates]) -> list[str]:
        """Return the candidates that keep the constraints; if none does, those that miss least."""
        if not self.constraints:
            return list(scored)
        missed = {name: self.violation(estimates) for name, estimates in scored.items()}
        least = min(missed.values(), default=0.0)
        return [name for name, violation in missed.items() if violation == least]

    def estimates(self, estimates: Estimates) -> dict[str, Estimate]:
        """Return objective → raw value with interval."""
        return {item.name: item.estimate(estimates) for item in self.all}

    def values(self, estimates: Estimates) -> dict[str, float]:
        """Return objective → raw value."""
        return {item.name: item.value(estimates) for item in self.all}

    def utilities(self, estimates: Estimates) -> tuple[float, ...]:
        """Return one number an objective, larger is better, shape ``(k,)``."""
        return tuple(item.utility(item.value(estimates)) for item in self.all)

    def measured(self, estimates: Estimates) -> tuple[float, ...]:
        """Return one raw number a measure."""
        return tuple(item.number.value(estimates) for item in self.measures)

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


def parse_constraint(text: str) -> tuple[str, bool, float]:
    """Return (name, the bound is a lower one, bound) of ``NAME >= NUMBER`` or ``NAME <= NUMBER``.

    Raises:
        EvaluationError: It is neither.
    """
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise EvaluationError(
            f"got {text!r}, expected NAME >= NUMBER or NAME <= NUMBER, such as 'chat >= 0.6' or "
            "'parameters <= 1.2e9'."
        )
    return match["name"], match["sign"] == ">=", float(match["bound"])


_CONSTRAINT = re.compile(
    r"\s*(?P<name>\S.*?)\s*(?P<sign>>=|<=)\s*(?P<bound>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*"
)


def _measure(name: str, raw: Mapping[str, Any], tasks: Mapping[str, Any]) -> Measure:
    number = _number(name, raw["from"], "maximize", tasks)
    return Measure(number, raw["low"], raw["high"], raw["bins"])


def _number(name: str, source: str, direction: str, tasks: Mapping[str, Any]) -> Objective:
    task, metric = _part(source, tasks)
    part = task, metric or tasks[task]["primary"]
    return Objective(name, (part,), "mean", direction)


def _constraint(
    text: str, objectives: Sequence[Objective], tasks: Mapping[str, Mapping[str, Any]]
) -> Constraint:
    name, at_least, bound = parse_constraint(text)
    number = next((item for item in objectives if item.name == name), None)
    if number is None:
        number = _number(name, name, "maximize" if at_least else "minimize", tasks)
    return Constraint(text, number, at_least, bound)

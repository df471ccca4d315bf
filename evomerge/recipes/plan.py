"""Plans: values of a recipe in which genes stand for what is searched.

``{search: {low, high, scale, step, choices}, granularity, filters, rest, only_if}`` may stand
wherever a value may. A plan is the same value tree with a ``Slot`` for each gene.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import Problem, RecipeError, nearest
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.genes import Gene
from evomerge.recipes.ranges import range_from
from evomerge.recipes.values import check_filter, matches, parse_value

SEARCH_KEYS = ("search", "granularity", "filters", "rest", "only_if")
GRANULARITIES = ("model", "block:K", "layer", "tensor", "gradient:K")
NODE_KEYS = frozenset({*SEARCH_KEYS, "gradient", "block", "values", "by", "tensors", "else"})


@dataclass(frozen=True)
class Slot:
    """The place of a gene's value in a plan."""

    gene: str


@dataclass(frozen=True)
class PlannedGene:
    """A gene and what it decides.

    Args:
        gene: The gene.
        stage: Index of its stage.
        parameter: Its parameter.
        input: Index of the stage's input that it belongs to; None for a parameter of the stage.
        tensors: Tensors that it acts on; empty for a parameter of the whole model.
        anchor: (which, of how many) of a gradient's anchors; None where it is a plain value.
    """

    gene: Gene
    stage: int
    parameter: Parameter
    input: int | None
    tensors: tuple[TensorFacts, ...]
    anchor: tuple[int, int] | None = None


@dataclass(frozen=True)
class Place:
    """Where a value stands while it is planned.

    Args:
        key: Path in the user's file, for messages.
        name: Prefix of its genes' names.
        tensors: Tensors that the value is for.
        anchor: (which, of how many) inside a gradient.
        plain: Only one gene may stand here: inside a list, or for the whole model.
    """

    key: str
    name: str
    tensors: tuple[TensorFacts, ...]
    anchor: tuple[int, int] | None = None
    plain: bool = False


class Planner:
    """Plans the values of one parameter of one stage.

    Args:
        parameter: What is planned.
        stage: Index of the stage.
        input: Index of the input for a per-source parameter.
        n_layers: Number of layers of the merged model.
        problems: Mistakes are added here.
        genes: Genes are added here.
    """

    def __init__(
        self,
        parameter: Parameter,
        *,
        stage: int,
        input: int | None,
        n_layers: int,
        problems: list[Problem],
        genes: list[PlannedGene],
    ) -> None:
        self._parameter = parameter
        self._stage = stage
        self._input = input
        self._n_layers = n_layers
        self._problems = problems
        self._genes = genes

    def plan(self, raw: Any, place: Place) -> Any:
        """Return the plan of ``raw``; mistakes go to the list of problems and give None."""
        if not has_search(raw):
            return self._concrete(raw, place)
        if isinstance(raw, (list, tuple)):
            raw = {"gradient": list(raw)}
        if "search" in raw:
            return self._search(raw, place)
        if "gradient" in raw:
            count = len(raw["gradient"])
            return {
                "gradient": [
                    self.plan(item, self._item(place, "gradient", i, anchor=(i, count)))
                    for i, item in enumerate(raw["gradient"])
                ]
            }
        if "by" in raw:
            return self._by(raw["by"], place)
        if "block" in raw and "values" in raw:
            return self._blocks(raw, place)
        if "tensors" in raw:
            return self._table(raw, place)
        return self._concrete(raw, place)

    def _problem(self, key: str, message: str) -> None:
        self._problems.append(Problem(key, message))

    def _concrete(self, raw: Any, place: Place) -> Any:
        try:
            value = parse_value(raw, self._parameter.check, place.key, kind=self._parameter.kind)
        except RecipeError as error:
            key, _, message = str(error).partition(": ")
            self._problem(key, message)
            return None
        if place.plain and isinstance(value, Mapping) and self._parameter.kind != "mapping":
            self._problem(
                place.key, "has one value for the whole model. Give a plain value, not groups."
            )
            return None
        return value

    def _item(
        self, place: Place, part: str, index: int, anchor: tuple[int, int] | None = None
    ) -> Place:
        """Return the place of one item of a list."""
        return Place(
            f"{place.key}.{part}[{index}]", f"{place.name}.{index}", place.tensors, anchor, True
        )

    def _by(self, cases: Any, place: Place) -> Any:
        """Plan a list of {filter, value}: each case gets the tensors that no earlier one took."""
        planned = []
        left = place.tensors
        for index, case in enumerate(cases if isinstance(cases, Sequence) else ()):
            key = f"{place.key}.by[{index}]"
            if not isinstance(case, Mapping) or set(case) - {"filter", "value"}:
                self._problem(key, f"got {case!r}, expected {{filter: …, value: …}}.")
                continue
            filter = case.get("filter")
            if filter is not None and (message := check_filter(filter)):
                self._problem(f"{key}.filter", message)
                continue
            mine = tuple(t for t in left if filter is None or matches(filter, t))
            left = tuple(t for t in left if t not in mine)
            name = f"{place.name}.{filter or 'rest'}"
            value = self.plan(case.get("value"), Place(f"{key}.value", name, mine))
            planned.append({"value": value} | ({"filter": filter} if filter else {}))
        return {"by": planned}

    def _blocks(self, raw: Mapping[str, Any], place: Place) -> Any:
        size, values = raw["block"], raw["values"]
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            self._problem(
                f"{place.key}.block", f"got {size!r}, expected a whole number of layers ≥ 1."
            )
            return None
        items = []
        for index, item in enumerate(values):
            at = self._item(place, "values", index)
            mine = tuple(t for t in place.tensors if t.block(size, self._n_layers) == index)
            items.append(self.plan(item, Place(at.key, at.name, mine, None, True)))
        return {"block": size, "values": items}

    def _table(self, raw: Mapping[str, Any], place: Place) -> Any:
        by_name = {t.name: t for t in place.tensors}
        table = {}
        for name, item in raw["tensors"].items():
            mine = (by_name[name],) if name in by_name else ()
            at = Place(f"{place.key}.tensors.{name}", f"{place.name}.{name}", mine, None, True)
            table[name] = self.plan(item, at)
        if "else" not in raw:
            return {"tensors": table}
        rest = tuple(t for t in place.tensors if t.name not in table)
        at = Place(f"{place.key}.else", f"{place.name}.rest", rest, None, True)
        return {"tensors": table, "else": self.plan(raw["else"], at)}

    def _search(self, raw: Mapping[str, Any], place: Place) -> Any:
        """Make the genes of a search node and return the plan that holds their slots."""
        n_problems = len(self._problems)
        for key in set(raw) - set(SEARCH_KEYS):
            self._problem(f"{place.key}.{key}", f"unknown key; {nearest(str(key), SEARCH_KEYS)}")
        if not self._parameter.searchable:
            self._problem(
                f"{place.key}.search", f"{self._parameter.name} can't be searched. Give a value."
            )
        granularity = self._granularity(raw.get("granularity", "model"), place)
        filters = self._filters(raw.get("filters", ()), place)
        for key in ("granularity", "filters", "rest"):
            if place.plain and key in raw and raw[key] not in ("model", [], ()):
                self._problem(
                    f"{place.key}.{key}", "only one gene can stand here. Remove this key."
                )
        if not self._parameter.searchable:
            return None
        pattern = range_from(raw["search"], self._parameter, f"{place.key}.search", self._problems)
        if pattern is None or len(self._problems) > n_problems:
            return None
        if not filters:
            return self._grouped(pattern, granularity, place)
        return self._filtered(raw, pattern, granularity, filters, place)

    def _filtered(
        self,
        raw: Mapping[str, Any],
        pattern: Gene,
        granularity: tuple[str, int],
        filters: Sequence[str],
        place: Place,
    ) -> Any:
        """Plan one set of genes a filter, and one for the tensors that no filter catches."""
        cases: list[dict[str, Any]] = []
        left = place.tensors
        for filter in filters:
            mine = tuple(t for t in left if matches(filter, t))
            left = tuple(t for t in left if not matches(filter, t))
            if mine:
                at = Place(place.key, f"{place.name}.{filter}", mine)
                plan = self._grouped(pattern, granularity, at)
                cases.append({"filter": filter, "value": plan})
        if "rest" in raw:
            at = Place(f"{place.key}.rest", f"{place.name}.rest", left)
            cases.append({"value": self.plan(raw["rest"], at)})
        elif left or not cases:
            at = Place(place.key, f"{place.name}.rest", left)
            cases.append({"value": self._grouped(pattern, granularity, at)})
        else:
            # Every tensor is caught: the last group takes what nothing is in, so that groups with
            # equal values still become one plain value.
            cases.append({"value": cases.pop()["value"]})
        return {"by": cases}

    def _granularity(self, raw: Any, place: Place) -> tuple[str, int]:
        """Return (kind, K) of ``model``, ``block:K``, ``layer``, ``tensor`` or ``gradient:K``."""
        kind, _, number = str(raw).partition(":")
        minimum = {"block": 1, "gradient": 2}.get(kind)
        if kind in ("model", "layer", "tensor") and not number:
            if kind == "layer":
                return ("block", 1)
            return (kind, 1)
        if minimum is not None and number.isdigit() and int(number) >= minimum:
            if kind == "gradient" and self._parameter.kind != "float":
                self._problem(
                    f"{place.key}.granularity", "only numbers can be interpolated over depth."
                )
            return (kind, int(number))
        self._problem(
            f"{place.key}.granularity",
            f"got {raw!r}; {nearest(str(raw), GRANULARITIES)} K is a number of layers (anchors, "
            "at least 2, for gradient).",
        )
        return ("model", 1)

    def _filters(self, raw: Any, place: Place) -> list[str]:
        if not isinstance(raw, (list, tuple)):
            self._problem(f"{place.key}.filters", f"got {raw!r}, expected a list of filters.")
            return []
        for index, filter in enumerate(raw):
            key = f"{place.key}.filters[{index}]"
            if message := check_filter(filter):
                self._problem(key, message)
            elif (
                ":" in filter
                and place.tensors
                and not any(matches(filter, t) for t in place.tensors)
            ):
                self._problem(
                    key, f"{filter!r} matches no tensor's name here. Correct or remove it."
                )
        return list(raw)

    def _grouped(self, pattern: Gene, granularity: tuple[str, int], place: Place) -> Any:
        """Plan one gene for each group of ``place.tensors`` that holds a tensor."""
        kind, size = granularity
        if kind == "model" or not place.tensors:
            return self._slot(pattern, place.name, place.tensors, place.anchor)
        if kind == "gradient":
            return {
                "gradient": [
                    self._slot(pattern, f"{place.name}.{i}", place.tensors, (i, size))
                    for i in range(size)
                ]
            }
        if kind == "tensor":
            table = {
                t.name: self._slot(pattern, f"{place.name}.{t.name}", (t,)) for t in place.tensors
            }
            # All tensors are listed; 'else' only tells that equal values may become one.
            return {"tensors": table, "else": next(iter(table.values()))}
        return self._by_block(pattern, size, place)

    def _by_block(self, pattern: Gene, size: int, place: Place) -> Any:
        """Plan one gene a block; blocks without a tensor repeat a neighbour's gene."""
        n_blocks = -(-max(self._n_layers, 1) // size)
        groups: list[list[TensorFacts]] = [[] for _ in range(n_blocks)]
        for tensor in place.tensors:
            groups[tensor.block(size, self._n_layers)].append(tensor)
        slots: list[Slot | None] = [
            self._slot(pattern, f"{place.name}.{index}", tuple(group)) if group else None
            for index, group in enumerate(groups)
        ]
        last = next(slot for slot in slots if slot is not None)
        filled = []
        for slot in slots:
            last = slot or last
            filled.append(last)
        return {"block": size, "values": filled}

    def _slot(
        self,
        pattern: Gene,
        name: str,
        tensors: tuple[TensorFacts, ...],
        anchor: tuple[int, int] | None = None,
    ) -> Slot:
        gene = Gene(
            name=name,
            kind=pattern.kind,
            low=pattern.low,
            high=pattern.high,
            scale=pattern.scale,
            step=pattern.step,
            choices=pattern.choices,
        )
        self._genes.append(
            PlannedGene(gene, self._stage, self._parameter, self._input, tensors, anchor)
        )
        return Slot(name)


def has_search(raw: Any) -> bool:
    """Tell whether a gene stands anywhere in ``raw``."""
    if isinstance(raw, Mapping):
        return "search" in raw or any(has_search(item) for item in raw.values())
    return isinstance(raw, (list, tuple)) and any(has_search(item) for item in raw)


def fill(plan: Any, genome: Mapping[str, Any]) -> Any:
    """Return ``plan`` with the values of ``genome`` in its slots."""
    if isinstance(plan, Slot):
        return genome[plan.gene]
    if isinstance(plan, list):
        return [fill(item, genome) for item in plan]
    if isinstance(plan, Mapping):
        return {key: fill(item, genome) for key, item in plan.items()}
    return plan

"""The template of a search: genome → recipe and back, and the recipes that are known to be good."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.errors import RecipeError
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.declarations import Declaration, WarmStart
from evomerge.recipes.plan import PlannedGene, Slot, fill
from evomerge.recipes.recipe import Dataflow, Recipe, Stage
from evomerge.recipes.values import Value, evaluate, parse_value

_EQUAL = 1e-9
"""Relative difference at which two coefficients count as equal."""


class RecipeTemplate:
    """A recipe whose values hold slots, and the genes that fill them.

    Args:
        plan: Recipe with plans (values with slots) as parameters.
        genes: What is searched.
        declarations: Methods by name.
        n_layers: Number of layers of the merged model.
        tensors: Its floating-point tensors.
    """

    def __init__(
        self,
        plan: Recipe,
        genes: Sequence[PlannedGene],
        declarations: Mapping[str, Declaration],
        n_layers: int,
        tensors: Sequence[TensorFacts],
    ) -> None:
        self._plan = plan
        self.genes = tuple(genes)
        self._declarations = declarations
        self._n_layers = n_layers
        self._tensors = tuple(tensors)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, with plans as parameters."""
        return self._plan.stages

    @property
    def dataflow(self) -> Dataflow | None:
        """The route that every recipe has, if it is fixed."""
        return self._plan.dataflow

    @property
    def n_layers(self) -> int:
        """Number of layers of the merged model."""
        return self._n_layers

    @property
    def result(self) -> str:
        """Name of the last stage; empty where there is none."""
        return self._plan.stages[-1].name if self._plan.stages else ""

    def idle_stages(self, names: Collection[str]) -> list[str]:
        """Return the stages with genes that neither make one of ``names`` nor lead to one."""
        reached = set(names)
        for stage in reversed(self._plan.stages):
            if stage.name in reached:
                reached |= {item.name for item in stage.inputs} | {stage.base or ""}
        searched = {planned.stage for planned in self.genes}
        stages = enumerate(self._plan.stages)
        return [s.name for i, s in stages if i in searched and s.name not in reached]

    def names_of(self, recipe: Recipe) -> dict[str, str]:
        """Return what this search calls the sources (by content) and stages (by place) of it."""
        ours = {source.sha256: source.name for source in self._plan.sources}
        known = [source for source in recipe.sources if source.sha256 in ours]
        names = {source.name: ours[source.sha256] for source in known}
        stages = zip(recipe.stages, self._plan.stages, strict=True)
        return names | {theirs.name: mine.name for theirs, mine in stages}

    def recipe(self, genome: Mapping[str, Any]) -> Recipe:
        """Return the recipe of ``genome``, with values in canonical form.

        Raises:
            RecipeError: A value is one that the method refuses.
        """
        stages = [
            replace(
                stage,
                parameters={
                    name: self._value(stage, name, plan, genome)
                    for name, plan in stage.parameters.items()
                },
            )
            for stage in self._plan.stages
        ]
        return replace(self._plan, stages=tuple(stages), _hash=[])

    def _value(self, stage: Stage, name: str, plan: Any, genome: Mapping[str, Any]) -> Any:
        if isinstance(plan, tuple):
            return tuple(self._value(stage, name, item, genome) for item in plan)
        if plan is None:
            return None
        parameter = self._declarations[stage.method].parameter(name)
        assert parameter is not None
        key = f"{stage.name}.{name}"
        return parse_value(fill(plan, genome), parameter.check, key, kind=parameter.kind)

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome whose recipe has the weights of ``recipe``, not yet on the grid.

        Raises:
            RecipeError: The space has no such recipe; the message names what doesn't fit.
        """
        self._check_frame(recipe)
        genome: dict[str, Any] = {}
        for planned in self.genes:
            value = self._wanted(recipe.stages[planned.stage], planned)
            genome[planned.gene.name] = self._fit(planned, value)
        self._fit_anchors(recipe, genome)
        for mine, other in zip(self._plan.stages, recipe.stages, strict=True):
            for name, plan in mine.parameters.items():
                if isinstance(plan, Slot) and plan.gene not in genome:  # segments, taken as a whole
                    genome[plan.gene] = other.parameters[name]
        self._check_fixed(recipe, genome)
        return genome

    def warm_starts(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (label, genome) of the methods' known-good settings, unchecked against the ranges.

        With several stages, ``uniform``, ``default`` and ``base`` set every stage that knows the
        label so, and ``parent:NAME`` sets the last stage to the input through which NAME comes, and
        the stages on the way alike; all other stages are at their default.
        """
        last = len(self._plan.stages) - 1
        if last < 0:
            return []
        labels: list[str] = []
        for index in range(last + 1):
            labels += [start.label for start in self._starts(index) if start.label not in labels]
        found = []
        for label in sorted(labels, key=_label_order):
            choice = self._choose(label, last)
            if choice is None:
                continue
            genome = self._start_genome(label, choice)
            if genome is not None:
                found.append((label, genome))
        return found

    # Warm starts

    def _starts(self, index: int) -> Sequence[WarmStart]:
        stage = self._plan.stages[index]
        names = [item.name for item in stage.inputs]
        return self._declarations[stage.method].warm_starts(names)

    def _start(self, index: int, label: str) -> WarmStart | None:
        return next((start for start in self._starts(index) if start.label == label), None)

    def _choose(self, label: str, index: int) -> dict[int, WarmStart] | None:
        """Return stage → setting that makes stage ``index`` what ``label`` says, or None."""
        stage = self._plan.stages[index]
        own = self._start(index, label)
        if own is not None and not label.startswith("parent:"):
            others = {i: self._start(i, label) for i in range(index)}
            return {i: start for i, start in others.items() if start is not None} | {index: own}
        if own is not None:
            return {index: own}
        if not label.startswith("parent:"):
            return None
        names = [s.name for s in self._plan.stages]
        for item in stage.inputs:
            through = self._start(index, f"parent:{item.name}")
            if item.name in names and through is not None:
                deeper = self._choose(label, names.index(item.name))
                if deeper is not None:
                    return deeper | {index: through}
        return None

    def _start_genome(self, label: str, choice: Mapping[int, WarmStart]) -> dict[str, Any] | None:
        """Return the genome of the chosen settings, or None where fixed values contradict them."""
        exact = label == "base" or label.startswith("parent:")
        if exact and not all(self._allows(i, start) for i, start in choice.items()):
            return None
        genome = {}
        for planned in self.genes:
            start = choice.get(planned.stage) or self._start(planned.stage, "default")
            value = planned.parameter.default
            if start is not None and planned.parameter.name in start.parameters:
                value = _of_input(start.parameters[planned.parameter.name], planned.input)
            elif isinstance(value, (list, tuple)):
                value = _of_input(value, planned.input)
            if planned.gene.active_if is not None and value is None:
                value = planned.gene.inactive()
            named = start is not None and planned.parameter.name in start.parameters
            genome[planned.gene.name] = value if named else _closest(planned, value)
        return genome

    def _allows(self, index: int, start: WarmStart) -> bool:
        """Tell whether the values that the user fixed agree with ``start``."""
        for name, wanted in start.parameters.items():
            plan = self._plan.stages[index].parameters.get(name)
            for i, item in enumerate(plan if isinstance(plan, tuple) else (plan,)):
                value = _of_input(wanted, i if isinstance(plan, tuple) else None)
                if not _agrees(item, value):
                    return False
        return True

    # Recipe → genome

    def _check_frame(self, recipe: Recipe) -> None:
        """Check that ``recipe`` has the stages, methods and inputs of this space."""
        plan = self._plan
        for part in ("dtype", "seed"):
            if getattr(recipe, part) != getattr(plan, part):
                raise RecipeError(
                    f"the recipe has {part} {getattr(recipe, part)!r}, this search "
                    f"{getattr(plan, part)!r}. Make them agree."
                )
        if recipe.dataflow != plan.dataflow:
            raise RecipeError("the recipe's dataflow isn't this search's. Remove it.")
        ours, theirs = [s.method for s in plan.stages], [s.method for s in recipe.stages]
        if ours != theirs:
            raise RecipeError(
                f"the recipe has the methods {', '.join(theirs)}, this search {', '.join(ours)}. "
                "Start the search from recipes of the same methods."
            )
        pairs = [("base", recipe.base, plan.base), ("tokenizer", recipe.tokenizer, plan.tokenizer)]
        for mine, other in zip(plan.stages, recipe.stages, strict=True):
            pairs.append((f"{mine.name}.base", other.base or "", mine.base or ""))
            mine_inputs = [(_content(plan, i.name), i.shift) for i in mine.inputs]
            other_inputs = [(_content(recipe, i.name), i.shift) for i in other.inputs]
            if mine_inputs != other_inputs:
                raise RecipeError(
                    f"{mine.name}: the recipe's inputs ({', '.join(i.name for i in other.inputs)}) "
                    f"aren't this search's ({', '.join(i.name for i in mine.inputs)}), in order "
                    "and content."
                )
        for part, theirs_name, ours_name in pairs:
            if _content(recipe, theirs_name) != _content(plan, ours_name):
                raise RecipeError(
                    f"the recipe's {part} {theirs_name!r} isn't this search's {ours_name!r}. "
                    "Make them agree."
                )

    def _wanted(self, stage: Stage, planned: PlannedGene) -> Value:
        value = stage.parameters.get(planned.parameter.name, planned.parameter.default)
        if planned.parameter.per_source and isinstance(value, (list, tuple)):
            assert planned.input is not None
            return value[planned.input]
        return value

    def _fit(self, planned: PlannedGene, value: Value) -> Any:
        """Return the one value that the gene's tensors have; a gradient's anchors come later."""
        if not isinstance(value, Mapping):
            return value
        if planned.anchor is not None:
            return None
        found = [evaluate(value, t, self._n_layers) for t in planned.tensors]
        if not found or any(not _same(item, found[0]) for item in found):
            raise RecipeError(
                f"the recipe's values differ within {planned.gene.name!r}, which this search sets "
                "as one. Choose a finer granularity."
            )
        return found[0]

    def _fit_anchors(self, recipe: Recipe, genome: dict[str, Any]) -> None:
        """Find the anchors whose interpolation gives the recipe's values."""
        groups: dict[tuple[Any, ...], list[PlannedGene]] = {}
        for planned in self.genes:
            if planned.anchor is not None and genome[planned.gene.name] is None:
                prefix = planned.gene.name.rpartition(".")[0]
                groups.setdefault((prefix, planned.anchor[1]), []).append(planned)
        for (_, count), members in groups.items():
            value = self._wanted(recipe.stages[members[0].stage], members[0])
            tensors = members[0].tensors
            at = np.array([t.depth(self._n_layers) for t in tensors]) * (count - 1)
            hats = np.clip(1 - np.abs(at[:, None] - np.arange(count)[None, :]), 0, 1)
            seen = np.array([float(evaluate(value, t, self._n_layers)) for t in tensors])
            columns = [planned.anchor[0] for planned in members if planned.anchor]
            anchors = np.linalg.lstsq(hats[:, columns], seen, rcond=None)[0]
            for planned, anchor in zip(members, anchors, strict=True):
                genome[planned.gene.name] = float(anchor)

    def _check_fixed(self, recipe: Recipe, genome: Mapping[str, Any]) -> None:
        """Check that the genome's recipe has the values of ``recipe`` at every tensor."""
        ours = self.recipe(genome)
        for mine, other in zip(ours.stages, recipe.stages, strict=True):
            for name, value in mine.parameters.items():
                wanted = other.parameters.get(name, value)
                if not self._equal(value, wanted):
                    raise RecipeError(
                        f"{mine.name}.{name}: the recipe has {_short(wanted)}, which this search "
                        f"can't represent (nearest: {_short(value)}). Change its values or ranges."
                    )

    def _equal(self, a: Any, b: Any) -> bool:
        if a == b:
            return True
        if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            return len(a) == len(b) and all(self._equal(x, y) for x, y in zip(a, b, strict=True))
        if not isinstance(a, Mapping) and not isinstance(b, Mapping):
            return _same(a, b)
        return all(
            _same(evaluate(a, t, self._n_layers), evaluate(b, t, self._n_layers))
            for t in self._tensors
        )


def _same(a: Any, b: Any) -> bool:
    """Tell whether two coefficients are equal but for rounding."""
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b))
    if numbers:
        return bool(abs(a - b) <= _EQUAL * max(1.0, abs(a), abs(b)))
    return bool(a == b)


def _content(recipe: Recipe, name: str) -> str:
    """Return the content hash of a source, or the position of a stage."""
    for source in recipe.sources:
        if source.name == name:
            return source.sha256
    for index, stage in enumerate(recipe.stages):
        if stage.name == name:
            return f"stage:{index}"
    return name


def _of_input(value: Any, input: int | None) -> Any:
    return value[input] if isinstance(value, (list, tuple)) and input is not None else value


def _agrees(plan: Any, value: Any) -> bool:
    """Tell whether the fixed parts of ``plan`` are all ``value``."""
    if isinstance(plan, Slot):
        return True
    if not isinstance(plan, Mapping):
        return _same(plan, value)
    if "by" in plan:
        return all(_agrees(case["value"], value) for case in plan["by"])
    if "tensors" in plan:
        items = [*plan["tensors"].values(), *([plan["else"]] if "else" in plan else [])]
        return all(_agrees(item, value) for item in items)
    return all(_agrees(item, value) for item in plan.get("gradient") or plan["values"])


def _closest(planned: PlannedGene, value: Any) -> Any:
    """Return a default that the gene can take: ``value`` moved into its range, or the middle."""
    gene = planned.gene
    if gene.kind == "categorical":
        return value if value in gene.choices else gene.choices[len(gene.choices) // 2]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return gene.python(float(gene.values(np.array([0.5]))[0]))
    return gene.python(float(gene.values(gene.places(np.array([float(value)])))[0]))


def _label_order(label: str) -> tuple[int, str]:
    kinds = ("base", "parent", "uniform", "default")
    kind = label.partition(":")[0]
    return (kinds.index(kind) if kind in kinds else len(kinds), "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

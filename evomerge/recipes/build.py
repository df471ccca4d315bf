"""From what a user writes (stages as plain mappings) to a recipe, or to the space of a search.

Values follow ``recipes.values``; a per-source parameter takes one value for all inputs, a list with
one value an input, or a mapping input → value. ``search`` may stand wherever a value may::

    weights:
      search: {low: -0.5, high: 1.5}   # also scale: log, step, or choices: [0, 0.5, 1]; {} is the
                                       # method's own range
      granularity: "block:2"           # model | block:K | layer | tensor | gradient:K
      filters: [attn, mlp]             # one set of genes each; first match wins
      rest: 0.5                        # value of the tensors that no filter catches; if absent,
                                       # they are searched as a group of their own
      only_if: {normalize: false}      # the genes count only while another searched one says so

A tensor before the layers joins the first block, one after them the last; a group without a tensor
gets no gene.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evomerge.errors import Problem, ProblemsError, RecipeError, nearest
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.conditions import apply_condition
from evomerge.recipes.declarations import Declaration, Parameter
from evomerge.recipes.plan import NODE_KEYS, Place, PlannedGene, Planner, Slot, has_search
from evomerge.recipes.recipe import Recipe, Stage, StageInput
from evomerge.recipes.route_template import fixed_route_space, route_space
from evomerge.recipes.routes import RouteSpec
from evomerge.recipes.segment_plan import SegmentSearch, plan_segments
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.recipes.space import SearchSpace
from evomerge.recipes.spec import RecipeSpec, check_head, read_dataflow
from evomerge.recipes.template import RecipeTemplate

__all__ = ["RecipeSpec", "build_recipe", "build_space"]

STAGE_KEYS = ("method", "inputs", "name", "base", "options")


def build_space(
    spec: RecipeSpec,
    declarations: Mapping[str, Declaration],
    n_layers: int,
    tensors: Mapping[str, TensorFacts],
    route: RouteSpec | None = None,
) -> SearchSpace:
    """Return the space of all recipes that ``spec`` allows.

    Args:
        spec: What the user wrote.
        declarations: Methods by name.
        n_layers: Number of layers of the merged model.
        tensors: Its tensors by name.
        route: The routes that are searched too; ``spec`` then has no dataflow of its own.

    Raises:
        ProblemsError: All mistakes at once, nothing being searched among them.
    """
    builder = _Builder(spec, declarations, n_layers, tensors, routed=route is not None)
    template = builder.template()
    builder.check_segments(template)
    if not (template.genes or builder.segments or route or builder.problems):
        builder.problem(
            spec.key,
            "nothing is searched. Mark a value with {search: {low: …, high: …}}, search "
            "dataflow: {space: …}, or merge once with 'evomerge merge'.",
        )
    builder.stop_on_problems()
    if builder.segments:
        try:
            return SegmentSpace(builder.segments[0], tuple(tensors.values()), template)
        except RecipeError as error:
            problem = Problem(builder.segments[0].key, str(error))
            raise ProblemsError(spec.where, [problem]) from None
    genes = [planned.gene for planned in template.genes]
    # A gene stands after the one that switches it.
    genes.sort(key=lambda gene: gene.active_if is not None)
    try:
        if route is not None:
            return route_space(genes, template, route)
        return fixed_route_space(genes, template)
    except RecipeError as error:
        raise ProblemsError(spec.where, [Problem("dataflow", str(error))]) from None


def build_recipe(spec: RecipeSpec, declarations: Mapping[str, Declaration]) -> Recipe:
    """Return the one recipe that ``spec`` describes.

    Raises:
        ProblemsError: All mistakes at once; a ``search`` is one of them.
    """
    builder = _Builder(spec, declarations, 0, {})
    template = builder.template()
    searched = [planned.gene.name for planned in template.genes]
    for name in [*searched, *(item.name for item in builder.segments)]:
        builder.problem(
            spec.key, f"{name} is marked 'search', but this is one recipe. Give it a value."
        )
    builder.stop_on_problems()
    return template.recipe({})


class _Builder:
    """Turns a spec into a template and gathers the mistakes on the way."""

    def __init__(
        self,
        spec: RecipeSpec,
        declarations: Mapping[str, Declaration],
        n_layers: int,
        tensors: Mapping[str, TensorFacts],
        routed: bool = False,
    ) -> None:
        self._spec = spec
        self._routed = routed or spec.dataflow is not None
        self._declarations = declarations
        self._n_layers = n_layers
        # What isn't a floating-point tensor is copied, never merged.
        self._tensors = tuple(t for t in tensors.values() if "F" in t.dtype)
        self._sources = [source.name for source in spec.sources]
        self.problems: list[Problem] = []
        self._genes: list[PlannedGene] = []
        self._conditions: list[tuple[str, str, int, Any]] = []
        self.segments: list[SegmentSearch] = []

    def problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(key, message))

    def stop_on_problems(self) -> None:
        if self.problems:
            # One search for several inputs is planned once an input: say it once.
            raise ProblemsError(self._spec.where, dict.fromkeys(self.problems))

    def check_segments(self, template: RecipeTemplate) -> None:
        """Check that segments are searched alone."""
        others = [planned.gene.name for planned in template.genes]
        others += ["a route"] if self._spec.dataflow is None and self._routed else []
        others += [item.name for item in self.segments[1:]]
        if self.segments and others:
            message = f"segments are searched alone, but so is {others[0]}. Give it a value."
            self.problem(self.segments[0].key, message)

    def template(self) -> RecipeTemplate:
        """Return the template; it is fit for use only if there are no problems."""
        spec = self._spec
        self.problems += check_head(spec)
        stages: list[Stage] = []
        for index, raw in enumerate(spec.stages):
            stage = self._stage(index, raw, [stage.name for stage in stages])
            if stage is not None:
                stages.append(stage)
        if not spec.stages and not self._routed:
            self.problem(spec.key, "no stages. Give at least one, or a dataflow.")
        for name, key, stage_index, wanted in self._conditions:
            if message := apply_condition(self._genes, name, stage_index, wanted):
                self.problem(key, message)
        base = spec.base or (self._sources[0] if self._sources else "")
        names = [*self._sources, *(stage.name for stage in stages)]
        plan = Recipe(
            sources=spec.sources,
            base=base,
            stages=tuple(stages),
            dtype=spec.dtype,
            tokenizer=spec.tokenizer or base,
            dataflow=read_dataflow(spec.dataflow, names, base, self.problems),
            seed=spec.seed,
        )
        return RecipeTemplate(plan, self._genes, self._declarations, self._n_layers, self._tensors)

    def _stage(self, index: int, raw: Any, earlier: Sequence[str]) -> Stage | None:
        """Return the stage with plans as parameters, or None where its method is unknown."""
        key = f"{self._spec.key}[{index}]"
        if not isinstance(raw, Mapping):
            self.problem(key, f"got {raw!r}, expected {{method: …, inputs: […]}}.")
            return None
        name = raw.get("name") or f"stage{index + 1}"
        if not isinstance(name, str) or name in self._sources or name in earlier:
            self.problem(
                f"{key}.name", f"{name!r} is taken by a source or stage. Choose another name."
            )
        method = raw.get("method")
        declaration = self._declarations.get(str(method))
        if declaration is None:
            known = nearest(str(method), self._declarations)
            self.problem(f"{key}.method", f"no method is called {method!r}; {known}")
        inputs = self._inputs(raw.get("inputs"), [*self._sources, *earlier], f"{key}.inputs")
        if declaration is None:
            return Stage(str(name), str(method), inputs, None, {})
        self._check_count(declaration, len(inputs), f"{key}.inputs")
        base = self._base(raw, declaration, [*self._sources, *earlier], key)
        parameters = self._parameters(index, str(name), raw, declaration, inputs, key)
        return Stage(str(name), declaration.name, inputs, base, parameters)

    def _inputs(self, raw: Any, known: Sequence[str], key: str) -> tuple[StageInput, ...]:
        if isinstance(raw, str) or not isinstance(raw, Sequence) or not raw:
            self.problem(key, f"got {raw!r}, expected a list of sources or earlier stages.")
            return ()
        inputs: list[StageInput] = []
        for index, item in enumerate(raw):
            at = f"{key}[{index}]"
            name, shift = item, 0
            if isinstance(item, Mapping):
                name, shift = item.get("source"), item.get("shift", 0)
                for extra in set(item) - {"source", "shift"}:
                    self.problem(f"{at}.{extra}", "unknown key; expected source and shift.")
            if isinstance(shift, bool) or not isinstance(shift, int):
                self.problem(f"{at}.shift", f"got {shift!r}, expected a whole number of layers.")
                shift = 0
            if name not in known:
                hint = nearest(str(name), known)
                self.problem(at, f"no source or earlier stage is called {name!r}; {hint}")
            elif StageInput(name, shift) in inputs:
                self.problem(at, f"{name!r} is listed twice. List it once and add its weights up.")
            inputs.append(StageInput(str(name), shift))
        return tuple(inputs)

    def _check_count(self, declaration: Declaration, count: int, key: str) -> None:
        low, high = declaration.min_inputs, declaration.max_inputs
        if count and not low <= count <= (high or count):
            wanted = f"{low}" if low == high else f"{low} to {high}" if high else f"at least {low}"
            message = f"got {count}, but {declaration.name} takes {wanted}"
            self.problem(key, f"{message} (the base isn't counted). Change the list or the method.")

    def _base(
        self, raw: Mapping[str, Any], declaration: Declaration, known: Sequence[str], key: str
    ) -> str | None:
        base = raw.get("base")
        if not declaration.needs_base:
            if base is not None:
                self.problem(
                    f"{key}.base",
                    f"{declaration.name} uses no base. Remove it, or list it as input.",
                )
            return None
        base = base if base is not None else self._spec.base
        if base is None:
            self.problem(
                f"{key}.base",
                f"{declaration.name} needs a base model. Name one of: {', '.join(known)}.",
            )
        elif base not in known and base is not self._spec.base:
            hint = nearest(str(base), known)
            self.problem(f"{key}.base", f"no source or earlier stage is called {base!r}; {hint}")
        return base

    def _parameters(
        self,
        index: int,
        name: str,
        raw: Mapping[str, Any],
        declaration: Declaration,
        inputs: tuple[StageInput, ...],
        key: str,
    ) -> dict[str, Any]:
        """Return a plan for each declared parameter, defaults filled in."""
        given = {k: v for k, v in raw.items() if k not in STAGE_KEYS}
        prefix = key
        if "options" in raw:
            if not isinstance(raw["options"], Mapping):
                self.problem(f"{key}.options", f"got {raw['options']!r}, expected a mapping.")
            elif given:
                self.problem(f"{key}.options", "stands beside other parameters. Use one form.")
            else:
                given, prefix = dict(raw["options"]), f"{key}.options"
        for unknown in given:
            if declaration.parameter(str(unknown)) is None:
                hint = nearest(str(unknown), [p.name for p in declaration.parameters])
                message = f"{declaration.name} has no such parameter; {hint}"
                self.problem(f"{prefix}.{unknown}", message)
        plans: dict[str, Any] = {}
        for parameter in declaration.parameters:
            at = f"{prefix}.{parameter.name}"
            if parameter.name not in given and parameter.required:
                self.problem(at, f"missing; {declaration.name} needs it: {parameter.help}")
                continue
            value = given.get(parameter.name, parameter.default)
            plans[parameter.name] = self._parameter(index, name, parameter, value, inputs, at)
        return plans

    def _parameter(
        self,
        stage: int,
        stage_name: str,
        parameter: Parameter,
        raw: Any,
        inputs: tuple[StageInput, ...],
        key: str,
    ) -> Any:
        """Return one plan, or a tuple with one plan an input."""
        name = f"{stage_name}.{parameter.name}"
        if parameter.kind == "segments":
            found = plan_segments(raw, stage_name, inputs, self._sources, key, self.problems)
            if not isinstance(found, SegmentSearch):
                return found
            self.segments.append(found)
            return Slot(found.name)
        if not parameter.per_source:
            return self._plan(stage, None, parameter, raw, Place(key, name, self._tensors))
        values = self._spread(raw, inputs, key)
        labels = _labels(inputs)
        return tuple(
            self._plan(stage, i, parameter, value, Place(at, f"{name}.{labels[i]}", self._tensors))
            for i, (at, value) in enumerate(values)
        )

    def _spread(self, raw: Any, inputs: tuple[StageInput, ...], key: str) -> list[tuple[str, Any]]:
        """Return (key, value) of each input, from one value, a list, or a mapping by input."""
        names = [item.name for item in inputs]
        if isinstance(raw, (list, tuple)):
            if len(raw) != len(inputs):
                self.problem(
                    key,
                    f"got {len(raw)} values for {len(inputs)} inputs. Give one an input, in order "
                    "(a list over depth is written {gradient: […]}).",
                )
                return []
            return [(f"{key}[{i}]", value) for i, value in enumerate(raw)]
        if not isinstance(raw, Mapping) or not (set(raw) & set(names) or not set(raw) & NODE_KEYS):
            return [(key, raw)] * len(inputs)
        for unknown in [name for name in raw if name not in names]:
            self.problem(
                f"{key}.{unknown}",
                f"no input of this stage is called so; {nearest(str(unknown), names)}",
            )
        missing = [name for name in names if name not in raw]
        for name in missing:
            self.problem(f"{key}.{name}", "missing. Give a value for each input of the stage.")
        return [] if missing else [(f"{key}.{name}", raw[name]) for name in names]

    def _plan(
        self, stage: int, input: int | None, parameter: Parameter, raw: Any, place: Place
    ) -> Any:
        if raw is None and parameter.default is None and not parameter.required:
            return None
        planner = Planner(
            parameter,
            stage=stage,
            input=input,
            n_layers=self._n_layers,
            problems=self.problems,
            genes=self._genes,
        )
        if parameter.whole_model:
            place = replace(place, plain=True, tensors=())
        n_genes, n_problems = len(self._genes), len(self.problems)
        plan = planner.plan(raw, place)
        if self._n_layers and len(self.problems) == n_problems:
            self._check_fit(plan, place.key)
        if isinstance(raw, Mapping) and "only_if" in raw:
            for planned in self._genes[n_genes:]:
                condition = (planned.gene.name, f"{place.key}.only_if", stage, raw["only_if"])
                self._conditions.append(condition)
        elif has_search(raw) and _has_inner_condition(raw):
            self.problem(
                place.key, "only_if stands beside the outermost search only. Move it there."
            )
        return plan

    def _check_fit(self, plan: Any, key: str) -> None:
        """Check blocks and tensor names that the user wrote against the model."""
        if isinstance(plan, list):
            for item in plan:
                self._check_fit(item, key)
        if not isinstance(plan, Mapping):
            return
        if "block" in plan and "values" in plan:
            wanted = -(-self._n_layers // plan["block"])
            if len(plan["values"]) != wanted:
                self.problem(
                    key,
                    f"got {len(plan['values'])} values by blocks of {plan['block']} layers; "
                    f"a model of {self._n_layers} layers has {wanted}.",
                )
        if "tensors" in plan:
            names = [tensor.name for tensor in self._tensors]
            for name in set(plan["tensors"]) - set(names):
                hint = nearest(name, names).split(" Known:")[0].removeprefix("Known:")
                self.problem(key, f"the model has no tensor {name!r}; {hint.split(', ')[0]}")
        for item in plan.values():
            self._check_fit(item, key)


def _has_inner_condition(raw: Any) -> bool:
    if isinstance(raw, Mapping):
        return "only_if" in raw or any(_has_inner_condition(item) for item in raw.values())
    return isinstance(raw, (list, tuple)) and any(_has_inner_condition(item) for item in raw)


def _labels(inputs: Sequence[StageInput]) -> list[str]:
    """Return a name for each input in its genes' names; the same source twice gets its shift."""
    names = [item.name for item in inputs]
    return [
        item.name if names.count(item.name) == 1 else f"{item.name}+{item.shift}" for item in inputs
    ]

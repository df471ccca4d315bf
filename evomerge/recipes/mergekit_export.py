"""Recipes written as mergekit's configuration files, where an exact counterpart exists."""

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.config.yaml_text import dump_yaml
from evomerge.errors import RecipeError
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.recipe import Recipe, Source, Stage
from evomerge.recipes.values import Value, evaluate

SHARED_METHODS = (
    "dare_linear",
    "dare_ties",
    "linear",
    "passthrough",
    "slerp",
    "task_arithmetic",
    "ties",
)
"""Methods that mergekit and evomerge have in common."""

OUTSIDE_LAYERS = r"re:^(?!.*\.\d+\.)"
"""Filter for the tensors whose name holds no layer number."""


def export_mergekit(
    recipe: Recipe,
    *,
    tensors: Mapping[str, TensorFacts] | None = None,
    n_layers: int = 0,
) -> str:
    """Return ``recipe`` as a mergekit file.

    Args:
        recipe: One stage, or a plain layer stack.
        tensors: The merged model's tensors; values by block, role or expression are then written
            tensor by tensor, which mergekit reads as filters.
        n_layers: Its number of layers.

    Raises:
        RecipeError: mergekit has no exact counterpart; the message says why.
    """
    if recipe.dataflow is not None:
        plain = _stack(recipe)
    else:
        if len(recipe.stages) != 1:
            raise _refuse(f"it has {len(recipe.stages)} stages, and mergekit's files have one")
        plain = _stage(recipe, recipe.stages[0], _Writer(tensors, n_layers))
    if recipe.dtype is not None:
        plain["out_dtype"] = recipe.dtype
    donor = plain.get("base_model") or _first_model(plain)
    tokenizer = _reference(recipe.source(recipe.tokenizer or recipe.base))
    if tokenizer != donor:
        plain["tokenizer_source"] = tokenizer
    return dump_yaml(plain)


class _Writer:
    """Writes values as mergekit's settings."""

    def __init__(self, tensors: Mapping[str, TensorFacts] | None, n_layers: int) -> None:
        self._tensors = [t for t in (tensors or {}).values() if "F" in t.dtype]
        self._n_layers = n_layers

    def setting(self, value: Value, name: str) -> Any:
        """Return ``value`` as a scalar, a list over depth, or a list of {filter, value}."""
        if not isinstance(value, Mapping):
            return value
        if (direct := _direct(value)) is not None:
            return direct
        if not self._tensors:
            raise _refuse(
                f"{name} differs by block, role or tensor, which mergekit can only write with the "
                "model's tensor names"
            )
        return self._by_name(value)

    def _by_name(self, value: Value) -> list[dict[str, Any]]:
        """Return one case a layer where its tensors agree, one a tensor where they don't."""
        values = {t.name: evaluate(value, t, self._n_layers) for t in self._tensors}
        cases: dict[str, Any] = {}
        for layer in range(self._n_layers):
            members = [t.name for t in self._tensors if t.layer == layer]
            mark = f".{layer}."
            prefixes = {name[: name.find(mark) + len(mark)] for name in members if mark in name}
            same = len({values[name] for name in members}) == 1
            if members and same and len(prefixes) == 1 and all(mark in n for n in members):
                cases[prefixes.pop()] = values[members[0]]
            else:
                cases |= {name: values[name] for name in members}
        cases |= {t.name: values[t.name] for t in self._tensors if t.layer is None}
        # A filter is a substring: the longer name must be asked for first.
        ordered = sorted(cases.items(), key=lambda case: -len(case[0]))
        self._check(values, ordered)
        return [{"filter": text, "value": found} for text, found in ordered]

    def _check(self, values: Mapping[str, Any], cases: Sequence[tuple[str, Any]]) -> None:
        for name, wanted in values.items():
            got = next(found for text, found in cases if text in name)
            if got != wanted:
                raise _refuse(f"no list of filters gives {name!r} its own value")


def _direct(value: Mapping[str, Any]) -> Any:
    """Return the setting of a value that mergekit can say without tensor names, or None."""
    if "gradient" in value:
        anchors = value["gradient"]
        return list(anchors) if anchors[0] == anchors[-1] else None
    if "by" not in value:
        return None
    cases = value["by"]
    if cases[0].get("filter") == OUTSIDE_LAYERS and len(cases) == 2:
        inside = cases[1]["value"]
        if isinstance(inside, Mapping) and "gradient" in inside:
            anchors = inside["gradient"]
            return list(anchors) if anchors[0] == cases[0]["value"] else None
    written = []
    for case in cases:
        item = case["value"]
        setting = _direct(item) if isinstance(item, Mapping) else item
        filter = case.get("filter")
        nested = isinstance(setting, list) and isinstance(setting[0], Mapping)
        if setting is None or nested or not (filter is None or filter.startswith("has:")):
            return None
        written.append(({"filter": filter[4:]} if filter else {}) | {"value": setting})
    return written


def _stage(recipe: Recipe, stage: Stage, writer: _Writer) -> dict[str, Any]:
    """Return the ``models:`` form of one stage."""
    method, options = stage.method, stage.parameters
    if method not in SHARED_METHODS:
        raise _refuse(f"mergekit has no method {method!r} that does the same")
    if any(item.shift for item in stage.inputs):
        raise _refuse("it merges different layers with each other; mergekit does so by slices only")
    _check_options(stage)
    plain: dict[str, Any] = {"merge_method": method}
    shared: dict[str, Any] = {}
    sources = [recipe.source(item.name) for item in stage.inputs]
    own: list[dict[str, Any]] = [{} for _ in sources]
    if stage.base is not None:
        plain["base_model"] = _reference(recipe.source(stage.base))
    elif method == "slerp":
        plain["base_model"] = _reference(sources[0])
        shared["t"] = writer.setting(options["t"], "t")
    for ours, theirs in (("weights", "weight"), ("densities", "density")):
        for index, value in enumerate(options.get(ours, ())):
            own[index][theirs] = writer.setting(value, f"{ours}[{index}]")
    if method == "passthrough":
        shared["scale"] = writer.setting(options["scale"], "scale")
    elif "scale" in options:
        shared["lambda"] = writer.setting(options["scale"], "scale")
    if "normalize" in options:
        shared["normalize"] = options["normalize"]
    if "rescale" in options:
        shared["rescale"] = options["rescale"] == "l1"
    plain["models"] = [
        {"model": _reference(source)} | ({"parameters": settings} if settings else {})
        for source, settings in zip(sources, own, strict=True)
        # The base's own task vector is zero, and mergekit skips it.
        if method == "slerp" or _reference(source) != plain.get("base_model")
    ]
    if shared:
        plain["parameters"] = shared
    return plain


def _check_options(stage: Stage) -> None:
    """Refuse options whose result mergekit would not give."""
    options = stage.parameters
    if options.get("norm_mode", "raw") != "raw":
        raise _refuse("its slerp interpolates norms (norm_mode), and mergekit's doesn't")
    if options.get("zero_sign", "plus") != "plus":
        raise _refuse("zero_sign isn't 'plus', and mergekit counts a sum of zero as positive")
    if options.get("elect", "sum") != "sum":
        raise _refuse("its signs are elected by count, and mergekit elects by sum")
    if stage.method.startswith("dare") and any(d != 1.0 for d in options["densities"]):
        raise _refuse(
            "DARE drops values at random, and mergekit's random numbers are others: the weights "
            "would differ"
        )


def _stack(recipe: Recipe) -> dict[str, Any]:
    """Return the ``slices:`` form of a layer stack of sources."""
    flow = recipe.dataflow
    assert flow is not None
    names = {source.name for source in recipe.sources}
    if any(step.source not in names for step in flow.steps):
        raise _refuse("its layer stack holds merged layers; mergekit stacks with passthrough only")
    if not all(step.is_plain for step in flow.steps):
        raise _refuse("it scales what flows into its layers")
    last = flow.steps[-1].source
    if (flow.embedding, flow.norm, flow.head) != (flow.steps[0].source, last, last):
        raise _refuse(
            "embedding, norm or head come from other models than the first and last layers"
        )
    slices: list[dict[str, Any]] = []
    for index, step in enumerate(flow.steps):
        before = flow.steps[index - 1] if index else None
        if before is not None and (before.source, before.layer + 1) == (step.source, step.layer):
            slices[-1]["sources"][0]["layer_range"][1] = step.layer + 1
            continue
        model = _reference(recipe.source(step.source))
        source = {"model": model, "layer_range": [step.layer, step.layer + 1]}
        slices.append({"sources": [source]})
    return {"merge_method": "passthrough", "slices": slices}


def _first_model(plain: Mapping[str, Any]) -> str:
    """Return the model whose tokenizer mergekit copies where there is no base."""
    if "models" in plain:
        return str(plain["models"][0]["model"])
    return str(plain["slices"][0]["sources"][0]["model"])


def _reference(source: Source) -> str:
    return f"{source.path}@{source.revision}" if source.revision else source.path


def _refuse(why: str) -> RecipeError:
    return RecipeError(
        f"this recipe has no exact mergekit counterpart: {why}. "
        "Export it with --format hf or --format recipe."
    )

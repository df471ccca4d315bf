"""Recipes written as mergekit's configuration files, where an exact counterpart exists."""

from collections.abc import Mapping
from typing import Any

from evomerge.config.yaml_text import dump_yaml
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.mergekit_settings import SettingWriter, reference, refuse
from evomerge.recipes.mergekit_stack import RouteFactors, stack_slices
from evomerge.recipes.recipe import Recipe, Stage

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


def export_mergekit(
    recipe: Recipe,
    *,
    tensors: Mapping[str, TensorFacts] | None = None,
    n_layers: int = 0,
    factors: RouteFactors | None = None,
) -> str:
    """Return ``recipe`` as a mergekit file.

    Args:
        recipe: One stage, or a route through sources and passthrough stages.
        tensors: The merged model's tensors; values by block, role or expression are then written
            tensor by tensor, which mergekit reads as filters.
        n_layers: Its number of layers.
        factors: What a route's numbers multiply its tensors by; needed where they aren't all 1.

    Raises:
        RecipeError: mergekit has no exact counterpart; the message says why.
    """
    if recipe.dataflow is not None:
        plain = stack_slices(recipe, SettingWriter(tensors, n_layers), factors)
    else:
        if len(recipe.stages) != 1:
            raise refuse(f"it has {len(recipe.stages)} stages, and mergekit's files have one")
        plain = _stage(recipe, recipe.stages[0], SettingWriter(tensors, n_layers))
    if recipe.dtype is not None:
        plain["out_dtype"] = recipe.dtype
    donor = plain.get("base_model") or _first_model(plain)
    tokenizer = reference(recipe.source(recipe.tokenizer or recipe.base))
    if tokenizer != donor:
        plain["tokenizer_source"] = tokenizer
    return dump_yaml(plain)


def _stage(recipe: Recipe, stage: Stage, writer: SettingWriter) -> dict[str, Any]:
    """Return the ``models:`` form of one stage."""
    method, options = stage.method, stage.parameters
    if method not in SHARED_METHODS:
        raise refuse(f"mergekit has no method {method!r} that does the same")
    if any(item.shift for item in stage.inputs):
        raise refuse("it merges different layers with each other; mergekit does so by slices only")
    _check_options(stage)
    plain: dict[str, Any] = {"merge_method": method}
    shared: dict[str, Any] = {}
    sources = [recipe.source(item.name) for item in stage.inputs]
    own: list[dict[str, Any]] = [{} for _ in sources]
    if stage.base is not None:
        plain["base_model"] = reference(recipe.source(stage.base))
    elif method == "slerp":
        plain["base_model"] = reference(sources[0])
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
        {"model": reference(source)} | ({"parameters": settings} if settings else {})
        for source, settings in zip(sources, own, strict=True)
        # The base's own task vector is zero, and mergekit skips it.
        if method == "slerp" or reference(source) != plain.get("base_model")
    ]
    if shared:
        plain["parameters"] = shared
    return plain


def _check_options(stage: Stage) -> None:
    """Refuse options whose result mergekit would not give."""
    options = stage.parameters
    if options.get("norm_mode", "raw") != "raw":
        raise refuse("its slerp interpolates norms (norm_mode), and mergekit's doesn't")
    if options.get("zero_sign", "plus") != "plus":
        raise refuse("zero_sign isn't 'plus', and mergekit counts a sum of zero as positive")
    if options.get("elect", "sum") != "sum":
        raise refuse("its signs are elected by count, and mergekit elects by sum")
    if stage.method.startswith("dare") and any(d != 1.0 for d in options["densities"]):
        raise refuse(
            "DARE drops values at random, and mergekit's random numbers are others: the weights "
            "would differ"
        )


def _first_model(plain: Mapping[str, Any]) -> str:
    """Return the model whose tokenizer mergekit copies where there is no base."""
    if "models" in plain:
        return str(plain["models"][0]["model"])
    return str(plain["slices"][0]["sources"][0]["model"])

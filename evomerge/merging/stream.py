"""Merging from disk to disk, one tensor at a time, into an ordinary checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evomerge.errors import MergeError
from evomerge.merging.engine import Merger
from evomerge.merging.plan import Layout
from evomerge.merging.route_form import Origin, RouteForm
from evomerge.models.architecture import TEXT_CONFIGS
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.writer import MAX_SHARD_BYTES, write_checkpoint
from evomerge.recipes.recipe import Recipe

DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
"""Keys of config.json that hold the number of layers."""

PER_LAYER = (
    "layer_types",
    "mlp_layer_types",
    "layers_block_type",
    "attention_layers",
    "no_rope_layers",
    "block_configs",
)
"""Keys of config.json that hold one entry a layer."""

LAYER_NUMBERS = ("mlp_only_layers", "moe_layers")
"""Keys of config.json that hold numbers of layers."""

PERIODS = (
    "decoder_sparse_step",
    "attn_layer_period",
    "expert_layer_period",
    "interleave_moe_layer_step",
    "full_attention_interval",
    "sliding_window_pattern",
)
"""Keys of config.json that say that every so many layers one is of another kind."""


def merge_to_disk(
    recipe: Recipe,
    merger: Merger,
    out: Path,
    *,
    extra_files: Mapping[str, str] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Merge ``recipe`` into a new folder that transformers can load.

    The weights are bit for bit those of ``merger.merge_into``. Configuration comes from the base,
    with the recipe's dtype and what its route needs; the tokenizer from the recipe's
    tokenizer source. At most one tensor is in memory besides the sources' page cache.

    Args:
        recipe: What to merge.
        merger: Holds the opened sources.
        out: The new folder.
        extra_files: File name → text, as a model card.
        max_shard_bytes: A shard holds at most so many bytes of tensors.

    Returns:
        ``out``.

    Raises:
        MergeError: The recipe can't be merged.
        ModelError: ``out`` exists or can't be written; then nothing is left there.
    """
    specs = merger.specs(recipe)
    base = merger.checkpoints[recipe.base]
    tokenizer = merger.checkpoints[recipe.tokenizer or recipe.base]
    return write_checkpoint(
        out,
        specs,
        merger.tensors(recipe, reuse=True),
        copy_from=base.folder,
        config_changes=config_changes(recipe, merger.checkpoints),
        tokenizer_from=tokenizer.folder,
        extra_files=extra_files,
        max_shard_bytes=max_shard_bytes,
    )


def config_changes(recipe: Recipe, checkpoints: Mapping[str, Checkpoint]) -> dict[str, Any]:
    """Return the keys of the base's config.json that the merged model needs other values for.

    Raises:
        MergeError: The route has layers that one configuration can't express.
    """
    config = checkpoints[recipe.base].config
    layouts = {name: Layout(checkpoint) for name, checkpoint in checkpoints.items()}
    form = None if recipe.dataflow is None else RouteForm(recipe, checkpoints, layouts)
    changes: dict[str, Any] = {}
    if recipe.dtype is not None:
        changes["dtype"] = recipe.dtype
    if form is not None:
        changes |= _routed(form, None)
    for key in TEXT_CONFIGS:
        block = config.get(key)
        if isinstance(block, Mapping):
            inner: dict[str, Any] = {}
            if recipe.dtype is not None:
                inner |= {k: recipe.dtype for k in ("dtype", "torch_dtype") if k in block}
            if form is not None:
                inner |= _routed(form, key)
            if inner:
                changes[key] = {**block, **inner}
    return changes


def _routed(form: RouteForm, inside: str | None) -> dict[str, Any]:
    """Depth, kinds of layers, widths and tie of a route, for one block of its configuration."""
    base, origins = form.settings(inside)
    if not any(key in base for key in DEPTHS):
        return {}
    changes: dict[str, Any] = {key: len(origins) for key in DEPTHS if key in base}
    for key in PER_LAYER:
        if isinstance(base.get(key), list):
            changes[key] = [_entry(origin, key) for origin in origins]
    for key in LAYER_NUMBERS:
        if isinstance(base.get(key), list):
            changes[key] = [
                index
                for index, origin in enumerate(origins)
                if origin.layer in (origin.settings.get(key) or [])
            ]
    for key in PERIODS:
        period = base.get(key)
        covered = "layer_types" in changes and key in PERIODS[-2:]
        if isinstance(period, int) and period > 1 and not covered:
            _check_phase(key, period, origins)
    if "layer_types" in changes:
        changes |= _window(base, origins)
    if form.base_tied and not form.tied:
        changes["tie_word_embeddings"] = False
    return changes | form.widths.config_changes()


def _window(base: Mapping[str, Any], origins: Sequence[Origin]) -> dict[str, Any]:
    """The sliding window of the layers that have one, where the base's is another."""
    sliding = [o for o in origins if "sliding" in o.settings["layer_types"][o.layer]]
    windows = {origin.settings.get("sliding_window"): origin.name for origin in sliding}
    if len(windows) > 1:
        told = ", ".join(f"{window} in {name!r}" for window, name in windows.items())
        raise MergeError(
            f"the route's sliding windows differ: {told}. A checkpoint has one for all its "
            "layers; choose sources that agree in sliding_window."
        )
    if not windows or base.get("sliding_window") in windows:
        return {}
    changes: dict[str, Any] = {"sliding_window": next(iter(windows))}
    return changes | ({"use_sliding_window": True} if "use_sliding_window" in base else {})


def _entry(origin: Origin, key: str) -> Any:
    values = origin.settings.get(key)
    if not isinstance(values, list) or origin.layer >= len(values):
        raise MergeError(
            f"the configuration of {origin.name!r} has no {key!r} for layer {origin.layer}, which "
            "the route takes. Choose layers of models with equal configurations."
        )
    return values[origin.layer]


def _check_phase(key: str, period: int, origins: Sequence[Origin]) -> None:
    for index, origin in enumerate(origins):
        if index % period != origin.layer % period:
            raise MergeError(
                f"layer {origin.layer} of {origin.name!r} becomes layer {index} of the route, but "
                f"{key} = {period} in config.json makes every {period}th layer another kind. "
                f"Cut and repeat runs of layers by multiples of {period} layers."
            )

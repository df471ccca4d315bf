"""Merging from disk to disk, one tensor at a time, into an ordinary checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import MergeError
from evomerge.merging.engine import Merger
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


@dataclass(frozen=True)
class Origin:
    """Where a layer of a stack comes from: layer ``layer`` of ``checkpoint``."""

    checkpoint: Checkpoint
    layer: int


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
    with the recipe's dtype and the depth of its layer stack; the tokenizer from the recipe's
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
        MergeError: The layer stack breaks a pattern that the configuration can't express.
    """
    config = checkpoints[recipe.base].config
    changes: dict[str, Any] = {}
    if recipe.dtype is not None:
        changes["dtype"] = recipe.dtype
    if recipe.dataflow is not None:
        changes |= _stacked(config, _origins(recipe, checkpoints))
    for key in TEXT_CONFIGS:
        block = config.get(key)
        if isinstance(block, Mapping):
            inner: dict[str, Any] = {}
            if recipe.dtype is not None:
                inner |= {k: recipe.dtype for k in ("dtype", "torch_dtype") if k in block}
            if recipe.dataflow is not None:
                origins = _origins(recipe, checkpoints)
                inner |= _stacked(block, origins, inside=key)
            if inner:
                changes[key] = {**block, **inner}
    return changes


def _origins(recipe: Recipe, checkpoints: Mapping[str, Checkpoint]) -> list[Origin]:
    """The source layer behind each layer of the stack; of a stage, its first input's."""
    assert recipe.dataflow is not None
    stages = {stage.name: stage for stage in recipe.stages}
    origins = []
    for step in recipe.dataflow.steps:
        name, layer = step.source, step.layer
        while name in stages:
            first = stages[name].inputs[0]
            name, layer = first.name, layer + first.shift
        origins.append(Origin(checkpoints[name], layer))
    return origins


def _stacked(
    config: Mapping[str, Any], origins: list[Origin], *, inside: str | None = None
) -> dict[str, Any]:
    """Depth and per-layer settings of a stack, for one block of a configuration."""

    def settings(origin: Origin) -> Mapping[str, Any]:
        own = origin.checkpoint.config
        block: Mapping[str, Any] = own if inside is None else own.get(inside, {})
        return block

    changes: dict[str, Any] = {key: len(origins) for key in DEPTHS if key in config}
    for key in PER_LAYER:
        if isinstance(config.get(key), list):
            changes[key] = [_entry(settings(origin), key, origin) for origin in origins]
    for key in LAYER_NUMBERS:
        if isinstance(config.get(key), list):
            changes[key] = [
                layer
                for layer, origin in enumerate(origins)
                if origin.layer in (settings(origin).get(key) or [])
            ]
    for key in PERIODS:
        period = config.get(key)
        covered = "layer_types" in config and key in PERIODS[-2:]
        if isinstance(period, int) and period > 1 and not covered:
            _check_phase(key, period, origins)
    return changes


def _entry(config: Mapping[str, Any], key: str, origin: Origin) -> Any:
    values = config.get(key)
    if not isinstance(values, list) or origin.layer >= len(values):
        raise MergeError(
            f"config.json of {origin.checkpoint.folder} has no {key!r} for layer {origin.layer}, "
            "which the layer stack takes. Choose layers of models with equal configurations."
        )
    return values[origin.layer]


def _check_phase(key: str, period: int, origins: list[Origin]) -> None:
    for layer, origin in enumerate(origins):
        if layer % period != origin.layer % period:
            raise MergeError(
                f"layer {origin.layer} of {origin.checkpoint.folder} becomes layer {layer} of the "
                f"stack, but {key} = {period} in config.json makes every {period}th layer another "
                f"kind. Cut and repeat runs of layers by multiples of {period} layers."
            )

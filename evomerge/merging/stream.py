"""Merging from disk to disk, one tensor at a time, into an ordinary checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.merging.engine import Merger
from evomerge.merging.plan import Layout
from evomerge.merging.route_config import check_loads, routed_config
from evomerge.merging.route_form import RouteForm
from evomerge.models.architecture import TEXT_CONFIGS
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.writer import MAX_SHARD_BYTES, write_checkpoint
from evomerge.recipes.recipe import Recipe


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
    changes = config_changes(recipe, merger.checkpoints)
    if recipe.dataflow is not None:
        check_loads(specs, changes, base)
    return write_checkpoint(
        out,
        specs,
        merger.tensors(recipe, reuse=True),
        copy_from=base.folder,
        config_changes=changes,
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
        changes |= routed_config(form, None)
    for key in TEXT_CONFIGS:
        block = config.get(key)
        if isinstance(block, Mapping):
            inner: dict[str, Any] = {}
            if recipe.dtype is not None:
                inner |= {k: recipe.dtype for k in ("dtype", "torch_dtype") if k in block}
            if form is not None:
                inner |= routed_config(form, key)
            if inner:
                changes[key] = {**block, **inner}
    return changes

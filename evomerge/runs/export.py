"""A candidate as something to keep: an ordinary checkpoint, its recipe, or a mergekit file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from evomerge.config.run import SourceConfig
from evomerge.config.yaml_text import dump_yaml
from evomerge.errors import LedgerError
from evomerge.recipes.lineage import is_lineage
from evomerge.recipes.recipe import Recipe, Source
from evomerge.runs.reading.card import model_card
from evomerge.runs.reading.results import CandidateDetails, RunResults
from evomerge.runs.reading.route import card_section

Format = Literal["hf", "recipe", "mergekit"]
RECIPE_FILE = "recipe.yaml"
MERGEKIT_FILE = "mergekit.yaml"
_NO_MERGEKIT = "an evolved network has no mergekit file. Choose another format."


def export(path: Path, candidate: str, out: Path, *, format: Format = "hf") -> Path:
    """Write ``candidate`` of the run in the folder ``path``.

    Args:
        path: The run's folder.
        candidate: A candidate's id, or ``best``.
        out: New folder. For a recipe or mergekit file, a name that ends in ``.yaml`` or ``.yml`` is
            the file itself.
        format: ``hf`` for a checkpoint with tokenizer, configuration, model card and recipe;
            ``recipe`` or ``mergekit`` for one file.

    Returns:
        What was written.

    Raises:
        LedgerError: There is no such candidate, it failed, or ``out`` exists.
        ProblemsError: A source is gone or no longer what the recipe says.
        EvomergeError: The recipe can't be written in that format, or the disk is full; then nothing
            is left under ``out``.
    """
    results = RunResults.open(path)
    try:
        details = results.show(candidate)
        rows = {row.candidate_id: row for row in results.records.candidates()}
        if is_lineage(details.recipe) and format != "recipe":
            return _export_network(results, details, out, format)
        if format == "hf":
            _check_sound(details)
            section, pictures = card_section(details.recipe)
            card = model_card(details, results.row, rows, section)
            return _export_checkpoint(details, out, {"README.md": card, **pictures})
    finally:
        results.close()
    if format == "recipe":
        return _write_text(out, RECIPE_FILE, dump_yaml(dict(details.recipe)))
    return _write_text(out, MERGEKIT_FILE, mergekit_text(details.recipe))


def mergekit_text(plain: Mapping[str, Any]) -> str:
    """Return the mergekit file of a stored recipe.

    Raises:
        EvomergeError: mergekit has no counterpart of it, or a source has gone.
    """
    if is_lineage(plain):
        raise LedgerError(_NO_MERGEKIT)
    return _mergekit(_recipe(plain, pinned=False))


def _check_sound(details: CandidateDetails) -> None:
    for split, failure in details.failures.items():
        raise LedgerError(
            f"candidate {details.candidate} failed on the {split} split: {failure.message}. Export "
            "another one, or its recipe with --format recipe."
        )


def _export_checkpoint(details: CandidateDetails, out: Path, card: Mapping[str, str]) -> Path:
    """Merge to disk, streaming; the card's files and the recipe go with it."""
    from evomerge.merging.engine import Merger
    from evomerge.merging.stream import merge_to_disk
    from evomerge.models.checkpoint import Checkpoint
    from evomerge.models.hub import locate

    recipe = _recipe(details.recipe, pinned=True)
    checkpoints = {
        source.name: Checkpoint.open(locate(source.path, source.revision).folder)
        for source in recipe.sources
    }
    merger = Merger(checkpoints, {source.name: source for source in recipe.sources})
    extra = {**card, RECIPE_FILE: dump_yaml(dict(details.recipe))}
    return merge_to_disk(recipe, merger, out, extra_files=extra)


def _export_network(
    results: RunResults, details: CandidateDetails, out: Path, format: Format
) -> Path:
    """Write an evolved network's weights, which are no language model's checkpoint."""
    from evomerge.recipes.lineage import parse_lineage
    from evomerge.runs.networks import export_network, network_card

    if format == "mergekit":
        raise LedgerError(_NO_MERGEKIT)
    _check_sound(details)
    row = results.row
    texts = {"README.md": network_card(details, row), RECIPE_FILE: dump_yaml(dict(details.recipe))}
    recipe = parse_lineage(details.recipe)
    return export_network(out, recipe, row, results.records.ledger, texts)


def _mergekit(recipe: Recipe) -> str:
    """Return a mergekit file; the sources' tensors let values by layer be written as filters."""
    from evomerge.merging.plan import Layout
    from evomerge.merging.route_form import RouteForm
    from evomerge.merging.route_plan import route_factors
    from evomerge.models.checkpoint import Checkpoint
    from evomerge.models.hub import locate
    from evomerge.recipes.mergekit_export import export_mergekit

    routed = recipe.dataflow is not None
    opened = {
        source.name: Checkpoint.open(locate(source.path, source.revision).folder)
        for source in recipe.sources
        if routed or source.name == recipe.base
    }
    factors = None
    if recipe.dataflow is not None:
        form = RouteForm(recipe, opened, {name: Layout(item) for name, item in opened.items()})
        depths = {name: item.n_layers for name, item in opened.items()}
        factors = route_factors(form, len(recipe.dataflow.steps), depths)
    base = opened[recipe.base]
    return export_mergekit(recipe, tensors=base.tensors, n_layers=base.n_layers, factors=factors)


def _recipe(plain: Mapping[str, Any], *, pinned: bool) -> Recipe:
    """Return the stored recipe; ``pinned``: with its sources found and compared by content."""
    from evomerge.merging.registry import METHODS
    from evomerge.recipes.files import load_recipe

    return load_recipe(
        plain,
        METHODS.declarations(),
        locate_source=_open_pinned if pinned else None,
    )


def _open_pinned(name: str, path: str, revision: str | None) -> Source:
    """Return the source at ``path`` with the hash of what is there now."""
    from evomerge.runs.setup.sources import open_source

    return open_source(name, SourceConfig(path=path, revision=revision)).source


def _write_text(out: Path, name: str, text: str) -> Path:
    """Write one file, whole or not at all; what exists is never overwritten."""
    file = out if out.suffix in (".yaml", ".yml") else out / name
    if file.exists() or (out.exists() and out.is_dir() and any(out.iterdir())):
        raise LedgerError(f"{file if file.exists() else out} exists. Choose another --out.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.rename(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{file} can't be written: {error.strerror or error}. Choose another --out, or free "
            "some disk space."
        ) from error
    return file

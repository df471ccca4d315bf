"""What a run of evolved networks needs besides: lineages of the ledger, weights in files."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

import evomerge
from evomerge.errors import MergeError
from evomerge.evaluation.network_model import NetworkModel
from evomerge.merging.evolving import Nursery
from evomerge.merging.network_registry import NETWORKS
from evomerge.models.writer import whole_folder
from evomerge.recipes.declarations import load_plugin_file
from evomerge.recipes.lineage import parse_lineage
from evomerge.recipes.recipe import Recipe
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.network_files import FOLDER as FOLDER
from evomerge.runs.reading.results import CandidateDetails

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class LedgerRecipes:
    """Recipes by their hashes, for workers whose parents' weights are gone.

    Args:
        ledger: SQLAlchemy URL.
        run_id: The run.
    """

    ledger: str
    run_id: str

    def __call__(self, recipe_hash: str) -> Recipe:
        """Return the recipe that the ledger holds."""
        with contextlib.closing(Ledger.open(self.ledger, read_only=True)) as ledger:
            return parse_lineage(RunRecords(ledger, self.run_id).recipe(recipe_hash))


def no_recipes(recipe_hash: str) -> Recipe:
    """Stand in for a ledger where there is none: nothing can be built again.

    Raises:
        MergeError: Always.
    """
    raise MergeError(f"the weights of the network {recipe_hash[:12]} aren't here, nor its lineage.")


def export_network(
    out: Path, recipe: Recipe, row: RunRow, ledger: Ledger, texts: Mapping[str, str]
) -> Path:
    """Write the weights of one network, built from its lineage, and what goes with them.

    Args:
        out: New folder; it gets ``network.safetensors`` with the module's own names.
        recipe: The network's.
        row: Its run.
        ledger: Where the run is.
        texts: File name → content of further files.

    Raises:
        ModelError: ``out`` exists or can't be written.
        PluginError: The network's plug-in is gone.
    """
    given = dict(row.config["network"])
    for path, _ in row.plugins:
        load_plugin_file(Path(path))
    plugin = NETWORKS.get(given["type"])
    model = NetworkModel(plugin.value(**plugin.declaration.fill(given)))
    lineage = LedgerRecipes(ledger.url.render_as_string(hide_password=False), row.run_id)
    weights = Nursery(model.size, None, lineage).weights(recipe)
    with torch.no_grad():
        model.load(weights)
    with whole_folder(out, weights.nbytes) as folder:
        save_file(dict(model.module.state_dict()), folder / WEIGHTS)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    return out


def network_card(details: CandidateDetails, row: RunRow) -> str:
    """Return the text of an exported network's ``README.md``."""
    given = {k: v for k, v in row.config["network"].items() if v is not None}
    scores = [
        f"| {split} | {name} | {estimate.value:.4g} | [{estimate.low:.4g}, {estimate.high:.4g}] |"
        for split, objectives in details.objectives.items()
        for name, estimate in objectives.items()
    ]
    return "\n".join(
        [
            f"# {row.name}: candidate {details.candidate}\n",
            f"A network evolved from scratch by evomerge {evomerge.__version__}: `{given}`. Its "
            f"weights are in `{WEIGHTS}`, by the names of the module's `state_dict`.\n",
            "| split | objective | value | 95 % interval |",
            "| --- | --- | --- | --- |",
            *scores,
            f"\nRecipe `{details.recipe_hash}`, run `{row.run_id}`.\n",
        ]
    )

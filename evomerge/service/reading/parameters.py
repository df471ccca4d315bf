"""Which genes of a run matter, how scores lie along them, and what rises together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.errors import ServiceError, nearest
from evomerge.recipes.paths import PATH
from evomerge.recipes.segments import SEGMENTS
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading.columns import Array, Columns, Indices
from evomerge.service.reading.correlations import spearman
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.fronts import sampled
from evomerge.service.reading.genes import GeneColumn, read_genes
from evomerge.service.reading.importance import FEWEST, Importance, importances
from evomerge.service.reading.stored import readable

MOST_SHOWN = 2_000
"""Candidates of slices and correlations."""
MOST_GENES = 40
"""Genes whose correlations are told."""
SLICES = 6
"""Genes that are sliced where none is asked for."""
_CELLS = 20_000
"""Genes times candidates of importances: they take time for each value of each gene."""
_FEWEST_USED = 400
_BEST, _MOST_BEST = 0.1, 0.3
_OF_PATHS = (
    "A candidate is a path through layers. What is shown in the place of genes is its number of "
    "steps, how many of them are layers of each source, and their mean scale."
)
_OF_SEGMENTS = (
    "A candidate is a list of segments of the flattened model. What is shown in the place of genes "
    "is the mean weight of each input over the model."
)


def parameters_of(
    run: FollowedRun, records: RunRecords, *, quantile: float | None, genes: Sequence[str]
) -> dict[str, Any]:
    """Return what is known of a run's genes as plain data.

    Args:
        run: The run.
        records: Its rows.
        quantile: Share of the candidates that count as the best; None for a tenth, or more where
            that would be too few.
        genes: Genes to slice; none for the most important ones.

    Raises:
        ServiceError: 422: there is no such gene.
        LedgerError: The genomes have an unknown form.
    """
    columns = run.columns
    rows = _scored(columns)
    shown = sampled(rows, MOST_SHOWN)
    with readable(run.row.name, "the genes"):
        found = read_genes(records, run.row.space, [columns.names[row] for row in shown])
    reason = _reason(run, rows, found)
    chosen = range(len(columns.objectives.all))
    utilities = columns.utilities("search", shown, chosen)
    used = np.searchsorted(shown, sampled(shown, _most_used(len(found))))
    best = quantile or min(max(_BEST, FEWEST / max(len(used), 1)), _MOST_BEST)
    matter = importances([_at(gene, used) for gene in found], utilities[used], quantile=best)
    ordered = _by_importance(found, matter)
    names = [gene.name for gene in ordered]
    for name in genes:
        if name not in names:
            raise ServiceError(422, f"no gene is called {name!r}; {nearest(name, names)}")
    sliced = [gene for gene in ordered if gene.name in (genes or names[:SLICES])]
    objectives = columns.objectives.all
    return {
        "reason": reason,
        "note": _note(run.row.space),
        "counts": {"scored": len(rows), "shown": len(shown), "used": len(used)},
        "objectives": [{"name": item.name, "direction": item.direction} for item in objectives],
        "genes": [_described(gene) for gene in ordered],
        "quantile": best,
        "importance": {
            item.name: _importance(mine) for item, mine in zip(objectives, matter, strict=True)
        }
        if found
        else {},
        "slices": _slices(columns, shown, sliced),
        "correlations": _correlations(columns, shown, ordered),
    }


def _scored(columns: Columns) -> Indices:
    """Return the proposals all of whose objectives are numbers on the search split."""
    search = columns.splits["search"]
    scored = search.scored()
    rows = scored[np.isfinite(search.value[scored]).all(axis=1)]
    return np.sort(rows[np.array([columns.kinds[row] == "search" for row in rows], dtype=bool)])


def _reason(run: FollowedRun, rows: Indices, genes: Sequence[GeneColumn]) -> str:
    """Return why there is nothing to show; empty where there is something."""
    if "lineage" in run.row.space:
        return (
            "This search evolves networks by crossing them, without genes: each child has its "
            "parents' weights, and no number of it means the same in another."
        )
    if not len(rows):
        return "No candidate has scores yet."
    return "" if genes else "The candidates of this search have no genes."


def _note(space: Mapping[str, Any]) -> str:
    """Return what stands in the place of genes, where something does."""
    return _OF_SEGMENTS if SEGMENTS in space else _OF_PATHS if PATH in space else ""


def _most_used(n_genes: int) -> int:
    """Return how many candidates importances are told by."""
    return max(_FEWEST_USED, min(MOST_SHOWN, _CELLS // max(n_genes, 1)))


def _at(gene: GeneColumn, rows: Indices) -> GeneColumn:
    return replace(gene, values=gene.values[rows])


def _by_importance(genes: Sequence[GeneColumn], matter: Sequence[Importance]) -> list[GeneColumn]:
    """Return the genes, those first that matter most for any objective."""

    def most(gene: GeneColumn) -> float:
        return max((item.shares.get(gene.name, 0.0) for item in matter), default=0.0)

    return sorted(genes, key=lambda gene: -most(gene))


def _described(gene: GeneColumn) -> dict[str, Any]:
    return {
        "name": gene.name,
        "kind": gene.kind,
        "low": gene.low,
        "high": gene.high,
        "scale": "log" if gene.log else "linear",
        "choices": list(gene.choices),
        "inferred": gene.inferred,
        "counts_in": int((~np.isnan(gene.values)).sum()),
    }


def _importance(found: Importance) -> dict[str, Any]:
    return {
        "reason": found.reason,
        "chance": found.chance,
        "genes": list(found.shares),
        "value": list(found.shares.values()),
    }


def _slices(columns: Columns, rows: Indices, genes: Sequence[GeneColumn]) -> dict[str, Any]:
    values = columns.splits["search"].value[rows]
    return {
        "candidates": [columns.names[row] for row in rows] if genes else [],
        "objectives": {
            item.name: values[:, place].tolist() if genes else []
            for place, item in enumerate(columns.objectives.all)
        },
        "genes": {gene.name: gene.values.tolist() for gene in genes},
    }


def _correlations(columns: Columns, rows: Indices, genes: Sequence[GeneColumn]) -> dict[str, Any]:
    """Return rank correlations of the first genes and all objectives, raw values."""
    ordered = [gene for gene in genes if gene.is_ordered][:MOST_GENES]
    values: Array = columns.splits["search"].value[rows]
    table = np.column_stack([*(gene.values for gene in ordered), *values.T])
    found = spearman(table)
    return {
        "genes": [gene.name for gene in ordered],
        "objectives": [item.name for item in columns.objectives.all],
        "value": found.value.round(3).tolist(),
        "n": found.n.tolist(),
    }

"""The genes of a run's candidates as columns of numbers, read for a sample of them."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, Text, cast, select

from evomerge.recipes.paths import PATH
from evomerge.recipes.phases import PHASE
from evomerge.recipes.segments import SEGMENTS
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading.columns import Array

_NAMES = 500
_MOST_CHOICES = 50
"""Texts up to which a gene that the space doesn't describe is taken for a choice."""
_ABSENT = object()

Kind = Literal["float", "int", "categorical"]


@dataclass(frozen=True)
class GeneColumn:
    """One gene and its values.

    Args:
        name: As in the genomes.
        kind: What its values are.
        low, high: Its range; 0 and the last index for choices.
        log: The range is spread by its logarithm.
        choices: Texts of the choices of a categorical.
        inferred: The space doesn't describe it: its range is that of the values.
        values: Shape ``(n,)``, choices as indices; NaN where the gene doesn't count.
    """

    name: str
    kind: Kind
    low: float
    high: float
    log: bool
    choices: tuple[str, ...]
    inferred: bool
    values: Array

    @property
    def is_ordered(self) -> bool:
        """Say if more and less of it mean something."""
        return self.kind != "categorical" or len(self.choices) <= 2


def read_genes(
    records: RunRecords, space: Mapping[str, Any], names: Sequence[str]
) -> tuple[GeneColumn, ...]:
    """Return the genes of the candidates ``names``; see ``gene_columns``."""
    with records.ledger.read() as connection:
        found = dict(_genomes(connection, records.run_id, names))
    return gene_columns(space, [found.get(name) or {} for name in names])


def gene_columns(
    space: Mapping[str, Any], genomes: Sequence[Mapping[str, Any]]
) -> tuple[GeneColumn, ...]:
    """Return genes in the order of the search space, those that count in any genome.

    Segments of a flattened model have no genes of their own; in their place stands the mean weight
    of each input over the model. In the place of a path stand its steps, how many of them are
    layers of each source, and their mean scale. Evolved networks have none at all.

    Args:
        space: The run's search space, plain.
        genomes: Gene → value; empty for candidates without.
    """
    if "lineage" in space:
        return ()
    plain = list(_spaces(space))
    described = {gene["name"]: gene for part in plain for gene in part.get("genes", ())}
    segments = next((part[SEGMENTS] for part in plain if SEGMENTS in part), None)
    sources = {name: None for part in plain for name, _ in part.get(PATH, {}).get("choices", ())}
    counting = [_counting(genome, described, segments, list(sources)) for genome in genomes]
    columns = []
    for name in dict.fromkeys([*described, *(gene for genome in counting for gene in genome)]):
        values = [genome.get(name, _ABSENT) for genome in counting]
        known = [value for value in values if value is not _ABSENT]
        gene = described.get(name) or _inferred(known)
        if known and gene is not None:
            columns.append(_column(name, values, gene))
    return tuple(columns)


def _genomes(
    connection: Connection, run_id: str, names: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    c = tables.candidate.c
    for start in range(0, len(names), _NAMES):
        query = select(c.candidate_id, cast(c.genome, Text)).where(
            c.run_id == run_id, c.candidate_id.in_(names[start : start + _NAMES])
        )
        for name, text in connection.execute(query):
            yield name, json.loads(text or "null")


def _spaces(space: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a space, and the spaces of a search in phases."""
    yield space
    for part in space.get("phases", ()):
        yield from _spaces(part)


def _counting(
    genome: Mapping[str, Any],
    described: Mapping[str, Mapping[str, Any]],
    segments: Mapping[str, Any] | None,
    sources: Sequence[str],
) -> dict[str, Any]:
    """Return the values of a genome that are numbers or choices, and that count."""
    found: dict[str, Any] = {}
    for name, value in genome.items():
        if segments is not None and name == segments["name"]:
            found |= _mean_weights(name, value, segments)
        elif name == PATH:
            found |= _steps(value, sources)
        elif name in described or (name != PHASE and isinstance(value, bool | int | float | str)):
            found[name] = value
    # A gene stands after the one that it depends on, which may have gone before it.
    for name, gene in described.items():
        condition = gene.get("active_if")
        if condition is not None and found.get(condition[0], _ABSENT) not in condition[1]:
            found.pop(name, None)
    return found


def _mean_weights(name: str, value: Any, segments: Mapping[str, Any]) -> dict[str, float]:
    """Return input → mean weight over the model, in each chromosome where there are several."""
    sizes: Mapping[str, int] = segments["chromosomes"]
    parts = value if isinstance(value, Mapping) else dict.fromkeys(sizes, value)
    found = {}
    for chromosome, pieces in parts.items():
        label = f"{name}.{chromosome}" if len(sizes) > 1 else name
        ends = [piece.get("until", sizes[chromosome]) for piece in pieces]
        lengths = np.diff(np.array(ends, dtype=float), prepend=0.0)
        weights = np.array([piece["weights"] for piece in pieces], dtype=float)
        means = lengths @ weights / lengths.sum()
        for source, mean in zip(segments["inputs"], means.tolist(), strict=True):
            found[f"{label}.{source}"] = mean
    return found


def _steps(path: Sequence[Sequence[Any]], sources: Sequence[str]) -> dict[str, float]:
    """Return what there is to count in a path of (source, layer, scale)."""
    found: dict[str, float] = {f"{PATH}.steps": len(path)}
    for source in sources:
        found[f"{PATH}.layers.{source}"] = sum(step[0] == source for step in path)
    scales = [float(step[2]) for step in path if len(step) > 2]
    if scales:
        found[f"{PATH}.mean_scale"] = sum(scales) / len(scales)
    return found


def _inferred(known: Sequence[Any]) -> dict[str, Any] | None:
    """Describe a gene by its values; None where they are texts of any kind."""
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        kind = "int" if all(isinstance(value, int) for value in known) else "float"
        return {"kind": kind, "low": min(known), "high": max(known), "inferred": True}
    choices = {_key(value): value for value in known}
    if len(choices) > _MOST_CHOICES:
        return None
    found = [choices[key] for key in sorted(choices)]
    return {"kind": "categorical", "choices": found, "inferred": True}


def _column(name: str, values: Iterable[Any], gene: Mapping[str, Any]) -> GeneColumn:
    choices: Sequence[Any] = gene.get("choices", ())
    if gene["kind"] == "categorical":
        places = {_key(choice): float(place) for place, choice in enumerate(choices)}
        numbers = [math.nan if v is _ABSENT else places.get(_key(v), math.nan) for v in values]
    else:
        numbers = [math.nan if value is _ABSENT else float(value) for value in values]
    return GeneColumn(
        name=name,
        kind=gene["kind"],
        low=float(gene.get("low", 0.0)),
        high=float(gene.get("high", len(choices) - 1)),
        log=gene.get("scale") == "log",
        choices=tuple(c if isinstance(c, str) else _key(c) for c in choices),
        inferred="inferred" in gene,
        values=np.array(numbers, dtype=float),
    )


def _key(choice: Any) -> str:
    """Return a text that tells a choice from others, 1 from true among them."""
    return json.dumps(choice, sort_keys=True)

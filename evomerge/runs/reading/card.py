"""The model card of an exported candidate: recipe, scores with intervals, sources, lineage."""

from collections.abc import Iterator, Mapping
from typing import Any

import evomerge
from evomerge.config.yaml_text import dump_yaml
from evomerge.evaluation.intervals import Estimate
from evomerge.models.licences import conflicts
from evomerge.runs.ledger.rows import CandidateRow, RunRow
from evomerge.runs.reading.results import CandidateDetails


def model_card(
    details: CandidateDetails, row: RunRow, candidates: Mapping[str, CandidateRow], route: str = ""
) -> str:
    """Return the text of ``README.md``, with the front matter that model hubs read.

    Args:
        details: The exported candidate.
        row: Its run.
        candidates: All candidates of the run by id, for the lineage.
        route: The section on its route, if it has one.
    """
    licences = {name: source.get("licence") for name, source in row.sources.items()}
    parts = [
        f"---\n{dump_yaml(_front_matter(row, licences))}---\n",
        f"# {row.name}: candidate {details.candidate}\n",
        f"A merge of {len(row.sources)} models, found by evomerge {evomerge.__version__} with the "
        f"searcher `{row.config['search']['searcher']}` (seed {row.config['search']['seed']}).\n",
        "## Scores\n",
        _table(
            ["split", "objective or task", "value", "95 % interval", "examples"], _scores(details)
        ),
        "## Sources\n",
        _table(["name", "path", "revision", "sha256", "licence"], _sources(row, licences)),
    ]
    if found := conflicts(licences):
        parts += ["### Licences\n", "\n".join(f"- {line}" for line in found) + "\n"]
    parts += [
        "## Lineage\n",
        _table(["candidate", "origin", "parents", "recipe hash"], _lineage(details, candidates)),
        f"Run `{row.run_id}`.\n",
        *([route] if route else []),
        "## Recipe\n",
        f"Hash `{details.recipe_hash}`; `evomerge merge recipe.yaml --out DIR` makes this model "
        "again.\n",
        f"```yaml\n{dump_yaml(dict(details.recipe))}```\n",
    ]
    return "\n".join(parts)


def _front_matter(row: RunRow, licences: Mapping[str, str | None]) -> dict[str, Any]:
    stated = set(licences.values())
    licence = next(iter(stated)) if len(stated) == 1 else None
    matter: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["evomerge", "merge"],
        "license": licence or "other",
    }
    # Only what a hub knows may stand here; local folders are in the table of sources.
    bases = [source["path"] for source in row.sources.values() if source.get("revision")]
    return matter | ({"base_model": bases} if bases else {})


def _scores(details: CandidateDetails) -> Iterator[list[str]]:
    for split, objectives in details.objectives.items():
        for name, estimate in objectives.items():
            yield [split, f"**{name}**", *_cells(estimate)]
        for task, metrics in details.tasks.get(split, {}).items():
            for metric, estimate in metrics.items():
                yield [split, f"{task}: {metric}", *_cells(estimate)]


def _cells(estimate: Estimate) -> list[str]:
    interval = f"{estimate.low:.4g} to {estimate.high:.4g}"
    return [f"{estimate.value:.4g}", interval, str(estimate.n)]


def _sources(row: RunRow, licences: Mapping[str, str | None]) -> Iterator[list[str]]:
    for name, source in row.sources.items():
        revision = source.get("revision") or "local folder"
        licence = licences[name] or "not stated"
        yield [name, f"`{source['path']}`", revision, f"`{source['sha256']}`", licence]


def _lineage(
    details: CandidateDetails, candidates: Mapping[str, CandidateRow]
) -> Iterator[list[str]]:
    """Yield the candidate and its ancestors, nearest first, each once."""
    queue, seen = [details.candidate], set()
    while queue:
        name = queue.pop(0)
        if name in seen or name not in candidates:
            continue
        seen.add(name)
        row = candidates[name]
        queue += row.parents
        yield [name, row.origin, ", ".join(row.parents) or "–", f"`{row.recipe_hash}`"]


def _table(head: list[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"

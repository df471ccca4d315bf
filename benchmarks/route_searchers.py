"""Which searcher suits which space of routes on real models: the demo's two experts, one budget.

Each seed searches routes through the experts for reversing and for sorting letters, as
``benchmarks/hybrid.py`` does, whose demo models in ``--keep`` are used again. ``evomerge report``
scores the best of each search on the test split, which no search has seen: the mean
log-likelihood of the answers, in nats.

    OMP_NUM_THREADS=1 python benchmarks/route_searchers.py [--seeds 0 1] [--budget 100]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hybrid import ROUTE, run_file
from quickstart import evomerge

SEARCHES = (
    ("path_evolution", "path", "hop"),
    ("catcma", "sakana", "hop"),
    ("cma_es", "sakana", "hop"),
    ("catcma", "blocks", "hop"),
    ("cma_es", "blocks", "hop"),
    ("catcma", "sakana", "none"),
    ("cma_es", "sakana", "none"),
    ("random", "path", "hop"),
)


def found(folder: Path, search: tuple[str, str, str], seed: int, budget: int) -> dict[str, float]:
    """Return the mean on the test split of each model that a search's report has."""
    searcher, space, scales = search
    name = f"{searcher}-{space}-{scales}-{budget}"
    if not (folder / "runs" / name / "run.json").exists():
        flow = {**ROUTE, "space": space, "scales": scales, "model": "sort", "sources": ["reverse"]}
        if space == "sakana":
            flow["repeats"] = 2
        way: dict[str, Any] = {"dataflow": flow, "search": {"searcher": searcher}}
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(run_file(way, name, seed, budget)))
        evomerge("run", config.name, folder=folder)
    report = json.loads(evomerge("report", f"runs/{name}", "--json", folder=folder))
    return {item["label"]: item["objectives"]["mean"]["value"] for item in report["models"]}


def main() -> None:
    """Run the searches and print a row of results for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="Folder of runs to keep and to take up.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = (arguments.keep or Path(scratch)).absolute()
        for seed in arguments.seeds:
            (place / f"seed{seed}").mkdir(parents=True, exist_ok=True)
            if not (place / f"seed{seed}" / "demo").exists():
                evomerge("demo", "demo", "--seed", str(seed), folder=place / f"seed{seed}")
        for search in SEARCHES:
            means = [
                found(place / f"seed{s}", search, s, arguments.budget) for s in arguments.seeds
            ]
            parents = [max(row["reverse"], row["sort"]) for row in means]
            gains = [row["best found"] - own for row, own in zip(means, parents, strict=True)]
            cells = [*search, *(f"{gain:+.3f}" for gain in gains)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

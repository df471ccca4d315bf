"""Routes alone, coefficients alone, and coefficients then routes, at one budget on real models.

Each seed trains its own demo models (experts for reversing and for sorting letters) and runs four
searches of equal budget; ``evomerge report`` scores the best of each on the test split, which no
search has seen. The objective is the mean log-likelihood of the answers, in nats. Results go to
the section "Hybrid" of benchmarks/RESULTS.md. A seed takes five to ten minutes on one core.

    python benchmarks/hybrid.py [--seeds 0 1 2 3 4] [--budget 200] [--keep FOLDER]
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from quickstart import ROOT, evomerge
from replay import write_section

STAGE = {
    "name": "merged",
    "method": "task_arithmetic",
    "inputs": ["reverse", "sort"],
    "weights": {"search": {"low": -0.5, "high": 1.5}, "granularity": "block:1"},
}
ROUTE = {"space": "path", "scales": "hop", "max_steps": 12, "sources": ["reverse", "sort"]}
COEFFICIENTS = {"searcher": "cma_es"}
PHASES = [
    {"search": "parameters", "share": 1, "searcher": "cma_es"},
    {"search": "dataflow", "share": 1, "searcher": "path_evolution"},
]
WAYS: Mapping[str, dict[str, Any]] = {
    "routes": {
        "dataflow": {**ROUTE, "model": "sort", "sources": ["reverse"]},
        "search": {"searcher": "path_evolution"},
    },
    "coefficients": {"stages": [STAGE], "search": COEFFICIENTS},
    "coefficients, then routes": {
        "stages": [STAGE],
        "dataflow": {**ROUTE, "model": "merged"},
        "search": {"phases": PHASES},
    },
    "both at once": {
        "stages": [STAGE],
        "dataflow": {**ROUTE, "model": "merged"},
        "search": {"searcher": "path_evolution"},
    },
}


def run_file(way: Mapping[str, Any], name: str, seed: int, budget: int) -> dict[str, Any]:
    """Return the run file of one way to search."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "routes.yaml").read_text())
    sources = {"base": {"path": "demo/base"}, **raw["sources"]}
    return {
        **raw,
        "name": name,
        "base": "base",
        "sources": sources,
        "recipe": {"dtype": "float32", "parameters": way.get("stages", [])},
        "dataflow": way.get("dataflow"),
        "search": {**way["search"], "budget": budget, "seed": seed},
    }


def measure(seed: int, budget: int, folder: Path) -> dict[str, float]:
    """Return the mean on the test split of the better parent and of each way's best."""
    folder.mkdir(parents=True, exist_ok=True)
    evomerge("demo", "demo", "--seed", str(seed), folder=folder)
    found: dict[str, float] = {}
    for index, (label, way) in enumerate(WAYS.items()):
        name = f"way{index}"
        if not (folder / "runs" / name / "run.json").exists():
            config = folder / f"{name}.yaml"
            config.write_text(yaml.safe_dump(run_file(way, name, seed, budget)))
            evomerge("run", config.name, folder=folder)
        report = json.loads(evomerge("report", f"runs/{name}", "--json", folder=folder))
        means = {item["label"]: item["objectives"]["mean"]["value"] for item in report["models"]}
        found["better parent"] = max(means["reverse"], means["sort"])
        found[label] = means["best found"]
    print(seed, {label: round(value, 4) for label, value in found.items()}, flush=True)
    return found


def interval(values: Sequence[float]) -> str:
    """Return the mean with its 95 % interval over seeds (Student's t)."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:+.3f}"
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(values), 2.6)
    half = quantile * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def table(rows: Sequence[Mapping[str, float]], seeds: Sequence[int], budget: int) -> str:
    """Return the section's text."""
    labels = ["better parent", *WAYS]
    pairs = [
        ("routes", "better parent"),
        ("coefficients, then routes", "coefficients"),
        ("both at once", "coefficients"),
    ]
    lines = [
        "Mean log-likelihood of the answers in nats, two tasks × 500 held-out examples, best of "
        f"{budget} candidates a",
        "search; models, data and searches of each seed are its own (`python benchmarks/hybrid.py "
        f"--budget {budget}`):",
        "",
        f"| seed | {' | '.join(labels)} |",
        "|" + "---|" * (len(labels) + 1),
        *(
            f"| {seed} | {' | '.join(f'{row[label]:.3f}' for label in labels)} |"
            for seed, row in zip(seeds, rows, strict=True)
        ),
        "",
        "Differences by seed, with 95 % intervals over the seeds: "
        + "; ".join(f"{a} − {b} {interval([row[a] - row[b] for row in rows])}" for a, b in pairs)
        + ".",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all seeds and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="Folder of runs to keep and to take up.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = arguments.keep or Path(scratch)
        rows = [
            measure(seed, arguments.budget, place.absolute() / f"seed{seed}")
            for seed in arguments.seeds
        ]
    text = table(rows, arguments.seeds, arguments.budget)
    print(text)
    write_section("Hybrid", text)


if __name__ == "__main__":
    main()

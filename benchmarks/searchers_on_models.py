"""M2N2, CMA-ES, NSGA-II and random at equal evaluations, on three experts and three tasks.

Each seed trains its own demo models and data and runs searches of equal budget, through the command
line. M2N2 searches segments; the others the 18 weights of the quickstart's task arithmetic, which
reaches models outside of what lies between the experts; CMA-ES by the mean of the objectives, and
once more in the 18 weights of an average (linear), which like M2N2 stays between them. What each
search found is judged on the validation split, which it hasn't seen: the hypervolume of its
re-scored front above 0, and the mean of the candidate with the best mean on the search split.
Exact-match shares of three tasks, so the most is 1. Results go to the section "Searchers on models"
of benchmarks/RESULTS.md.

    OMP_NUM_THREADS=1 python benchmarks/searchers_on_models.py [--seeds 0 1 2 3 4] [--keep FOLDER]
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hybrid import interval
from quickstart import ROOT, evomerge
from replay import write_section

from evomerge.runs.reading.results import RunResults
from evomerge.search.fronts import hypervolume

TASKS = ("reverse", "sort", "successor")
SEARCHES: Mapping[str, dict[str, Any]] = {
    "m2n2": {"searcher": "m2n2", "options": {"archive": 15, "children": 4}},
    "nsga2": {"searcher": "nsga2"},
    "cma_es": {"searcher": "cma_es", "scalarise": {"kind": "weighted"}},
    "random": {"searcher": "random"},
    "cma_es-linear": {"searcher": "cma_es", "scalarise": {"kind": "weighted"}},
}
LINEAR = {
    "method": "linear",
    "inputs": list(TASKS),
    "weights": {"search": {"low": 0.0, "high": 1.0}, "granularity": "block:1"},
}


@dataclass(frozen=True)
class Found:
    """What a search found, on the validation split.

    Args:
        volume: Hypervolume above 0 of all that was re-scored.
        mean: Mean over the tasks of the candidate with the best mean on the search split.
    """

    volume: float
    mean: float


def run_file(name: str, seed: int, budget: int) -> dict[str, Any]:
    """Return the run file of one search."""
    template = "m2n2" if name == "m2n2" else "quickstart"
    raw: dict[str, Any] = yaml.safe_load((ROOT / "configs" / f"{template}.yaml").read_text())
    objectives = {task: {"from": [task], "direction": "maximize"} for task in TASKS}
    search = {**SEARCHES[name], "budget": budget, "seed": seed}
    if name.endswith("linear"):
        raw["recipe"] = {"dtype": "float32", "parameters": [LINEAR]}
    return {**raw, "name": name, "objectives": objectives, "search": search}


def read(folder: Path) -> Found:
    """Return what the finished run in ``folder`` found."""
    with contextlib.closing(RunResults.open(folder)) as results:
        search, validation = (
            {
                name: results.objectives.utilities(estimates)
                for name, estimates in results.state.scored(split).items()
            }
            for split in ("search", "validation")
        )
    best = max(validation, key=lambda name: statistics.mean(search[name]))
    volume = hypervolume(list(validation.values()), [0.0] * len(TASKS)).value
    return Found(volume, statistics.mean(validation[best]))


def measure(seed: int, budget: int, folder: Path) -> dict[str, Found]:
    """Return what each search found with the models of ``seed``."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "demo" / "demo.json").exists():
        evomerge("demo", "demo", "--seed", str(seed), folder=folder)
    found = {}
    for name in SEARCHES:
        if not (folder / "runs" / name / "run.json").exists():
            config = folder / f"{name}.yaml"
            config.write_text(yaml.safe_dump(run_file(name, seed, budget)))
            evomerge("run", config.name, folder=folder)
        found[name] = read(folder / "runs" / name)
    print(seed, found, flush=True)
    return found


def table(rows: Sequence[Mapping[str, Found]], budget: int) -> str:
    """Return the section's text."""
    lines = [
        f"Three experts, three tasks, {budget} candidates a search, {len(rows)} seeds, validation "
        "split; means with 95 % intervals over",
        "seeds, and M2N2 minus each, paired by seed "
        "(`OMP_NUM_THREADS=1 python benchmarks/searchers_on_models.py`):",
        "",
        "| searcher | hypervolume | best mean | m2n2 minus it: hypervolume | best mean |",
        "|---|---|---|---|---|",
    ]
    for name in SEARCHES:
        cells = [name]
        for part in ("volume", "mean"):
            cells.append(interval([getattr(row[name], part) for row in rows]))
        for part in ("volume", "mean"):
            gaps = [getattr(row["m2n2"], part) - getattr(row[name], part) for row in rows]
            cells.append("" if name == "m2n2" else interval(gaps))
        lines.append(f"| {' | '.join(cells)} |")
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
    text = table(rows, arguments.budget)
    print(text)
    write_section("Searchers on models", text)


if __name__ == "__main__":
    main()

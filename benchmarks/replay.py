"""Time rebuilding a searcher, as a resume does: by replaying all, and from its stored state.

Run: OMP_NUM_THREADS=1 python benchmarks/replay.py [--candidates 10000 100000]

Results go to the section "Search" of benchmarks/RESULTS.md. The target is 10,000 candidates in
under 5 s and 100,000 in under 30 s, of which reading the ledger takes about half. Times are CPU
seconds, so that a busy machine disturbs little. "all" is what the search itself spends on asks and
tells, and what a replay without stored state takes; "stored" reads the state, checks that it
belongs to the ledger's asks and tells, and replays what came after it. Optuna's samplers and
path_evolution, which choose with a model of the scores, go through fewer candidates.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.recipes.hops import scale_gene
from evomerge.recipes.paths import PATH, PathSpace
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.runs.driver.replay import evaluations_of
from evomerge.runs.driver.snapshots import RememberedSearcher
from evomerge.runs.ledger.rows import DecisionRow
from evomerge.search.protocol import Start, build_searcher

RESULTS = Path(__file__).parent / "RESULTS.md"
FEWER = {"optuna": [300], "path_evolution": [2_000]}
"""Searchers whose own cost is high, and the candidates that they go through."""
CASES: list[tuple[str, dict[str, Any]]] = [
    ("random", {}),
    ("sobol", {}),
    ("cma_es", {}),
    ("catcma", {}),
    ("path_evolution", {}),
    ("optuna", {"sampler": "NSGAIISampler"}),
    ("optuna", {"sampler": "TPESampler"}),
]


def fresh(name: str, options: dict[str, Any], d: int, folder: Path) -> RememberedSearcher:
    """Return a new searcher of ``d`` genes with one start."""
    space = SearchSpace([Gene(f"g{i}", "float", -0.5, 1.5) for i in range(d)])
    start = Start("uniform", np.full(d, 0.4))
    if name == "path_evolution":  # as many steps and scales as genes
        layers = [(source, layer) for source in "ab" for layer in range(6)]
        space = PathSpace(layers, d // 2, scale=scale_gene("scale", 0.5, 2.0))
        path = [["a", layer, 1.0] for layer in range(6)]
        start = Start("a", space.encode({PATH: path}))
    searcher = build_searcher(name, space, seed=0, starts=[start], options=options)
    return RememberedSearcher(searcher, folder, run_id="benchmark", versions={})


def search(searcher: RememberedSearcher, n: int, slots: int | None) -> list[DecisionRow]:
    """Go through ``n`` candidates, by generations or with ``slots`` of them out at a time."""
    decisions: list[DecisionRow] = []
    out: list[tuple[str, float]] = []
    left = n
    while left > 0:
        size = None if slots is None else slots - len(out)
        proposals = searcher.ask(size)
        left -= len(proposals)
        out += [(p.id, -float(((p.genome - 0.3) ** 2).sum())) for p in proposals]
        body = {"candidates": [p.id for p in proposals], "n": size}
        decisions.append(DecisionRow(len(decisions), "ask", body, 0.0))
        done, out = (out, []) if slots is None else (out[:1], out[1:])
        results = [[name, [value], ""] for name, value in done]
        searcher.tell(evaluations_of(results))
        decisions.append(DecisionRow(len(decisions), "tell", {"results": results}, 0.0))
    return decisions


def measure(
    name: str, options: dict[str, Any], d: int, n: int, slots: int | None
) -> tuple[float, float]:
    """Return the CPU seconds of a whole search's asks and tells, and of a resume."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        decisions = search(fresh(name, options, d, Path(folder)), n, slots)
        whole = time.process_time() - began
        began = time.process_time()
        again = fresh(name, options, d, Path(folder))
        for decision in decisions[again.recall(decisions) :]:
            if decision.kind == "ask":
                again.ask(decision.body["n"])
            else:
                again.tell(evaluations_of(decision.body["results"]))
        return whole, time.process_time() - began


def main() -> None:
    """Print one line a searcher, number of genes and mode, and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", nargs="+", type=int, default=[18, 100])
    parser.add_argument("--candidates", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--slots", type=int, default=16, help="out at a time in async mode")
    options = parser.parse_args()
    lines = [
        "Rebuilding a searcher (`python benchmarks/replay.py`), CPU seconds. All: its asks and "
        "tells, which are the controller's part of the search too; stored: from the state in the "
        f"run's folder. Async: {options.slots} out at a time, asks of one:",
        "",
        "| searcher | options | genes | mode | candidates | all | all, ms a candidate | stored |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, settings in CASES:
        shown = ", ".join(f"{key} {value}" for key, value in settings.items()) or "-"
        for d in options.genes:
            for n in FEWER.get(name, options.candidates):
                for slots in (None, options.slots):
                    whole, stored = measure(name, settings, d, n, slots)
                    mode = "generation" if slots is None else "async"
                    lines.append(
                        f"| {name} | {shown} | {d} | {mode} | {n:,} | {whole:.2f} | "
                        f"{1000 * whole / n:.2f} | {stored:.2f} |"
                    )
                    print(lines[-1], flush=True)
    write_section("Search", "\n".join(lines))


def write_section(title: str, text: str) -> None:
    """Put ``text`` under the heading ``title`` of the results, in place of what stood there."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Measured results\n"
    section = f"## {title}\n\n{text}\n"
    pattern = re.compile(rf"^## {title}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    found = pattern.search(old)
    if found is None:
        new = f"{old.rstrip()}\n\n{section}"
    else:
        rest = old[found.end() :]
        new = f"{old[: found.start()]}{section}{chr(10) if rest else ''}{rest}"
    RESULTS.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()

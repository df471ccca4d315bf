"""Time rebuilding a searcher: its asks and tells are replayed, as a resume does.

Run: OMP_NUM_THREADS=1 python benchmarks/replay.py

Results go to the section "Search" of benchmarks/RESULTS.md. The target is 10,000 candidates in
under 5 s. Times are CPU seconds, so that a busy machine disturbs little; Optuna's samplers, whose
own cost this is, replay 300 candidates.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.protocol import Evaluation, Start, build_searcher

RESULTS = Path(__file__).parent / "RESULTS.md"
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("random", {}, 10_000),
    ("sobol", {}, 10_000),
    ("cma_es", {}, 10_000),
    ("cma_es", {"population": 16}, 10_000),
    ("optuna", {"sampler": "NSGAIISampler"}, 300),
    ("optuna", {"sampler": "TPESampler"}, 300),
]


def replay_seconds(name: str, options: dict[str, Any], d: int, n: int) -> float:
    """Return the CPU time of ``n`` candidates' asks and tells in ``d`` genes."""
    space = SearchSpace([Gene(f"g{i}", "float", -0.5, 1.5) for i in range(d)])
    start = Start("uniform", np.full(d, 0.4))
    began = time.process_time()
    searcher = build_searcher(name, space, seed=0, starts=[start], options=options)
    left = n
    while left > 0:
        proposals = searcher.ask()
        left -= len(proposals)
        searcher.tell(Evaluation(p.id, (-float(((p.genome - 0.3) ** 2).sum()),)) for p in proposals)
    return time.process_time() - began


def main() -> None:
    """Print one line a searcher and number of genes, and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", nargs="+", type=int, default=[18, 100])
    options = parser.parse_args()
    lines = [
        "Replay of a searcher's asks and tells (`python benchmarks/replay.py`), CPU seconds:",
        "",
        "| searcher | options | genes | candidates | seconds |",
        "|---|---|---|---|---|",
    ]
    for name, settings, n in CASES:
        for d in options.genes:
            took = replay_seconds(name, settings, d, n)
            shown = ", ".join(f"{key} {value}" for key, value in settings.items()) or "-"
            lines.append(f"| {name} | {shown} | {d} | {n:,} | {took:.2f} |")
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

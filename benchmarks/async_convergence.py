"""Compare CMA-ES under late results with CMA-ES by generations, on standard functions.

Run: OMP_NUM_THREADS=1 python benchmarks/async_convergence.py

Evaluations take random times (log-normal, 95 % of them within a factor of 5 of the median) on a
simulated clock. ``generation``: whole generations of pycma's own size, each waited for. ``async``:
every free slot asks for one candidate at once. A ratio is async over generation of the means of
log evaluations (and times) to the target over seeds, with a 95 % interval (Welch's, on logs); the
two share seeds but hardly any noise. What misses the target within the limit counts as the limit.
"""

import argparse
import heapq
import itertools
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from replay import write_section

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.protocol import Evaluation

Array = NDArray[np.float64]
SPREAD = math.log(5) / 1.96
"""Standard deviation of log time: 95 % lie within a factor of 5 of the median."""
OPTIMUM = 0.3


def sphere(y: Array) -> float:
    """Return the squared length of ``y``, shape ``(d,)``."""
    return float((y**2).sum())


def ellipsoid(y: Array) -> float:
    """Return a quadratic form of condition 10⁶."""
    return float((10 ** (6 * np.arange(len(y)) / (len(y) - 1)) * y**2).sum())


def rosenbrock(y: Array) -> float:
    """Return Rosenbrock's banana, the optimum moved to 0 and scaled by 4."""
    z = 4 * y + 1
    return float((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum())


def rastrigin(y: Array) -> float:
    """Return Rastrigin's function, some four local optima a gene."""
    z = 4 * y
    return float((10 + z**2 - 10 * np.cos(2 * np.pi * z)).sum())


@dataclass(frozen=True)
class Case:
    """A function, its genes, the value to reach, and the most evaluations to spend."""

    name: str
    d: int
    target: float
    limit: int


CASES = [
    Case("sphere", 10, 1e-4, 8_000),
    Case("sphere", 30, 1e-4, 8_000),
    Case("ellipsoid", 10, 1.0, 8_000),
    Case("ellipsoid", 30, 1e3, 8_000),
    Case("rosenbrock", 10, 5.0, 8_000),
    Case("rosenbrock", 30, 4e1, 8_000),
    Case("rastrigin", 10, 2e1, 8_000),
    Case("rastrigin", 30, 1.2e2, 8_000),
]
FUNCTIONS = {f.__name__: f for f in (sphere, ellipsoid, rosenbrock, rastrigin)}


def reach(case: Case, slots: int, seed: int, steady: bool) -> tuple[float, float]:
    """Return evaluations and simulated time until the target is reached."""
    space = SearchSpace([Gene(f"g{i}", "float", -0.5, 1.5) for i in range(case.d)])
    x0 = np.random.default_rng((seed, 1)).uniform(0.5, 0.9, case.d)
    searcher = CmaEsSearcher(space, seed=seed, x0=list(x0))
    clock = np.random.default_rng((seed, 2))
    function, number = FUNCTIONS[case.name], itertools.count()
    running: list[tuple[float, int, str, float]] = []
    now, done, waiting = 0.0, 0, []
    results: list[Evaluation] = []
    while done < case.limit:
        free = slots - len(running)
        if steady and free:
            waiting = searcher.ask(free)
        elif not steady and not running and not waiting:
            searcher.tell(results)
            results, waiting = [], searcher.ask()
        for proposal in waiting[:free]:
            loss = function(proposal.genome - OPTIMUM)
            ends = now + float(clock.lognormal(0, SPREAD))
            heapq.heappush(running, (ends, next(number), proposal.id, loss))
        waiting = waiting[free:]
        now, _, name, loss = heapq.heappop(running)
        done += 1
        if loss <= case.target:
            break
        if steady:
            searcher.tell([Evaluation(name, (-loss,))])
        else:
            results.append(Evaluation(name, (-loss,)))
    return float(done), now


def ratio(ours: Array, theirs: Array) -> str:
    """Return the ratio of geometric means with its 95 % interval."""
    one, other = np.log(ours), np.log(theirs)
    middle = one.mean() - other.mean()
    half = 2.0 * math.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    return f"{math.exp(middle):.2f} ({math.exp(middle - half):.2f}–{math.exp(middle + half):.2f})"


def line(case: Case, slots: int, whole: Array, steady: Array) -> str:
    """Return a row of the table; both arrays hold evaluations and times, shape ``(seeds, 2)``."""
    means = [math.exp(np.log(found[:, 0]).mean()) for found in (whole, steady)]
    missed = [int((found[:, 0] >= case.limit).sum()) for found in (whole, steady)]
    return (
        f"| {case.name} | {case.d} | {case.target:g} | {slots} | {means[0]:,.0f} | "
        f"{means[1]:,.0f} | {ratio(steady[:, 0], whole[:, 0])} | "
        f"{ratio(steady[:, 1], whole[:, 1])} | {missed[0]} / {missed[1]} |"
    )


def main() -> None:
    """Print and store one line a function, number of genes and number of slots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slots", nargs="+", type=int, default=[8, 64])
    options = parser.parse_args()
    seeds = range(options.seeds)
    lines = [
        f"CMA-ES with late results (`python benchmarks/async_convergence.py`), {options.seeds} "
        "seeds; ratios are async over generation mode, 95 % intervals in brackets; the clock is "
        "simulated:",
        "",
        "| function | genes | target | slots | evaluations, generation | evaluations, async | "
        "ratio | time ratio | missed, generation / async |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        started = [
            (c, w, {a: [pool.submit(reach, c, w, s, a) for s in seeds] for a in (False, True)})
            for c, w in itertools.product(CASES, options.slots)
        ]
        for case, slots, tasks in started:
            by = {a: np.array([task.result() for task in tasks[a]]) for a in tasks}
            lines.append(line(case, slots, by[False], by[True]))
            print(lines[-1], flush=True)
    write_section("Asynchronous search", "\n".join(lines))


if __name__ == "__main__":
    main()

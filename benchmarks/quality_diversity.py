"""Compare searchers that fill an archive: the sphere, measured by the means of the genes' halves.

By chance such means stay in the middle, the more so the more genes there are (Fontaine et al. 2020,
arXiv:1912.02400). Prints a row a searcher and number of genes: cells filled, of 400, the best
utility, and the QD-score (utilities above the worst that chance found), as multiples of what chance
gives at equal evaluations; means over seeds.

Usage: ``python benchmarks/quality_diversity.py [--seeds 3] [--budget 1200]``
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.grid_archive import Axis, Elite, GridArchive
from evomerge.search.protocol import Evaluation, build_searcher

AXES = (Axis("left", 0.0, 1.0, 20), Axis("right", 0.0, 1.0, 20))
SEARCHERS = ("map_elites", "cma_me", "cma_mae")
GENES = (6, 12, 20)

Array = NDArray[np.float64]


def elite(name: str, x: Array) -> Elite:
    """Return a point with its utility and its measures."""
    half = len(x) // 2
    kind = float(x[:half].mean()), float(x[half:].mean())
    return Elite(name, x, -float(((x - 0.3) ** 2).sum()), kind)


def chance(d: int, seed: int, budget: int) -> list[Elite]:
    """Return ``budget`` uniform points."""
    points = np.random.default_rng(seed).random((budget, d))
    return [elite(str(number), x) for number, x in enumerate(points)]


def searched(name: str, d: int, seed: int, budget: int) -> list[Elite]:
    """Return the points that a searcher proposes."""
    space = SearchSpace([Gene(f"g{k}", "float", 0.0, 1.0) for k in range(d)])
    searcher = build_searcher(name, space, seed=seed, measures=AXES)
    found: list[Elite] = []
    while len(found) < budget:
        points = [elite(p.id, p.genome) for p in searcher.ask()]
        found += points
        searcher.tell(Evaluation(p.id, (p.quality,), measures=p.measures) for p in points)
    return found[:budget]


def figures(points: list[Elite], worst: float) -> Array:
    """Return cells filled, QD-score and best utility of an archive of ``points``."""
    archive = GridArchive(AXES)
    for point in points:
        archive.add(point)
    utilities = [item.quality for item in archive.elites]
    return np.array([len(utilities), sum(u - worst for u in utilities), max(utilities)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=1200)
    given = parser.parse_args()
    heads = f"{'cells':>6} {'× chance':>9} {'QD × chance':>12} {'best':>8}"
    print(f"{'genes':>5} {'searcher':<11} {heads}")
    for d in GENES:
        rows: dict[str, list[Array]] = {name: [] for name in ("chance", *SEARCHERS)}
        for seed in range(given.seeds):
            by_chance = chance(d, seed, given.budget)
            worst = min(point.quality for point in by_chance)
            rows["chance"].append(figures(by_chance, worst))
            for name in SEARCHERS:
                rows[name].append(figures(searched(name, d, seed, given.budget), worst))
        base = np.mean(rows["chance"], axis=0)
        for name, found in rows.items():
            cells, score, best = np.mean(found, axis=0)
            more, worth = cells / base[0], score / base[1]
            print(f"{d:>5} {name:<11} {cells:>6.0f} {more:>9.2f} {worth:>12.2f} {best:>8.3f}")


if __name__ == "__main__":
    main()

"""Functions with known optima, and the loop that searches them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.protocol import Evaluation, Searcher

Function = Callable[[NDArray[np.float64]], float]


def box(d: int) -> SearchSpace:
    return SearchSpace([Gene(f"g{i}", "float", -0.5, 1.5) for i in range(d)])


def sphere(x: NDArray[np.float64]) -> float:
    """Return 0 at its best, x = 0.3."""
    return -float(((x - 0.3) ** 2).sum())


def rastrigin(x: NDArray[np.float64]) -> float:
    """Return 0 at its best, x = 0.37, among about 10 local optima a dimension."""
    y = (x - 0.37) * 10.24
    return -float((10 + y * y - 10 * np.cos(2 * np.pi * y)).sum())


def best_of(searcher: Searcher, function: Function, budget: int) -> float:
    """Return the best utility after ``budget`` evaluations."""
    best, left = -np.inf, budget
    while left > 0 and (proposals := searcher.ask()):
        results = [Evaluation(p.id, (function(p.genome),)) for p in proposals[:left]]
        left -= len(results)
        best = max(best, *(r.values[0] for r in results if r.values))
        searcher.tell(results)
    return float(best)

"""What searchers make of results that miss the run's constraints."""

import numpy as np
import pytest

from evomerge.search.asks import Told, ranked
from evomerge.search.protocol import Evaluation, build_searcher
from tests.search.functions import box


def told(value: float | None, violation: float = 0.0) -> Told:
    return Told(0, 0, np.zeros(1), None if value is None else (value,), violation)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_what_misses_constraints_comes_below_all_that_keeps_them(scale: float) -> None:
    results = [told(2.0), told(9.0, 0.5), told(-1.0), told(7.0, 0.1), told(None), told(None, 3.0)]
    numbers = ranked([told(r.values and r.values[0] * scale, r.violation) for r in results])
    assert numbers[0] == 2.0 * scale
    assert numbers[4] is None
    order = np.argsort([-np.inf if n is None else n for n in numbers])[::-1]
    assert order.tolist() == [0, 2, 3, 1, 5, 4]


def test_results_that_keep_all_constraints_are_left_as_they_are() -> None:
    assert ranked([told(0.1), told(0.1), told(-5.0)]) == [0.1, 0.1, -5.0]
    assert ranked([told(None)]) == [None]


def test_where_nothing_keeps_them_the_least_violation_counts() -> None:
    small, large, smaller = ranked([told(0.0, 0.2), told(5.0, 0.3), told(-5.0, 0.1)])
    assert smaller is not None
    assert small is not None
    assert large is not None
    assert smaller > small > large


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cma_es", {}),
        ("catcma", {}),
        ("optuna", {"sampler": "NSGAIISampler"}),
        ("optuna", {"sampler": "TPESampler"}),
    ],
)
def test_a_constraint_moves_the_search_where_it_is_kept(
    name: str, options: dict[str, object]
) -> None:
    """The best of x is at 0.3, but the sum of x must be at least 1.2 of 2."""
    searcher = build_searcher(name, box(2), seed=0, options={"population": 10, **options})
    kept = []
    for _ in range(12):
        proposals = searcher.ask()
        results = []
        for item in proposals:
            missed = max(1.2 - float(item.genome.sum()), 0.0)
            value = -float(((item.genome - 0.3) ** 2).sum())
            results.append(Evaluation(item.id, (value,), violation=missed))
        kept += [r.values[0] for r in results if r.values and not r.violation]
        searcher.tell(results)
        share = np.mean([r.violation == 0 for r in results])
    assert share > 0.3
    assert max(kept) > -0.3  # −0.18 at the very edge

"""NSGA-II, NSGA-III and MOTPE: they find fronts, keep constraints, go on from a snapshot."""

import json

import numpy as np
import pytest

from evomerge.search.fronts import hypervolume
from evomerge.search.nsga import divisions
from evomerge.search.protocol import Evaluation, Proposal, Restorable, Searcher, build_searcher
from evomerge.search.snapshots import Snapshot
from tests.search.functions import box

NAMES = ["nsga2", "nsga3", "motpe"]


def zdt2(x: np.ndarray) -> tuple[float, float]:
    """Return utilities of ZDT2 (Zitzler et al. 2000): a hollow front where all but x0 are 0."""
    g = 1 + 9 * float(x[1:].mean())
    return -float(x[0]), -g * (1 - float(x[0] / g) ** 2)


def answer(proposals: list[Proposal]) -> list[Evaluation]:
    """Score half of the space: the other half misses a constraint."""
    return [
        Evaluation(p.id, zdt2(p.genome), violation=max(0.25 - float(p.genome[0]), 0.0))
        for p in proposals
    ]


def volume(searcher: Searcher, budget: int) -> float:
    points, left = [], budget
    while left > 0:
        told = answer(searcher.ask())
        searcher.tell(told)
        points += [e.values for e in told if e.values and not e.violation]
        left -= len(told)
    return hypervolume(points, (-1.1, -3.0)).value


@pytest.mark.parametrize("name", NAMES)
def test_a_front_is_found_where_constraints_are_kept(name: str) -> None:
    searcher = build_searcher(name, box(3), seed=1, n_objectives=2)
    found = volume(searcher, 160)
    blind = volume(build_searcher("random", box(3), seed=1, n_objectives=2), 160)
    assert found > blind + 0.1


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_searcher_goes_on_alike(name: str) -> None:
    whole, other = (build_searcher(name, box(3), seed=2, n_objectives=2) for _ in range(2))
    late: list[Proposal] = []
    for size in (None, 7, None, 5):
        proposals = whole.ask(size)
        whole.tell(answer([*late, *proposals[2:]]))
        late = proposals[:2]
    assert isinstance(whole, Restorable)
    assert isinstance(other, Restorable)
    stored = whole.snapshot()
    other.restore(Snapshot(json.loads(json.dumps(stored.plain)), stored.arrays))
    for _ in range(3):
        first, second = whole.ask(), other.ask()
        assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]
        for searcher in (whole, other):
            searcher.tell(answer([*late, *first]))
        late = []


def test_directions_fit_into_the_population() -> None:
    assert divisions(2, 20) == 19  # 20 directions
    assert divisions(3, 20) == 4  # 15; 5 steps give 21
    assert divisions(4, 20) == 3  # 20
    assert divisions(9, 4) == 1
    assert divisions(1, 20) == 1


def test_crossovers_differ() -> None:
    found = set()
    for kind in ("sbx", "uniform", "blx"):
        searcher = build_searcher(
            "nsga2", box(3), seed=0, n_objectives=2, options={"crossover": kind, "population": 6}
        )
        for _ in range(2):
            searcher.tell(answer(searcher.ask()))
        found.add(tuple(searcher.ask()[0].genome))
    assert len(found) == 3

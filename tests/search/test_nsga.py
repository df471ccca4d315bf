"""NSGA-II, NSGA-III and MOTPE: they find fronts, keep constraints, go on from a snapshot."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from optuna import create_study
from optuna.distributions import FloatDistribution
from optuna.samplers import NSGAIIISampler, NSGAIISampler, TPESampler
from optuna.samplers.nsgaii import PolynomialMutation, SBXCrossover

from evomerge.recipes.space import SearchSpace
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


def alone(name: str, space: SearchSpace, asks: int, seed: int) -> list[list[float]]:
    """Return the points that Optuna gets to by itself, with the same random numbers an ask."""
    if name == "motpe":
        kind: Any = partial(TPESampler, multivariate=True, constant_liar=True)
    else:
        kind = {"nsga2": NSGAIISampler, "nsga3": NSGAIIISampler}[name]
        made = {"crossover": SBXCrossover(), "mutation": PolynomialMutation(eta=20.0)}
        more = {"dividing_parameter": 14} if name == "nsga3" else {}
        kind = partial(kind, population_size=15, crossover_prob=0.9, **made, **more)
    study = create_study(directions=["minimize"] * 2)
    cube = {gene.name: FloatDistribution(0, 1) for gene in space.genes}
    points = []
    for ask in range(asks):
        words = np.random.SeedSequence((seed, ask, 1)).generate_state(1)
        study.sampler = kind(seed=int(words[0]))
        trials = [study.ask(cube) for _ in range(15)]
        for trial in trials:
            x = space.snap(np.array([[trial.params[name] for name in cube]]))[0]
            study.tell(trial, [-value for value in zdt2(x)])
            points.append(x.tolist())
    return points


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_between_optuna_and_a_run_nothing_is_lost(name: str) -> None:
    space = box(3)
    searcher = build_searcher(name, space, seed=4, n_objectives=2, options={"population": 15})
    found = []
    for _ in range(8):
        proposals = searcher.ask()
        found += [p.genome.tolist() for p in proposals]
        searcher.tell([Evaluation(p.id, zdt2(p.genome)) for p in reversed(proposals)])
    assert found == alone(name, space, 8, 4)


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

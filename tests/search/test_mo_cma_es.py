"""MO-CMA-ES: fronts, learnt distributions, choices that don't freeze, snapshots."""

import json

import numpy as np
import pytest

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.fronts import hypervolume, least_contributor
from evomerge.search.mo_cma_es import MoCmaEsSearcher
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from evomerge.search.snapshots import Snapshot
from tests.search.functions import box
from tests.search.test_nsga import answer, volume


def test_a_front_is_found_where_constraints_are_kept() -> None:
    found = volume(MoCmaEsSearcher(box(3), seed=1, n_objectives=2), 300)
    assert found > volume(build_searcher("random", box(3), seed=1, n_objectives=2), 300) + 0.1


def narrow(x: np.ndarray) -> tuple[float, float]:
    """Return two bowls in a narrow oblique valley; the front lies where x0 = x1, x2 = 0.5."""
    along, across = x[0] + x[1] - 1, 100 * (x[0] - x[1])
    rest = 10 * (x[2] - 0.5)
    return tuple(-float((along - a) ** 2 + across**2 + rest**2) for a in (-0.4, 0.4))  # type: ignore[return-value]  # two bowls


def test_members_learn_the_shape_of_the_valley() -> None:
    searcher = MoCmaEsSearcher(box(3), seed=0, n_objectives=2)
    points = []
    for _ in range(90):
        told = [Evaluation(p.id, narrow(p.genome)) for p in searcher.ask()]
        searcher.tell(told)
        points += [e.values for e in told if e.values]
    assert hypervolume(points, (-1.0, -1.0)).value > 0.7
    ratios = []
    for member in searcher._members:
        values = np.linalg.eigvalsh(member.cov)
        ratios.append(values[-1] / values[0])
    assert np.median(ratios) > 10


def test_starts_are_the_first_members_and_children_stay_near_them() -> None:
    starts = [Start("a", np.full(20, 0.3)), Start("b", np.full(20, 0.7))]
    searcher = MoCmaEsSearcher(box(20), seed=0, n_objectives=2, starts=starts)
    proposals = searcher.ask()
    assert [p.origin for p in proposals[:2]] == ["warm:a", "warm:b"]
    ends = np.array([start.genome for start in starts])
    for proposal in proposals[2:]:
        assert np.abs(ends - proposal.genome).mean(axis=1).min() < 0.15


def test_choices_and_whole_numbers_go_on_being_moved() -> None:
    space = SearchSpace(
        [
            Gene("mode", "categorical", choices=("a", "b", "c")),
            Gene("layers", "int", 1, 30),
            Gene("weight", "float"),
        ]
    )
    searcher = MoCmaEsSearcher(space, seed=0, n_objectives=2)

    def values(p: Proposal) -> tuple[float, float]:
        found = space.decode(p.genome)
        loss = (found["mode"] != "b") + abs(found["layers"] - 21) / 30
        return -loss - (found["weight"] - 0.2) ** 2, -loss - (found["weight"] - 0.8) ** 2

    for _ in range(50):
        searcher.tell([Evaluation(p.id, values(p)) for p in searcher.ask()])
    found = [space.decode(space.snap(member.x)) for member in searcher._members]
    assert np.mean([item["mode"] == "b" and item["layers"] == 21 for item in found]) > 0.8


def test_above_a_hundred_genes_only_diagonals_are_kept() -> None:
    searcher = MoCmaEsSearcher(box(120), seed=0, n_objectives=2)
    for _ in range(4):
        searcher.tell(answer(searcher.ask()))
    assert {member.cov.shape for member in searcher._members} == {(120,)}
    assert any((member.cov != 1).any() for member in searcher._members)


def test_failures_are_never_members() -> None:
    searcher = MoCmaEsSearcher(box(3), seed=0, n_objectives=2)
    for _ in range(3):
        searcher.tell([Evaluation(p.id, None, "died") for p in searcher.ask()])
    assert searcher.ask()
    assert searcher._members == []


@pytest.mark.parametrize("stop", [1, 5])
def test_a_restored_searcher_goes_on_alike(stop: int) -> None:
    whole, other = (MoCmaEsSearcher(box(3), seed=2, n_objectives=2) for _ in range(2))
    late: list[Proposal] = []
    for index in range(stop):
        proposals = whole.ask(7 if index % 2 else None)
        whole.tell(answer([*late, *proposals[2:]]))
        late = proposals[:2]
    stored = whole.snapshot()
    other.restore(Snapshot(json.loads(json.dumps(stored.plain)), stored.arrays))
    for _ in range(3):
        first, second = whole.ask(), other.ask()
        assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]
        assert [p.parents for p in first] == [p.parents for p in second]
        for searcher in (whole, other):
            searcher.tell(answer([*late, *first]))
        late = []


def test_the_least_contributor_is_the_crowded_one_and_never_an_end() -> None:
    front = [(0.0, 1.0), (0.5, 0.6), (0.52, 0.58), (1.0, 0.0)]
    assert least_contributor(front) in (1, 2)
    assert least_contributor(np.array(front) * [1e6, 1e-6]) in (1, 2)
    assert least_contributor([(0.0, 1.0), (0.5, 0.5), (0.5, 0.5), (1.0, 0.0)]) == 2
    assert least_contributor([(1.0, 1.0), (1.0, 1.0)]) == 1

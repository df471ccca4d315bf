"""CycleQD: objectives take turns, each in an archive of what models do on the others."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.genes import Gene
from evomerge.recipes.space import SearchSpace
from evomerge.search.cycled_archives import CycledArchives, Result
from evomerge.search.cycleqd import CycleQdSearcher, _chances
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from evomerge.search.snapshots import Snapshot

Array = NDArray[np.float64]
SPACE = SearchSpace(
    [
        *(Gene(f"weights{k}", "float", 0.0, 1.0) for k in range(3)),
        *(Gene(f"seeds{k}", "int", 0, 999_999) for k in range(3)),
        Gene("normalize", "categorical", choices=(False, True)),
    ]
)
STARTS = [Start(f"parent:{k}", SPACE.snap(np.r_[np.eye(3)[k], np.zeros(4)])) for k in range(3)]


def build(space: SearchSpace = SPACE, k: int = 3, **options: Any) -> CycleQdSearcher:
    starts = options.pop("starts", STARTS if space is SPACE else ())
    found = build_searcher("cycleqd", space, seed=4, n_objectives=k, starts=starts, options=options)
    assert isinstance(found, CycleQdSearcher)
    return found


def tasks(x: Array) -> tuple[float, ...]:
    """Each task likes its own weight; together they cost, and a good seed helps a little."""
    weights = x[:3]
    return tuple(
        float(weights[k] * (1.3 - 0.3 * weights.sum()) + 0.1 * (x[3 + k] % 0.1)) for k in range(3)
    )


def answer(proposal: Proposal) -> Evaluation:
    if int(proposal.id.split("-")[1]) % 5 == 4:
        return Evaluation(proposal.id, None, "out of memory")
    return Evaluation(proposal.id, tasks(proposal.genome))


def drive(searcher: CycleQdSearcher, asks: int) -> list[list[Proposal]]:
    asked = []
    for _ in range(asks):
        asked.append(searcher.ask())
        searcher.tell([answer(p) for p in asked[-1]])
    return asked


def plain(asked: Sequence[Sequence[Proposal]]) -> list[Any]:
    return [[(p.id, p.genome.tobytes(), p.origin, p.parents) for p in ask] for ask in asked]


def test_begins_with_the_starts_alone_and_takes_turns() -> None:
    asked = drive(build(population=7), 5)
    assert [p.origin for p in asked[0]] == [f"warm:parent:{k}" for k in range(3)]
    assert [len(generation) for generation in asked[1:]] == [7] * 4
    born = [p for generation in asked[1:] for p in generation]
    by_id = {p.id: p.genome for generation in asked for p in generation}
    for number, child in enumerate(born):
        parents = [by_id[name] for name in child.parents]
        others = [3 + k for k in range(3) if k != number % 3]
        for gene in others:  # only the seed of the child's own task is new
            assert any(child.genome[gene] == parent[gene] for parent in parents)
        assert all(child.genome[3 + number % 3] != parent[3 + number % 3] for parent in parents)
        mean = np.mean([parent[:3] for parent in parents], axis=0)
        np.testing.assert_allclose(child.genome[:3], mean, atol=0.05)
        assert any(child.genome[6] == parent[6] for parent in parents)


def test_one_archive_a_task_with_axes_around_the_experts() -> None:
    archives = CycledArchives("abc", 15)
    archives.asked(["1", "2"])
    archives.told(Result("2", (0, 1), None, (0.2, 0.8, -4.0)))
    archives.settle()
    assert archives.grids == []  # the first are not all back
    archives.told(Result("1", (0, 0), None, (0.6, 0.4, -2.0)))
    archives.settle()
    axes = [[axis.name for axis in grid.axes] for grid in archives.grids]
    assert axes == [["b", "c"], ["a", "c"], ["a", "b"]]
    (b, c) = archives.grids[0].axes
    assert (b.low, b.high) == pytest.approx((0.4 * 0.85, 0.8 * 1.15))
    assert (c.low, c.high) == pytest.approx((-4.6, -1.7))
    elites = archives.grids[0].elites
    assert {(item.id, item.quality, item.measures) for item in elites} == {
        ("1", 0.6, (0.4, -2.0)),
        ("2", 0.2, (0.8, -4.0)),
    }


def test_the_next_take_the_place_of_first_ones_that_fail() -> None:
    archives = CycledArchives("ab", 5)
    archives.asked(["1"])
    archives.told(Result("1", (0, 0), None, None))
    archives.settle()
    archives.asked(["2", "3"])
    archives.told(Result("2", (1, 0), None, (0.5, 0.5)))
    archives.settle()
    assert archives.grids == []
    archives.told(Result("3", (1, 1), None, (0.5, 0.5)))  # equal everywhere: an axis needs a width
    archives.settle()
    assert [[item.id for item in grid.elites] for grid in archives.grids] == [["2"], ["2"]]


def test_parents_are_drawn_as_published() -> None:
    values = np.array([[0.0, 10.0, 3.0], [1.0, 20.0, 3.0], [0.5, 10.0, 3.0]])
    worth = np.array([0.5 * 0.5 * 0.8, 0.8 * 0.8 * 0.8, 0.65 * 0.5 * 0.8])
    np.testing.assert_allclose(_chances(values), worth / worth.sum())


def test_betters_all_tasks_at_once() -> None:
    searcher = build()
    asked = drive(searcher, 20)
    best = max(min(tasks(p.genome)) for generation in asked for p in generation)
    assert best > max(min(tasks(start.genome)) for start in STARTS) + 0.2
    assert all(len(grid) > 5 for grid in searcher._archives.grids)


def test_numbers_take_steps_where_there_are_no_seeds() -> None:
    space = SearchSpace([Gene(f"weights{k}", "float", 0.0, 1.0) for k in range(3)])
    searcher = build(space)
    asked = []
    for _ in range(6):
        asked.append(searcher.ask())
        searcher.tell([Evaluation(p.id, tuple(map(float, p.genome))) for p in asked[-1]])
    assert all(len(generation) == 12 for generation in asked)
    best = [max(p.genome.min() for p in generation) for generation in (asked[0], asked[-1])]
    assert best[1] > best[0]


SCRIPT = [(None, 2), (3, 1), (1, 4), (None, 9), (5, 0), (2, 8)] * 3


def talk(searcher: CycleQdSearcher, script: Any, out: list[Proposal]) -> list[Any]:
    said = []
    for n, done in script:
        proposals = searcher.ask(n)
        said.append(proposals)
        out += proposals
        searcher.tell([answer(out.pop(len(out) // 2)) for _ in range(min(done, len(out)))])
    return plain(said)


def test_late_results_repeat_and_go_on_from_a_snapshot() -> None:
    searcher, out = build(), list[Proposal]()
    said = talk(searcher, SCRIPT, out)
    assert said == talk(build(), SCRIPT, [])
    assert [len(said[index]) for index in (1, 2, 4)] == [3, 1, 5]
    snapshot = searcher.snapshot()
    fresh = build()
    fresh.ask(2)
    fresh.restore(Snapshot(json.loads(json.dumps(snapshot.plain)), snapshot.arrays))
    assert talk(fresh, SCRIPT, list(out)) == talk(searcher, SCRIPT, out)


def test_results_in_any_order_give_the_same() -> None:
    straight, shuffled = build(), build()
    for number in range(4):
        asked = straight.ask()
        straight.tell([answer(p) for p in asked])
        again = shuffled.ask()
        assert plain([asked]) == plain([again])
        for index in np.random.default_rng(number).permutation(len(again)):
            shuffled.tell([answer(again[index])])


def test_failures_alone_are_no_end() -> None:
    searcher = build()
    for _ in range(4):
        proposals = searcher.ask()
        assert proposals
        searcher.tell([Evaluation(p.id, None, "no") for p in proposals])


def test_one_objective_is_refused() -> None:
    with pytest.raises(SearchError, match="cycleqd improves several objectives in turn, but one"):
        build(k=1)

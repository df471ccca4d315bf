"""What is injected pulls a distribution its way, moves with phases, and survives a snapshot."""

import json
import warnings

import numpy as np
import pytest

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.catcma import CatCmaSearcher
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.phases import PhasedSearcher
from evomerge.search.protocol import Evaluation, Searcher, Start, inject
from evomerge.search.random import RandomSearcher
from evomerge.search.scalarise import ScalarisedSearcher
from evomerge.search.snapshots import Snapshot
from tests.search.functions import box

FAR = np.full(4, 0.9)
MIXED = SearchSpace(
    [
        Gene("a", "float"),
        Gene("b", "float"),
        Gene("n", "int", 0, 7),
        Gene("c", "categorical", choices=("x", "y", "z")),
    ]
)


def generation(searcher: Searcher, n: int | None = None) -> np.ndarray:
    """Ask for candidates near ``FAR`` and tell how near they are; return their genomes."""
    proposals = searcher.ask(n)
    searcher.tell(Evaluation(p.id, (-float(((p.genome - FAR) ** 2).sum()),)) for p in proposals)
    return np.array([p.genome for p in proposals])


@pytest.mark.parametrize("n", [None, 5], ids=["whole", "as many as asked for"])
@pytest.mark.parametrize("kind", [CmaEsSearcher, CatCmaSearcher])
@pytest.mark.parametrize("space", [box(4), MIXED], ids=["numbers", "mixed"])
def test_a_distribution_goes_to_where_a_good_one_was_injected(
    kind: type, space: SearchSpace, n: int | None
) -> None:
    def distance(seed: int, *, injected: bool) -> float:
        searcher = kind(space, seed=seed, sigma=0.01)
        for _ in range(3):
            generation(searcher, n)
        for _ in range(3):
            if injected:
                inject(searcher, Start("far", space.snap(FAR), kind="inject"))
            generation(searcher, n)
        found = [generation(searcher, n) for _ in range(2)]
        assert all(np.isfinite(points).all() for points in found)
        return float(np.linalg.norm(found[-1].mean(axis=0) - FAR))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gains = [distance(s, injected=False) - distance(s, injected=True) for s in range(3)]
    assert np.mean(gains) > 0.03


@pytest.mark.parametrize("kind", [CmaEsSearcher, CatCmaSearcher])
def test_many_at_once_take_half_a_generation_each_time(kind: type) -> None:
    searcher = kind(box(4), seed=0, population=6)
    generation(searcher)
    for index in range(7):
        inject(searcher, Start(str(index), np.full(4, index / 10), kind="inject"))
    counts = []
    for _ in range(4):
        proposals = searcher.ask()
        searcher.tell(Evaluation(p.id, (p.genome.sum(),)) for p in proposals)
        counts.append((len(proposals), sum(p.origin.startswith("inject:") for p in proposals)))
    assert counts == [(6, 3), (6, 3), (6, 1), (6, 0)]


def test_the_searcher_under_a_scalarisation_gets_it() -> None:
    searcher = ScalarisedSearcher(
        RandomSearcher(box(2), seed=0, population=3), kind="weighted", weights=[1.0, 1.0]
    )
    inject(searcher, Start("mine", np.zeros(2), kind="inject"))
    assert [p.origin for p in searcher.ask()] == ["inject:mine", "random", "random"]


def phased() -> PhasedSearcher:
    return PhasedSearcher(
        [6], lambda index, winner: RandomSearcher(box(2 + index), seed=index, population=4)
    )


def test_a_phase_takes_what_it_still_has_room_for() -> None:
    searcher = phased()
    first, other = np.array([0.0, 0.1, 0.2]), np.array([1.0, 0.1, 0.2, 0.3])
    searcher.tell(Evaluation(p.id, (1.0,)) for p in searcher.ask())
    with pytest.raises(SearchError, match=r"phase 1 .* is at its end"):
        inject(searcher, Start("early", other, kind="inject"))
    for label in ("a", "b"):
        inject(searcher, Start(label, first, kind="inject"))
    with pytest.raises(SearchError, match=r"phase 1 .* Try again once that has begun"):
        inject(searcher, Start("c", first, kind="inject"))
    stored = searcher.snapshot()
    restored = phased()
    restored.ask()
    restored.restore(Snapshot(json.loads(json.dumps(stored.plain)), stored.arrays))
    for item in (searcher, restored):
        assert [p.origin for p in item.ask()] == ["inject:a", "inject:b"]
        assert {p.origin for p in item.ask()} == {"random"}
        inject(item, Start("late", other, kind="inject"))
        np.testing.assert_array_equal(item.ask()[0].genome, other)


def test_a_searcher_that_takes_nothing_says_what_to_do() -> None:
    with pytest.raises(SearchError, match=r"takes no recipes from outside.*search\.recipes"):
        inject(object(), Start("mine", np.zeros(2)))

import json

import numpy as np
import pytest

from evomerge.errors import SearchError
from evomerge.recipes.genes import Gene
from evomerge.recipes.space import SearchSpace
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.grid import GridSearcher
from evomerge.search.phases import Array, PhasedSearcher
from evomerge.search.protocol import Evaluation, Proposal, Searcher
from evomerge.search.random import RandomSearcher
from evomerge.search.snapshots import Snapshot


def space(n: int) -> SearchSpace:
    return SearchSpace([Gene(f"g{index}", "float") for index in range(n)])


class Begin:
    """Builds phases and remembers from what they began."""

    def __init__(self, n_objectives: int = 1, first: type = CmaEsSearcher) -> None:
        self.winners: list[Array | None] = []
        self._n_objectives = n_objectives
        self._first = first

    def __call__(self, index: int, winner: Array | None) -> Searcher:
        self.winners.append(winner)
        if index == 0 and self._first is CmaEsSearcher:
            return CmaEsSearcher(space(2), seed=1)
        size = (2, 5) if index == 0 else (3, 4)
        return RandomSearcher(
            space(size[0]), seed=index, n_objectives=self._n_objectives, population=size[1]
        )


def score(proposal: Proposal) -> float:
    return -float(np.abs(proposal.genome[1:] - 0.3).sum())


def answer(searcher: PhasedSearcher, proposals: list[Proposal]) -> None:
    searcher.tell([Evaluation(item.id, (score(item),)) for item in proposals])


def drive(searcher: PhasedSearcher, n: int) -> list[Proposal]:
    """Ask and tell until ``n`` candidates are told."""
    found: list[Proposal] = []
    while len(found) < n:
        asked = searcher.ask()
        answer(searcher, asked)
        found += asked
    return found


def test_each_phase_proposes_its_share_and_ids_run_on() -> None:
    begin = Begin()
    found = drive(PhasedSearcher([20, 6], begin), 40)
    assert [int(item.genome[0]) for item in found[:30]] == [0] * 20 + [1] * 6 + [2] * 4
    assert len({item.id for item in found}) == len(found)
    asks = [int(item.id.partition("-")[0]) for item in found]
    assert asks == sorted(asks)
    assert set(asks) == set(range(asks[-1] + 1))


def test_a_phase_begins_from_the_best_of_the_one_before() -> None:
    begin = Begin()
    found = drive(PhasedSearcher([20, 8], begin), 32)
    first, second = found[:20], found[20:28]
    assert begin.winners[0] is None
    for winner, phase in zip(begin.winners[1:], (first, second), strict=True):
        assert winner is not None
        assert winner.tolist() == max(phase, key=score).genome.tolist()


def test_of_several_objectives_the_knee_goes_on() -> None:
    begin = Begin(n_objectives=2, first=RandomSearcher)
    searcher = PhasedSearcher([5], begin)
    asked = searcher.ask()
    values = [(1.0, 0.0), (0.9, 0.85), (0.0, 1.0), (0.5, 0.4), (0.9, 0.85)]
    pairs = zip(asked, values, strict=True)
    searcher.tell([Evaluation(item.id, value) for item, value in pairs])
    searcher.ask()
    assert begin.winners[1] is not None
    assert begin.winners[1].tolist() == asked[1].genome.tolist()


def test_failures_never_win_and_a_phase_of_failures_ends_the_search_with_the_reason() -> None:
    searcher = PhasedSearcher([4], Begin(first=RandomSearcher))
    searcher.tell([Evaluation(item.id, None, "broken") for item in searcher.ask()])
    with pytest.raises(SearchError, match=r"no candidate of phase 1 has a score.*larger share"):
        searcher.ask()


def test_results_that_come_after_the_boundary_are_taken_and_change_nothing() -> None:
    begin = Begin(first=RandomSearcher)
    searcher = PhasedSearcher([6], begin)
    early, late = searcher.ask(3), searcher.ask(3)
    answer(searcher, early)
    second = searcher.ask(2)
    assert [int(item.genome[0]) for item in second] == [1, 1]
    answer(searcher, late)
    assert len(begin.winners) == 2
    answer(searcher, second)
    with pytest.raises(SearchError, match="isn't waiting"):
        answer(searcher, late)


def test_an_ask_never_crosses_the_boundary() -> None:
    searcher = PhasedSearcher([5], Begin(first=RandomSearcher))
    assert len(searcher.ask(3)) == 3
    last = searcher.ask(3)
    assert len(last) == 2
    answer(searcher, last)
    assert len(searcher.ask(3)) == 3


def test_a_searcher_that_has_no_more_hands_over_early() -> None:
    def begin(index: int, winner: Array | None) -> Searcher:
        if index == 0:
            cells = SearchSpace([Gene("a", "int", low=1, high=3)])
            return GridSearcher(cells, seed=0)
        return RandomSearcher(space(2), seed=0, population=2)

    found = drive(PhasedSearcher([50], begin), 9)
    assert [int(item.genome[0]) for item in found[:5]] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("n", [7, 20, 24, 29])
def test_a_snapshot_goes_on_alike(n: int) -> None:
    whole = PhasedSearcher([20, 8], Begin())
    drive(whole, n)
    stored = whole.snapshot()
    plain = json.loads(json.dumps(stored.plain))
    restored = PhasedSearcher([20, 8], Begin())
    restored.ask()  # as a resume does, to see that it's the same search
    restored.restore(Snapshot(plain, stored.arrays))
    for one, other in zip(drive(whole, 20), drive(restored, 20), strict=False):
        assert one.id == other.id
        assert one.genome.tolist() == other.genome.tolist()

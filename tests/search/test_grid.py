"""The grid: every combination once, then nothing."""

import numpy as np

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.grid import GridSearcher
from evomerge.search.protocol import Start

SPACE = SearchSpace(
    [
        Gene("w", "float", 0.0, 2.0),
        Gene("n", "int", 1, 2),
        Gene("mode", "categorical", choices=("a", "b", "c", "d")),
    ]
)


def test_covers_all_combinations_and_ends() -> None:
    searcher = GridSearcher(SPACE, seed=0, points=3, population=10)
    asked = []
    while proposals := searcher.ask():
        asked += [SPACE.decode(p.genome) for p in proposals]
    assert [(g["w"], g["n"], g["mode"]) for g in asked] == [
        (w, n, mode) for w in (0.0, 1.0, 2.0) for n in (1, 2) for mode in "abcd"
    ]
    assert searcher.ask() == searcher.ask(5) == []


def test_combinations_that_dont_differ_come_once() -> None:
    space = SearchSpace(
        [
            Gene("on", "categorical", choices=(False, True)),
            Gene("w", "float", active_if=("on", (True,))),
        ]
    )
    proposals = GridSearcher(space, seed=0, points=4).ask(99)
    assert len(proposals) == 1 + 4


def test_starts_come_before_the_grid() -> None:
    starts = [Start("x", np.array([0.3, 0.25, 0.125]))]
    first = GridSearcher(SPACE, seed=0, starts=starts).ask(3)
    assert [p.origin for p in first] == ["warm:x", "grid", "grid"]

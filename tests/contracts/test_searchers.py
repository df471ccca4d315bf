"""What every registered searcher must do."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.grid_archive import Axis
from evomerge.search.protocol import (
    SEARCHERS,
    Evaluation,
    Proposal,
    Searcher,
    Start,
    build_searcher,
)

SPACE = SearchSpace(
    [
        Gene("weight", "float", -0.5, 1.5),
        Gene("density", "float", 0.1, 1.0, step=0.001),
        Gene("scale", "float", 1e-3, 10.0, scale="log"),
        Gene("layers", "int", 1, 9),
        Gene("normalize", "categorical", choices=(False, True)),
        Gene("lambda", "float", 0.0, 2.0, active_if=("normalize", (False,)), default=1.0),
    ]
)
STARTS = [
    Start("base", SPACE.snap(np.zeros(6))),
    Start("uniform", SPACE.snap(np.full(6, 0.3))),
    Start("default", SPACE.snap(np.array([0.9, 0.1, 0.5, 0.5, 1.0, 0.5]))),
]
AXES = (Axis("near", 0.0, 1.0, 10), Axis("far", 0.0, 1.0, 4))
OTHERS = ("cycleqd", "m2n2")
"""Searchers of several objectives only, or of other spaces; their own tests hold them to the same.
"""
VARIANTS = [
    *((name, {"population": 5}) for name in SEARCHERS.names() if name not in OTHERS),
    ("cma_es", {"restarts": "bipop", "separable": "on", "active": False}),
    ("optuna", {"sampler": "NSGAIISampler", "population": 6}),
    ("optuna", {"sampler": "NSGAIIISampler", "population": 6}),
    ("optuna", {"sampler": "QMCSampler", "population": 5}),
    ("optuna", {"sampler": "RandomSampler", "population": 5}),
]
every_searcher = pytest.mark.parametrize(
    ("name", "options"),
    VARIANTS,
    ids=[f"{n}-{'-'.join(map(str, o.values()))}" for n, o in VARIANTS],
)
Answer = Callable[[Proposal], Evaluation]


def build(name: str, options: dict[str, object], seed: int = 3) -> Searcher:
    return build_searcher(name, SPACE, seed=seed, starts=STARTS, options=options, measures=AXES)


def utility(x: NDArray[np.float64]) -> float:
    return -float(((x - 0.4) ** 2).sum())


def good(proposal: Proposal) -> Evaluation:
    measures = float(proposal.genome[0]), float(proposal.genome[-1])
    return Evaluation(proposal.id, (utility(proposal.genome),), measures=measures)


def failed(proposal: Proposal) -> Evaluation:
    return Evaluation(proposal.id, None, "out of memory")


def sometimes(proposal: Proposal) -> Evaluation:
    return failed(proposal) if int(proposal.id.split("-")[1]) % 3 == 0 else good(proposal)


def drive(searcher: Searcher, generations: int, answer: Answer = good) -> list[list[Proposal]]:
    asked = []
    for _ in range(generations):
        asked.append(searcher.ask())
        searcher.tell([answer(proposal) for proposal in asked[-1]])
    return asked


def plain(generations: list[list[Proposal]]) -> list[list[tuple[str, bytes, str]]]:
    return [[(p.id, p.genome.tobytes(), p.origin) for p in g] for g in generations]


@every_searcher
@pytest.mark.parametrize("answer", [good, sometimes, failed], ids=["good", "sometimes", "failed"])
def test_repeats_under_a_seed(name: str, options: dict[str, object], answer: Answer) -> None:
    first = drive(build(name, options), 6, answer)
    assert plain(first) == plain(drive(build(name, options), 6, answer))
    assert all(first)
    if name != "grid":
        assert plain(first) != plain(drive(build(name, options, seed=4), 6, answer))


@every_searcher
def test_stays_in_bounds_and_on_the_grid(name: str, options: dict[str, object]) -> None:
    for generation in drive(build(name, options), 6, sometimes):
        for proposal in generation:
            assert proposal.genome.shape == (6,)
            assert proposal.genome.dtype == np.float64
            assert ((proposal.genome >= 0) & (proposal.genome <= 1)).all()
            np.testing.assert_array_equal(proposal.genome, SPACE.snap(proposal.genome))


@every_searcher
def test_generation_0_begins_with_the_starts(name: str, options: dict[str, object]) -> None:
    proposals = build(name, options).ask()
    assert [p.origin for p in proposals[:3]] == ["warm:base", "warm:uniform", "warm:default"]
    for proposal, start in zip(proposals, STARTS, strict=False):
        np.testing.assert_array_equal(proposal.genome, start.genome)
    assert {p.origin for p in proposals[3:]} <= {name}
    assert [p.id for p in proposals] == [f"0-{i}" for i in range(len(proposals))]


@every_searcher
def test_starts_that_dont_fit_in_one_ask_come_in_the_next(
    name: str, options: dict[str, object]
) -> None:
    searcher = build(name, options)
    first, second = searcher.ask(2), searcher.ask(2)
    assert [p.origin for p in first + second][:3] == ["warm:base", "warm:uniform", "warm:default"]
    assert len(first) == len(second) == 2


@every_searcher
def test_results_may_come_one_by_one_and_in_any_order(
    name: str, options: dict[str, object]
) -> None:
    straight, shuffled = build(name, options), build(name, options)
    for generation in range(4):
        expected, proposals = straight.ask(), shuffled.ask()
        assert plain([expected]) == plain([proposals])
        straight.tell([sometimes(p) for p in expected])
        order = np.random.default_rng(generation).permutation(len(proposals))
        for index in order:
            shuffled.tell([sometimes(proposals[index])])


@every_searcher
def test_late_results_and_asks_of_other_sizes_are_taken(
    name: str, options: dict[str, object]
) -> None:
    def run() -> list[list[Proposal]]:
        searcher = build(name, options)
        late: list[Proposal] = []
        asked = []
        for n in (None, 3, None, 1, 40, None, 5):
            proposals = searcher.ask(n)
            asked.append(proposals)
            searcher.tell([sometimes(p) for p in late])
            searcher.tell([sometimes(p) for p in proposals[: len(proposals) // 2]])
            late = proposals[len(proposals) // 2 :]
        return asked

    asked = run()
    assert plain(asked) == plain(run())
    assert [len(g) for g in asked[1:2] + asked[3:5]] == [3, 1, 40]


@every_searcher
@pytest.mark.parametrize("stop", [1, 2, 5])
def test_replay_goes_on_as_if_never_stopped(
    name: str, options: dict[str, object], stop: int
) -> None:
    whole = drive(build(name, options), stop + 3, sometimes)
    again = build(name, options)
    assert plain(drive(again, stop, sometimes)) == plain(whole[:stop])
    assert plain(drive(again, 3, sometimes)) == plain(whole[stop:])


@every_searcher
def test_global_random_states_stay_untouched(name: str, options: dict[str, object]) -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the global state is what is tested
    expected = (random.random(), np.random.rand())  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = plain(drive(build(name, options), 4, sometimes))
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002
    assert plain(drive(build(name, options), 4, sometimes)) == before


@every_searcher
def test_unknown_and_double_results_are_refused(name: str, options: dict[str, object]) -> None:
    searcher = build(name, options)
    proposals = searcher.ask()
    with pytest.raises(SearchError, match="'9-9' is not waiting"):
        searcher.tell([good(proposals[0]), Evaluation("9-9", (1.0,), measures=(0.5, 0.5))])
    searcher.tell([good(proposals[0])])  # the refused tell took nothing
    with pytest.raises(SearchError, match="Tell each candidate once"):
        searcher.tell([good(proposals[0])])
    with pytest.raises(SearchError, match="not waiting"):
        searcher.tell([good(proposals[1]), good(proposals[1])])


@every_searcher
def test_values_that_arent_finite_count_as_failures(name: str, options: dict[str, object]) -> None:
    def not_a_number(proposal: Proposal) -> Evaluation:
        answer = sometimes(proposal)
        return (
            answer
            if answer.values
            else Evaluation(proposal.id, (float("nan"),), measures=(0.5, 0.5))
        )

    with_nan = drive(build(name, options), 4, not_a_number)
    assert plain(with_nan) == plain(drive(build(name, options), 4, sometimes))


@every_searcher
def test_a_space_of_one_gene_works(name: str, options: dict[str, object]) -> None:
    space = SearchSpace([Gene("weight", "float")])
    searcher = build_searcher(name, space, seed=0, options=options, measures=AXES)
    proposals = searcher.ask(4)
    assert [p.genome.shape for p in proposals] == [(1,)] * len(proposals)
    searcher.tell([good(p) for p in proposals])
    assert searcher.ask() or name == "grid"


@pytest.mark.parametrize(
    ("name", "options"),
    [(n, o) for n, o in VARIANTS if SEARCHERS.get(n).declaration.multi_objective],
)
def test_two_objectives_where_declared(name: str, options: dict[str, object]) -> None:
    searcher = build_searcher(name, SPACE, seed=0, n_objectives=2, starts=STARTS, options=options)
    for _ in range(4):
        proposals = searcher.ask()
        assert proposals
        searcher.tell(
            Evaluation(p.id, None if i % 4 == 0 else (utility(p.genome), float(p.genome[0])))
            for i, p in enumerate(proposals)
        )

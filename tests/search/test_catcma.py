"""CatCMA: it finds known optima, begins where priors and starts say, and takes late results."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.catcma import CatCmaSearcher
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.protocol import Evaluation, Proposal, Start
from tests.search.functions import best_of, box, sphere

FLAGS = [Gene(f"on{i}", "categorical", choices=(False, True)) for i in range(12)]
SWITCHES = SearchSpace(FLAGS)
MIXED = SearchSpace(
    [
        *FLAGS[:6],
        Gene("method", "categorical", choices=("a", "b", "c")),
        Gene("layers", "int", 1, 9),
        Gene("w0", "float"),
        Gene("w1", "float"),
    ]
)


def leading_ones(x: NDArray[np.float64]) -> float:
    return float(np.cumprod(x > 0.5).sum())


def mixed(x: NDArray[np.float64]) -> float:
    genome = MIXED.decode(x)
    flags = sum(genome[f"on{i}"] == (i % 2 == 0) for i in range(6))
    numbers = (genome["w0"] - 0.2) ** 2 + (genome["w1"] - 0.7) ** 2
    return flags + (genome["method"] == "b") - abs(genome["layers"] - 4) / 8 - float(numbers)


def told(proposals: list[Proposal], function: object = sphere) -> list[Evaluation]:
    assert callable(function)
    return [Evaluation(p.id, (function(p.genome),)) for p in proposals]


def test_finds_the_best_switches_numbers_and_choices() -> None:
    assert best_of(CatCmaSearcher(SWITCHES, seed=0), leading_ones, 600) == 12
    assert best_of(CatCmaSearcher(MIXED, seed=0), mixed, 800) > 7 - 1e-3
    assert best_of(CatCmaSearcher(box(6), seed=0), sphere, 800) > -1e-6


def test_priors_are_where_it_begins() -> None:
    gene = Gene("on", "categorical", choices=(False, True), prior=0.5 + 2 / 6)
    genes = [gene, Gene("w", "float", prior=0.9), FLAGS[0]]
    searcher = CatCmaSearcher(SearchSpace(genes), seed=0, population=4000, sigma=0.01)
    drawn = np.array([proposal.genome for proposal in searcher.ask()])
    np.testing.assert_allclose((drawn > 0.5).mean(axis=0), [0.977, 1.0, 0.5], atol=0.03)
    np.testing.assert_allclose(drawn[:, 1].mean(), 0.9, atol=1e-3)
    x0 = CmaEsSearcher(SearchSpace(genes), seed=0)._x0
    np.testing.assert_allclose(x0, [0.5 + 2 / 6, 0.9, 0.5])


def test_the_best_start_is_mostly_kept() -> None:
    best = SWITCHES.snap(np.arange(12) % 2.0)
    starts = [Start("a", SWITCHES.snap(np.zeros(12))), Start("b", best)]
    searcher = CatCmaSearcher(SWITCHES, seed=0, starts=starts, population=200)
    first = searcher.ask()
    searcher.tell(told(first, lambda x: -float(((x - best) ** 2).sum())))
    drawn = np.array([proposal.genome for proposal in searcher.ask()])
    assert 0.85 < (drawn == best).mean() < 0.95


@pytest.mark.parametrize("searcher_of", [CatCmaSearcher, CmaEsSearcher])
def test_a_gene_that_never_counts_keeps_its_mean(searcher_of: type) -> None:
    genes = [Gene("w", "float"), Gene("v", "float"), Gene("unused", "float", default=0.5)]

    def active(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.broadcast_to(np.array([True, True, False]), numbers.shape)

    searcher = searcher_of(SearchSpace(genes, activity=active), seed=0, population=8)
    searcher.tell(told(searcher.ask()))
    mean = searcher._mean
    for _ in range(3):
        searcher.tell(told(searcher.ask()))
    assert searcher._mean[2] == mean[2]
    assert (searcher._mean[:2] != mean[:2]).all()


def test_small_asks_make_up_one_generation() -> None:
    searcher = CatCmaSearcher(MIXED, seed=0, population=8)
    for _ in range(4):
        searcher.tell(told(searcher.ask(2), mixed))
    assert searcher._es.generation == 1
    searcher.tell(told(searcher.ask(40), mixed))
    assert searcher._es.generation == 6


def test_converges_while_results_are_late() -> None:
    searcher = CatCmaSearcher(MIXED, seed=1)
    rng = np.random.default_rng(1)
    out, best = searcher.ask(24), -np.inf
    for _ in range(1200):
        done = out.pop(int(rng.integers(len(out))))
        best = max(best, mixed(done.genome))
        searcher.tell(told([done], mixed))
        out += searcher.ask(1)
    assert best > 7 - 0.01


def test_begins_anew_with_twice_the_population_when_nothing_gets_better() -> None:
    searcher = CatCmaSearcher(SWITCHES, seed=0, population=20)
    sizes = []
    for _ in range(40):
        proposals = searcher.ask()
        sizes.append(len(proposals))
        searcher.tell(told(proposals, lambda x: 1.0))
    assert sorted(set(sizes)) == [20, 40]


def test_equal_scores_and_several_objectives() -> None:
    searcher = CatCmaSearcher(box(3), seed=0)
    for _ in range(3):
        searcher.tell(told(searcher.ask(), lambda x: 0.0))
    assert np.isfinite([p.genome for p in searcher.ask()]).all()
    with pytest.raises(SearchError, match="catcma optimises one objective, but 2 are declared"):
        CatCmaSearcher(box(3), seed=0, n_objectives=2)

"""CMA-ES: it converges where random search doesn't, and its special cases."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import ProblemsError, SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from evomerge.search.random import RandomSearcher
from tests.search.functions import best_of, box, rastrigin, sphere

CORNER = [Start("corner", np.zeros(10))]
SEEDS = range(2)


def test_nothing_is_printed_where_matplotlib_is_absent() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from evomerge.search.cma_es import CmaEsSearcher\n"
        "from tests.search.functions import box\n"
        "CmaEsSearcher(box(3), seed=0, n_objectives=1).ask()\n"
        "assert 'cma' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("starts", [[], CORNER], ids=["no starts", "bad start"])
@pytest.mark.parametrize("seed", SEEDS)
def test_reaches_the_spheres_optimum_where_random_search_does_not(
    starts: list[Start], seed: int
) -> None:
    assert best_of(CmaEsSearcher(box(10), seed=seed, starts=starts), sphere, 1500) > -1e-6
    assert best_of(RandomSearcher(box(10), seed=seed), sphere, 1500) < -0.03


@pytest.mark.parametrize("starts", [[], [Start("corner", np.zeros(5))]], ids=["none", "bad"])
@pytest.mark.parametrize("seed", SEEDS)
def test_restarts_reach_rastrigins_best_valleys(starts: list[Start], seed: int) -> None:
    assert best_of(CmaEsSearcher(box(5), seed=seed, starts=starts), rastrigin, 4000) > -3
    assert best_of(RandomSearcher(box(5), seed=seed), rastrigin, 4000) < -5


def test_a_good_start_pays() -> None:
    near = [Start("near", np.full(18, 0.33))]
    with_start = [best_of(CmaEsSearcher(box(18), seed=s, starts=near), sphere, 200) for s in SEEDS]
    without = [best_of(CmaEsSearcher(box(18), seed=s), sphere, 200) for s in SEEDS]
    assert np.mean(with_start) > np.mean(without)


@pytest.mark.parametrize("options", [{"separable": "on"}, {"restarts": "bipop"}, {"active": False}])
def test_variants_converge(options: dict[str, object]) -> None:
    searcher = build_searcher("cma_es", box(10), seed=0, options=options)
    assert best_of(searcher, sphere, 2500) > -1e-5


def test_many_genes_are_searched_separably() -> None:
    searcher = CmaEsSearcher(box(301), seed=0)
    assert searcher._diagonal
    assert not CmaEsSearcher(box(300), seed=0)._diagonal
    assert best_of(searcher, sphere, 1500) > best_of(RandomSearcher(box(301), seed=0), sphere, 1500)


MIXED = SearchSpace(
    [
        *(Gene(f"w{i}", "float") for i in range(4)),
        *(Gene(f"n{i}", "int", 0, 8) for i in range(3)),
        *(Gene(f"b{i}", "categorical", choices=(False, True)) for i in range(3)),
    ]
)


def mixed(x: NDArray[np.float64]) -> float:
    """Return 0 at floats 0.3, whole numbers 6 and alternating flags."""
    genome = MIXED.decode(x)
    floats = sum((genome[f"w{i}"] - 0.3) ** 2 for i in range(4))
    whole = sum((genome[f"n{i}"] - 6) ** 2 for i in range(3)) / 64
    flags = sum(genome[f"b{i}"] != bool(i % 2) for i in range(3))
    return -float(floats + whole + 0.2 * flags)


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_numbers_and_choices_are_found_exactly(seed: int) -> None:
    searcher = CmaEsSearcher(MIXED, seed=seed, population=16)
    assert best_of(searcher, mixed, 1600) > -1e-4


def test_a_generation_that_failed_as_a_whole_changes_nothing() -> None:
    plain, failing = CmaEsSearcher(box(6), seed=1), CmaEsSearcher(box(6), seed=1)
    failing.tell([Evaluation(p.id, None, "died") for p in failing.ask()])
    for searcher in (plain, failing):
        searcher.ask()
    np.testing.assert_array_equal(plain._es.mean, failing._es.mean)
    assert plain._es.sigma == failing._es.sigma


def test_failures_push_the_search_away() -> None:
    def broken_above_half(p: Proposal) -> Evaluation:
        if p.genome[0] > 0.5:
            return Evaluation(p.id, None, "out of memory")
        return Evaluation(p.id, (sphere(p.genome),))

    searcher = CmaEsSearcher(box(6), seed=0)
    for _ in range(30):
        searcher.tell([broken_above_half(p) for p in searcher.ask()])
    assert all(p.genome[0] <= 0.5 for p in searcher.ask())


def test_the_best_of_generation_0_is_the_first_mean() -> None:
    best = np.full(6, 0.31)
    searcher = CmaEsSearcher(box(6), seed=0, starts=[Start("a", np.ones(6)), Start("b", best)])
    proposals = searcher.ask()
    assert len(proposals) == 9
    assert [p.origin for p in proposals] == ["warm:a", "warm:b", *["cma_es"] * 7]
    searcher.tell([Evaluation(p.id, (sphere(p.genome),)) for p in proposals])
    searcher.ask()
    es = searcher._es
    mean = es.gp.pheno(es.mean, into_bounds=es.boundary_handler.repair)
    np.testing.assert_allclose(mean, best, atol=1e-5)


def test_restarts_double_the_population() -> None:
    searcher = CmaEsSearcher(box(2), seed=0)
    sizes = []
    for _ in range(120):
        proposals = searcher.ask()
        sizes.append(len(proposals))
        searcher.tell([Evaluation(p.id, (sphere(p.genome),)) for p in proposals])
    assert sorted(set(sizes))[:2] == [6, 12]


def told(proposals: Sequence[Proposal]) -> list[Evaluation]:
    return [Evaluation(p.id, (sphere(p.genome),)) for p in proposals]


def test_small_asks_make_up_one_generation() -> None:
    searcher = CmaEsSearcher(box(6), seed=0, population=8)
    for _ in range(4):
        searcher.tell(told(searcher.ask(2)))
    assert searcher._es.countiter == 1
    searcher.tell(told(searcher.ask(40)))
    assert searcher._es.countiter == 6


def test_a_generation_counts_once_all_of_it_is_back() -> None:
    searcher = CmaEsSearcher(box(6), seed=0, population=8)
    early, late = searcher.ask(), searcher.ask()
    searcher.tell(told(late[:7]))
    assert searcher._es.countiter == 0
    searcher.tell(told(early))
    assert searcher._es.countiter == 1
    searcher.tell(told(late[7:]))
    assert searcher._es.countiter == 2


def test_late_results_are_known_by_the_update_they_were_drawn_before() -> None:
    searcher = CmaEsSearcher(box(6), seed=0, population=4)
    first = searcher.ask(6)
    searcher.tell(told(first[:4]))
    second = searcher.ask(2)
    searcher.tell(told(first[4:5] + second[:1]))
    assert [result.update for result in searcher._ready] == [0, 1]
    np.testing.assert_array_equal(searcher._ready[1].mean, searcher._es.mean)


def test_a_late_sample_counts_from_between_its_own_mean_and_the_present_one() -> None:
    seen: list[NDArray[np.float64]] = []
    searcher = CmaEsSearcher(box(6), seed=0, population=4)
    first = searcher.ask(8)
    before = searcher._es.mean.copy()
    searcher.tell(told(first[:4]))
    between = (before + searcher._es.mean) / 2
    genuine = searcher._es.tell
    searcher._es.tell = lambda *args, **more: (
        seen.append(searcher._es.mean.copy()),
        genuine(*args, **more),
    )
    searcher.tell(told(first[4:]))
    np.testing.assert_allclose(seen[0], between, rtol=0, atol=1e-15)


def test_many_candidates_out_make_generations_larger() -> None:
    def generation(n: int, population: int | None = None) -> int:
        searcher = CmaEsSearcher(box(10), seed=0, population=population)
        searcher.ask(n)
        return int(searcher._es.popsize)

    assert [generation(n) for n in (1, 40, 64, 256)] == [10, 10, 16, 64]
    assert generation(256, population=8) == 8


def test_starts_are_awaited_and_the_best_of_them_becomes_the_mean() -> None:
    best = np.full(6, 0.31)
    starts = [Start("a", np.ones(6)), Start("b", best), Start("c", np.zeros(6))]
    searcher = CmaEsSearcher(box(6), seed=0, starts=starts)
    first = searcher.ask(5)
    searcher.tell(told(first[2:]))
    around = searcher.ask(2)
    assert searcher._es is None
    searcher.tell(told(first[:2]))
    searcher.ask(1)
    searcher.tell(told(around))  # drawn before all starts were back: no part of an update
    assert searcher._ready == []
    es = searcher._es
    mean = es.gp.pheno(es.mean, into_bounds=es.boundary_handler.repair)
    np.testing.assert_allclose(mean, best, atol=1e-5)


@pytest.mark.parametrize("slots", [8, 64])
def test_converges_while_results_are_late(slots: int) -> None:
    bests = []
    for seed in range(2):
        searcher = CmaEsSearcher(box(4), seed=seed)
        rng = np.random.default_rng(seed)
        out = searcher.ask(slots)
        best = -np.inf
        for _ in range(900):
            done = out.pop(int(rng.integers(len(out))))  # a geometric, so heavy-tailed, delay
            best = max(best, sphere(done.genome))
            searcher.tell(told([done]))
            out += searcher.ask(1)
        bests.append(best)
    assert np.mean(np.log10(-np.array(bests))) < -4


def test_options_are_checked() -> None:
    with pytest.raises(ProblemsError) as caught:
        build_searcher(
            "cma_es", box(3), seed=0, options={"sigma": 2, "popsize": 5, "restarts": "ipob"}
        )
    assert {problem.key for problem in caught.value.problems} == {
        "search.options.sigma",
        "search.options.popsize",
        "search.options.restarts",
    }
    with pytest.raises(SearchError, match=r"x0 of 2 numbers .* expected 3, one a gene"):
        CmaEsSearcher(box(3), seed=0, x0=[0.1, 0.2])
    with pytest.raises(SearchError, match="expected 3"):
        CmaEsSearcher(box(3), seed=0, x0=[0.1, 0.2, 1.2])
    with pytest.raises(SearchError, match="cma_es optimises one objective, but 2 are declared"):
        build_searcher("cma_es", box(3), seed=0, n_objectives=2)

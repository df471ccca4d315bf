"""Optuna's samplers: refusals, learning, the bounded window, conditional genes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.optuna import OptunaSearcher
from evomerge.search.protocol import Evaluation, Start, build_searcher
from evomerge.search.random import RandomSearcher
from tests.search.functions import best_of, box, sphere


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "CmaEsSampler"}, "isn't offered here: use the searcher cma_es"),
        ({"sampler": "GridSampler"}, "use the searcher grid"),
        ({"sampler": "TPES"}, "no sampler is called 'TPES'; did you mean 'TPESampler'"),
        ({"settings": {"n_startup": 3}}, r"settings.n_startup: .*did you mean 'n_startup_trials'"),
        ({"settings": {"seed": 3}}, r"settings.seed: TPESampler takes no such setting"),
        (
            {"sampler": "NSGAIISampler", "settings": {"population_size": 1}},
            r"search.options.settings: .*population_size",
        ),
    ],
)
def test_what_isnt_offered_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SearchError, match=message):
        build_searcher("optuna", box(2), seed=0, options=options)


@pytest.mark.parametrize("sampler", ["TPESampler", "NSGAIISampler"])
def test_learns_the_sphere(sampler: str) -> None:
    searcher = OptunaSearcher(box(3), seed=0, sampler=sampler, population=10)
    assert best_of(searcher, sphere, 120) > best_of(RandomSearcher(box(3), seed=0), sphere, 120)


@pytest.mark.slow
def test_the_gaussian_process_learns_the_sphere() -> None:
    pytest.importorskip("torch")
    searcher = OptunaSearcher(box(2), seed=0, sampler="GPSampler", population=5)
    assert best_of(searcher, sphere, 30) > -1e-3


def test_samplers_have_short_names() -> None:
    first, second = (
        OptunaSearcher(box(2), seed=0, sampler=name).ask() for name in ("TPE", "TPESampler")
    )
    assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]


def test_two_objectives_find_a_front() -> None:
    searcher = OptunaSearcher(
        box(3), seed=0, n_objectives=2, sampler="NSGAIISampler", population=20
    )

    def values(x: NDArray[np.float64]) -> tuple[float, float]:
        return -float(((x - 0.2) ** 2).sum()), -float(((x - 0.8) ** 2).sum())

    for _ in range(20):
        proposals = searcher.ask()
        searcher.tell([Evaluation(p.id, values(p.genome)) for p in proposals])
    # On the front all coordinates are equal, between 0.2 and 0.8.
    spread = np.mean([np.ptp(p.genome) for p in proposals])
    assert spread < 0.35  # of points at random: 0.5


def test_the_window_keeps_the_best_and_the_latest() -> None:
    settings = {"n_startup_trials": 10**6}  # sampling at random is quick
    searcher = OptunaSearcher(
        box(2), seed=0, starts=[Start("best", np.full(2, 0.3))], window=50, settings=settings
    )
    sizes = []
    for _ in range(12):
        proposals = searcher.ask()
        sizes.append(len(searcher._study.trials) - len(proposals))
        searcher.tell([Evaluation(p.id, (sphere(p.genome),)) for p in proposals])
    assert max(sizes) < 100
    assert sizes != sorted(sizes)
    best = min(searcher._study.trials, key=lambda t: t.values[0] if t.values else 9)
    assert best.params["g0"] == pytest.approx(0.3)


def test_results_of_trials_that_left_the_window_still_count() -> None:
    settings = {"n_startup_trials": 10**6}
    searcher = OptunaSearcher(box(2), seed=0, window=50, settings=settings)
    late = searcher.ask()
    for _ in range(8):
        searcher.tell([Evaluation(p.id, (sphere(p.genome),)) for p in searcher.ask()])
    searcher.tell([Evaluation(p.id, (1.0,)) for p in late])
    searcher.ask()
    assert searcher._study.best_value == -1.0


def test_failures_take_the_worst_value_as_soon_as_there_is_one() -> None:
    searcher = OptunaSearcher(box(2), seed=0, population=4)
    searcher.tell([Evaluation(p.id, None, "died") for p in searcher.ask()])
    second = searcher.ask()
    searcher.tell([Evaluation(p.id, (float(i),)) for i, p in enumerate(second)])
    searcher.ask()
    told = [t.values for t in searcher._study.trials if t.values]
    assert sorted(-v[0] for v in told) == [0.0] * 5 + [1.0, 2.0, 3.0]


def test_genes_that_dont_count_arent_asked_for() -> None:
    space = SearchSpace(
        [
            Gene("mode", "categorical", choices=("a", "b")),
            Gene("only_a", "float", active_if=("mode", ("a",))),
        ]
    )
    start = Start("b", space.encode({"mode": "b", "only_a": 0.5}))
    searcher = OptunaSearcher(space, seed=0, starts=[start])
    for _ in range(3):
        searcher.tell([Evaluation(p.id, (0.0,)) for p in searcher.ask()])
    params = [set(t.params) for t in searcher._study.trials]
    assert params[0] == {"mode"}
    assert {"mode", "only_a"} in params


@pytest.mark.parametrize("sampler", ["TPE", "NSGAII"])
def test_starts_at_priors_and_shows_defaults_of_what_doesnt_count(sampler: str) -> None:
    genes = [
        Gene("on", "categorical", choices=(False, True), prior=0.9),
        Gene("first", "float", prior=0.2),
        Gene("scale", "float", default=0.25),
    ]

    def activity(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        counts = np.ones(numbers.shape, dtype=bool)
        counts[..., 2] = numbers[..., 0] > 0
        return counts

    space = SearchSpace(genes, activity=activity)
    searcher = OptunaSearcher(space, seed=0, sampler=sampler, population=8)
    for ask in range(4):
        proposals = searcher.ask()
        if not ask:
            assert space.decode(proposals[0].genome) == {"on": True, "first": 0.2, "scale": 0.5}
        searcher.tell([Evaluation(p.id, (float(p.genome[1]),)) for p in proposals])
    trials = searcher._study.trials
    scales = [[t.params["scale"] for t in trials if t.params["on"] == on] for on in (0, 1)]
    assert set(scales[0]) == {0.25}
    assert len(set(scales[1])) > 5
    start = Start("first", space.encode({"on": False, "first": 0.5, "scale": 0.7}))
    warm = OptunaSearcher(space, seed=0, sampler=sampler, starts=[start])
    assert [p.origin for p in warm.ask(2)] == ["warm:first", "optuna"]

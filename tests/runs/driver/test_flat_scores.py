"""Runs in which scores say nothing: all wrong, all right, or one example that isn't a number."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.events import CandidateFailed, Finished
from evomerge.search.fronts import hypervolume
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.protocol import SEARCHERS, Searcher, build_searcher
from tests.runs.fakes import BINARY, FakeEvaluator, FakeRun, FakeWorker, segmented_space

NAMES = ("cma_es", "catcma", "mo_cma_es", "motpe", "nsga2", "nsga3", "random", "sobol")
TWO = {n: {"from": [n], "aggregate": "mean", "direction": "maximize"} for n in BINARY}


class Flat(FakeEvaluator):
    """Gives every example of every candidate the same score."""

    score_of_all = 0.0

    def values(self, recipe: Recipe, split: str, index: int) -> dict[str, tuple[float, ...]]:
        return {"hit": (self.score_of_all,)}


class Solved(Flat):
    score_of_all = 1.0


def flat(kind: type[Flat]) -> dict[str, FakeEvaluator]:
    return {name: kind(name, item.target) for name, item in BINARY.items()}


def built(name: str, space: SearchSpace, objectives: int) -> Searcher:
    options = {"population": 5}
    return build_searcher(name, space, seed=1, n_objectives=objectives, options=options)


def m2n2(space: SearchSpace, objectives: int, **options: Any) -> Searcher:
    return M2N2Searcher(space, seed=1, n_objectives=objectives, **options)


def crossing(folder: Path, **options: Any) -> FakeRun:
    """A run of m2n2."""
    searcher = {"archive": 2} | options.pop("searcher", {})
    made = {"make_searcher": partial(m2n2, **searcher), "make_space": segmented_space}
    return FakeRun(folder, **{"evaluators": BINARY, "objectives": TWO, **made, **options})


def values(run: FakeRun) -> NDArray[np.float64]:
    """Return the tasks' numbers of all candidates, shape ``(n, 2)``."""
    found = run.records().estimates("search")
    return np.array([[row[task, "hit"].value for task in BINARY] for row in found.values()])


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, Flat) for name in NAMES), *((name, Solved) for name in ("cma_es", "nsga2"))],
)
def test_a_run_ends_though_all_scores_are_alike(
    tmp_path: Path, name: str, kind: type[Flat]
) -> None:
    objectives = {} if name in ("cma_es", "catcma") else {"objectives": TWO}
    assert SEARCHERS.get(name).declaration.multi_objective == bool(objectives)
    make = partial(built, name)
    run = FakeRun(tmp_path, evaluators=flat(kind), make_searcher=make, **objectives)
    finished = list(run.start().drive())[-1]
    assert isinstance(finished, Finished)
    assert (finished.progress.evaluated, finished.progress.failed) == (20, 0)
    assert set(finished.objectives.values()) == {kind.score_of_all}
    points = values(run)
    assert (points == kind.score_of_all).all()
    assert hypervolume(points, (0.0, 0.0)).value == kind.score_of_all
    genomes = Counter(tuple(row.genome.values()) for row in run.records().candidates())
    assert max(genomes.values()) == 1


@pytest.mark.parametrize("kind", [Flat, Solved])
@pytest.mark.parametrize("options", [{}, {"attraction": False}, {"alpha": 0.0}], ids=str)
def test_an_archive_of_two_goes_on_crossing_where_all_scores_are_alike(
    tmp_path: Path, kind: type[Flat], options: dict[str, Any]
) -> None:
    run = crossing(tmp_path, evaluators=flat(kind), searcher=options)
    finished = list(run.start().drive())[-1]
    assert isinstance(finished, Finished)
    rows = run.records().candidates()
    children = [row for row in rows if row.origin == "m2n2"]
    assert len(children) == 17
    # The older of equals leaves, so that parents are always the two latest.
    order = [row.candidate_id for row in rows]
    for row in children:
        place = order.index(row.candidate_id)
        assert set(row.parents) == {order[place - 2], order[place - 1]}
    assert len({row.recipe_hash for row in rows}) == len(rows)


def test_a_candidate_with_one_example_that_isnt_a_number_never_becomes_a_parent(
    tmp_path: Path,
) -> None:
    worker = FakeWorker(BINARY, poison=lambda job: job.candidate_id in ("0-1", "4-0"))
    run = crossing(tmp_path, worker=worker, searcher={"archive": 5})
    events = list(run.start().drive())
    failed = [event for event in events if isinstance(event, CandidateFailed)]
    assert [(event.candidate, event.failure) for event in failed] == [
        ("0-1", "nan"),
        ("4-0", "nan"),
    ]
    assert isinstance(events[-1], Finished)
    rows = [row for row in run.records().candidates() if row.origin == "m2n2"]
    assert not {name for row in rows for name in row.parents} & {"0-1", "4-0"}

from pathlib import Path

import pytest

from evomerge.errors import LedgerError
from evomerge.search.protocol import Searcher
from evomerge.search.random import RandomSearcher
from tests.runs.fakes import FakeRun


def other_seed(space: object, objectives: int) -> Searcher:
    return RandomSearcher(space, seed=4, n_objectives=objectives, population=6)  # type: ignore[arg-type]  # the fake space


def test_a_searcher_that_proposes_something_else_is_refused(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    list(fake.start().drive())
    fake.make_searcher = other_seed
    with pytest.raises(LedgerError, match=r"candidate 0-0 with stage1\.weights\.a = .* instead of"):
        fake.resume()


def test_the_version_that_changed_is_named(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7, versions={"cma": "4.4", "numpy": "2.0"})
    list(fake.start().drive())
    fake.make_searcher = other_seed
    fake.versions = {"cma": "5.0", "numpy": "2.0"}
    with pytest.raises(LedgerError, match=r"What changed: cma was 4\.4 and is 5\.0\. Install"):
        fake.resume()


def test_another_version_alone_is_no_reason_to_stop(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    finished = list(fake.start().drive())[-1]
    fake.versions = {"evomerge": "2"}
    assert list(fake.resume().drive())[-1] == finished


def test_another_population_is_noticed(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    list(fake.start().drive())
    fake.make_searcher = lambda space, n: RandomSearcher(space, seed=3, population=5)
    with pytest.raises(LedgerError, match="5 candidates instead of 6"):
        fake.resume()


def test_a_space_that_gives_other_recipes_is_noticed(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=8)
    list(fake.start().drive())
    run = fake.resume()
    run.extend(9)
    genuine = run.plan.space.recipe
    run.plan.space.recipe = lambda genome: genuine({g: v + 0.125 for g, v in genome.items()})  # type: ignore[method-assign]  # a method's declaration that changed
    with pytest.raises(LedgerError, match="candidate 1-2 no longer gives the recipe"):
        list(run.drive())

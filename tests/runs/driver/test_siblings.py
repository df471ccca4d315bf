from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evomerge.recipes.recipe import Dataflow, Recipe, Step
from evomerge.recipes.space import Genome
from tests.runs.fakes import BINARY, FakeRun, FakeSpace, picture


def shared_steps(recipes: list[Recipe]) -> int:
    """Steps that neighbours begin with alike."""
    found = 0
    for one, other in pairwise(recipes):
        assert one.dataflow is not None
        assert other.dataflow is not None
        for a, b in zip(one.dataflow.steps, other.dataflow.steps, strict=True):
            if a != b:
                break
            found += 1
    return found


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each recipe a route that its genes' signs choose."""
    genuine = FakeSpace.recipe

    def recipe(space: FakeSpace, genome: Genome) -> Recipe:
        steps = tuple(
            Step("a" if genome[gene.name] < 0 else "b", layer)
            for layer, gene in enumerate(space.genes)
        )
        return replace(genuine(space, genome), dataflow=Dataflow(steps, "a", "a", "a"), _hash=[])

    monkeypatch.setattr(FakeSpace, "recipe", recipe)


def searched(fake: FakeRun) -> list[Any]:
    return [job for job in fake.worker.jobs if job.blocks[0].split == "search"]


@pytest.mark.usefixtures("routes")
def test_siblings_of_a_generation_are_scored_one_after_another(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=18)
    list(fake.start().drive())
    jobs = searched(fake)
    assert len(jobs) == 18
    for start in range(0, 18, 6):
        generation = jobs[start : start + 6]
        assert {job.candidate_id.split("-")[0] for job in generation} == {str(start // 6)}
        in_turn = sorted(generation, key=lambda job: int(job.candidate_id.split("-")[1]))
        shared = [shared_steps([job.recipe for job in jobs]) for jobs in (generation, in_turn)]
        names = ["".join(step.source for step in job.recipe.dataflow.steps) for job in generation]
        assert names == sorted(names)
        assert shared[0] >= shared[1]


@pytest.mark.usefixtures("routes")
def test_a_run_stopped_among_siblings_ends_as_one_that_was_not(tmp_path: Path) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = FakeRun(tmp_path / "whole", budget=15, evaluators=BINARY)
    cut = FakeRun(tmp_path / "cut", budget=8, evaluators=BINARY)
    list(cut.start().drive())
    extended = cut.resume()
    extended.extend(15)
    last = list(extended.drive())[-1]
    assert last == list(whole.start().drive())[-1]
    one, other = picture(cut.records()), picture(whole.records())
    assert one["candidates"] == other["candidates"]
    assert one["estimates"]["search"] == other["estimates"]["search"]


def test_recipes_without_a_route_keep_their_order(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=12)
    list(fake.start().drive())
    assert [job.candidate_id for job in searched(fake)] == [
        f"{ask}-{place}" for ask in range(2) for place in range(6)
    ]

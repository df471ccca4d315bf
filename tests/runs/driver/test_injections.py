"""Recipes that users inject: proposed at the next ask, in the ledger before they count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import RecipeError
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver import snapshots
from evomerge.runs.events import Asked, Event, Finished, Steered
from evomerge.runs.ledger import database
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.writer import RunWriter
from evomerge.search.protocol import Searcher, build_searcher
from tests.runs.driver.test_workers import Clock, scripted
from tests.runs.fakes import BINARY, GENES, FakeRun, FakeSpace, random_searcher

MINE = [0.5, -0.25, 0.25]
FAR = [9.0, 0.0, 0.0]


class OpenSpace(FakeSpace):
    """Finds the genome of any recipe within its bounds."""

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        weights = recipe.stages[0].parameters["weights"]
        genome = dict(zip((gene.name for gene in self.genes), weights, strict=True))
        for name, value in genome.items():
            if abs(value) > 1:
                raise RecipeError(f"{name}: {value} is outside of [-1, 1].")
        return genome


def read_recipe(plain: Any) -> Recipe:
    return FakeSpace().recipe({gene.name: w for gene, w in zip(GENES, plain, strict=True)})


def cma_searcher(space: SearchSpace, objectives: int) -> Searcher:
    return build_searcher("cma_es", space, seed=5, options={"population": 4})


def make(folder: Path, **options: Any) -> FakeRun:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"read_recipe": read_recipe, **options.pop("settings", {})}
    given: dict[str, Any] = {
        "budget": 14,
        "finalists": 2,
        "evaluators": BINARY,
        "make_searcher": cma_searcher,
        "make_space": OpenSpace,
        "clock": Clock(),
    }
    return FakeRun(folder, **given | options, settings=settings)


def ask_for(run: FakeRun, label: str = "mine", weights: list[float] = MINE) -> None:
    body = {"label": label, "recipe": weights}
    RunWriter(Ledger.open(run.url), run.run_id).add_request("inject", body)


def up_to(events: Iterator[Event], ask: int) -> None:
    """Drive a run until an ask is stored, then end it there as a kill would."""
    for event in events:
        if isinstance(event, Asked) and event.ask == ask:
            events.close()  # type: ignore[attr-defined]  # it is a generator
            return
    raise AssertionError("the run has ended")


def story(run: FakeRun) -> dict[str, Any]:
    records = run.records()
    kinds = ("ask", "tell", "inject", "final")
    return {
        "candidates": records.candidates(),
        "decisions": [(d.kind, d.body) for d in records.decisions(*kinds)],
        "estimates": {s: records.estimates(s) for s in ("search", "validation")},
    }


def origins(run: FakeRun) -> list[tuple[str, str]]:
    return [
        (row.candidate_id, row.origin)
        for row in run.records().candidates()
        if row.origin.startswith("inject:")
    ]


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_the_next_ask_proposes_it_and_it_counts(tmp_path: Path, mode: str) -> None:
    run = make(tmp_path, make_executor=scripted(slots=2), settings={"mode": mode})
    events = []
    for event in run.start().drive():
        if isinstance(event, Asked) and event.ask == 1:
            ask_for(run)
        events.append(event)
    assert [e for e in events if isinstance(e, Steered)] == [Steered("inject", "mine")]
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == 14
    ((name, origin),) = origins(run)
    assert origin == "inject:mine"
    row = next(r for r in run.records().candidates() if r.candidate_id == name)
    assert row.genome is not None
    assert list(row.genome.values()) == pytest.approx(MINE)
    assert name in run.records().estimates("search")
    # It stands in the ledger between the ask before it and its own.
    kinds = [(d.kind, d.body.get("ask")) for d in run.records().decisions()]
    place = kinds.index(("inject", None))
    asks = [ask for kind, ask in kinds[place:] if kind == "ask"]
    assert asks[0] == row.ask


@pytest.mark.parametrize("make_searcher", [cma_searcher, random_searcher])
def test_killed_anywhere_after_it_ends_as_if_never_killed(
    tmp_path: Path, make_searcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(name: str) -> FakeRun:
        run = make(tmp_path / name, make_searcher=make_searcher)
        up_to(run.start().drive(), 1)
        ask_for(run)
        ask_for(run, "too far", FAR)
        return run

    whole = begun("whole")
    n_events = len(list(whole.resume().drive()))
    expected = story(whole)
    assert [origin for _, origin in origins(whole)] == ["inject:mine"]
    for count in range(1, n_events, 6):
        # Every other time the searcher's state is stored after each tell.
        monkeypatch.setattr(snapshots, "EVERY_S", 0.0 if count % 12 == 1 else 9.0)
        monkeypatch.setattr(snapshots, "SHARE", 0)
        run = begun(f"killed{count}")
        events = run.resume().drive()
        for _ in range(count):
            next(events)
        events.close()  # type: ignore[attr-defined]  # it is a generator
        list(run.resume().drive())
        assert story(run) == expected


class KillError(BaseException):
    """Ends the driver where it stands."""


@pytest.mark.parametrize("point", ["begin:inject", "before:inject", "after:inject"])
def test_killed_around_the_decision_it_is_taken_up_once(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(tmp_path / "whole")
    run = make(tmp_path / "killed")
    for item in (whole, run):
        up_to(item.start().drive(), 1)
        ask_for(item)
    list(whole.resume().drive())

    def kill(name: str) -> None:
        if name == point:
            raise KillError

    with monkeypatch.context() as patched:
        patched.setattr(database, "failpoint", kill)
        with pytest.raises(KillError):
            list(run.resume().drive())
    list(run.resume().drive())
    assert story(run) == story(whole)
    assert len(run.records().decisions("inject")) == 1


def test_what_the_space_does_not_have_is_refused_and_the_run_goes_on(tmp_path: Path) -> None:
    run = make(tmp_path)
    started = run.start()
    ask_for(run, "far", FAR)
    events = list(started.drive())
    (steered,) = [event for event in events if isinstance(event, Steered)]
    assert steered.refused == "stage1.weights.a: 9.0 is outside of [-1, 1]."
    (decision,) = run.records().decisions("inject")
    assert decision.body == {"request": 1, "label": "far", "refused": steered.refused}
    assert origins(run) == []
    again = run.resume()
    again.extend(18)
    assert not [event for event in again.drive() if isinstance(event, Steered)]


def test_one_that_comes_after_the_last_ask_waits_for_more_budget(tmp_path: Path) -> None:
    run = make(tmp_path)
    list(run.start().drive())
    ask_for(run)
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert origins(run) == []
    again = run.resume()
    again.extend(20)
    list(again.drive())
    assert [origin for _, origin in origins(run)] == ["inject:mine"]

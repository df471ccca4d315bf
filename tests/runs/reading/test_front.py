"""What stands out on a front, and what bounds and preferences choose."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import EvaluationError, LedgerError
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.front import Wishes, equals_of, marks_of
from evomerge.runs.reading.results import RunResults
from evomerge.runs.reading.scalarised import scalarised_best
from evomerge.runs.start import new_run
from tests.runs.fakes import EVALUATORS, TWO, FakeRun, facts_of
from tests.runs.reading.test_results import folder_of

OBJECTIVES = Objectives.from_plain(TWO, facts_of(EVALUATORS))
FRONT = {
    "a": (1.0, -9.0),
    "b": (0.9, -2.0),
    "c": (0.9, -2.0),
    "d": (0.4, -1.5),
    "e": (0.0, -1.0),
}


def test_the_knee_and_the_best_of_each_objective_are_marked() -> None:
    found = marks_of(OBJECTIVES, FRONT, Wishes())
    assert found == {
        "a": ("best near",),
        "b": ("knee",),
        "c": (),
        "d": (),
        "e": ("best far",),
    }
    assert equals_of(FRONT) == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 0}


def test_a_front_without_a_knee_has_a_middle() -> None:
    straight = {"a": (1.0, 0.0), "b": (0.5, 0.5), "c": (0.0, 1.0)}
    assert marks_of(OBJECTIVES, straight, Wishes())["b"] == ("middle",)


@pytest.mark.parametrize(
    ("prefer", "name"),
    [
        ({"near": 1.0}, "a"),
        ({"far": 1.0}, "e"),
        ({"near": 1.0, "far": 1.0}, "b"),
        ({"near": 1.0, "far": 9.0}, "d"),
    ],
)
def test_preferences_choose_by_what_they_weigh(prefer: dict[str, float], name: str) -> None:
    found = marks_of(OBJECTIVES, FRONT, Wishes(prefer=prefer))
    assert [n for n, marks in found.items() if "preferred" in marks] == [name]


@pytest.mark.parametrize(
    ("prefer", "message"),
    [
        ({"nera": 1.0}, "--prefer: no objective is called 'nera'; did you mean 'near'"),
        ({"near": -1.0}, "--prefer: got near=-1, expected 0 or more"),
        ({"near": 0.0}, "--prefer: got 0 for every objective"),
        ({"near": float("nan")}, "expected 0 or more"),
    ],
)
def test_wrong_preferences_are_refused(prefer: dict[str, float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        marks_of(OBJECTIVES, FRONT, Wishes(prefer=prefer))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    fake = FakeRun(tmp_path_factory.mktemp("front"), budget=30, objectives=TWO, finalists=8)
    list(fake.start().drive())
    return RunResults.open(folder_of(fake))


def test_the_best_of_two_objectives_is_the_knee_in_the_ledger_too(results: RunResults) -> None:
    front = results.front()
    assert front.best is not None
    assert {"knee", "middle"} & set(front.best.marks)
    assert results.best() == front.best.candidate
    assert results.state.final is not None
    assert results.state.final["best"] == front.best.candidate


def test_entries_have_search_and_validation_scores_side_by_side(results: RunResults) -> None:
    for entry in results.front().entries:
        assert set(entry.scores) == {"search", "validation"}
        assert entry.scores["validation"] == entry.objectives
        assert entry.scores["search"] != entry.objectives


def test_bounds_choose_among_all_finalists(results: RunResults) -> None:
    whole = results.front()
    values = sorted(entry.objectives["near"].value for entry in whole.entries)
    found = results.front(Wishes(where=[f"near >= {values[1]}"]))
    assert [e.candidate for e in found.entries] == [
        e.candidate for e in whole.entries if e.objectives["near"].value >= values[1]
    ]
    tight = results.front(Wishes(where=[f"near <= {values[0]}", "far.distance <= 100"]))
    assert {e.objectives["near"].value for e in tight.entries} <= {values[0]}


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("near > 1", EvaluationError, "expected NAME >= NUMBER"),
        ("naer >= 1", EvaluationError, "--where: nothing is called 'naer'; did you mean 'near'"),
        ("near.hti >= 1", EvaluationError, "did you mean 'near.hit'"),
        ("steps <= 3", EvaluationError, "'steps' wasn't measured in this run"),
        ("near >= 2", LedgerError, r"none of 8 candidates keeps near >= 2. .* is nearest, with"),
    ],
)
def test_bounds_that_cant_be_kept_say_why(
    results: RunResults, where: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        results.front(Wishes(where=[where]))


def test_an_unfinished_run_is_chosen_from_by_search_scores(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, objectives=TWO)
    run = fake.start()
    for event in run.drive():
        if event.kind == "generation_done":
            run.request_stop()
    results = RunResults.open(folder_of(fake))
    front = results.front(Wishes(prefer={"far": 1.0}))
    assert front.split == "search"
    assert "preferred" in front.entries[-1].marks
    assert front.entries[0].scores.keys() == {"search"}


def test_the_best_by_the_number_that_was_searched_is_marked() -> None:
    first = [(0.0, -9.0), (1.0, -1.0)]  # ranges 1 and 8, the best of both (1, -1)

    def best(**wanted: Any) -> str | None:
        return scalarised_best({"kind": "chebyshev", **wanted}, OBJECTIVES, first, FRONT)

    # Distances from the best in ranges: b misses 0.1 and 0.125, a 0 and 1, e 1 and 0.
    assert best() == "b"
    assert best(weights={"near": 1.0}) == "a"
    assert best(weights={"near": 1.0, "far": 9.0}) == "d"
    assert best(weights={"far": 1.0}) == "e"
    assert best(kind="weighted", weights={"near": 3.0, "far": 1.0}) == "b"
    # e reaches what is aspired to; d lacks a little of it.
    assert best(kind="achievement", aspiration={"near": 0.0, "far": 1.2}) == "e"
    assert scalarised_best(None, OBJECTIVES, first, FRONT) is None
    assert scalarised_best({"kind": "chebyshev"}, OBJECTIVES, [], FRONT) is None


def test_a_run_that_searches_one_number_marks_its_best(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["objectives"] = {
        name: {"from": [name], "direction": "minimize", "reference": 20.0}
        for name in ("copy", "next")
    }
    raw_config["search"]["scalarise"] = {"weights": {"copy": 1.0}}
    out = workspace / "runs" / "tiny"
    with new_run(parse_config(raw_config, where="tiny.yaml"), out=out) as opened:
        list(opened.run.drive())
    results = RunResults.open(out)
    entries = results.front().entries
    results.close()
    (found,) = [entry for entry in entries if "scalarised" in entry.marks]
    assert "best copy" in found.marks

"""Rules that end a search early: when they hold, what is still finished, what a resume does."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.driver.enough import StopRules, Watch
from evomerge.runs.events import CandidateDone, Enough, Finished
from evomerge.runs.objectives import Objectives
from evomerge.runs.setup.prepare import prepare
from tests.runs.fakes import BINARY, EVALUATORS, ONE, TWO, FakeRun, facts_of, picture


def watch(rules: StopRules, config: Any = ONE, decisions: Any = ()) -> Watch:
    return Watch(rules, Objectives.from_plain(config, facts_of(EVALUATORS)), decisions)


def results(*values: Any) -> list[list[Any]]:
    return [
        [str(index), value if value is None else list(value), ""]
        for index, value in enumerate(values)
    ]


def test_without_rules_it_is_never_enough() -> None:
    found = watch(StopRules())
    found.told(results((1.0,), None, (1.0,)))
    assert found.reason(1e9) == ""


def test_one_candidate_reaches_all_targets() -> None:
    found = watch(StopRules(target={"near": 0.5, "far": 2.0}), TWO)
    found.told(results((0.9, -3.0), (0.4, -1.0)))  # far is minimised, its utility is turned
    assert found.reason(0) == ""
    found.told([["x", [0.5, -2.0], "", 0.25]])
    assert found.reason(0) == "", "it misses a constraint"
    found.told([["y", [0.5, -2.0], "", 0.0]])
    assert found.reason(0) == "target"


@given(st.lists(st.sampled_from([None, 0.1, 0.2, 0.3]), max_size=20), st.integers(1, 4))
def test_stagnation_counts_results_since_the_best(values: list[float | None], limit: int) -> None:
    found = watch(StopRules(stagnation=limit))
    best, since = -1.0, 0
    for value in values:
        found.told(results(None if value is None else (value,)))
        since += 1
        if value is not None and value > best:
            best, since = value, 0
        assert (found.reason(0) == "stagnation") == (since >= limit)


def test_a_new_point_of_the_front_is_no_stagnation() -> None:
    found = watch(StopRules(stagnation=2), TWO)
    found.told(results((0.1, -1.0), (0.2, -2.0), (0.2, -2.0)))
    assert found.reason(0) == ""
    found.told(results((0.05, -2.0)))
    assert found.reason(0) == "stagnation"


def test_a_rule_is_silent_once_the_budget_was_extended() -> None:
    rules = StopRules(target={"mean": 0.5}, stagnation=3)
    tell = ("tell", {"results": results((0.6,))})
    enough = ("extend", {"budget": 1, "reason": "target"})
    assert watch(rules, decisions=[tell]).reason(0) == "target"
    found = watch(rules, decisions=[tell, enough, ("extend", {"budget": 9})])
    assert found.reason(0) == ""
    found.told(results((0.1,), (0.1,), (0.1,)))
    assert found.reason(0) == "stagnation"


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_the_run_ends_with_what_is_handed_out(tmp_path: Path, mode: str) -> None:
    settings = {"stop_rules": StopRules(stagnation=5), "mode": mode}
    run = FakeRun(tmp_path, budget=200, evaluators=BINARY, settings=settings)
    events = list(run.start().drive())
    (enough,) = [event for event in events if isinstance(event, Enough)]
    done = [event for event in events if isinstance(event, CandidateDone)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == enough.reason == "stagnation"
    assert len(done) == finished.progress.budget < 200
    again = list(run.resume().drive())
    assert isinstance(again[-1], Finished)
    assert again[-1].best == finished.best
    longer = run.resume()
    longer.extend(len(done) + 12)
    events = list(longer.drive())
    assert sum(isinstance(event, CandidateDone) for event in events) >= 6


def test_a_killed_run_ends_where_the_undisturbed_one_does(tmp_path: Path) -> None:
    settings = {"stop_rules": StopRules(target={"mean": 0.6}, stagnation=40)}
    pictures = []
    for name, stops in (("whole", 0), ("killed", 3)):
        run = FakeRun(tmp_path / name, budget=120, evaluators=BINARY, settings=settings)
        (tmp_path / name).mkdir()
        current = run.start()
        for _ in range(stops):  # leave it in the middle, as a kill does
            for _event, _ in zip(current.drive(), range(17), strict=False):
                pass
            current = run.resume()
        list(current.drive())
        pictures.append(picture(run.records()))
    assert pictures[0] == pictures[1]


def test_a_target_must_be_an_objective(workspace: Path, raw_config: dict[str, Any]) -> None:
    raw_config["search"]["stop"] = {"target": {"los": 0.1}}
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(raw_config, where="tiny.yaml"), plan=False)
    (problem,) = caught.value.problems
    assert problem.key == "search.stop.target.los"
    assert "did you mean 'loss'" in problem.message

"""Constraints: their form, by how much they are missed, who may be chosen."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, EvaluationError
from evomerge.evaluation.intervals import Estimate
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.objectives import CONSTRAINT, Objectives, parse_constraint
from evomerge.runs.reading.results import RunResults
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run

TASKS = {"math": {"primary": "acc"}, "chat.de": {"primary": "loss"}}
MEAN = {
    "mean": {"from": ["math"], "aggregate": "mean", "direction": "maximize", "weights": None},
}


def estimates(math: float, loss: float, steps: float = 4) -> Estimates:
    values = {("math", "acc"): math, ("chat.de", "loss"): loss, ("(recipe)", "steps"): steps}
    return {part: Estimate(value, value, value, 10) for part, value in values.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("math >= 0.6", ("math", True, 0.6)),
        ("parameters<=1.2e9", ("parameters", False, 1.2e9)),
        (" chat.de.loss <= -.5 ", ("chat.de.loss", False, -0.5)),
    ],
)
def test_a_constraint_is_a_name_and_a_bound(text: str, expected: tuple[str, bool, float]) -> None:
    assert parse_constraint(text) == expected


@pytest.mark.parametrize("text", ["math", "math > 0.6", "math == 1", ">= 1", "math >= many", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"expected NAME >= NUMBER or NAME <= NUMBER"):
        parse_constraint(text)


def test_violations_add_up_in_units_of_their_bounds() -> None:
    wanted = ["math >= 0.6", "chat.de.loss <= 2", "steps <= 4"]
    found = Objectives.from_plain(MEAN, TASKS, wanted)
    assert found.tasks == ("math", "chat.de")
    assert [item.text for item in found.limits] == ["steps <= 4"]
    assert found.violation(estimates(0.6, 2.0, 4)) == 0
    assert found.violation(estimates(0.5, 3.0, 6)) == pytest.approx(0.1 + 0.5 + 0.5)


@given(
    st.lists(st.tuples(st.sampled_from([0.4, 0.6, 0.8]), st.sampled_from([1.0, 3.0])), min_size=1)
)
def test_who_keeps_them_is_chosen_else_who_misses_least(values: list[tuple[float, float]]) -> None:
    found = Objectives.from_plain(MEAN, TASKS, ["math >= 0.6", "chat.de <= 2"])
    scored = {str(index): estimates(*value) for index, value in enumerate(values)}
    missed = {name: found.violation(item) for name, item in scored.items()}
    chosen = found.eligible(scored)
    assert chosen == [name for name in scored if missed[name] == min(missed.values())]


def test_mistakes_are_told_with_all_others(workspace: Path, raw_config: dict[str, Any]) -> None:
    raw_config["constraints"] = ["copy <= 9", "copi <= 1", "loss < 3"]
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(raw_config, where="tiny.yaml"), plan=False)
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert set(found) == {"constraints[1]", "constraints[2]"}
    assert "did you mean 'copy'" in found["constraints[1]"]


def test_what_is_too_long_is_never_scored(workspace: Path, raw_config: dict[str, Any]) -> None:
    """The run goes on past ten such candidates in a row, and chooses among the others."""
    del raw_config["recipe"]["parameters"]
    raw_config |= {
        "dataflow": {"space": "sakana", "sources": ["left"], "repeats": 2},
        "constraints": ["steps <= 2", "copy <= 100"],
    }
    raw_config["search"] |= {"searcher": "random", "budget": 24, "identical_failures": 3}
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        list(opened.run.drive())
    results = RunResults.open(Path("runs/tiny"))
    refused = results.state.failures["search"]
    assert len(refused) > 3
    assert {failure.kind for failure in refused.values()} == {CONSTRAINT}
    assert all(failure.message.endswith("wanted steps <= 2") for failure in refused.values())
    attempts = [row for row in results.records.attempts() if row.candidate_id in refused]
    assert len(attempts) == len(refused)
    assert not any(row.reused or row.busy_s or row.score_s for row in attempts)
    lengths = {
        name: len(results.records.recipe(row.recipe_hash)["dataflow"]["steps"])
        for name, row in results.state.candidates.items()
    }
    assert {name for name, length in lengths.items() if length > 2} == set(refused)
    tells = [d.body["results"] for d in results.records.decisions("tell")]
    violations = {name: violation for tell in tells for name, _, _, violation in tell}
    assert violations == {n: max(length - 2, 0) / 2 for n, length in lengths.items()}
    assert results.front().final
    results.close()

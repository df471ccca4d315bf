"""What users ask of real runs: checked before anything is written, then done by the next driver."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge.config.load import parse_config
from evomerge.errors import EvomergeError
from evomerge.runs.reading.results import RunResults
from evomerge.runs.start import new_run, stored_run
from evomerge.runs.steering import request_inject

RUN = Path("runs/tiny")


@pytest.fixture
def finished(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a candidate of the run ``tiny``, which has ended."""
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        list(opened.run.drive())
    results = RunResults.open(RUN)
    recipe = dict(results.show("0-1").recipe)
    results.close()
    return recipe


def extend(budget: int) -> None:
    with stored_run(RUN, overrides=[f"search.budget={budget}"]) as opened:
        list(opened.run.drive())


def short(recipe: dict[str, Any], weights: Any, **changes: Any) -> str:
    """A recipe as people write it by hand."""
    stage = {"method": "task_arithmetic", "inputs": ["left", "right"], "weights": weights}
    sources = {name: {"path": name} for name in recipe["sources"]}
    return yaml.safe_dump(
        {"base": "base", "sources": sources, "parameters": [stage], "dtype": "float32"} | changes
    )


def test_recipes_of_files_and_other_runs_are_tried(
    finished: dict[str, Any], raw_config: dict[str, Any]
) -> None:
    search = raw_config["search"] | {"warm_starts": False}
    other = raw_config | {"name": "other", "search": search}
    with new_run(parse_config(other, where="other.yaml")) as opened:
        list(opened.run.drive())
    Path("good.yaml").write_text(short(finished, [0.25, 0.5]))
    first = request_inject(RUN, "good.yaml")
    assert (first.request, first.label, first.state) == (1, "good", "finished")
    assert request_inject(RUN, "runs/other:0-0", label="theirs").request == 2
    extend(12)
    results = RunResults.open(RUN)
    rows = {row.origin: row for row in results.records.candidates()}
    made = results.show(rows["inject:good"].candidate_id)
    assert made.status == "done"
    assert {name: value for name, value in (made.genome or {}).items() if ".left" in name} == {
        "stage1.weights.left.0": 0.25,
        "stage1.weights.left.1": 0.25,
    }
    theirs = results.show(rows["inject:theirs"].candidate_id)
    before = RunResults.open(Path("runs/other"))
    assert theirs.objectives["search"] == before.show("0-0").objectives["search"]
    for opened_results in (results, before):
        opened_results.close()


def test_what_cannot_be_tried_is_refused_before_anything_is_written(
    finished: dict[str, Any],
) -> None:
    Path("far.yaml").write_text(short(finished, [9.0, 0.5]))
    linear = {"method": "linear", "inputs": ["left", "right"], "weights": [0.5, 0.5]}
    Path("linear.yaml").write_text(short(finished, 1.0, parameters=[linear]))
    Path("good.yaml").write_text(short(finished, [0.25, 0.5]))
    for given, message in {
        "far.yaml": r"weights.left.*9",
        "linear.yaml": r"methods linear, this search task_arithmetic",
        "runs/tiny:0-1": r"candidate 0-1 of this run has that recipe already",
        "runs/tiny:7-7": r"has no candidate '7-7'",
        "nowhere.yaml": r"'nowhere.yaml' is neither a recipe file nor",
    }.items():
        with pytest.raises(EvomergeError, match=message):
            request_inject(RUN, given)
    with pytest.raises(EvomergeError, match="the label has 101 characters"):
        request_inject(RUN, "good.yaml", label="x" * 101)
    results = RunResults.open(RUN)
    assert results.records.requests() == []
    results.close()

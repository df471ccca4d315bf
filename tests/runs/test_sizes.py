"""Numbers of recipes as objectives: steps and parameters, beside scores."""

import math
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.merging.engine import Merger
from evomerge.merging.registry import METHODS
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.build import build_recipe
from evomerge.recipes.spec import RecipeSpec
from evomerge.runs.objectives import RECIPE
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import make_report
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run

STEPS = [
    {"source": "left", "layers": [0, 2]},
    {"source": "base", "layer": 1, "scale": 0.5},
]


def problems(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(raw, where="tiny.yaml"), plan=False)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.fixture
def routed(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """A search over routes for a low loss with few steps and parameters."""
    del raw_config["recipe"]["parameters"]
    for name, number in (("steps", "steps"), ("size", "parameters")):
        raw_config["objectives"][name] = {"from": [number], "direction": "minimize"}
    return raw_config | {"dataflow": {"space": "sakana", "sources": ["left"], "repeats": 2}}


@pytest.mark.parametrize("steps", [None, STEPS])
def test_they_count_what_is_written(
    routed: dict[str, Any], workspace: Path, steps: list[dict[str, Any]] | None
) -> None:
    found = prepare(parse_config(routed, where="tiny.yaml"), plan=False)
    assert found.sizes is not None
    sources = {name: item.source for name, item in found.sources.items()}
    stages = () if steps else ({"method": "passthrough", "inputs": ["left"]},)
    flow = None if steps is None else {"steps": steps}
    spec = RecipeSpec(tuple(sources.values()), "base", stages, dataflow=flow, tokenizer="base")
    recipe = build_recipe(spec, METHODS.declarations())
    numbers = {name: item.value for (_, name), item in found.sizes.estimates(recipe).items()}
    checkpoints = {name: item.checkpoint for name, item in found.sources.items()}
    merge_to_disk(recipe, Merger(checkpoints, sources), workspace / "written")
    written = Checkpoint.open(workspace / "written")
    assert numbers["steps"] == written.n_layers
    assert numbers["parameters"] == sum(math.prod(t.shape) for t in written.tensors.values())


def test_a_search_may_weigh_scores_against_size(routed: dict[str, Any]) -> None:
    with new_run(parse_config(routed, where="tiny.yaml")) as opened:
        list(opened.run.drive())
    results = RunResults.open(Path("runs/tiny"))
    entries = results.front().entries
    assert entries
    for entry in entries:
        details = results.show(entry.candidate)
        assert entry.objectives["steps"].value == len(details.recipe["dataflow"]["steps"])
        assert entry.objectives["steps"].low == entry.objectives["steps"].high
        assert details.tasks["validation"][RECIPE]["parameters"] == entry.objectives["size"]
    results.close()
    report = make_report(Path("runs/tiny"))
    by_label = {item.label: item for item in report.contestants}
    best, base = by_label["best found"], by_label["base (base)"]
    assert base.objectives["steps"].value == 2
    gaps = [item.estimate for item in report.differences if item.objective == "steps"]
    assert all(gap.low == gap.value == gap.high for gap in gaps)
    assert {gap.value for gap in gaps} <= {best.objectives["steps"].value - 2}


def test_they_stand_alone(routed: dict[str, Any]) -> None:
    routed["objectives"] = {
        "loss": {"from": ["copy", "steps"], "direction": "minimize"},
        "size": {"from": ["stpes"], "direction": "minimize"},
    }
    found = problems(routed)
    assert "'steps' can't be combined" in found["objectives.loss.from[1]"]
    assert "did you mean 'steps'" in found["objectives.size.from[0]"]


def test_something_must_be_scored(routed: dict[str, Any]) -> None:
    routed["objectives"] = {"size": {"from": ["parameters"], "direction": "minimize"}}
    assert "no objective needs a score" in problems(routed)["objectives"]


def test_an_evaluator_of_that_name_goes_before(routed: dict[str, Any]) -> None:
    routed["evaluators"]["steps"] = routed["evaluators"].pop("copy")
    routed["objectives"] = {"loss": {"from": ["steps", "next"], "direction": "minimize"}}
    found = prepare(parse_config(routed, where="tiny.yaml"), plan=False)
    assert found.objectives.tasks == ("steps", "next")
    assert found.sizes is None

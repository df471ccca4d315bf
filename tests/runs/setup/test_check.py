"""Mistakes in a run file's shape and names, told together."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config import dump_yaml
from evomerge.errors import ConfigError
from evomerge.runs.setup.check import load_checked


def keys(raw: dict[str, Any], *overrides: str) -> list[str]:
    """Return the keys of all that is wrong."""
    Path("tiny.yaml").write_text(dump_yaml(raw))
    with pytest.raises(ConfigError) as caught:
        load_checked(Path("tiny.yaml"), overrides)
    assert caught.value.where == "tiny.yaml"
    assert not Path("runs").exists()
    return [problem.key for problem in caught.value.problems]


def test_names_are_looked_at_although_the_shape_is_wrong(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["search"] |= {"finalists": "two", "sercher": "grid", "recipes": [3]}
    raw_config["execution"] = 3
    raw_config["base"] = "bsae"
    raw_config["recipe"]["parameters"][0]["method"] = "task_arithmetik"
    raw_config["evaluators"]["copy"]["type"] = "perplexiti"
    raw_config["sources"]["right"]["path"] = "./rihgt"
    assert sorted(keys(raw_config, "search.bugdet=3")) == [
        "--set search.bugdet=3",
        "base",
        "evaluators.copy.type",
        "execution",
        "recipe.parameters[0].method",
        "search.finalists",
        "search.recipes[0]",
        "search.sercher",
        "sources.right.path",
    ]


def test_what_is_told_does_not_depend_on_the_place_of_a_path(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["base"] = "bsae"
    assert keys(raw_config, "search.bugdet=3") == ["--set search.bugdet=3", "base"]


@pytest.mark.parametrize("broken", ["search", "sources", "from"])
def test_without_a_required_key_the_shape_is_told_alone(
    workspace: Path, raw_config: dict[str, Any], broken: str
) -> None:
    raw_config["base"] = "bsae"
    if broken == "search":
        raw_config["search"]["budget"] = "many"
        expected = "search.budget"
    elif broken == "sources":
        raw_config["sources"]["left"] = 3
        expected = "sources.left"
    else:
        raw_config["objectives"]["loss"]["from"] = ["copy", 3]
        expected = "objectives.loss.from[1]"
    assert keys(raw_config) == [expected]


@pytest.mark.parametrize("broken", ["dataflow", "recipe.parameters[0]"])
def test_without_what_is_merged_the_shape_is_told_alone(
    workspace: Path, raw_config: dict[str, Any], broken: str
) -> None:
    if broken == "dataflow":
        del raw_config["recipe"]["parameters"]
        raw_config["dataflow"] = {"space": "path", "scale_range": [-1, 2]}
    else:
        raw_config["recipe"]["parameters"] = ["linear"]
    assert keys(raw_config) == [broken]


def test_a_sound_file_and_a_sound_shape_are_given_back(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["base"] = "bsae"  # names alone are left to the run
    Path("tiny.yaml").write_text(dump_yaml(raw_config))
    assert load_checked(Path("tiny.yaml")).base == "bsae"

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.setup.prepare import Prepared, prepare
from tests.fixtures_models import tiny_model, tiny_tokenizer


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml")


def problems(raw: dict[str, Any]) -> dict[str, str]:
    """Return key → message of all that is wrong."""
    with pytest.raises(ConfigError) as caught:
        prepared(raw)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    assert all(line.startswith("tiny.yaml: ") for line in lines)
    return {problem.key: problem.message for problem in caught.value.problems}


def own_copy(workspace: Path, name: str) -> Path:
    """Replace the link to a source by a copy that a test may break."""
    target = (workspace / name).resolve()
    (workspace / name).unlink()
    shutil.copytree(target, workspace / name)
    return workspace / name


def test_a_good_run_file_gives_all_that_a_run_needs(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    found = prepared(raw_config)
    assert [gene.name for gene in found.space.genes] == [
        f"stage1.weights.{name}.{layer}" for name in ("left", "right") for layer in (0, 1)
    ]
    labels = [label for label, _ in found.starts]
    assert labels[:3] == ["base", "parent:left", "parent:right"]
    assert found.objectives.parts == {("copy", "bits_per_byte"), ("next", "bits_per_byte")}
    assert all(len(item.source.sha256) == 64 for item in found.sources.values())
    assert found.sources["left"].licence == "apache-2.0"
    assert found.warnings == ()
    first = found.make_searcher().ask()
    second = found.make_searcher().ask()
    assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]


def test_every_mistake_is_reported_at_once(workspace: Path, raw_config: dict[str, Any]) -> None:
    raw_config["sources"]["right"]["path"] = "rihgt"
    raw_config["recipe"]["parameters"][0]["method"] = "task_arithmetik"
    raw_config["evaluators"]["copy"]["type"] = "perplexiti"
    raw_config["evaluators"]["next"]["blok_size"] = 3
    raw_config["objectives"]["loss"]["from"] = ["copy", "nxt"]
    raw_config["search"]["searcher"] = "cmaes"
    raw_config["execution"] = {"executor": "rai", "device": "cuda:99"}
    raw_config["ledger"] = "mysql://host/db"
    found = problems(raw_config)
    assert set(found) == {
        "sources.right.path",
        "recipe.parameters[0].method",
        "evaluators.copy.type",
        "evaluators.next.blok_size",
        "objectives.loss.from[1]",
        "search.searcher",
        "execution.executor",
        "execution.device",
        "ledger",
    }
    assert "there is no folder of that name" in found["sources.right.path"]
    assert "did you mean 'task_arithmetic'" in found["recipe.parameters[0].method"]
    assert "did you mean 'perplexity'" in found["evaluators.copy.type"]
    assert "did you mean 'cma_es'" in found["search.searcher"]
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize(
    ("execution", "warning"),
    [
        ({"time_limit_s": 5}, "execution.time_limit_s: 5 is ignored: the executor inprocess"),
        ({"threads": 1024}, "execution.threads: 1024 a worker, but this machine has 8 processors"),
    ],
)
def test_a_setting_that_does_not_do_what_it_says_is_warned_of(
    workspace: Path,
    raw_config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    execution: dict[str, Any],
    warning: str,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    config = parse_config(raw_config | {"execution": execution}, where="tiny.yaml")
    assert [line for line in prepare(config).warnings if line.startswith(warning)]
    local = execution | {"executor": "local", "threads": 8}
    config = parse_config(raw_config | {"execution": local}, where="tiny.yaml")
    assert not [line for line in prepare(config).warnings if line.startswith("execution.")]


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"search.options": {"population": 0}}, "search.options.population", "at least 1"),
        ({"search.options": {"sigma": 1}}, "search.options.sigma", "no such setting"),
        ({"execution": {"workers": 2}}, "execution.workers", "has one worker"),
        ({"execution": {"threads": 100_000}}, "execution.threads", "got 100000, expected at most"),
        ({"recipe.tokenizer": "bse"}, "recipe.tokenizer", "did you mean 'base'"),
        ({"base": "bse"}, "base", "did you mean 'base'"),
        ({"search.recipes": ["mine.yaml"]}, "search.recipes[0]", "mine.yaml"),
        (
            {"recipe.parameters": [{"method": "ties", "inputs": ["left"], "densities": 2.0}]},
            "recipe.parameters[0].densities",
            "at most 1",
        ),
    ],
)
def test_a_mistake_is_named_by_key(
    workspace: Path, raw_config: dict[str, Any], change: dict[str, Any], key: str, message: str
) -> None:
    for path, value in change.items():
        *parents, last = path.split(".")
        block = raw_config
        for parent in parents:
            block = block[parent]
        block[last] = value
    found = problems(raw_config)
    assert any(name.startswith(key) and message in text for name, text in found.items()), found


def test_a_method_that_needs_a_base_says_so(workspace: Path, raw_config: dict[str, Any]) -> None:
    del raw_config["base"]
    found = problems(raw_config)
    assert "needs a base" in found["recipe.parameters[0].base"]


def test_a_split_without_examples_is_named(workspace: Path, raw_config: dict[str, Any]) -> None:
    raw_config["evaluators"]["copy"]["splits"] = {"search": 8, "validation": 8, "test": 0}
    assert any("test" in message for message in problems(raw_config).values())


def test_a_truncated_checkpoint_is_named(workspace: Path, raw_config: dict[str, Any]) -> None:
    file = own_copy(workspace, "left") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "model.safetensors" in problems(raw_config)["sources.left.path"]


def test_a_corrupted_header_is_named(workspace: Path, raw_config: dict[str, Any]) -> None:
    file = own_copy(workspace, "left") / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(struct.pack("<Q", 1 << 50) + data[8:])
    assert "model.safetensors" in problems(raw_config)["sources.left.path"]


def test_nan_in_a_source_is_found_before_anything_is_spent(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    file = own_copy(workspace, "left") / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][3] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    message = problems(raw_config)["sources.left.path"]
    assert "'model.norm.weight' holds NaN" in message


@pytest.mark.parametrize("size", [{"layers": 3}, {"hidden": 48}, {"vocab": 90}])
def test_sources_that_do_not_fit_are_named(
    workspace: Path, raw_config: dict[str, Any], size: dict[str, Any]
) -> None:
    (workspace / "left").unlink()
    tiny_model("llama", workspace / "left", **size)
    found = problems(raw_config)
    assert any("'left'" in message for message in found.values()), found


def test_other_token_ids_are_no_match_even_in_one_shape(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    folder = own_copy(workspace, "left")
    tiny_tokenizer(characters="zyx" + "abcdefgh").save_pretrained(folder)
    message = problems(raw_config)["sources.left"]
    assert "vocabularies differ" in message


def test_one_objective_searchers_refuse_several(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    for name in ("copy", "next"):
        raw_config["objectives"][name] = {"from": [name], "direction": "minimize"}
    raw_config["search"] |= {"searcher": "cma_es", "options": {}}
    message = problems(raw_config)["search.searcher"]
    assert "optimises one objective, and there are 3" in message
    assert "random" in message


def test_a_direction_against_the_metric_and_an_unused_task_are_warned_of(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["objectives"] = {"odd": {"from": ["copy"], "direction": "maximize"}}
    warnings = prepared(raw_config).warnings
    assert any("maximize copy.bits_per_byte" in line for line in warnings)
    assert any(line.startswith("evaluators.next: no objective uses it") for line in warnings)


def test_the_users_own_recipe_joins_generation_0(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    recipe = {
        "sources": {name: {"path": name} for name in ("base", "left", "right")},
        "base": "base",
        "parameters": [
            {"method": "task_arithmetic", "inputs": ["left", "right"], "weights": [0.25, 0.75]}
        ],
        "dtype": "float32",
    }
    (workspace / "mine.json").write_text(json.dumps(recipe))
    raw_config["search"]["recipes"] = ["mine.json"]
    found = prepared(raw_config)
    label, genome = found.starts[-1]
    assert label == "recipe:mine"
    assert list(genome.values()) == [0.25, 0.25, 0.75, 0.75]


def test_an_objective_is_compared_with_all_evaluators_even_faulty_ones(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    for item in raw_config["evaluators"].values():
        item["type"] = "perplexiti"
    raw_config["objectives"]["loss"]["from"] = ["copy", "nxt"]
    message = problems(raw_config)["objectives.loss.from[1]"]
    known = "Known: copy, next, parameters, steps."
    assert message == f"no evaluator is called 'nxt'; did you mean 'next'? {known}"


def test_each_mistake_in_a_recipe_names_its_file_once(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    (workspace / "mk.yml").write_text("merge_method: ties\nmodels: []\n")
    (workspace / "odd.yml").write_text("sources: {base: ./gone}\nparametres: []\n")
    raw_config["search"]["recipes"] = ["mk.yml", "odd.yml"]
    with pytest.raises(ConfigError) as caught:
        prepared(raw_config)
    first, *others = caught.value.problems
    assert first.message.startswith("mk.yml: is a mergekit file")
    assert "'evomerge merge'" in first.message
    assert len(others) > 1
    assert all(p.key == "search.recipes[1]" for p in others)
    assert all(p.message.startswith("odd.yml: ") for p in others)
    assert all(p.message.count("odd.yml") == 1 for p in others)

"""Recipe files: canonical and short form."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ConfigError, ModelError, ProblemsError
from evomerge.recipes.build import RecipeSpec, build_recipe
from evomerge.recipes.files import dump_recipe, load_recipe, save_recipe
from evomerge.recipes.recipe import Recipe, Source, Step
from tests.recipes.declared import DECLARATIONS, sources
from tests.recipes.test_values import values

STAGE = {"method": "linear", "inputs": ["a", "b"], "weights": [1, {"gradient": [0, 1]}]}


def locate(name: str, path: str, revision: str | None) -> Source:
    if "missing" in path:
        raise ModelError(f"{path} does not exist. Check the path.")
    return Source(name, f"/models/{path}", f"sha-{path}", revision, f"tok-{path}")


def build(*stages: dict[str, Any], **more: Any) -> Recipe:
    parts = {"sources": sources("a", "b"), "base": "a", "stages": stages, **more}
    return build_recipe(RecipeSpec(**parts), DECLARATIONS)


@given(values, st.sampled_from([None, "float32", "bfloat16"]), st.integers(0, 5))
def test_what_is_saved_loads_with_the_same_hash(
    tmp_path_factory: pytest.TempPathFactory, weight: Any, dtype: str | None, seed: int
) -> None:
    recipe = build({**STAGE, "weights": [weight, 1.0]}, dtype=dtype, seed=seed, tokenizer="b")
    path = tmp_path_factory.mktemp("recipes") / "recipe.yaml"
    save_recipe(recipe, path)
    loaded = load_recipe(path, DECLARATIONS)
    assert loaded == recipe
    assert loaded.hash() == recipe.hash()
    assert [p.name for p in path.parent.iterdir()] == ["recipe.yaml"]
    assert load_recipe(json.loads(json.dumps(recipe.to_dict())), DECLARATIONS) == recipe


def test_stages_whole_numbers_and_dataflow_survive() -> None:
    recipe = build(
        {"method": "odd", "inputs": ["a"], "bottom": 2, "name": "first"},
        {"method": "ties", "inputs": [{"source": "first", "shift": 1}], "base": "b", "weights": 1},
        dataflow={
            "steps": [
                {"source": "stage2", "layers": [0, 4]},
                {"source": "a", "layer": 2, "scale": 2, "qk": 0.5, "write": -1},
            ],
            "norm": "stage2",
            "head": "b",
        },
    )
    loaded = load_recipe(recipe.to_dict(), DECLARATIONS)
    assert loaded.hash() == recipe.hash()
    assert loaded == recipe
    assert loaded.stages[0].parameters["bottom"] == 2
    assert loaded.dataflow is not None
    assert loaded.dataflow.steps[3:] == (Step("stage2", 3), Step("a", 2, 2.0, 0.5, -1.0))
    assert loaded.dataflow.embedding == recipe.base
    plain = recipe.to_dict()["dataflow"]["steps"]
    assert plain[3:] == [
        {"source": "stage2", "layer": 3},
        {"source": "a", "layer": 2, "scale": 2.0, "qk": 0.5, "write": -1.0},
    ]


def test_renaming_changes_no_routes_hash_and_a_scale_does() -> None:
    def routed(name: str, **numbers: float) -> str:
        step = {"source": name, "layer": 1, **numbers}
        raw = {
            "sources": {name: {"path": "x", "sha256": "s"}},
            "parameters": [],
            "dataflow": {"steps": [step, {**step, "layer": 0}]},
        }
        return load_recipe(raw, DECLARATIONS).hash()

    assert routed("a") == routed("b", scale=1)
    assert len({routed("a"), *(routed("a", **{n: 2}) for n in ("scale", "qk", "write"))}) == 4


def test_the_short_form_finds_its_sources(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: a\n"
        "sources: {a: {path: x, revision: v1}, b: y}\n"
        "parameters:\n"
        "  - {method: linear, inputs: [a, b], weights: {a: 1e-3, b: [0, 1]}}\n"
        "dtype: bfloat16\n"
    )
    recipe = load_recipe(path, DECLARATIONS, locate_source=locate)
    assert recipe.source("a").sha256 == "sha-x"
    assert recipe.source("a").revision == "v1"
    assert recipe.source("b").tokenizer_sha256 == "tok-y"
    assert recipe.tokenizer == "a"
    assert recipe.stages[0].parameters["weights"] == (0.001, {"gradient": [0.0, 1.0]})


def test_a_source_that_changed_is_refused() -> None:
    plain = build(STAGE).to_dict()
    plain["sources"]["a"] = {"path": "x", "sha256": "sha-x"}
    plain["sources"]["b"] = {"path": "y", "sha256": "0123456789abcdef"}
    with pytest.raises(ProblemsError, match=r"sources.b.sha256: y has sha-y…, the recipe was made"):
        load_recipe(plain, DECLARATIONS, locate_source=locate)


def test_trust_in_a_source_is_kept() -> None:
    recipe = build(STAGE)
    trusted = replace(recipe.sources[0], trust_remote_code=True)
    loaded = load_recipe(
        replace(recipe, sources=(trusted, recipe.sources[1]), _hash=[]).to_dict(), DECLARATIONS
    )
    assert loaded.sources[0].trust_remote_code


def test_all_mistakes_come_with_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "base: c\n"
        "sources: {a: {path: missing, shaa: 1}, b: 3}\n"
        "parameter: []\n"
        "parameters:\n"
        "  - {method: lineer, inputs: [a, b]}\n"
        "  - {method: linear, inputs: [a, b], weights: {search: {}}}\n"
        "evomerge_recipe: 9\n"
    )
    with pytest.raises(ProblemsError) as caught:
        load_recipe(path, DECLARATIONS, locate_source=locate)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {
        "base",
        "evomerge_recipe",
        "parameter",
        "parameters",
        "parameters[0].method",
        "sources.a",
        "sources.a.shaa",
        "sources.b",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "got list, expected a recipe"),
        ("a: [\n", "YAML syntax error"),
        ("", "is empty"),
        ("sources: [a]\nparameters: {}\n", "sources: got .*expected NAME"),
        ("parameters: []\n", "sources: missing"),
        (
            "sources: {a: {path: x, sha256: s}}\nparameters: 3\n",
            "parameters: got 3, expected",
        ),
        ("sources: {a: {path: x}}\nparameters: []\n", "sources.a.sha256: missing"),
        *(
            ("sources: {a: {path: x, sha256: s}}\nparameters: []\ndataflow: " + flow, message)
            for flow, message in [
                ("3", "dataflow: got 3, expected"),
                ("{segments: []}", r"(?s)dataflow.segments: unknown key.*dataflow.steps: got None"),
                ("{steps: []}", r"dataflow.steps: got \[\], expected a list of at least one"),
                ("{steps: [4]}", r"steps\[0\]: got 4, expected {source, layer}"),
                ("{steps: [{source: b, layer: 0}]}", r"steps\[0\].source: .*called 'b'"),
                ("{steps: [{source: a, layer: -1}]}", r"steps\[0\].layer: got -1"),
                ("{steps: [{source: a, layers: [3, 2]}]}", r"steps\[0\].layers: got \[3, 2\]"),
                ("{steps: [{source: a, layers: [0, 2000000000]}]}", "layers: .* beyond 100000"),
                ("{steps: [{source: a, layer: 0, sacle: 2}]}", r"sacle: .*did you mean 'scale'"),
                (
                    "{steps: [{source: a, layers: [0, 1], qk: 2}]}",
                    r"has no meaning beside layers",
                ),
                ("{steps: [{source: a, layer: 0, scale: x}]}", "scale: got 'x', expected a number"),
                ("{steps: [{source: a, layer: 0, scale: 0}]}", "scale 0.0, expected .* than 0"),
                ("{steps: [{source: a, layer: 0, qk: -1}]}", "qk -1.0, expected .* above 0"),
                ("{steps: [{source: a, layer: 0, write: .nan}]}", "write: got nan, expected"),
                ("{steps: [{source: a, layer: 0}], head: c}", "dataflow.head: .*called 'c'"),
            ]
        ),
    ],
)
def test_one_mistake_gives_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ProblemsError, match=message):
        load_recipe(path, DECLARATIONS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        load_recipe(tmp_path / "none.yaml", DECLARATIONS)


def test_the_text_reads_well() -> None:
    text = dump_recipe(build({**STAGE, "weights": [0.731204, 1]}))
    assert text.startswith("evomerge_recipe: 1\nsources:\n")
    assert "0.731204" in text

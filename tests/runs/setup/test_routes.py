"""The dataflow of a run file: spaces of routes, their starts, and what is refused before a run."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, BloomConfig, Olmo2Config

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.recipes.paths import PathSpace
from evomerge.runs.setup.prepare import Prepared, prepare
from tests.fixtures_models import tiny_model, tiny_tokenizer

SIZE = {"num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture
def routed(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """A run file that searches routes alone."""
    del raw_config["recipe"]["parameters"]
    return raw_config | {"dataflow": {"space": "sakana", "sources": ["left"], "repeats": 2}}


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml", plan=False)


def problems(raw: dict[str, Any]) -> dict[str, str]:
    """Return key → message of all that is wrong."""
    with pytest.raises(ConfigError) as caught:
        prepared(raw)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
    return {problem.key: problem.message for problem in caught.value.problems}


def route(found: Prepared, label: str) -> list[tuple[str, int]]:
    flow = found.space.recipe(dict(found.starts)[label]).dataflow
    assert flow is not None
    return [(step.source, step.layer) for step in flow.steps]


def test_routes_alone_need_no_stages(routed: dict[str, Any]) -> None:
    found = prepared(routed)
    assert len(found.space.genes) == 2 * (2 + 2)
    assert [label for label, _ in found.starts] == ["parent:base"]
    assert route(found, "parent:base") == [("base", 0), ("base", 1)]
    proposals = found.make_searcher().ask()
    flows = [found.space.recipe(found.space.decode(p.genome)).dataflow for p in proposals]
    assert all(flow is not None and flow.embedding == "base" for flow in flows)


def test_all_sources_are_routed_through_unless_some_are_named(routed: dict[str, Any]) -> None:
    routed["dataflow"] = {"space": "path"}
    found = prepared(routed)
    assert isinstance(found.space, PathSpace)
    names = ["base", "left", "right"]
    assert found.space.choices == tuple((name, layer) for name in names for layer in (0, 1))
    assert found.space.max_steps == 4
    assert [label for label, _ in found.starts] == ["parent:base", "route:left", "route:right"]


def test_values_and_routes_make_one_space(routed: dict[str, Any], workspace: Path) -> None:
    search = {"search": {"low": 0.0, "high": 1.0}}
    stage = {"method": "linear", "inputs": ["left", "right"], "weights": search, "name": "mix"}
    routed["recipe"]["parameters"] = [stage]
    routed["dataflow"] = {"space": "blocks", "sources": ["base"], "scales": "hop", "blocks": 2}
    found = prepared(routed)
    names = [gene.name for gene in found.space.genes]
    assert names[:3] == ["mix.weights.left", "mix.weights.right", "dataflow.block.0.source"]
    labels = [label for label, _ in found.starts]
    assert labels == ["parent:left", "parent:right", "uniform", "route:base"]
    assert route(found, "uniform") == [("mix", 0), ("mix", 1)]


def test_sources_of_another_depth_and_vocabulary_may_give_layers(
    routed: dict[str, Any], workspace: Path
) -> None:
    tiny_model("llama", workspace / "deep", seed=5, layers=3, vocab=120)
    routed["sources"]["deep"] = {"path": "deep"}
    routed["dataflow"] = {"space": "path", "sources": ["deep"]}
    assert route(prepared(routed), "route:deep") == [("deep", layer) for layer in range(3)]
    routed["dataflow"]["head"] = "deep"
    assert "shape" in problems(routed)["dataflow"]


def test_a_fixed_route_may_stand_beside_searched_values(
    routed: dict[str, Any], workspace: Path
) -> None:
    stage = {"method": "linear", "inputs": ["left", "right"], "weights": {"search": {}}}
    routed["recipe"]["parameters"] = [stage]
    steps = [{"source": "stage1", "layers": [0, 2]}, {"source": "left", "layer": 1, "scale": 0.5}]
    routed["dataflow"] = {"steps": steps}
    found = prepared(routed)
    flow = found.space.recipe(found.space.decode(found.space.middle())).dataflow
    assert flow is not None
    assert [(s.source, s.layer, s.scale) for s in flow.steps] == [
        ("stage1", 0, 1.0),
        ("stage1", 1, 1.0),
        ("left", 1, 0.5),
    ]
    assert (flow.embedding, flow.norm, flow.head) == ("stage1", "stage1", "stage1")


@pytest.mark.parametrize(
    ("dataflow", "key", "message"),
    [
        ({"space": "path", "sources": ["lfet"]}, "dataflow.sources[0]", "did you mean 'left'"),
        ({"space": "path", "model": "lfet"}, "dataflow.model", "no source or stage is called"),
        ({"space": "path", "head": "lfet"}, "dataflow.head", "no source or stage is called"),
        ({"space": "sakana", "max_steps": 1}, "dataflow", "has 2 layers and max_steps is 1"),
        ({"space": "path", "scales": "table"}, "dataflow", "has no table of scales"),
        ({"steps": []}, "dataflow.steps", "expected a list of at least one layer"),
        ({"steps": [{"source": "lfet", "layer": 0}]}, "dataflow.steps[0].source", "mean 'left'"),
    ],
)
def test_mistakes_are_named(
    routed: dict[str, Any], dataflow: dict[str, Any], key: str, message: str
) -> None:
    assert message in problems(routed | {"dataflow": dataflow})[key]


def test_a_fixed_route_must_exist(routed: dict[str, Any]) -> None:
    stage = {"method": "linear", "inputs": ["left", "right"], "weights": {"search": {}}}
    routed["recipe"]["parameters"] = [stage]
    routed["dataflow"] = {"steps": [{"source": "left", "layer": 7}]}
    message = problems(routed)["dataflow.steps"]
    assert message == "takes layer 7 of 'left', which has 2. Expected 0 to 1."


def test_numbers_that_a_layers_code_has_no_place_for_are_refused(
    routed: dict[str, Any], workspace: Path
) -> None:
    for name in ("one", "two"):
        config = BloomConfig(vocab_size=100, hidden_size=32, n_layer=2, n_head=4)
        AutoModelForCausalLM.from_config(config).save_pretrained(workspace / name)
        tiny_tokenizer(100).save_pretrained(workspace / name)
    routed["sources"] = {name: {"path": name} for name in ("one", "two")}
    routed["base"] = "one"
    stage = {"method": "linear", "inputs": ["one", "two"], "weights": {"search": {}}}
    routed["recipe"]["parameters"] = [stage]
    steps: list[dict[str, Any]] = [
        {"source": "stage1", "layer": 0},
        {"source": "two", "layer": 1, "write": 0.5},
    ]
    routed["dataflow"] = {"steps": steps}
    assert prepared(routed).space.genes
    steps[1]["qk"] = 0.5
    assert "BloomAttention has no scaling to multiply" in problems(routed)["dataflow.steps"]


def test_nothing_to_search_is_refused(routed: dict[str, Any]) -> None:
    routed["dataflow"] = {"steps": [{"source": "left", "layers": [0, 2]}]}
    assert "nothing is searched" in problems(routed)["recipe.parameters"]
    del routed["dataflow"]
    assert "no stages" in problems(routed)["recipe.parameters"]


def test_sources_of_another_width_are_refused(routed: dict[str, Any], workspace: Path) -> None:
    tiny_model("llama", workspace / "wide", hidden=64)
    routed["sources"]["wide"] = {"path": "wide"}
    routed["dataflow"] = {"space": "path"}
    found = problems(routed)["dataflow"]
    assert "source 'wide' is configured differently" in found
    assert "hidden_size 64 instead of 32" in found
    assert "dataflow.steps" not in found


def test_scales_that_no_checkpoint_holds_are_refused(
    routed: dict[str, Any], workspace: Path
) -> None:
    for name in ("one", "two"):
        # Its norms stand after attention and MLP.
        config = Olmo2Config(vocab_size=100, hidden_size=32, intermediate_size=48, **SIZE)
        AutoModelForCausalLM.from_config(config).save_pretrained(workspace / name)
        tiny_tokenizer(100).save_pretrained(workspace / name)
    routed["sources"] = {name: {"path": name} for name in ("one", "two")}
    routed["base"] = "one"
    routed["dataflow"] = {"space": "path"}
    assert prepared(routed).space.n_dims == 4
    routed["dataflow"]["scales"] = "hop"
    message = problems(routed)["dataflow"]
    assert message.startswith("layer ")
    assert "no plain checkpoint can express" in message


def test_recipe_files_may_hold_routes(routed: dict[str, Any], workspace: Path) -> None:
    routed["dataflow"] = {"space": "path"}
    recipe = """
sources:
  base: {path: base}
  left: {path: left}
base: base
parameters: []
dataflow: {steps: [{source: left, layer: 0}, {source: base, layer: 1}]}
dtype: float32
"""
    (workspace / "mine.yaml").write_text(recipe)
    routed["search"]["recipes"] = ["mine.yaml"]
    assert route(prepared(routed), "recipe:mine") == [("left", 0), ("base", 1)]


def test_memory_is_planned_for_all_models_and_the_longest_route(routed: dict[str, Any]) -> None:
    def rows(raw: dict[str, Any]) -> dict[str, int]:
        plan = prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml").memory
        assert plan is not None
        return {row.what: row.n_bytes for row in plan.rows}

    stage = {"name": "mix", "method": "linear", "inputs": ["left", "right"], "weights": 0.5}
    (alone,) = [v for k, v in rows(routed).items() if k.startswith("keys and values")]
    found = rows(routed)
    assert found["models to route through"] == found["resident model"]  # left, beside the base
    routed["dataflow"] |= {"max_steps": 5}
    (shorter,) = [v for k, v in rows(routed).items() if k.startswith("keys and values")]
    assert shorter * (10 + 1) == alone * (5 + 1)  # of each layer, and of one that grows
    routed["recipe"]["parameters"] = [stage]
    routed["dataflow"] = {"space": "path", "sources": ["base"]}
    found = rows(routed)
    assert found["models to route through"] == found["resident model"]  # base, beside the stage
    routed["dataflow"] = {"space": "path", "model": "base"}
    found = rows(routed)
    assert found["models to route through"] == 3 * found["resident model"]

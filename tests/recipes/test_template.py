"""Warm starts of a space, and the genome of a recipe that the user brings."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import RecipeError
from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from evomerge.recipes.recipe import Recipe, Source
from evomerge.recipes.space import SearchSpace
from tests.recipes.declared import DECLARATIONS, N_LAYERS, model_tensors, sources

TENSORS = model_tensors()
SOURCES = sources("base", "math", "code", "chat")


def spec(*stages: Any, **more: Any) -> RecipeSpec:
    return RecipeSpec(**{"sources": SOURCES, "base": "base", "stages": stages, **more})


def space(*stages: Any, **more: Any) -> SearchSpace:
    return build_space(spec(*stages, **more), DECLARATIONS, N_LAYERS, TENSORS)


def recipe(*stages: Any, **more: Any) -> Recipe:
    return build_recipe(spec(*stages, **more), DECLARATIONS)


def stage(method: str, inputs: list[str], **parameters: Any) -> dict[str, Any]:
    return {"method": method, "inputs": inputs, **parameters}


SEARCH = {"search": {"low": -0.5, "high": 1.5}, "granularity": "block:3"}


def starts(built: SearchSpace) -> dict[str, list[Any]]:
    return {label: list(genome.values()) for label, genome in built.warm_starts()}


def test_base_parents_and_average_come_first() -> None:
    built = space(stage("task_arithmetic", ["math", "code", "chat"], weights=SEARCH))
    found = starts(built)
    assert list(found) == ["base", "parent:math", "parent:code", "parent:chat", "uniform"]
    assert found["base"] == [0.0] * 6
    assert found["parent:code"] == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert found["uniform"] == [0.333333] * 6
    for _, genome in built.warm_starts():
        assert built.decode(built.encode(genome)) == genome
        built.recipe(genome)


def test_what_isnt_in_the_ranges_is_left_out() -> None:
    narrow = {"search": {"low": 0.2, "high": 0.9}}
    built = space(stage("task_arithmetic", ["math", "code"], weights=narrow))
    assert starts(built) == {"uniform": [0.5, 0.5]}


def test_parents_need_the_fixed_values_to_agree() -> None:
    built = space(stage("slerp", ["math", "code"], t=[{"search": {}}, 1.0]))
    assert list(starts(built)) == ["parent:code", "uniform"]


def test_parameters_that_a_start_doesnt_name_take_their_default() -> None:
    built = space(
        stage(
            "ties", ["math", "code"], weights=SEARCH, scale={"search": {}}, densities={"search": {}}
        )
    )
    genome = dict(built.warm_starts())["parent:math"]
    assert genome["stage1.scale"] == 1.0
    assert genome["stage1.densities.math"] == 0.5


def test_doubles_are_removed() -> None:
    built = space(stage("task_arithmetic", ["math"], weights=SEARCH))
    assert list(starts(built)) == ["base", "parent:math"]  # one input: the average is the parent


def test_starts_reach_through_several_stages() -> None:
    built = space(
        stage("task_arithmetic", ["math", "code"], weights=SEARCH),
        stage("slerp", ["stage1", "chat"], t={"search": {}}),
    )
    found = starts(built)
    assert set(found) == {"parent:math", "parent:code", "parent:stage1", "parent:chat", "uniform"}
    assert found["parent:math"] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert found["parent:chat"][-1] == 1.0
    assert found["uniform"] == [0.5] * 5


def test_a_gene_that_doesnt_count_keeps_no_start_out() -> None:
    built = space(
        stage(
            "ties",
            ["math", "code"],
            weights=SEARCH,
            scale={"search": {"low": 2.0, "high": 3.0}, "only_if": {"normalize": False}},
            normalize={"search": {}},
        )
    )
    assert "parent:math" in starts(built)


def test_a_recipe_of_the_users_has_a_genome() -> None:
    built = space(stage("task_arithmetic", ["math", "code"], weights=SEARCH))
    mine = recipe(
        stage(
            "task_arithmetic", ["math", "code"], weights=[0.7, {"block": 3, "values": [0.1, 0.2]}]
        )
    )
    genome = built.genome_of(mine)
    assert list(genome.values()) == [0.7, 0.7, 0.1, 0.2]
    assert built.recipe(genome).hash() == mine.hash()


def test_other_names_for_the_same_content_are_fine() -> None:
    built = space(stage("task_arithmetic", ["math", "code"], weights=SEARCH))
    renamed = tuple(replace(source, name=f"my-{source.name}") for source in SOURCES)
    mine = recipe(
        stage("task_arithmetic", ["my-math", "my-code"], weights=0.5),
        sources=renamed,
        base="my-base",
    )
    assert list(built.genome_of(mine).values()) == [0.5] * 4


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_gradients_and_filters_are_found_again(anchors: list[float]) -> None:
    built = space(
        stage(
            "linear",
            ["math", "code"],
            weights={"search": {}, "granularity": "gradient:3", "filters": ["attn"], "rest": 0.5},
        )
    )
    genome = built.decode(
        built.encode(dict(zip((g.name for g in built.genes), anchors, strict=True)))
    )
    assert built.genome_of(built.recipe(genome)) == pytest.approx(genome, abs=2e-6)


def linear(weights: Any, normalize: bool = True, **more: Any) -> Recipe:
    inputs = ["math", "code"]
    return recipe(stage("linear", inputs, weights=weights, normalize=normalize), **more)


LINEAR = stage("linear", ["math", "code"], weights=SEARCH)


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        (recipe(stage("slerp", ["math", "code"], t=0.5)), "has the methods slerp, this"),
        (recipe(stage("linear", ["code", "math"], weights=1)), r"inputs \(code, math\) aren't"),
        (linear(3), "isn't in its values, -0.5 to 1.5"),
        (
            linear({"block": 1, "values": [0, 1] * 3}),
            "differ within 'stage1.weights.math.0'",
        ),
        (
            linear(1, normalize=False),
            r"stage1.normalize: the recipe has False, which this search can't represent",
        ),
        (linear(1, dtype="float32"), "has dtype 'float32'"),
        (linear(1, seed=3), "has seed 3, this search 0"),
        (linear(1, base="chat"), "base 'chat' isn't"),
        (linear(1, tokenizer="chat"), "tokenizer 'chat'"),
        (
            recipe(
                stage("linear", ["math", "code"], weights=1),
                sources=(*SOURCES[:1], Source("math", "m", "other"), *SOURCES[2:]),
            ),
            "in order and content",
        ),
    ],
)
def test_what_the_space_cant_represent_is_named(mine: Recipe, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        space(LINEAR).genome_of(mine)


def test_fixed_values_by_group_are_compared_over_the_tensors() -> None:
    fixed = {"by": [{"filter": "mlp", "value": 0.25}, {"value": 0.75}]}
    built = space(stage("linear", ["math", "code"], weights=[{"search": {}}, fixed]))
    same = {"by": [{"filter": "has:mlp", "value": 0.25}, {"value": 0.75}]}
    mine = recipe(stage("linear", ["math", "code"], weights=[0.5, same]))
    assert built.genome_of(mine) == {"stage1.weights.math": 0.5}
    with pytest.raises(RecipeError, match="can't represent"):
        built.genome_of(recipe(stage("linear", ["math", "code"], weights=[0.5, 0.25])))

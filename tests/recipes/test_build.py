"""From stages to spaces and recipes: groups, genes, and every mistake at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from evomerge.errors import ProblemsError
from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from evomerge.recipes.space import SearchSpace
from evomerge.recipes.values import evaluate
from tests.recipes.declared import DECLARATIONS, N_LAYERS, model_tensors, sources

TENSORS = model_tensors()
SOURCES = sources("base", "reverse", "sort", "successor")
RANGE = {"low": -0.5, "high": 1.5}


def spec(*stages: Any, **more: Any) -> RecipeSpec:
    return RecipeSpec(**{"sources": SOURCES, "base": "base", "stages": stages, **more})


def space(*stages: Any, **more: Any) -> SearchSpace:
    return build_space(spec(*stages, **more), DECLARATIONS, N_LAYERS, TENSORS)


def stage(weights: Any, **more: Any) -> dict[str, Any]:
    return {
        "method": "task_arithmetic",
        "inputs": ["reverse", "sort"],
        "weights": weights,
        **more,
    }


def names(built: SearchSpace) -> list[str]:
    return [gene.name for gene in built.genes]


def problems(*stages: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(ProblemsError) as caught:
        space(*stages, **more)
    return {problem.key: problem.message for problem in caught.value.problems}


def test_the_quickstart_has_a_gene_for_each_source_and_layer() -> None:
    built = space(
        {
            "method": "task_arithmetic",
            "inputs": ["reverse", "sort", "successor"],
            "weights": {"search": RANGE, "granularity": "block:1"},
        },
        dtype="float32",
    )
    assert built.n_dims == 3 * N_LAYERS
    assert names(built)[:2] == ["stage1.weights.reverse.0", "stage1.weights.reverse.1"]
    genome = built.decode(np.linspace(0, 1, 18))
    recipe = built.recipe(genome)
    weights = recipe.stages[0].parameters["weights"][0]

    def at(name: str) -> Any:
        return evaluate(weights, TENSORS[name], N_LAYERS)

    first, last = genome["stage1.weights.reverse.0"], genome["stage1.weights.reverse.5"]
    assert at("model.embed_tokens.weight") == at("model.layers.0.mlp.up_proj.weight") == first
    assert at("lm_head.weight") == at("model.norm.weight") == last
    assert (recipe.base, recipe.tokenizer, recipe.dtype) == ("base", "base", "float32")
    assert recipe.stages[0].base == "base"
    assert recipe.stages[0].parameters["scale"] == 1.0


GRANULARITIES = ["model", "block:1", "block:2", "block:4", "block:9", "layer", "tensor"]


@pytest.mark.parametrize("granularity", [*GRANULARITIES, "gradient:3"])
@pytest.mark.parametrize("filters", [[], ["attn", "mlp"], ["embed", "re:proj", "has:norm", "head"]])
@given(value=st.floats(-0.5, 1.5))
def test_groups_with_equal_values_are_the_ungrouped_recipe(
    granularity: str, filters: list[str], value: float
) -> None:
    grouped = space(stage({"search": RANGE, "granularity": granularity, "filters": filters}))
    plain = space(stage({"search": RANGE}))
    genome = dict.fromkeys(names(grouped), round(value, 6))
    same = plain.recipe(dict.fromkeys(names(plain), round(value, 6)))
    assert grouped.recipe(genome).hash() == same.hash()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("filters", [[], ["attn", "mlp"], ["embed", "re:proj", "has:norm", "head"]])
def test_every_tensor_has_one_gene_and_every_gene_a_tensor(
    granularity: str, filters: list[str]
) -> None:
    built = space(stage({"search": RANGE, "granularity": granularity, "filters": filters}))
    marked = {name: round(0.001 * index, 6) for index, name in enumerate(names(built))}
    weights = built.recipe(marked).stages[0].parameters["weights"]
    used = {
        evaluate(value, tensor, N_LAYERS)
        for value in weights
        for tensor in TENSORS.values()
        if tensor.dtype != "I64"
    }
    assert used == set(marked.values())


def test_gene_names_say_what_they_are() -> None:
    built = space(
        stage(
            {
                "reverse": {"search": RANGE, "granularity": "block:3", "filters": ["attn"]},
                "sort": {"search": {}, "granularity": "gradient:2"},
            },
            scale={"search": {}, "granularity": "model"},
            name="merge",
        )
    )
    assert names(built) == [
        "merge.weights.reverse.attn.0",
        "merge.weights.reverse.attn.1",
        "merge.weights.reverse.rest.0",
        "merge.weights.reverse.rest.1",
        "merge.weights.sort.0",
        "merge.weights.sort.1",
        "merge.scale",
    ]
    tensor = names(space(stage({"search": {}, "granularity": "tensor"})))
    assert "stage1.weights.sort.model.layers.3.mlp.up_proj.weight" in tensor


def test_a_group_without_a_tensor_gets_no_gene() -> None:
    built = space(stage({"search": RANGE, "granularity": "layer", "filters": ["embed", "other"]}))
    ours = [n for n in names(built) if ".sort." in n]
    assert ours == ["stage1.weights.sort.embed.0"] + [
        f"stage1.weights.sort.rest.{i}" for i in range(N_LAYERS)
    ]


def test_the_rest_can_be_fixed() -> None:
    built = space(stage({"search": RANGE, "filters": ["attn"], "rest": 0.25}))
    assert names(built) == ["stage1.weights.reverse.attn", "stage1.weights.sort.attn"]
    recipe = built.recipe(dict.fromkeys(names(built), 1.0))
    assert recipe.stages[0].parameters["weights"][0] == {
        "by": [{"value": 1.0, "filter": "attn"}, {"value": 0.25}]
    }


def test_search_may_stand_wherever_a_value_may() -> None:
    built = space(
        stage(
            [
                {"by": [{"filter": "mlp", "value": {"search": RANGE}}, {"value": 0.5}]},
                {"gradient": [{"search": RANGE}, 0.3, {"search": {}}]},
            ],
            scale={"block": 3, "values": [{"search": {}}, 1.0]},
        )
    )
    assert names(built) == [
        "stage1.weights.reverse.mlp",
        "stage1.weights.sort.0",
        "stage1.weights.sort.2",
        "stage1.scale.0",
    ]
    table = space(stage({"tensors": {"lm_head.weight": {"search": {}}}, "else": 0.1}))
    assert names(table)[0] == "stage1.weights.reverse.lm_head.weight"


def test_ranges_scales_steps_and_choices() -> None:
    built = space(
        {
            "method": "ties",
            "inputs": ["sort"],
            "weights": {"search": {"choices": [0, 0.5, 1]}},
            "densities": {"search": {}},
            "normalize": {"search": {}},
            "zero_sign": {"search": {"choices": ["drop", "plus"]}},
            "scale": {"search": {"low": 0.1, "high": 2, "scale": "log", "step": 0.1}},
        },
        {
            "method": "odd",
            "inputs": ["stage1"],
            "bottom": {"search": {"high": 4}},
            "ratio": {"search": {}},
        },
    )
    genes = {gene.name: gene for gene in built.genes}
    density = genes["stage1.densities.sort"]
    assert (density.low, density.high, density.step) == (0.1, 1.0, 0.001)
    assert genes["stage1.weights.sort"].choices == (0.0, 0.5, 1.0)
    assert genes["stage1.normalize"].choices == (False, True)
    assert genes["stage1.zero_sign"].choices == ("drop", "plus")
    assert (genes["stage1.scale"].scale, genes["stage1.scale"].step) == ("log", 0.1)
    bottom = genes["stage2.bottom"]
    assert (bottom.kind, bottom.low, bottom.high) == ("int", 0, 4)
    assert genes["stage2.ratio"].scale == "log"
    recipe = built.recipe(built.decode(np.full(7, 0.9)))
    assert recipe.stages[1].parameters["bottom"] == 4
    assert isinstance(recipe.stages[1].parameters["bottom"], int)


def test_a_gene_that_doesnt_count_changes_no_hash() -> None:
    built = space(
        {
            "method": "ties",
            "inputs": ["sort"],
            "weights": 1.0,
            "scale": {"search": {}, "only_if": {"normalize": False}},
            "normalize": {"search": {}},
        }
    )
    assert names(built) == ["stage1.normalize", "stage1.scale"]

    def hash_of(normalize: float, scale: float) -> str:
        return built.recipe(built.decode(np.array([normalize, scale]))).hash()

    assert hash_of(0.9, 0.1) == hash_of(0.9, 0.7)
    assert hash_of(0.1, 0.1) != hash_of(0.1, 0.7)
    assert built.decode(np.array([0.9, 0.1]))["stage1.scale"] == 1.0  # the method's default


def test_stages_feed_each_other() -> None:
    recipe = build_recipe(
        spec(
            {
                "method": "linear",
                "inputs": ["reverse", "sort"],
                "weights": [0.25, 0.75],
                "name": "a",
            },
            {"method": "slerp", "inputs": ["a", "successor"], "t": [0.0, 1.0]},
        ),
        DECLARATIONS,
    )
    assert [s.name for s in recipe.stages] == ["a", "stage2"]
    assert [i.name for i in recipe.stages[1].inputs] == ["a", "successor"]
    assert recipe.stages[1].base is None
    assert recipe.stages[1].parameters["t"] == {"gradient": [0.0, 1.0]}


def test_values_for_each_source_have_three_forms() -> None:
    def weights(raw: Any) -> Any:
        return build_recipe(spec(stage(raw)), DECLARATIONS).stages[0].parameters["weights"]

    assert weights(0.5) == weights([0.5, 0.5]) == weights({"sort": 0.5, "reverse": 0.5})
    assert weights({"gradient": [0, 1]}) == ({"gradient": [0.0, 1.0]},) * 2
    assert weights([{"gradient": [0, 1]}, 1]) == ({"gradient": [0.0, 1.0]}, 1.0)


points = arrays(np.float64, 12, elements=st.floats(0, 1))


@given(points)
def test_a_recipes_hash_belongs_to_its_genome(x: NDArray[np.float64]) -> None:
    built = space(stage({"search": RANGE, "granularity": "layer"}))
    genome = built.decode(x)
    recipe = built.recipe(genome)
    assert built.genome_of(recipe) == genome
    assert recipe.hash() == built.recipe(built.decode(built.encode(genome))).hash()


def test_all_mistakes_come_at_once() -> None:
    found = problems(
        {"method": "tes", "inputs": ["reverse", "srt"]},
        {
            "method": "ties",
            "inputs": ["reverse", "stage9"],
            "base": "bse",
            "weigths": 1,
            "weights": [1.0],
            "densities": 2,
            "normalize": {"search": {"lo": 1}},
            "scale": {"search": {"low": 3, "high": 1}, "granularity": "blok:1", "filters": ["atn"]},
        },
        {"method": "slerp", "inputs": ["reverse", "sort", "base"], "base": "base"},
        {"method": "odd", "inputs": [], "label": {"search": {}}, "bottom": {"search": {}}},
        tokenizer="bass",
        dtype="fp16",
    )
    expected = {
        "recipe.tokenizer": "did you mean 'base'?",
        "recipe.dtype": "got 'fp16'",
        "recipe.parameters[0].method": "did you mean 'ties'?",
        "recipe.parameters[0].inputs[1]": "did you mean 'sort'?",
        "recipe.parameters[1].inputs[1]": "no source or earlier stage is called 'stage9'",
        "recipe.parameters[1].base": "did you mean 'base'?",
        "recipe.parameters[1].weigths": "did you mean 'weights'?",
        "recipe.parameters[1].weights": "got 1 values for 2 inputs",
        "recipe.parameters[1].densities": "got 2, expected at most 1",
        "recipe.parameters[1].normalize.search.lo": "did you mean 'low'?",
        "recipe.parameters[1].scale.search": "low is 3 and high is 1; expected low < high",
        "recipe.parameters[1].scale.granularity": "did you mean 'block:K'?",
        "recipe.parameters[1].scale.filters[0]": "got 'atn', expected one of embed, attn",
        "recipe.parameters[2].base": "slerp uses no base",
        "recipe.parameters[2].inputs": "got 3, but slerp takes 2",
        "recipe.parameters[3].inputs": "got [], expected a list",
        "recipe.parameters[3].label.search": "label can't be searched",
        "recipe.parameters[3].bottom.search.high": "Give high",
    }
    assert set(found) == set(expected)
    for key, part in expected.items():
        assert part in found[key], key


@pytest.mark.parametrize(
    ("raw", "key", "message"),
    [
        (stage(1.0), "", "nothing is searched. Mark a value"),
        (stage({"search": {"low": -1, "scale": "log"}}), ".weights.search.low", "low above 0"),
        (stage({"search": {"low": 1, "step": 9}}), ".weights.search", "no multiple of 9"),
        (stage({"search": {"step": -1}}), ".weights.search.step", "0 for no steps"),
        (stage({"search": {"scale": "lin"}}), ".weights.search.scale", "did you mean 'linear'"),
        (stage({"search": {"choices": []}}), ".weights.search.choices", "expected a list"),
        (stage({"search": {"choices": [1, 1]}}), ".weights.search.choices[1]", "listed twice"),
        (stage({"search": {"choices": [1], "low": 0}}), ".weights.search.low", "no meaning beside"),
        (stage({"search": 3}), ".weights.search", "got 3, expected {low"),
        (stage({"search": {}, "filter": ["attn"]}), ".weights.filter", "did you mean 'filters'"),
        (stage({"search": {}, "filters": "attn"}), ".weights.filters", "expected a list"),
        (stage({"search": {}, "filters": ["re:zzz"]}), ".weights.filters[0]", "matches no tensor"),
        (stage({"search": {}, "granularity": "gradient:1"}), ".weights.granularity", "at least 2"),
        (stage({"reverse": 1, "sort": 1, "srt": 1}), ".weights.srt", "did you mean 'sort'"),
        (stage({"reverse": 1}), ".weights.sort", "missing. Give a value for each"),
        (
            stage({"gradient": [{"search": {}, "granularity": "layer"}, 1]}),
            ".weights.gradient[0].granularity",
            "only one gene can stand here",
        ),
        (
            stage({"search": {}}, scale={"block": 2, "values": [1, 2]}),
            ".scale",
            "a model of 6 layers has 3",
        ),
        (
            stage({"search": {}}, scale={"tensors": {"lm_hed.weight": 1}, "else": 0.5}),
            ".scale",
            "no tensor 'lm_hed.weight'; did you mean 'lm_head.weight'",
        ),
        (stage({"search": {}}, inputs=["sort", "sort"]), ".inputs[1]", "listed twice"),
        (stage({"search": {}}, inputs="sort"), ".inputs", "got 'sort', expected a list"),
        (stage({"search": {}}, name="sort"), ".name", "taken by a source or stage"),
        (
            stage({"search": {}, "only_if": {"scale": 1}}),
            ".weights.only_if",
            "isn't one searched value",
        ),
        (stage({"search": {}, "only_if": 3}), ".weights.only_if", "expected {PARAMETER: VALUE}"),
        ({"method": "ties", "inputs": ["sort"]}, ".weights", "missing; ties needs it"),
        (
            {
                "method": "ties",
                "inputs": ["sort"],
                "weights": 1,
                "normalize": {"search": {}, "granularity": "layer"},
            },
            ".normalize.granularity",
            "only one gene",
        ),
        (
            {
                "method": "ties",
                "inputs": ["sort"],
                "weights": 1,
                "normalize": {"block": 3, "values": [True, False]},
            },
            ".normalize",
            "one value for the whole model",
        ),
        ("ties", "", "expected {method: …, inputs: […]}"),
    ],
)
def test_one_mistake_gives_one_line(raw: Any, key: str, message: str) -> None:
    found = problems(raw)
    where = (
        f"recipe.parameters[0]{key}" if key or not isinstance(raw, dict) else "recipe.parameters"
    )
    assert list(found) == [where]
    assert message in found[where]


def test_a_method_that_needs_a_base_says_so() -> None:
    found = problems(stage({"search": {}}), base=None)
    assert "task_arithmetic needs a base model" in found["recipe.parameters[0].base"]


def test_messages_name_the_file() -> None:
    with pytest.raises(ProblemsError, match=r"^run.yaml: recipe.parameters: no stages"):
        build_recipe(spec(where="run.yaml"), DECLARATIONS)


def test_one_recipe_may_not_search() -> None:
    with pytest.raises(ProblemsError, match=r"stage1.weights.sort is marked 'search'"):
        build_recipe(spec(stage([1.0, {"search": {}}])), DECLARATIONS)

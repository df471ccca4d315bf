"""Route spaces: genomes to routes and back, what counts, where searches start."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evomerge.errors import ProblemsError, RecipeError
from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.routes import RouteSpec
from evomerge.recipes.space import SearchSpace
from evomerge.recipes.values import evaluate
from tests.recipes.declared import DECLARATIONS, N_LAYERS, model_tensors, sources

SOURCES = sources("a", "b")
LAYERS = (("a", 4), ("b", 3))


def space(kind: Any = "sakana", stages: tuple[Any, ...] = (), **more: Any) -> SearchSpace:
    defaults: dict[str, Any] = {"layers": LAYERS, "max_steps": 24, "repeats": 2}
    route = RouteSpec(kind, **(defaults | more))
    spec = RecipeSpec(sources=SOURCES, base="a", stages=stages)
    return build_space(spec, DECLARATIONS, N_LAYERS, model_tensors(), route)


def route_of(built: SearchSpace, genome: Any) -> list[tuple[str, int]]:
    flow = built.recipe(genome).dataflow
    assert flow is not None
    return [(step.source, step.layer) for step in flow.steps]


def scales_of(built: SearchSpace, genome: Any) -> list[float]:
    flow = built.recipe(genome).dataflow
    assert flow is not None
    return [step.scale for step in flow.steps]


def fixed(*steps: Any, stages: tuple[Any, ...] = (), **ends: str) -> Recipe:
    flow = {"steps": list(steps), **ends}
    spec = RecipeSpec(sources=SOURCES, base="a", stages=stages, dataflow=flow)
    return build_recipe(spec, DECLARATIONS)


OWN = [("a", layer) for layer in range(4)]
KINDS = [
    ("sakana", "none"),
    ("sakana", "hop"),
    ("sakana", "table"),
    ("sakana", "network"),
    ("blocks", "none"),
    ("blocks", "hop"),
    ("blocks", "network"),
    ("path", "none"),
    ("path", "hop"),
    ("path", "network"),
]


@pytest.mark.parametrize(("kind", "scales"), KINDS)
@given(seed=st.integers(0, 10**6), max_steps=st.integers(4, 9))
def test_random_genomes_are_bounded_routes_and_come_back(
    kind: str, scales: str, seed: int, max_steps: int
) -> None:
    built = space(kind, scales=scales, max_steps=max_steps)
    x = built.draw(np.random.default_rng(seed))
    genome = built.decode(x)
    np.testing.assert_array_equal(built.encode(genome), x)
    flow = built.recipe(genome).dataflow
    assert flow is not None
    assert 1 <= len(flow.steps) <= max_steps
    assert flow.steps[0].scale == 1
    assert all(0.5 <= step.scale <= 2 for step in flow.steps)
    if scales != "network":
        again = built.genome_of(built.recipe(genome))
        assert built.recipe(again).hash() == built.recipe(genome).hash()


@pytest.mark.parametrize(("kind", "scales"), KINDS)
@given(seed=st.integers(0, 10**6))
def test_what_doesnt_count_changes_no_route(kind: str, scales: str, seed: int) -> None:
    built = space(kind, scales=scales, max_steps=6)
    rng = np.random.default_rng(seed)
    x = built.draw(rng)
    active = built.active(x)
    noise = built.draw(rng)
    n_places = len(built.genes)
    noise[n_places : n_places + (0 if built.is_cube else 6)] = 0
    mixed = np.where(active, x, noise)
    np.testing.assert_array_equal(built.snap(mixed), x)


BY_LAYER = {"search": {}, "granularity": "layer"}
STAGES = (
    {"name": "one", "method": "slerp", "inputs": ["a", "b"], "t": BY_LAYER},
    {
        "name": "two",
        "method": "task_arithmetic",
        "inputs": ["one", "b"],
        "weights": {**BY_LAYER, "granularity": "gradient:3"},
        "scale": {**BY_LAYER, "granularity": "model", "filters": ["embed", "norm", "head"]},
    },
)


def used_values(built: SearchSpace, genome: Any) -> dict[tuple[str, str], list[Any]]:
    """Return (stage, tensor) → values, of the tensors that the genome's route takes."""
    recipe = built.recipe(genome)
    flow = recipe.dataflow
    assert flow is not None
    wanted = [(step.source, str(step.layer)) for step in flow.steps]
    wanted += [(flow.embedding, "embed"), (flow.norm, "model.norm"), (flow.head, "lm_head")]
    wanted += [(flow.head, "embed")]  # which a head may be tied to
    found = {}
    for stage in reversed(recipe.stages):
        taken = [part for name, part in wanted if name == stage.name]
        wanted += [(item.name, part) for item in stage.inputs for part in taken]
        for name, tensor in model_tensors().items():
            part = name.removeprefix("model.layers.").partition(".")[0] + "."
            if any(f"{word}." == part or word in name for word in taken):
                plans = [p if isinstance(p, tuple) else (p,) for p in stage.parameters.values()]
                values = [evaluate(v, tensor, N_LAYERS) for plan in plans for v in plan]
                found[stage.name, name] = values
    return found


@pytest.mark.parametrize("kind", ["sakana", "blocks", "path", "fixed"])
@pytest.mark.parametrize("seed", range(4))
def test_genes_of_stages_count_where_the_route_takes_what_they_change(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if kind == "fixed":
        steps = [
            {"source": "two", "layer": int(rng.integers(N_LAYERS))},
            {"source": "a", "layer": 0},
        ]
        spec = RecipeSpec(sources=SOURCES, base="a", stages=STAGES, dataflow={"steps": steps})
        built = build_space(spec, DECLARATIONS, N_LAYERS, model_tensors())
    else:
        layers = (("two", N_LAYERS), ("a", N_LAYERS), ("one", N_LAYERS))
        ends = dict(
            zip(("embedding", "norm", "head"), rng.choice(["one", "two", "a"], 3), strict=True)
        )
        built = space(kind, stages=STAGES, layers=layers, max_steps=8, repeats=1, **ends)
    genome = built.decode(built.draw(rng))
    before = used_values(built, genome)
    active = built.active(built.encode(genome))
    for gene, counts in zip(built.genes, active, strict=False):
        if gene.name.startswith(("one", "two")):
            other = genome | {gene.name: 0.25}
            assert (used_values(built, other) != before) == counts, gene.name
            assert counts or built.decode(built.encode(other)) == genome


def test_a_fixed_route_takes_something_that_is_searched() -> None:
    flow = {"steps": [{"source": "a", "layer": 0}]}
    spec = RecipeSpec(sources=SOURCES, base="a", stages=STAGES, dataflow=flow)
    with pytest.raises(ProblemsError, match="'one' are searched, and the route takes nothing"):
        build_space(spec, DECLARATIONS, N_LAYERS, model_tensors())


def places(built: SearchSpace) -> NDArray[np.float64]:
    return np.array([0.5 if gene.prior is None else gene.prior for gene in built.genes])


@pytest.mark.parametrize("kind", ["sakana", "blocks"])
@pytest.mark.parametrize("scales", ["none", "hop", "network"])
def test_searches_start_at_the_named_model(kind: str, scales: str) -> None:
    built = space(kind, scales=scales)
    genome = built.decode(places(built))
    assert route_of(built, genome) == OWN
    assert set(scales_of(built, genome)) == {1.0}
    np.testing.assert_array_equal(built.middle(), built.snap(places(built)))


# Sakana


def test_sakana_has_a_slot_for_each_layer_and_repetition() -> None:
    built = space(repeats=3)
    assert built.n_dims == (4 + 3) * 3
    assert built.genes[0].name == "dataflow.take.0.a.0"
    assert built.genes[-1].name == "dataflow.take.2.b.2"


def test_sakana_starts_two_sigma_from_the_edge() -> None:
    priors = {gene.name: gene.prior for gene in space().genes}
    likely = [name for name, prior in priors.items() if prior == 0.5 + 2 / 6]
    # Layers 0 and 3 of the named model are fixed, so its own slots for them stay out.
    assert likely == ["dataflow.take.0.a.1", "dataflow.take.0.a.2"]
    assert set(priors.values()) == {0.5 - 2 / 6, 0.5 + 2 / 6}


def test_sakana_goes_through_the_slots_in_order() -> None:
    built = space(scales="hop")
    genome = built.decode(np.zeros(built.n_dims))
    assert route_of(built, genome) == [("a", 0), ("a", 3)]
    taken = {"dataflow.take.0.b.1": True, "dataflow.take.0.a.2": True, "dataflow.take.1.a.2": True}
    scaled = {"dataflow.scale.0.b.1": 0.5, "dataflow.scale.last": 2.0}
    genome |= dict.fromkeys([g.name for g in built.genes if "scale" in g.name], 1.0)
    genome |= taken | scaled
    expected = [("a", 0), ("a", 2), ("b", 1), ("a", 2), ("a", 3)]
    assert route_of(built, genome) == expected
    assert scales_of(built, genome) == [1.0, 1.0, 0.5, 1.0, 2.0]


def test_sakana_drops_slots_beyond_the_bound() -> None:
    built = space(max_steps=5)
    x = np.ones(built.n_dims)
    assert route_of(built, built.decode(x)) == [("a", 0), ("a", 0), ("a", 1), ("a", 2), ("a", 3)]
    assert built.active(x).tolist() == [True] * 3 + [False] * 11


def test_a_table_has_one_scale_for_each_pair_of_layers() -> None:
    built = space(scales="table", repeats=1)
    names = [gene.name for gene in built.genes if ".scale." in gene.name]
    assert "dataflow.scale.a.0.to.b.2" in names
    assert "dataflow.scale.b.2.to.a.3" in names
    assert "dataflow.scale.b.2.to.b.1" not in names  # one repetition never goes back
    taken = ["dataflow.take.0.a.2", "dataflow.take.0.b.1"]
    genome: dict[str, Any] = dict.fromkeys([gene.name for gene in built.genes[:7]], False)
    genome |= dict.fromkeys(names, 1.0) | dict.fromkeys(taken, True)
    hops = ["a.0.to.a.2", "a.2.to.b.1", "b.1.to.a.3"]
    genome |= {f"dataflow.scale.{hop}": 2.0 - k / 2 for k, hop in enumerate(hops)}
    assert scales_of(built, genome) == [1.0, 2.0, 1.5, 1.0]
    active = dict(
        zip([g.name for g in built.genes], built.active(built.encode(genome)), strict=True)
    )
    assert [name for name in names if active[name]] == [
        f"dataflow.scale.{hop}" for hop in sorted(hops)
    ]


def test_a_network_scales_by_layers_and_place() -> None:
    built = space(scales="network", repeats=1)
    n_weights = sum(".network." in gene.name for gene in built.genes)
    assert n_weights == 21
    taken = {"dataflow.take.0.a.1": True}
    genome: dict[str, Any] = {g.name: False if g.choices else 0.0 for g in built.genes} | taken
    # One hidden unit sees only the layer before: tanh(2·i/(M-1) − 1), i = 0 then 1 of M = 7.
    genome |= {"dataflow.network.in.0": 1.0, "dataflow.network.out.0": 1.0}
    outputs = [np.tanh(np.tanh(2 * i / 6 - 1)) for i in (0, 1)]
    np.testing.assert_allclose(scales_of(built, genome), [1, *(2.0**o for o in outputs)], rtol=1e-5)


def test_sakana_refuses_what_lies_outside() -> None:
    built = space(scales="hop")
    outside = [
        (["b", 0], ["a", 3], "begin and end"),
        (["a", 0], ["a", 3, 2.0], None),
    ]
    for first, last, message in outside:
        steps = [
            {"source": name, "layer": layer, "scale": scale[0] if scale else 1.0}
            for name, layer, *scale in (first, last)
        ]
        if message is None:
            assert built.genome_of(fixed(*steps))["dataflow.scale.last"] == 2.0
            continue
        with pytest.raises(RecipeError, match=message):
            built.genome_of(fixed(*steps))
    back = [("a", 0), ("a", 2), ("a", 1), ("a", 2), ("a", 1), ("a", 3)]
    steps = [{"source": name, "layer": layer} for name, layer in back]
    with pytest.raises(RecipeError, match="isn't in order within 2 repetitions at step 4"):
        built.genome_of(fixed(*steps))
    assert route_of(space(repeats=3), space(repeats=3).genome_of(fixed(*steps))) == back


# Blocks


def test_blocks_follow_each_other() -> None:
    built = space("blocks", scales="hop", blocks=3)
    genome = built.decode(built.middle()) | {
        "dataflow.block.0.start": 0,
        "dataflow.block.0.layers": 3,
        "dataflow.block.2.source": "b",
        "dataflow.block.2.start": 1,
        "dataflow.block.2.layers": 4,  # its source ends before
        "dataflow.scale.block.2": 0.5,
    }
    assert route_of(built, genome) == [("a", 0), ("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert scales_of(built, genome) == [1, 1, 1, 0.5, 1]
    named = dict(
        zip([g.name for g in built.genes], built.active(built.encode(genome)), strict=True)
    )
    assert named["dataflow.scale.block.2"]
    assert not named["dataflow.scale.block.1"]
    assert not named["dataflow.block.1.start"]
    assert named["dataflow.block.1.source"]


def test_blocks_end_with_the_budget() -> None:
    built = space("blocks", max_steps=5, blocks=3)
    genome = built.decode(built.middle())
    genome |= {"dataflow.block.1.source": "b", "dataflow.block.1.start": 0}
    genome |= {"dataflow.block.1.layers": 3, "dataflow.block.2.source": "a"}
    assert route_of(built, genome) == [*OWN, ("b", 0)]
    settled = built.decode(built.encode(genome))
    assert settled["dataflow.block.2.source"] == "none"


def test_a_stack_is_cut_into_as_few_blocks_as_possible() -> None:
    built = space("blocks", blocks=3)
    runs = [("a", 0, 2), ("b", 1, 3), ("a", 2, 4)]
    recipe = fixed(*({"source": name, "layers": [i, j]} for name, i, j in runs))
    genome = built.genome_of(recipe)
    found = [
        (genome[f"{key}.source"], genome[f"{key}.start"], genome[f"{key}.layers"])
        for key in (f"dataflow.block.{i}" for i in range(3))
    ]
    assert found == [("a", 0, 2), ("b", 1, 2), ("a", 2, 2)]
    with pytest.raises(RecipeError, match="3 blocks of contiguous layers; this search allows 2"):
        space("blocks", blocks=2).genome_of(recipe)


# Starts


@pytest.mark.parametrize(("kind", "scales"), KINDS)
def test_each_source_as_it_is_comes_first_where_the_space_has_it(kind: str, scales: str) -> None:
    built = space(kind, scales=scales)
    found = {label: route_of(built, genome) for label, genome in built.warm_starts()}
    expected = {"parent:a": OWN}
    if kind != "sakana":  # which begins and ends with a's layers
        expected["route:b"] = [("b", layer) for layer in range(3)]
    assert found == expected


def test_embedding_norm_and_head_may_come_from_elsewhere() -> None:
    built = space("path", embedding="b", norm="b", head="b")
    found = dict(built.warm_starts())
    assert list(found) == ["route:a", "parent:b"]
    flow = built.recipe(found["route:a"]).dataflow
    assert flow is not None
    assert (flow.embedding, flow.norm, flow.head) == ("b", "b", "b")
    with pytest.raises(RecipeError, match="embedding comes from 'a', in this search from 'b'"):
        built.genome_of(fixed({"source": "a", "layers": [0, 4]}))


# Parameters and routes in one space


STAGE = {
    "name": "mix",
    "method": "linear",
    "inputs": ["a", "b"],
    "weights": {"search": {"low": 0.0, "high": 1.0}},
}
JOINT = (("mix", N_LAYERS), ("b", N_LAYERS))


@pytest.mark.parametrize("kind", ["sakana", "blocks", "path"])
def test_values_and_routes_are_one_genome(kind: str) -> None:
    built = space(kind, (STAGE,), layers=JOINT)
    starts = dict(built.warm_starts())
    assert {"parent:a", "parent:b", "uniform"} <= set(starts)
    recipe = built.recipe(starts["uniform"])
    assert recipe.stages[0].parameters["weights"] == (0.5, 0.5)
    assert route_of(built, starts["uniform"]) == [("mix", layer) for layer in range(N_LAYERS)]
    assert built.genome_of(recipe) == starts["uniform"]
    assert ("route:b" in starts) == (kind != "sakana")


def test_a_recipe_may_call_stages_and_sources_otherwise() -> None:
    built = space("path", (STAGE,), layers=JOINT)
    other = fixed(
        {"source": "m", "layers": [0, 6]},
        stages=({**STAGE, "name": "m", "weights": [0.25, 0.75]},),
        embedding="m",
        norm="m",
        head="m",
    )
    genome = built.genome_of(other)
    assert genome["mix.weights.b"] == 0.75
    assert genome["path"][5] == ["mix", 5, 1.0]


def test_values_that_no_route_uses_are_refused() -> None:
    with pytest.raises(ProblemsError, match="values of the stage 'mix' are searched, and no route"):
        space("path", (STAGE,))


# Refusals


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("sakana", {"max_steps": 3}, "'a' has 4 layers and max_steps is 3"),
        ("sakana", {"layers": (("a", 1), ("b", 3))}, "'a' has a single layer"),
        ("blocks", {"scales": "table"}, "the space blocks has no table of scales"),
        ("path", {"scales": "table"}, "the space path has no table of scales"),
        ("blocks", {"layers": (("none", 3),)}, "can't be called 'none'"),
        ("sakana", {"scales": "hop", "scale_range": (1.5, 2.0)}, "1 isn't in its values"),
    ],
)
def test_spaces_without_a_route_are_refused(kind: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        space(kind, **more)


def test_recipes_outside_are_refused() -> None:
    built = space("path", max_steps=4)
    with pytest.raises(RecipeError, match="route has 5 steps; this search allows 1 to 4"):
        built.genome_of(fixed({"source": "a", "layers": [0, 4]}, {"source": "b", "layer": 0}))
    with pytest.raises(RecipeError, match="takes layer 3 of 'b'"):
        built.genome_of(fixed({"source": "b", "layer": 3}))
    with pytest.raises(RecipeError, match=r"qk 2 and write 0\.5"):
        built.genome_of(fixed({"source": "a", "layer": 0, "qk": 2.0, "write": 0.5}))
    with pytest.raises(RecipeError, match="the first step of the recipe's route has the scale 2"):
        built.genome_of(fixed({"source": "a", "layer": 0, "scale": 2.0}))
    scaled = fixed({"source": "a", "layer": 0}, {"source": "a", "layer": 1, "scale": 2.0})
    with pytest.raises(RecipeError, match="has the scale 2 at step 1, and this search has none"):
        built.genome_of(scaled)
    stages = ({**STAGE, "weights": 0.5},)
    plain = build_recipe(RecipeSpec(sources=SOURCES, base="a", stages=stages), DECLARATIONS)
    with pytest.raises(RecipeError, match="has no dataflow, and the routes of this search don't"):
        space("path", stages=stages).genome_of(plain)
    through = space("path", stages=stages, layers=((STAGE["name"], 4), ("b", 3)))
    assert route_of(through, through.genome_of(plain)) == [(STAGE["name"], i) for i in range(4)]

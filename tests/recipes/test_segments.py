"""Segments: one form for equal weights, and what of them falls on each tensor."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ProblemsError, RecipeError
from evomerge.merging.registry import METHODS
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.build import RecipeSpec, build_recipe
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.segments import flat_places, flattened, parse_segments, runs_at
from tests.recipes.declared import model_tensors, sources

TENSORS = model_tensors()
MERGED = [facts for facts in TENSORS.values() if facts.is_merged]
PLACES = flat_places(MERGED)
TOTAL = sum(place.size for place in PLACES.values())
ONE, TWO = [1.0, 0.0], [0.25, 0.5]


def recipe(segments: Any, **more: Any) -> Recipe:
    stage = {"method": "segments", "inputs": ["a", "b"], "segments": segments, **more}
    spec = RecipeSpec(sources("a", "b"), "a", (stage,))
    return build_recipe(spec, METHODS.declarations())


def test_layers_stand_by_depth_and_the_head_last() -> None:
    mixed = sorted(TENSORS.values(), key=lambda facts: facts.name)
    deep = [TensorFacts(f"model.layers.{n}.mlp.w", (1,), "F32", n, "mlp") for n in (10, 9, 2)]
    names = [facts.name for facts in flattened([*deep, *mixed])]
    assert names[0] == "model.embed_tokens.weight"
    assert names[-2:] == ["model.norm.weight", "lm_head.weight"]
    at = [names.index(f"model.layers.{n}.mlp.w") for n in (2, 9, 10)]
    assert at == sorted(at)
    layer = [name for name in names if ".layers.0." in name]
    assert layer == sorted(layer)


cuts = st.lists(st.integers(1, TOTAL - 1), unique=True, max_size=6).map(sorted)


@given(cuts, st.data())
def test_tensors_get_the_weights_of_their_elements(at: list[int], data: st.DataObject) -> None:
    pool = st.sampled_from([ONE, TWO, [0.0, 1.0]])
    raw = [{"until": cut, "weights": data.draw(pool)} for cut in at]
    segments = parse_segments([*raw, {"weights": data.draw(pool)}], "x")
    by_element = []
    begin = 0
    for segment in segments:
        end = segment.get("until", TOTAL)
        by_element += [tuple(segment["weights"])] * (end - begin)
        begin = end
    for facts in flattened(MERGED):
        place = PLACES[facts.name]
        runs = runs_at(segments, place, (0, 1))
        found = []
        for end, weights in zip(runs.ends, runs.weights, strict=True):
            assert end > len(found)
            found += [weights] * (end - len(found))
        start = sum(place.before)
        assert found == by_element[start : start + place.size]
        assert all(one != other for one, other in zip(runs.weights, runs.weights[1:], strict=False))


def test_a_group_counts_its_own_elements() -> None:
    groups = {"attn": [{"until": 20, "weights": ONE}, {"weights": TWO}], "rest": [{"weights": ONE}]}
    segments = parse_segments(groups, "x")
    names = [f"model.layers.{n}.self_attn.{p}_proj.weight" for n in (0, 1) for p in "oq"]
    runs = [runs_at(segments, PLACES[name], (0, 1)) for name in names]
    assert [run.ends for run in runs] == [(16,), (4, 16), (16,), (16,)]
    assert [run.weights[-1] for run in runs] == [tuple(w) for w in (ONE, TWO, TWO, TWO)]
    other = runs_at(segments, PLACES["model.layers.3.mlp.up_proj.weight"], (1,))
    assert (other.ends, other.weights) == ((32,), ((0.0,),))


def test_inputs_that_lack_a_tensor_are_left_out() -> None:
    segments = parse_segments([{"until": 3, "weights": [1, 2, 5]}, {"weights": [9, 2, 5]}], "x")
    runs = runs_at(segments, PLACES["model.embed_tokens.weight"], (1, 2))
    assert (runs.ends, runs.weights) == ((32,), ((2.0, 5.0),))


def test_equal_weights_have_equal_hashes() -> None:
    plain = recipe([{"weights": [0.5, 0.5]}])
    cut = [{"until": 7, "weights": [0.5, 0.5]}, {"weights": [0.5, 0.5]}]
    assert recipe(cut).hash() == plain.hash()
    assert recipe({"rest": cut}).hash() == plain.hash()
    assert recipe({"attn": cut, "rest": cut}).hash() == plain.hash()
    assert recipe(None).hash() == plain.hash()
    signed = [{"until": 7, "weights": [0, 1]}, {"weights": [1, 0]}]
    assert recipe(signed).hash() == recipe([{**signed[0], "weights": [-0.0, 1]}, signed[1]]).hash()
    assert recipe(signed).hash() != plain.hash()
    groups = {"attn": signed, "rest": cut}
    turned = dict(reversed(groups.items()))
    assert recipe(groups).hash() == recipe(turned).hash()


def test_recipes_say_in_which_order_tensors_are_counted() -> None:
    assert recipe(None).to_dict()["parameters"][0]["options"]["order"] == "depth"
    with pytest.raises(ProblemsError, match="order"):
        recipe(None, order="width")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (3, "got 3, expected a list"),
        ([], r"got \[\], expected a list"),
        ([{"until": 4, "weights": ONE}], r"\[0\].until: the last segment has no 'until'"),
        ([{"weights": ONE}, {"weights": ONE}], r"\[0\].until: missing"),
        ([{"until": 4.0, "weights": ONE}, {"weights": ONE}], r"got 4.0, expected a whole number"),
        (
            [{"until": 4, "weights": ONE}, {"until": 4, "weights": ONE}, {"weights": ONE}],
            r"\[1\].until: got 4, expected a whole number above 4",
        ),
        ([{"weights": [1, "x"]}], "got 'x', expected a number"),
        ([{"weights": [1, float("nan")]}], "got nan, expected a finite number"),
        ([{"weights": []}], r"got \[\], expected a list of numbers"),
        ([{"until": 4, "weights": ONE}, {"weights": [1]}], "got 1 weights after 2"),
        ([{"weights": [1.0]}], "got 1 weights a segment for 2 inputs"),
        ([{"weights": ONE, "to": 3}], "expected {until: INDEX"),
        ({"attention": [{"weights": ONE}]}, "attention: no group of tensors is called so"),
        ({"attn": [{"weights": ONE}], "rest": [{"weights": [1.0]}]}, "different numbers"),
        ("search", "stage1.segments is marked 'search', but this is one recipe"),
    ],
)
def test_mistakes_are_named(raw: Any, message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        recipe(raw)


def test_segments_of_another_model_are_refused() -> None:
    place = PLACES["lm_head.weight"]
    long = parse_segments([{"until": TOTAL, "weights": ONE}, {"weights": TWO}], "x")
    with pytest.raises(RecipeError, match=f"ends at {TOTAL}, but there are {TOTAL} elements"):
        runs_at(long, place, (0, 1))
    with pytest.raises(RecipeError, match=r"the role .head.\. Add head, or rest"):
        runs_at(parse_segments({"attn": [{"weights": ONE}]}, "x"), place, (0, 1))

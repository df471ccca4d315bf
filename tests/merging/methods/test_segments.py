"""Segments: sums that change inside tensors, written and skipped as all others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evomerge.errors import MergeError, RecipeError
from evomerge.merging.methods.segments import segments as segments_method
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Dataflow, Recipe, Stage, StageInput, Step
from evomerge.recipes.segments import Runs, flattened, parse_segments
from tests.merging.lab import SHAPES, Lab, same

TOTAL = sum(torch.Size(shape).numel() for shape in SHAPES.values())
EMBEDDING = 70_000


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab") / "models", dtype=request.param)


def recipe_of(lab: Lab, raw: Any, **more: Any) -> Recipe:
    return lab.recipe("segments", "abc", segments=parse_segments(raw, "x"), **more)


def flat(lab: Lab, models: Sequence[str], tensors: dict[str, Tensor] | None = None) -> list[Tensor]:
    """The flattened models in float64."""
    names = [facts.name for facts in flattened(lab.checkpoints["base"].tensors.values())]
    return [
        torch.cat([(tensors or lab.models[m])[name].reshape(-1).double() for name in names])
        for m in models
    ]


weights = st.lists(st.sampled_from([0.0, 1.0, 0.3, -0.7]), min_size=3, max_size=3)
places = st.one_of(st.integers(1, TOTAL - 1), st.integers(EMBEDDING - 9, EMBEDDING + 9))


@settings(max_examples=20)
@given(st.lists(places, unique=True, max_size=5).map(sorted), st.data())
def test_each_element_has_the_weights_of_its_segment(
    lab: Lab, cuts: list[int], data: st.DataObject
) -> None:
    raw = [{"until": cut, "weights": data.draw(weights)} for cut in cuts]
    raw.append({"weights": data.draw(weights)})
    merged = lab.merge(recipe_of(lab, raw), chunk=data.draw(st.sampled_from([None, 9973])))
    found = flat(lab, "x", merged)[0]
    sources = flat(lab, "abc")
    expected = torch.zeros(TOTAL, dtype=torch.float64)
    for start, end, item in zip([0, *cuts], [*cuts, TOTAL], raw, strict=True):
        for factor, source in zip(item["weights"], sources, strict=True):
            expected[start:end] += factor * source[start:end]
    half = merged["lm_head.weight"].dtype == torch.bfloat16
    tolerance = {"rtol": 1e-2, "atol": 1e-3} if half else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(found.float(), expected.float(), **tolerance)


@settings(max_examples=20)
@given(st.lists(places, unique=True, min_size=1, max_size=4).map(sorted), st.data())
def test_compiled_loops_and_torch_agree_bit_for_bit(
    lab: Lab, cuts: list[int], data: st.DataObject
) -> None:
    raw = [{"until": cut, "weights": data.draw(weights)} for cut in cuts]
    recipe = recipe_of(lab, [*raw, {"weights": [0.1, 0.7, 0.3]}])
    compiled = lab.merge(recipe)
    chunk = data.draw(st.sampled_from([None, 1 << 13]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evomerge.merging.native.LIBRARY", None)
        assert same(compiled, lab.merge(recipe, chunk=chunk))
        assert same(compiled, lab.merge(recipe, chunk=data.draw(st.sampled_from([None, 1 << 13]))))


def test_one_segment_is_a_weighted_sum(lab: Lab) -> None:
    shares = [0.2, 0.5, 0.4]
    plain = lab.recipe("linear", "abc", weights=shares, normalize=False)
    assert same(lab.merge(recipe_of(lab, [{"weights": shares}])), lab.merge(plain))


def test_pure_segments_are_the_sources_bits(lab: Lab) -> None:
    cut = 12_345
    raw = [{"until": cut, "weights": [1, 0, 0]}, {"weights": [0, 1, 0]}]
    merger = lab.merger()
    for _ in range(2):  # the second time tensors are known to be finite
        merged = dict(merger.tensors(recipe_of(lab, raw)))
        embedding = merged.pop("model.embed_tokens.weight").reshape(-1)
        a, b = (lab.models[m]["model.embed_tokens.weight"].reshape(-1) for m in "ab")
        assert torch.equal(embedding, torch.cat([a[:cut], b[cut:]]))
        assert all(torch.equal(merged[name], lab.models["b"][name]) for name in merged)


def test_rewrites_only_tensors_whose_segments_changed(lab: Lab) -> None:
    merger = lab.merger()
    dtype = lab.models["base"]["lm_head.weight"].dtype
    into = {name: torch.zeros(shape, dtype=dtype) for name, shape in SHAPES.items()}
    one = [{"until": 500, "weights": [1, 0, 0.5]}, {"weights": [0, 0.5, 0.5]}]
    assert merger.merge_into(recipe_of(lab, one), into) == len(SHAPES)
    assert merger.merge_into(recipe_of(lab, one), into) == 0
    moved = [{**one[0], "until": 501}, one[1]]
    assert merger.merge_into(recipe_of(lab, moved), into) == 1
    end = [one[0], {"until": TOTAL - 1, **one[1]}, {"weights": [0, 0, 1]}]
    assert merger.merge_into(recipe_of(lab, end), into) == 2  # the embedding again, and the head
    expected = lab.merge(recipe_of(lab, end))
    assert same({name: into[name] for name in expected}, expected)


def test_the_disk_holds_what_memory_holds(lab: Lab, tmp_path: Path) -> None:
    raw = {
        "attn": [{"until": 1700, "weights": [1, 0, 0.25]}, {"weights": [0, 1, 0]}],
        "rest": [{"until": 99, "weights": [0.5, 0.5, 0]}, {"weights": [0.1, 0, 1]}],
    }
    recipe = recipe_of(lab, raw)
    folder = merge_to_disk(recipe, lab.merger(), tmp_path / "out")
    stored = Checkpoint.open(folder)
    merged = lab.merge(recipe)
    assert all(torch.equal(stored.read(name), tensor) for name, tensor in merged.items())


def test_later_stages_and_routes_go_on_from_segments(lab: Lab) -> None:
    raw = [{"until": 70_020, "weights": [1, 0]}, {"weights": [0.5, 0.5]}]
    first = lab.stage("cut", "segments", "ab", segments=parse_segments(raw, "x"))
    inputs = (StageInput("cut"), StageInput("c"))
    then = Stage("mix", "linear", inputs, None, {"weights": (0.25, 0.75), "normalize": False})
    cut, merged = lab.merge(lab.staged([first])), lab.merge(lab.staged([first, then]))
    for name, tensor in merged.items():
        mixed = 0.25 * cut[name].double() + 0.75 * lab.models["c"][name].double()
        torch.testing.assert_close(tensor.double(), mixed, rtol=2e-2, atol=2e-2)
    flow = Dataflow((Step("cut", 1), Step("c", 0), Step("cut", 1)), "cut", "cut", "cut")
    routed = lab.merge(lab.staged([first], dataflow=flow))
    name = "self_attn.q_proj.weight"
    assert torch.equal(routed[f"model.layers.2.{name}"], cut[f"model.layers.1.{name}"])
    assert torch.equal(routed["model.embed_tokens.weight"], cut["model.embed_tokens.weight"])


def test_segments_beyond_the_model_are_refused(lab: Lab) -> None:
    raw = [{"until": TOTAL, "weights": [1, 0, 0]}, {"weights": [0, 1, 0]}]
    with pytest.raises(RecipeError, match=f"ends at {TOTAL}, but there are {TOTAL} elements"):
        lab.merge(recipe_of(lab, raw))


def test_runs_fit_the_tensors() -> None:
    tensors = [torch.ones(2, 3), torch.full((2, 3), 3.0)]
    merged = segments_method(tensors, segments=Runs((4, 6), ((1.0, 0.0), (0.5, 0.5))))
    assert torch.equal(merged, torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 2.0]]))
    assert torch.equal(segments_method(tensors), torch.full((2, 3), 2.0))
    with pytest.raises(MergeError, match="runs up to 5 of 6 elements"):
        segments_method(tensors, segments=Runs((5,), ((1.0, 0.0),)))

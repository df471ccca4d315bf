"""Merging into tensors in place: what is written, what is skipped, what is refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import MergeError
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.resident import load_resident, parameters_by_name
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from tests.fixtures_models import tiny_model
from tests.merging.lab import SHAPES, Lab, same, weights

FIRST = "model.layers.0.self_attn.q_proj.weight"
LAST = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab") / "models", dtype="bfloat16")


def targets(lab: Lab, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape, dtype=dtype) for name, shape in SHAPES.items()}


def test_writes_what_it_streams(lab: Lab) -> None:
    recipe = lab.recipe("ties", "abc", weights=[1.0, 0.5, 2.0], densities=[0.2, 0.3, 0.9])
    into = targets(lab)
    assert lab.merger().merge_into(recipe, into) == len(SHAPES)
    streamed = dict(lab.merger().tensors(recipe, reuse=False))
    assert same({n: into[n] for n in streamed}, streamed)
    for name, tensor in lab.merger().tensors(recipe, reuse=True):
        assert torch.equal(tensor, streamed[name])


def test_rewrites_only_what_changed(lab: Lab) -> None:
    merger, into = lab.merger(), targets(lab)
    blocks = {"block": 1, "values": [0.5, 0.5]}
    changed = {"block": 1, "values": [0.5, 0.75]}
    merger.merge_into(lab.recipe("task_arithmetic", "ab", weights=[blocks, 0.5]), into)
    again = lab.recipe("task_arithmetic", "ab", weights=[0.5, 0.5])
    assert merger.merge_into(again, into) == 0
    # Layer 1, and the final norm and head, which join the last block.
    assert merger.merge_into(lab.recipe("task_arithmetic", "ab", weights=[changed, 0.5]), into) == 4
    expected = dict(lab.merger().tensors(lab.recipe("task_arithmetic", "ab", weights=[0.75, 0.5])))
    assert torch.equal(into[LAST], expected[LAST])
    assert not torch.equal(into[FIRST], expected[FIRST])


def test_notices_what_others_wrote(lab: Lab) -> None:
    merger, into = lab.merger(), targets(lab)
    recipe = lab.recipe("linear", "ab")
    merger.merge_into(recipe, into)
    into[FIRST][0, 0] = 9.0
    assert merger.merge_into(recipe, into) == 1
    assert merger.merge_into(recipe, targets(lab)) == len(SHAPES)
    merger.forget()
    assert merger.merge_into(recipe, into) == len(SHAPES)


def test_targets_that_are_gone_are_forgotten(lab: Lab) -> None:
    recipe, merger = lab.recipe("task_arithmetic", "ab", weights=[0.5, 0.5]), lab.merger()
    for _ in range(5):
        assert merger.merge_into(recipe, targets(lab)) == len(SHAPES)
    assert len(merger._written) <= 2 * len(SHAPES)


@given(st.lists(st.floats(-0.5, 1.5), min_size=3, max_size=3), st.data())
def test_what_was_merged_before_does_not_matter(
    lab: Lab, first: list[float], data: st.DataObject
) -> None:
    second = [data.draw(st.sampled_from([w, 0.0, 0.25])) for w in first]
    merger, into = lab.merger(), targets(lab)
    for chosen in (first, second):
        recipe = lab.recipe("task_arithmetic", "abc", weights=chosen)
        merger.merge_into(recipe, into)
    fresh = targets(lab)
    lab.merger().merge_into(recipe, fresh)
    assert same(into, fresh)


def test_rounds_once_to_the_targets_dtype(lab: Lab) -> None:
    recipe = lab.recipe("task_arithmetic", "abc", weights=[0.3, 0.7, -0.2])
    wide = targets(lab, torch.float32)
    lab.merger().merge_into(recipe, wide)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        into = targets(lab, dtype)
        lab.merger().merge_into(recipe, into)
        assert all(torch.equal(into[name], wide[name].to(dtype)) for name in into)


def test_recipes_dtype_decides_what_is_written(lab: Lab) -> None:
    recipe = lab.recipe("linear", "ab", dtype="float16")
    assert {spec.dtype for spec in lab.merger().specs(recipe)} == {"F16"}
    assert {tensor.dtype for _, tensor in lab.merger().tensors(recipe)} == {torch.float16}


def test_writes_into_views_that_are_not_contiguous(lab: Lab) -> None:
    recipe = lab.recipe("linear", "ab")
    plain, into = targets(lab), targets(lab)
    into[FIRST] = torch.zeros(50, 33, dtype=torch.bfloat16).t()
    lab.merger().merge_into(recipe, plain)
    lab.merger().merge_into(recipe, into)
    assert torch.equal(into[FIRST], plain[FIRST])


def test_one_hot_weights_give_a_source_bit_for_bit(lab: Lab) -> None:
    for recipe in (
        lab.recipe("linear", "abc", weights=[0.0, 2.0, 0.0]),
        lab.recipe("task_arithmetic", "abc", weights=[0.0, 1.0, 0.0]),
        lab.recipe("passthrough", "b"),
        lab.recipe("slerp", "ab", t=1.0),
        lab.recipe("layer_swap", "ab", bottom=2),
    ):
        merged = lab.merge(recipe)
        origin = lab.models["a" if recipe.stages[0].method == "layer_swap" else "b"]
        assert same(merged, {name: origin[name] for name in merged})


def test_stages_feed_later_stages(lab: Lab, tmp_path: Path) -> None:
    inner = lab.stage("inner", "linear", "ab", weights=[0.75, 0.25])
    nested = lab.staged([inner, lab.stage("outer", "linear", ["inner", "c"])], dtype="float32")
    flat = lab.recipe("linear", "abc", weights=[0.375, 0.125, 0.5], dtype="float32")
    merged, expected = lab.merge(nested), lab.merge(flat)
    for name in merged:
        torch.testing.assert_close(merged[name], expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["ties", "dare_ties", "dare_linear", "slerp"])
def test_statistics_of_a_stage_are_those_of_its_output(method: str, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "lab", n=3)
    inner = lab.stage("inner", "linear", "ab")
    outer = lab.stage("outer", method, ["inner", "c"])
    merged = lab.merge(lab.staged([inner, outer]))
    written = Lab(tmp_path / "written", {**lab.models, "inner": lab.merge(lab.staged([inner]))})
    if method.startswith("dare"):  # masks are keyed by content, which a stage has of its own
        assert all(tensor.isfinite().all() for tensor in merged.values())
        return
    expected = written.merge(written.recipe(method, ["inner", "c"]))
    for name in merged:
        torch.testing.assert_close(merged[name], expected[name], rtol=1e-5, atol=1e-6)


def test_a_stage_may_be_the_base(lab: Lab) -> None:
    inner = lab.stage("inner", "linear", "ab")
    outer = lab.stage("outer", "task_arithmetic", "c", base="inner", weights=[1.0])
    merged = lab.merge(lab.staged([inner, outer]))
    assert same(merged, {name: lab.models["c"][name] for name in merged})


@pytest.mark.parametrize("method", ["linear", "ties", "passthrough"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_nan_and_names_where(tmp_path: Path, method: str, value: float) -> None:
    lab = Lab.make(tmp_path / "sound", n=1)
    lab.models["a"][FIRST][3, 4] = value
    broken = Lab(tmp_path / "broken", lab.models)
    recipe = broken.recipe(method, "a")
    into = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    merger = broken.merger()
    for _ in range(2):
        with pytest.raises(MergeError, match=rf"{FIRST}.*'a' holds NaN or infinity"):
            merger.merge_into(recipe, into)
    # What a failed merge left half-written is written again.
    merger.merge_into(broken.recipe("passthrough", ["base"]), into)
    assert all(torch.equal(into[n], broken.models["base"][n]) for n in into)


def test_overflow_is_no_fault_of_the_sources(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, n=1)
    merged = lab.merge(lab.recipe("passthrough", "a", scale=10.0, dtype="float16"))
    assert all(tensor.isfinite().all() for tensor in merged.values())


def test_names_targets_that_do_not_fit(lab: Lab) -> None:
    into = targets(lab)
    del into[FIRST]
    into[LAST] = torch.zeros(3, 3, dtype=torch.bfloat16)
    with pytest.raises(MergeError) as caught:
        lab.merger().merge_into(lab.recipe("linear", "ab"), into)
    assert f"no target for tensor {FIRST!r}" in str(caught.value)
    assert "(3, 3), expected (33, 50)" in str(caught.value)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3_moe"])
def test_merges_into_real_resident_models(tmp_path: Path, family: str) -> None:
    folders = {
        name: tiny_model(family, tmp_path / name, seed=seed, tokenizer=False)
        for seed, name in enumerate(["base", "a", "b"])
    }
    checkpoints = {name: Checkpoint.open(folder) for name, folder in folders.items()}
    sources = {name: Source(name, name, f"{i:064x}") for i, name in enumerate(folders)}
    stage = Stage(
        "m",
        "linear",
        (StageInput("a"), StageInput("b")),
        None,
        {"weights": (1.0, 0.0), "normalize": True},
    )
    from evomerge.merging.engine import Merger

    merger = Merger(checkpoints, sources)
    model = load_resident(folders["base"], dtype=None, device="cpu")
    merger.merge_into(
        Recipe(tuple(sources.values()), "base", (stage,)),
        parameters_by_name(model, checkpoints["base"]),
    )
    other = load_resident(folders["a"], dtype=None, device="cpu")
    tokens = torch.arange(1, 9).view(1, -1)
    assert torch.equal(model(tokens).logits, other(tokens).logits)


def test_optional_biases_may_be_missing(tmp_path: Path) -> None:
    base = weights(0)
    bias = "model.layers.0.self_attn.q_proj.bias"
    with_bias = {**base, bias: torch.ones(33)}
    lab = Lab(tmp_path, {"base": with_bias, "a": with_bias, "b": weights(1)})
    merged = lab.merge(lab.recipe("linear", "ab", weights=[0.5, 1.5]))
    assert torch.equal(merged[bias], torch.ones(33))


def test_whole_numbers_are_copied(tmp_path: Path) -> None:
    ids = {"model.steps": torch.arange(5)}
    lab = Lab(tmp_path, {n: {**weights(i), **ids} for i, n in enumerate(["base", "a", "b"])})
    merged = lab.merge(lab.recipe("linear", "ab", dtype="bfloat16"))
    assert torch.equal(merged["model.steps"], torch.arange(5))
    assert merged[FIRST].dtype == torch.bfloat16

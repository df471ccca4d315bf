"""A route's checkpoint computes what the route computes in memory."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from evomerge.errors import MergeError, RecipeError
from evomerge.merging.plan import Layout
from evomerge.merging.registry import METHODS
from evomerge.merging.route_form import RouteForm
from evomerge.merging.route_plan import route_factors
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.mergekit import export_mergekit, import_mergekit
from evomerge.recipes.recipe import Recipe, Stage, StageInput, Step
from tests.merging.lab import same
from tests.merging.route_lab import RouteLab, config_of, difference, route

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {},
    "mistral": {"sliding_window": 5},
    "gemma2": {"sliding_window": 5},
    "gemma3": {"sliding_window": 6, "sliding_window_pattern": 2},
    "gpt2": {},
    "gpt_neox": {},
    "mixtral": {},
    "qwen3_moe": {},
}
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> "Labs":
    """Two models of a family, of 3 and 4 layers, written once."""

    @cache
    def lab_of(family: str) -> RouteLab:
        depths = {"a": 3, "b": 4}
        configs = {n: config_of(family, layers=d, **FAMILIES[family]) for n, d in depths.items()}
        return RouteLab(tmp_path_factory.mktemp(family), configs)

    return lab_of


Labs = Callable[[str], RouteLab]


@pytest.mark.parametrize("family", FAMILIES)
def test_exported_routes_compute_what_routes_in_memory_do(labs: Labs, family: str) -> None:
    lab = labs(family)
    plain = [Step("a", 0), Step("b", 2), Step("b", 1), Step("a", 1), Step("a", 1), Step("b", 3)]
    flow = route(*plain, embedding="a", norm="b", head="b")
    assert difference(lab.routed(flow), lab.exported(flow)) == 0.0
    scaled = [
        Step("a", 0),
        Step("b", 2, scale=0.6, write=1.5),
        Step("a", 1, scale=-1.4),
        Step("a", 1, write=0.5),
        Step("b", 3, scale=1.7),
    ]
    flow = route(*scaled, norm="b")
    assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE
    flow = route(*scaled, Step("b", 0, scale=-0.5), norm="b")
    assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_query_scales_fold(labs: Labs, family: str) -> None:
    lab = labs(family)
    steps = [Step("a", 0, qk=3.0), Step("b", 2, qk=2.0, scale=0.7, write=0.5), Step("b", 3)]
    flow = route(*steps)
    model = lab.exported(flow)
    assert difference(lab.routed(flow), model) < TOLERANCE
    unscaled = route(*(replace(step, qk=1.0) for step in steps))
    assert difference(lab.routed(unscaled), model) > 100 * TOLERANCE


@pytest.mark.parametrize("scale", [1e-7, 1e12])
def test_weights_that_the_dtype_cannot_hold_are_refused(labs: Labs, scale: float) -> None:
    lab = labs("llama")
    flow = route(Step("a", 0), Step("b", 1, scale=scale))
    list(lab.merger.tensors(lab.recipe(flow, dtype="float32")))
    message = r"'model.layers.1.*_proj.weight' doesn't fit float16: the route multiplies it by 1e"
    with pytest.raises(MergeError, match=message):
        list(lab.merger.tensors(lab.recipe(flow, dtype="float16")))


def test_what_is_merged_in_place_is_what_is_written(labs: Labs, tmp_path: Path) -> None:
    lab = labs("gemma2")
    flow = route(Step("a", 0, scale=-0.7), Step("b", 1, write=2.0, qk=0.5), head="b")
    recipe = lab.recipe(flow, dtype="bfloat16")
    merge_to_disk(recipe, lab.merger, tmp_path / "out")
    written = Checkpoint.open(tmp_path / "out")
    into = {n: torch.zeros(f.shape, dtype=torch.bfloat16) for n, f in written.tensors.items()}
    assert lab.merger.merge_into(recipe, into) == len(into)
    assert all(torch.equal(into[name], written.read(name)) for name in into)
    # Only what another number changes is written again.
    step = replace(flow.steps[1], write=3.0)
    other = replace(recipe, dataflow=replace(flow, steps=(flow.steps[0], step)))
    assert lab.merger.merge_into(other, into) == 2  # the norms after attention and MLP
    assert lab.merger.merge_into(other, into) == 0


def test_routes_through_merged_stages(labs: Labs, tmp_path: Path) -> None:
    lab = labs("llama")
    options = {"weights": (0.5, 0.5), "normalize": True}
    mixed = Stage("mixed", "linear", (StageInput("a"), StageInput("b", 1)), None, options)
    flow = route(Step("a", 0), Step("mixed", 1, scale=0.5), Step("b", 3))
    merge_to_disk(lab.recipe(flow, [mixed]), lab.merger, tmp_path / "out")
    found = Checkpoint.open(tmp_path / "out")
    name = "model.layers.{}.mlp.down_proj.weight"
    mean = (
        lab.checkpoints["a"].read(name.format(1)) + lab.checkpoints["b"].read(name.format(2))
    ) / 2
    torch.testing.assert_close(found.read(name.format(1)), 2 * mean)
    torch.testing.assert_close(
        found.read(name.format(2)), 2 * lab.checkpoints["b"].read(name.format(3))
    )


WIDTHS: dict[str, dict[str, Any]] = {
    "intermediate": {"intermediate_size": 40},
    "heads": {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8},
    "shared keys": {"num_key_value_heads": 1, "head_dim": 8},
    "all": {
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
    },
}


@pytest.mark.parametrize(
    ("family", "width"), [*(("llama", width) for width in WIDTHS), ("qwen2", "all")]
)
def test_narrower_layers_are_padded(tmp_path: Path, family: str, width: str) -> None:
    own = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    configs = {"a": config_of(family, **own), "b": config_of(family, **(own | WIDTHS[width]))}
    lab = RouteLab(tmp_path, configs)
    flow = route(Step("a", 0), Step("b", 1, scale=1.5), Step("a", 2), Step("b", 0))
    assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE


def test_the_experts_and_gpt2s_mlps_are_padded(tmp_path: Path) -> None:
    for family, change in (("mixtral", {"intermediate_size": 40}), ("gpt2", {"n_inner": 100})):
        configs = {"a": config_of(family), "b": config_of(family, **change)}
        lab = RouteLab(tmp_path / family, configs)
        flow = route(Step("b", 0), Step("b", 1), Step("a", 0, write=0.5))
        assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE


@pytest.mark.parametrize("tied", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("ends", ["aa", "ab", "ba", "bb"])
def test_heads_follow_their_donor(tmp_path: Path, tied: tuple[bool, bool], ends: str) -> None:
    configs = {
        name: config_of("gpt2", layers=1, tie_word_embeddings=tie)
        for name, tie in zip("ab", tied, strict=True)
    }
    lab = RouteLab(tmp_path, configs)
    flow = route(Step("a", 0), Step("b", 0), embedding=ends[0], head=ends[1])
    exported = lab.exported(flow)
    assert difference(lab.routed(flow), exported) == 0.0
    is_tied = ends[0] == ends[1] and tied["ab".index(ends[0])] and tied[0]
    assert exported.config.tie_word_embeddings is is_tied


def there_and_back(lab: RouteLab, recipe: Recipe) -> Recipe:
    """Return ``recipe`` written for mergekit and read back."""
    assert recipe.dataflow is not None
    form = RouteForm(recipe, lab.checkpoints, {n: Layout(c) for n, c in lab.checkpoints.items()})
    depths = {name: checkpoint.n_layers for name, checkpoint in lab.checkpoints.items()}
    text = export_mergekit(
        recipe,
        tensors=lab.checkpoints["a"].tensors,
        n_layers=depths["a"],
        factors=route_factors(form, len(recipe.dataflow.steps), depths),
    )
    return import_mergekit(
        yaml.safe_load(text),
        METHODS.declarations(),
        locate_source=lambda name, path, revision: lab.sources[path],
        count_layers=lambda path, revision: depths[path],
    ).recipe


@pytest.mark.parametrize("family", ["llama", "qwen2", "mixtral"])
def test_mergekit_files_of_scaled_routes_give_the_same_weights(labs: Labs, family: str) -> None:
    lab = labs(family)
    repeated = [Step("a", layer, write=0.5, qk=0.5) for layer in (0, 1)]
    steps = [Step("a", 0), Step("a", 1), *repeated, Step("b", 3, scale=-0.7), Step("b", 2)]
    recipe = lab.recipe(route(*steps, norm="b", head="b"))
    again = there_and_back(lab, recipe)
    assert again.dataflow is not None
    assert all(step.is_plain for step in again.dataflow.steps)
    assert same(dict(lab.merger.tensors(again)), dict(lab.merger.tensors(recipe)))
    # What was read is stages that scale, and they can be written again.
    assert same(
        dict(lab.merger.tensors(there_and_back(lab, again))), dict(lab.merger.tensors(recipe))
    )


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_mergekit_cannot_scale_parts_and_gains_of_one_plus_weight(labs: Labs, family: str) -> None:
    recipe = labs(family).recipe(route(Step("a", 0), Step("a", 1, qk=2.0, write=0.5)))
    with pytest.raises(RecipeError, match="isn't only multiplied"):
        there_and_back(labs(family), recipe)


def test_a_source_as_a_whole_brings_its_sliding_window(tmp_path: Path) -> None:
    configs = {"a": config_of("qwen2"), "b": config_of("qwen2", **FAMILIES["qwen2"])}
    lab = RouteLab(tmp_path, configs)
    steps = [Step("b", layer) for layer in range(3)]
    exported = lab.exported(route(*steps, embedding="b", norm="b", head="b"))
    assert (exported.config.use_sliding_window, exported.config.sliding_window) == (True, 5)
    assert difference(lab.resident("b"), exported) == 0.0
    assert difference(lab.resident("a"), exported) > 0.1


def test_a_base_outside_the_route_gives_way_to_wider_layers(tmp_path: Path) -> None:
    wide = {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 64}
    configs = {"a": config_of("llama", head_dim=8), "b": config_of("llama", head_dim=8, **wide)}
    lab = RouteLab(tmp_path, configs)
    steps = [Step("b", layer) for layer in range(3)]
    exported = lab.exported(route(*steps, embedding="b", norm="b", head="b"))
    assert difference(lab.resident("b"), exported) == 0.0

"""Sources that don't fit each other: every reason is named before anything is merged."""

from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.errors import MergeError
from evomerge.recipes.recipe import Dataflow, Recipe, Stage, StageInput, Step
from tests.merging.lab import Lab, weights

FIRST = "model.layers.0.self_attn.q_proj.weight"


def refused(lab: Lab, recipe: Recipe | None = None) -> str:
    with pytest.raises(MergeError) as caught:
        lab.merger().check(recipe or lab.recipe("linear", "ab"))
    return str(caught.value)


def models(**changes: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Base, a and b; ``changes`` to b, None for a tensor that it lacks."""
    b = {**weights(2), **{name.replace("/", "."): value for name, value in changes.items()}}
    return {
        "base": weights(0),
        "a": weights(1),
        "b": {name: value for name, value in b.items() if value is not None},
    }


def test_sound_sources_pass(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    assert lab.merger().specs(lab.recipe("ties", "abc"))  # plans the merge after checking it


def test_other_shapes_are_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path, models(**{FIRST: torch.zeros(33, 51)}))
    message = refused(lab)
    assert "source 'b' has other shapes than the base 'base'" in message
    assert f"{FIRST} (33, 51) instead of (33, 50)" in message
    assert "Choose sources of one size." in message


def test_other_vocabularies_are_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path, models(**{"model.embed_tokens.weight": torch.zeros(71, 1000)}))
    message = refused(lab)
    assert "'b' has an embedding of shape (71, 1000)" in message
    assert len(message.splitlines()) == 1


def test_other_depths_are_named(tmp_path: Path) -> None:
    shallow = {name: None for name in weights(0) if ".layers.1." in name}
    message = refused(Lab(tmp_path, models(**shallow)))
    assert "source 'b' has 1 layers and the base 'base' has 2." in message
    assert len(message.splitlines()) == 1


def test_missing_and_extra_tensors_are_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path, models(**{FIRST: None, "model.extra.weight": torch.zeros(2)}))
    message = refused(lab)
    assert f"source 'b' lacks {FIRST}" in message
    assert "source 'b' has model.extra.weight, which the base 'base' lacks" in message


def test_mixed_ties_are_named(tmp_path: Path) -> None:
    tied = {name: tensor for name, tensor in weights(2).items() if name != "lm_head.weight"}
    lab = Lab.make(tmp_path / "plain", n=1)
    from tests.merging.lab import write

    lab.checkpoints["b"] = write(tmp_path / "tied", tied, tie_word_embeddings=True)
    lab.sources["b"] = lab.sources["a"].__class__("b", "b", "b" * 64)
    assert "one tensor in 'b' and two in 'base', 'a'" in refused(lab)


def test_whole_numbers_that_differ_are_named(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        {
            n: {**weights(i), "model.ids": torch.tensor([i // 2])}
            for i, n in enumerate(("base", "a", "b"))
        },
    )
    assert "'model.ids' (torch.int64) differs between 'a' and 'b'" in refused(lab)


def test_kinds_that_differ_are_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path, models(**{FIRST: torch.zeros(33, 50, dtype=torch.int32)}))
    assert f"{FIRST!r} is I32 in 'b' and F32 in 'a'" in refused(lab)


def test_other_configurations_are_named(tmp_path: Path) -> None:
    from tests.merging.lab import write

    lab = Lab.make(tmp_path / "plain", n=1)
    lab.checkpoints["b"] = write(tmp_path / "b", weights(2), model_type="mistral")
    lab.sources["b"] = lab.sources["a"].__class__("b", "b", "b" * 64)
    assert "model_type 'mistral' instead of 'llama'" in refused(lab)


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    stage = lab.stage("merged", "ties", "ab")
    stage = Stage(stage.name, stage.method, stage.inputs, None, stage.parameters)
    assert "stage 'merged' has no base; ties needs the model" in refused(lab, lab.staged([stage]))


@pytest.mark.parametrize(
    ("method", "inputs", "allowed"),
    [("slerp", "abc", "takes 2"), ("passthrough", "ab", "takes 1"), ("layer_swap", "a", "takes 2")],
)
def test_the_number_of_inputs_is_checked(
    tmp_path: Path, method: str, inputs: str, allowed: str
) -> None:
    lab = Lab.make(tmp_path)
    assert allowed in refused(lab, lab.recipe(method, inputs))


def test_all_reasons_come_at_once(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        {**models(**{FIRST: None}), "c": {**weights(3), "lm_head.weight": torch.zeros(70, 9)}},
    )
    message = refused(lab, lab.recipe("linear", "abc"))
    assert "'b' lacks" in message
    assert "'c' has other shapes" in message


def test_unknown_names_are_named(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    stage = Stage("s", "liner", (StageInput("nobody"),), None, {})
    message = refused(lab, lab.staged([stage]))
    assert "reads 'nobody'" in message
    assert "did you mean 'linear'?" in message


def test_steps_must_lie_inside_their_models(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path)
    flow = Dataflow((Step("a", 0), Step("a", 2)), "a", "a", "a")
    message = refused(lab, lab.staged([], dataflow=flow))
    assert "dataflow.steps[1] takes layer 2 of 'a', which has 2" in message
    empty = Dataflow((), "a", "a", "a")
    assert "no layers" in refused(lab, lab.staged([], dataflow=empty))


def test_sources_that_are_not_used_may_be_anything(tmp_path: Path) -> None:
    lab = Lab(tmp_path, models(**{FIRST: None}))
    assert lab.merger().specs(lab.recipe("linear", ["base", "a"]))

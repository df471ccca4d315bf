import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import ModelError
from evomerge.models.architecture import (
    ROLES,
    TensorFacts,
    infer_facts,
    layer_prefix,
    n_layers,
)
from evomerge.models.checkpoint import Checkpoint
from tests.fixtures_models import FAMILIES

Headers = dict[str, tuple[tuple[int, ...], str]]


def _headers(*names: str, shape: tuple[int, ...] = (4, 4)) -> Headers:
    return dict.fromkeys(names, (shape, "F32"))


def _facts(*names: str, **config: Any) -> dict[str, TensorFacts]:
    return infer_facts(_headers(*names), config)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_layers_and_no_unknown_role(
    families: dict[str, Path], family: str
) -> None:
    checkpoint = Checkpoint.open(families[family])
    facts = list(checkpoint.tensors.values())
    assert checkpoint.n_layers == 3
    assert {f.layer for f in facts} == {None, 0, 1, 2}
    assert not [f.name for f in facts if f.role == "other"]
    a_layer = [Counter(f.role for f in facts if f.layer == layer) for layer in range(3)]
    assert a_layer[0] == a_layer[1] == a_layer[2]
    assert set(a_layer[0]) == {"attn", "mlp", "norm"}
    outside = {(f.role, f.before) for f in facts if f.layer is None}
    assert {("embed", True), ("norm", False)} <= outside
    assert outside <= {("embed", True), ("norm", False), ("head", False)}


@pytest.mark.parametrize(
    ("family", "roles"),
    [
        ("llama", {"attn": 4, "mlp": 3, "norm": 2}),
        ("qwen3", {"attn": 4, "mlp": 3, "norm": 4}),
        ("gemma2", {"attn": 4, "mlp": 3, "norm": 4}),
        ("gpt2", {"attn": 4, "mlp": 4, "norm": 4}),
        ("gpt_neox", {"attn": 4, "mlp": 4, "norm": 4}),
        ("mixtral", {"attn": 4, "mlp": 13, "norm": 2}),
    ],
)
def test_roles_inside_a_layer(
    families: dict[str, Path], family: str, roles: dict[str, int]
) -> None:
    facts = Checkpoint.open(families[family]).tensors.values()
    assert Counter(f.role for f in facts if f.layer == 1) == roles


def test_tensors_stand_in_the_models_order(llama: Path) -> None:
    names = list(Checkpoint.open(llama).tensors)
    assert names[0] == "model.embed_tokens.weight"
    assert names[1].startswith("model.layers.0.")
    assert names[-2:] == ["lm_head.weight", "model.norm.weight"]


def test_numbers_in_names_sort_as_numbers() -> None:
    names = [f"model.layers.{i}.mlp.experts.{e}.w1.weight" for i in range(12) for e in range(11)]
    assert list(_facts(*names[::-1], num_hidden_layers=12)) == names


def test_expert_numbers_are_not_layers() -> None:
    names = [f"model.layers.{i}.mlp.experts.{e}.w1.weight" for i in range(2) for e in range(4)]
    # Four experts, and a configuration whose depth is unknown: still two layers.
    assert n_layers(_headers(*names), {}) == 2
    assert {f.layer for f in _facts(*names).values()} == {0, 1}


def test_the_language_tower_gives_the_layers_of_a_composite_model() -> None:
    names = [f"vision.encoder.layers.{i}.attn.weight" for i in range(5)]
    names += [f"language_model.layers.{i}.attn.weight" for i in range(3)]
    config = {"vision_config": {"num_hidden_layers": 5}, "text_config": {"num_hidden_layers": 3}}
    assert layer_prefix(_headers(*names), config) == "language_model.layers."
    assert n_layers(_headers(*names), config) == 3


def test_of_two_fitting_lists_the_larger_one_is_taken() -> None:
    headers = _headers(*(f"small.layers.{i}.attn.weight" for i in range(2)), shape=(2, 2))
    headers |= _headers(*(f"model.layers.{i}.attn.weight" for i in range(2)), shape=(64, 64))
    assert layer_prefix(headers, {"num_hidden_layers": 2}) == "model.layers."


def test_a_layer_beyond_the_depth_belongs_to_no_layer() -> None:
    # Multi-token prediction heads are stored as one more layer.
    facts = _facts(*(f"model.layers.{i}.mlp.w1.weight" for i in range(4)), num_hidden_layers=3)
    extra = facts["model.layers.3.mlp.w1.weight"]
    assert (extra.layer, extra.role, extra.before) == (None, "other", False)
    assert facts["model.layers.2.mlp.w1.weight"].layer == 2


@pytest.mark.parametrize("config", [{"num_hidden_layers": 4}, {"n_layer": 4}, {"num_layers": 4}])
def test_a_depth_that_no_list_has_is_refused(config: dict[str, int]) -> None:
    names = [f"model.layers.{i}.mlp.w1.weight" for i in range(3)]
    with pytest.raises(ModelError, match=r"says 4 layers.*model\.layers\.\* \(3\)"):
        infer_facts(_headers(*names), config)


def test_a_list_with_a_hole_is_no_layer_list() -> None:
    with pytest.raises(ModelError, match="says 3 layers"):
        _facts("h.0.mlp.weight", "h.1.mlp.weight", "h.3.mlp.weight", num_hidden_layers=3)


def test_a_model_without_numbered_lists_has_no_layers() -> None:
    facts = _facts("embed.weight", "lm_head.weight")
    assert n_layers(_headers("embed.weight", "lm_head.weight"), {}) == 0
    assert [(f.layer, f.role) for f in facts.values()] == [(None, "embed"), (None, "head")]


@pytest.mark.parametrize(
    ("name", "role", "before"),
    [
        ("transformer.wte.weight", "embed", True),
        ("transformer.wpe.weight", "embed", True),
        ("gpt_neox.embed_in.weight", "embed", True),
        ("transformer.word_embeddings.weight", "embed", True),
        ("transformer.word_embeddings_layernorm.weight", "norm", True),
        ("model.decoder.embed_positions.weight", "embed", True),
        ("model.decoder.project_out.weight", "other", False),
        ("embed_out.weight", "head", False),
        ("lm_head.bias", "head", False),
        ("output.weight", "head", False),
        ("transformer.ln_f.bias", "norm", False),
        ("backbone.norm_f.weight", "norm", False),
        ("model.rotary.table", "other", True),
    ],
)
def test_roles_outside_the_layers(name: str, role: str, before: bool) -> None:
    facts = _facts(name, "h.0.mlp.weight", num_hidden_layers=1)[name]
    assert (facts.role, facts.before, facts.layer) == (role, before, None)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("self_attn.q_norm.weight", "norm"),
        ("self_attn_layer_norm.weight", "norm"),
        ("ln_1.weight", "norm"),
        ("attn.c_proj.weight", "attn"),
        ("mlp.c_proj.weight", "mlp"),
        ("attention.wqkv.weight", "attn"),
        ("self_attn.rotary_emb.inv_freq", "attn"),
        ("fc1.weight", "mlp"),
        ("block_sparse_moe.gate.weight", "mlp"),
        ("mlp.router.weight", "mlp"),
        ("mlp.shared_experts.up_proj.weight", "mlp"),
        ("att.key.weight", "attn"),
        ("mixer.A_log", "other"),
    ],
)
def test_roles_by_words_inside_a_layer(name: str, role: str) -> None:
    assert _facts(f"h.0.{name}", num_hidden_layers=1)[f"h.0.{name}"].role == role
    assert role in ROLES


def test_unknown_names_warn_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="evomerge.models.architecture"):
        _facts("h.0.mixer.A_log", "h.0.mixer.D", "h.0.mlp.weight", num_hidden_layers=1)
    assert [r.getMessage() for r in caplog.records] == [
        "2 of 3 tensors have no known role and fall in group 'other', as h.0.mixer.A_log"
    ]


def test_depth_and_block_put_the_ends_with_the_first_and_last_layer() -> None:
    facts = _facts(
        "embed.weight", *(f"h.{i}.mlp.weight" for i in range(5)), "lm_head.weight", n_layer=5
    )
    assert [f.depth(5) for f in facts.values()] == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert [f.block(2, 5) for f in facts.values()] == [0, 0, 0, 1, 1, 2, 2]

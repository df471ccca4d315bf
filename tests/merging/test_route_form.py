"""What no ordinary checkpoint can express is refused by name, before anything is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import DeepseekV3Config, Olmo2Config, OpenAIGPTConfig, OPTConfig, PhiConfig

from evomerge.errors import MergeError
from evomerge.merging.layer_parts import LayerParts
from evomerge.merging.route_config import check_loads
from evomerge.merging.stream import config_changes
from evomerge.models.architecture import infer_facts
from evomerge.models.families import full_config, norms_of_one_plus, tied_names
from evomerge.recipes.recipe import Dataflow, Step
from tests.merging.lab import weights, write
from tests.merging.route_lab import RouteLab, config_of, difference, route

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
SCALED = route(Step("a", 0), Step("a", 1, scale=0.5))


def refusal(lab: RouteLab, flow: Dataflow) -> str:
    with pytest.raises(MergeError) as raised:
        lab.merger.check(lab.recipe(flow))
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (Olmo2Config(**SMALL, intermediate_size=48), "have no norm before them"),
        (OpenAIGPTConfig(n_embd=32, n_layer=2, n_head=4, vocab_size=100), "norms stand after"),
        (
            OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32, do_layer_norm_before=False),
            "norms stand after",
        ),
    ],
    ids=["olmo2", "openai-gpt", "opt"],
)
def test_families_without_a_norm_before_refuse_scales(
    tmp_path: Path, config: Any, reason: str
) -> None:
    lab = RouteLab(tmp_path, {"a": config})
    message = refusal(lab, SCALED)
    found = "dataflow.steps[1], layer 1 of 'a': no plain checkpoint can express scale 0.5: "
    assert message.startswith(found)
    assert reason in message
    lab.merger.check(lab.recipe(route(Step("a", 1), Step("a", 0), Step("a", 1))))


@pytest.mark.parametrize(
    ("family", "changes", "found"),
    [
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_param"),
        ("llama", {"rms_norm_eps": 1e-5}, "rms_norm_eps 1e-05 instead of 1e-12"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act 'gelu' instead of 'silu'"),
        ("llama", {"head_dim": 16}, "heads of 16 values and the base 'a' of 8"),
        ("mistral", {"sliding_window": 7}, "sliding_window 7 instead of 4096"),
        ("gemma2", {"sliding_window": 7}, "sliding windows differ: 7 in 'b', 4096 in 'a'"),
        ("gemma2", {"attn_logit_softcapping": 30.0}, "attn_logit_softcapping 30.0 instead of 50.0"),
        ("gpt2", {"n_head": 2}, "heads of 16 values"),
        ("mixtral", {"num_local_experts": 2}, "num_local_experts 2 instead of 4"),
        ("llama", {"attention_bias": True}, "attention_bias True instead of False"),
    ],
)
def test_settings_that_a_checkpoint_has_once_must_agree(
    tmp_path: Path, family: str, changes: Mapping[str, Any], found: str
) -> None:
    configs = {"a": config_of(family, layers=2), "b": config_of(family, layers=2, **changes)}
    lab = RouteLab(tmp_path, configs)
    message = refusal(lab, route(Step("b", 0), Step("a", 1), Step("a", 0)))
    assert found in message
    lab.merger.check(lab.recipe(route(Step("a", 1), Step("a", 0))))  # what isn't used may differ


def test_heads_beside_keys_in_one_tensor_are_not_padded(tmp_path: Path) -> None:
    narrow = config_of("gpt_neox", layers=1, num_attention_heads=2, hidden_size=16)
    lab = RouteLab(tmp_path, {"a": config_of("gpt_neox", layers=1), "b": narrow})
    message = refusal(lab, route(Step("a", 0), Step("b", 0)))
    assert "hidden_size 16 instead of 32" in message
    assert "beside others in one tensor" in message


def test_layers_that_count_themselves_stay_where_they_are(tmp_path: Path) -> None:
    lab = RouteLab(tmp_path, {"a": config_of("gpt2", scale_attn_by_inverse_layer_idx=True)})
    assert "depends on its number" in refusal(lab, route(Step("a", 1), Step("a", 0)))
    lab.merger.check(lab.recipe(route(Step("a", 0), Step("a", 1))))


def test_a_scale_product_that_vanishes_is_refused(tmp_path: Path) -> None:
    lab = RouteLab(tmp_path, {"a": config_of("llama", layers=1)})
    steps = [Step("a", 0, scale=1e-200)] * 2
    assert "the product of the scales up to it is 0.0" in refusal(lab, route(*steps))


def test_unknown_tensors_are_named_where_numbers_need_them(tmp_path: Path) -> None:
    tensors = weights(0)
    for layer in range(2):
        tensors[f"model.layers.{layer}.mixer.state.weight"] = tensors["model.norm.weight"].clone()
    lab = RouteLab(tmp_path, {"a": config_of("llama", layers=2)})
    lab.checkpoints["a"] = write(tmp_path / "odd", tensors)
    lab.merger = type(lab.merger)(lab.checkpoints, lab.sources)
    assert "what its tensor 'mixer.state.weight' does" in refusal(lab, SCALED)
    lab.merger.check(lab.recipe(route(Step("a", 1), Step("a", 0))))


def test_donors_of_embedding_and_head_share_the_bases_vocabulary(tmp_path: Path) -> None:
    other = config_of("llama", layers=2, vocab_size=90)
    lab = RouteLab(tmp_path, {"a": config_of("llama", layers=2), "b": other})
    message = refusal(lab, route(Step("a", 0), Step("b", 1), embedding="b"))
    assert "'model.embed_tokens.weight' of shape (90, 32) and the base 'a' of shape" in message
    lab.merger.check(lab.recipe(route(Step("a", 0), Step("b", 1))))  # its layers have none


@pytest.mark.parametrize("tied", ["", "a", "b", "ab"])
def test_a_head_has_the_bases_vocabulary_where_it_is_an_embedding(
    tmp_path: Path, tied: str
) -> None:
    sizes = {"a": 100, "b": 90}
    configs = {
        name: config_of("llama", layers=1, vocab_size=size, tie_word_embeddings=name in tied)
        for name, size in sizes.items()
    }
    lab = RouteLab(tmp_path, configs)
    message = refusal(lab, route(Step("a", 0), head="b"))
    assert "of shape (90, 32) and the base 'a' of shape (100, 32)" in message
    assert len(message.splitlines()) == 1


def test_old_configurations_are_compared_as_transformers_reads_them() -> None:
    old = full_config({"model_type": "llama", "rope_theta": 5e5, "num_hidden_layers": 2})
    assert old["rope_parameters"] == {"rope_theta": 5e5, "rope_type": "default"}
    implied = full_config({"model_type": "gemma2", "num_hidden_layers": 3})["layer_types"]
    assert implied == ["sliding_attention", "full_attention", "sliding_attention"]
    assert full_config({"model_type": "no such", "x": 1}) == {"model_type": "no such", "x": 1}


def test_kinds_of_layers_that_a_period_implies_are_written_out(tmp_path: Path) -> None:
    lab = RouteLab(tmp_path, {"a": config_of("gemma2", layers=2, sliding_window=5)})
    plain = {k: v for k, v in lab.checkpoints["a"].config.items() if k != "layer_types"}
    object.__setattr__(lab.checkpoints["a"], "config", plain)
    recipe = lab.recipe(route(Step("a", 1), Step("a", 1), Step("a", 0)))
    changes = config_changes(recipe, lab.checkpoints)
    kinds = ["full_attention", "full_attention", "sliding_attention"]
    assert changes == {"num_hidden_layers": 3, "layer_types": kinds}


def test_gains_of_one_plus_weight_are_found_by_asking() -> None:
    def asked(family: str) -> frozenset[str] | None:
        return norms_of_one_plus(config_of(family).to_dict())

    assert asked("llama") == asked("gpt2") == asked("qwen3") == frozenset()
    assert {"input_layernorm", "norm", "self_attn.q_norm"} <= (asked("gemma3") or set())
    assert norms_of_one_plus({"model_type": "no such"}) is None
    assert tied_names(config_of("gpt2").to_dict()) == {"lm_head.weight": "transformer.wte.weight"}


def test_parts_of_layers_are_known_by_name() -> None:
    def kinds(**modules: str) -> None:
        names = {f"model.layers.0.{m.replace('__', '.')}.weight": ((4,), "F32") for m in modules}
        facts = infer_facts(names, {"num_hidden_layers": 1})
        parts = LayerParts.of(facts.values())
        found = {p.module.replace(".", "__"): p.kind for p in parts.by_name.values()}
        assert found == modules

    kinds(
        self_attn__q_proj="query",
        self_attn__o_proj="write",
        mlp__experts__3__w2="write",
        mlp__gate="inner",
        input_layernorm="read_norm",
        post_attention_layernorm="read_norm",
        self_attn__q_norm="query_norm",
        self_attn__k_norm="inner",
    )
    kinds(post_attention_layernorm="post_norm", pre_feedforward_layernorm="read_norm")
    kinds(post_self_attn_layernorm="post_norm", post_attention_layernorm="read_norm")
    kinds(attn__c_attn="fused_query", attn__c_proj="write", mlp__c_fc="inner", ln_1="read_norm")
    kinds(self_attn__q_a_proj="inner", self_attn__q_b_proj="query", self_attn__kv_b_proj="inner")
    kinds(linear_attn__in_proj_qkvz="unknown", attn__ssm="unknown", odd_norm="unknown")


def test_layers_with_one_norm_for_attention_and_mlp_fold(tmp_path: Path) -> None:
    phi = PhiConfig(**SMALL, intermediate_size=48, layer_norm_eps=1e-12)
    lab = RouteLab(tmp_path, {"a": phi})
    flow = route(Step("a", 1), Step("a", 0, scale=-0.5, qk=2.0, write=0.5))
    assert difference(lab.routed(flow), lab.exported(flow)) < 2e-5


def test_first_layers_of_another_kind_stay_first(tmp_path: Path) -> None:
    sizes = {"intermediate_size": 48, "moe_intermediate_size": 16, "num_key_value_heads": 4}
    ranks = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4}
    experts = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2}
    config = DeepseekV3Config(
        **(SMALL | {"num_hidden_layers": 3} | sizes | ranks | experts),
        v_head_dim=8,
        first_k_dense_replace=1,
        rms_norm_eps=1e-12,
    )
    lab = RouteLab(tmp_path, {"a": config})
    scaled = Step("a", 1, scale=-0.7, write=0.5, qk=2.0)
    flow = route(Step("a", 0), Step("a", 0), Step("a", 2), scaled)
    exported = lab.exported(flow)
    assert difference(lab.routed(flow), exported) < 2e-5
    assert exported.config.first_k_dense_replace == 2
    message = refusal(lab, route(Step("a", 1), Step("a", 0)))
    assert "layer 0 of 'a' is one of the first 1" in message


def test_what_transformers_would_not_load_is_not_written(tmp_path: Path) -> None:
    lab = RouteLab(tmp_path, {"a": config_of("llama", layers=2)})
    specs = lab.merger.specs(lab.recipe(route(Step("a", 0), Step("a", 1))))
    base = lab.checkpoints["a"]
    check_loads(specs, {}, base)
    with pytest.raises(
        MergeError, match=r"gate_proj.weight' of shape \(64, 32\), and it has shape"
    ):
        check_loads(specs, {"intermediate_size": 64}, base)
    with pytest.raises(MergeError, match=r"layers.2.* isn't there"):
        check_loads(specs, {"num_hidden_layers": 3}, base)

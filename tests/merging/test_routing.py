from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evomerge.errors import MergeError
from evomerge.merging.routing import Router
from evomerge.recipes.recipe import Dataflow, Step
from tests.merging.routes import FAMILIES, FLOW, WINDOW, plain, tiny, tiny_pair

TOKENS = torch.randint(4, 100, (3, 2 * WINDOW + 3), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits(model: Any, tokens: Tensor = TOKENS, **options: Any) -> Tensor:
    found: Tensor = model(tokens, use_cache=False, **options).logits
    return found


@torch.inference_mode()
def logits_with_cache(model: Any, tokens: Tensor, prompt: int) -> Tensor:
    """Logits of every position, the tokens after ``prompt`` one at a time."""
    output = model(tokens[:, :prompt], use_cache=True)
    found = [output.logits]
    for position in range(prompt, tokens.shape[1]):
        step = tokens[:, position : position + 1]
        output = model(step, use_cache=True, past_key_values=output.past_key_values)
        found.append(output.logits)
    return torch.cat(found, dim=1)


@torch.inference_mode()
def greedy(model: Any, tokens: Tensor, n: int, *, cache: bool) -> Tensor:
    answer: Tensor = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=n,
        do_sample=False,
        use_cache=cache,
        eos_token_id=None,
        pad_token_id=0,
    )
    return answer[:, tokens.shape[1] :]


def storages(model: nn.Module) -> set[int]:
    tensors = (*model.parameters(), *model.buffers())
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_routed_through_itself_is_that_model(family: str) -> None:
    pair = tiny_pair(family)
    routed = Router(pair).build(plain(*(("b", layer) for layer in range(4)), ends="b"))
    assert torch.equal(logits(routed), logits(pair["b"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_with_cache_agrees_with_generation_without(family: str) -> None:
    routed = Router(tiny_pair(family)).build(FLOW)
    whole = logits(routed)
    for prompt in (1, WINDOW + 2):
        torch.testing.assert_close(logits_with_cache(routed, TOKENS, prompt), whole)
    prompts = TOKENS[:, : WINDOW - 1]
    answers = [greedy(routed, prompts, WINDOW, cache=cache) for cache in (True, False)]
    whole = logits(routed, torch.cat([prompts, answers[1]], dim=1))[:, WINDOW - 2 : -1]
    two = whole.topk(2).values
    clear = (two[..., 0] - two[..., 1] > 1e-4).cumprod(dim=1).bool()
    assert clear.any()
    assert torch.equal(answers[0][clear], answers[1][clear])


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_disturb_neither_each_other_nor_the_sources(family: str) -> None:
    pair = tiny_pair(family)
    before = {name: logits(model) for name, model in pair.items()}
    cached = {name: logits_with_cache(model, TOKENS, 4) for name, model in pair.items()}
    router = Router(pair)
    flows = [FLOW, plain(("b", 3), ("a", 1)), Dataflow(FLOW.steps[:4], "b", "a", "b")]
    alone = [logits(router.build(flow)) for flow in flows]
    together = [router.build(flow) for flow in flows]
    with torch.inference_mode():
        caches = [model(TOKENS[:, :4], use_cache=True).past_key_values for model in together]
        for model, cache in zip(together[::-1], caches[::-1], strict=True):
            model(TOKENS[:, 4:5], use_cache=True, past_key_values=cache)
    for model, expected in zip(together, alone, strict=True):
        assert torch.equal(logits(model), expected)
    for name, model in pair.items():
        assert torch.equal(logits(model), before[name])
        assert torch.equal(logits_with_cache(model, TOKENS, 4), cached[name])
    assert len({float(one.sum()) for one in alone}) == len(flows)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_route_has_no_tensors_of_its_own(family: str) -> None:
    pair = tiny_pair(family)
    own = storages(Router(pair).build(FLOW))
    assert own <= storages(pair["a"]) | storages(pair["b"])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_step_has_its_own_cache_slot_of_its_layers_kind(family: str) -> None:
    pair = tiny_pair(family)
    flow = plain(("a", 1), ("b", 2), ("b", 2), ("a", 3), ("a", 0))
    with torch.inference_mode():
        cache = Router(pair).build(flow)(TOKENS, use_cache=True).past_key_values
        genuine = pair["a"](TOKENS, use_cache=True).past_key_values
    assert [layer.is_sliding for layer in cache.layers] == [
        genuine.layers[step.layer].is_sliding for step in flow.steps
    ]
    assert not torch.equal(cache.layers[1].keys, cache.layers[2].keys)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_padding_on_the_left_changes_no_row(family: str) -> None:
    routed = Router(tiny_pair(family)).build(FLOW)
    tokens, n = TOKENS[:1, :7], 3
    padded = torch.cat([tokens.new_zeros((1, n)), tokens], dim=1)
    mask = (padded != 0).long()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    found = logits(routed, padded, attention_mask=mask, position_ids=positions)
    torch.testing.assert_close(found[:, n:], logits(routed, tokens))


def worked_by_hand(pair: dict[str, Any], flow: Dataflow) -> Tensor:
    """Run the route over the modules of Llamas, as the semantics are written down."""
    base = pair[flow.embedding]
    h = base.model.embed_tokens(TOKENS)
    positions = torch.arange(TOKENS.shape[1])[None]
    cos_sin = base.model.rotary_emb(h, positions)
    length = TOKENS.shape[1]
    mask = torch.full((length, length), -torch.inf).triu(1)[None, None]
    for step in flow.steps:
        layer = pair[step.source].model.layers[step.layer]
        h = step.scale * h
        attention = layer.self_attn
        genuine, attention.scaling = attention.scaling, attention.scaling * step.qk
        normed = layer.input_layernorm(h)
        written, _ = attention(normed, position_embeddings=cos_sin, attention_mask=mask)
        attention.scaling = genuine
        h = h + step.write * written
        h = h + step.write * layer.mlp(layer.post_attention_layernorm(h))
    found: Tensor = pair[flow.head].lm_head(pair[flow.norm].model.norm(h))
    return found


def test_matches_a_route_worked_by_hand() -> None:
    pair = tiny_pair("llama")
    with torch.inference_mode():
        expected = worked_by_hand(pair, FLOW)
    torch.testing.assert_close(logits(Router(pair).build(FLOW)), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", ["qk", "write"])
def test_every_number_counts(family: str, number: str) -> None:
    router = Router(tiny_pair(family))
    steps = (Step("a", 0), Step("b", 1), Step("a", 2))
    scaled = (steps[0], Step("b", 1, **{number: 3.0}), steps[2])
    found = [logits(router.build(Dataflow(s, "a", "a", "a"))) for s in (steps, scaled)]
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_that_writes_nothing_passes_on_its_input(family: str) -> None:
    router = Router(tiny_pair(family))
    silent = Step("b", 1, write=0.0)
    with_it = Dataflow((Step("a", 0), silent, Step("a", 2)), "a", "a", "a")
    torch.testing.assert_close(
        logits(router.build(with_it)), logits(router.build(plain(("a", 0), ("a", 2))))
    )


def test_weights_written_later_are_seen() -> None:
    pair = {"a": tiny("llama", 0), "b": tiny("llama", 1)}
    routed = Router(pair).build(FLOW)
    before = logits(routed)
    pair["b"].model.layers[2].mlp.down_proj.weight.mul_(0.5)
    assert not torch.equal(logits(routed), before)
    assert torch.equal(logits(routed), logits(Router(pair).build(FLOW)))


def test_sources_of_any_depth_take_part() -> None:
    pair = {"a": tiny("llama", 0, layers=2), "b": tiny("llama", 1, layers=5)}
    routed = Router(pair).build(plain(("a", 1), ("b", 4), ("a", 0)))
    torch.testing.assert_close(logits_with_cache(routed, TOKENS, 3), logits(routed))


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (Dataflow((), "a", "a", "a"), "no steps"),
        (plain(("a", 4)), r"step 0 of the route takes layer 4 of 'a', which has layers 0 to 3"),
        (plain(("a", -1)), "takes layer -1"),
        (plain(("c", 0)), "takes 'c', which is no resident"),
        (plain(("a", 0), ends="c"), "'c', which is no resident"),
        (plain(("wide", 0)), "hidden size 64 and the route's base 32"),
        (plain(("other", 0)), "'other' is a GPT2LMHeadModel and the route's base a LlamaForCausal"),
    ],
)
def test_a_route_that_cannot_be_is_refused(flow: Dataflow, message: str) -> None:
    residents = tiny_pair("llama")
    residents["wide"] = tiny("llama", 0, hidden_size=64)
    residents["other"] = tiny("gpt2", 0)
    with pytest.raises(MergeError, match=message):
        Router(residents).build(flow)


def test_a_model_on_several_devices_is_refused() -> None:
    pair = {"a": tiny("llama", 0), "b": tiny("llama", 1)}
    pair["a"].forward = pair["a"].forward
    with pytest.raises(MergeError, match="several GPUs"):
        Router(pair).build(FLOW)

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from evomerge.merging.prefixes import PrefixCache
from evomerge.merging.routing import Router
from evomerge.recipes.recipe import Dataflow, Step
from tests.merging.routes import FAMILIES, WINDOW, tiny_pair

GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [torch.randint(4, 100, (3, WINDOW + n), generator=GENERATOR) for n in (2, 5)]
ANSWER = 2
PLENTY = 10**9

Path = tuple[tuple[str, int, float], ...]


def run(pair: dict[str, Any], path: Path, prefixes: PrefixCache | None) -> list[Tensor]:
    """Score both batches and answer them, as a worker does, through a new model of ``path``."""
    steps = tuple(Step(name, layer, scale=scale) for name, layer, scale in path)
    model: Any = Router(pair).build(Dataflow(steps, "a", "a", "a"))
    if prefixes is None:
        prefixes = PrefixCache(0)
    else:
        prefixes.follow(model, "a", path)
    found = []
    with torch.inference_mode():
        for tokens in BATCHES:
            with prefixes.reading(tokens, 0, keeps_cache=False):
                found.append(model(tokens, use_cache=False).logits)
            with prefixes.reading(tokens, 1, keeps_cache=True):
                output = model(tokens, use_cache=True)
            for _ in range(ANSWER):
                found.append(output.logits)
                chosen = output.logits[:, -1:].argmax(-1)
                output = model(chosen, past_key_values=output.past_key_values, use_cache=True)
    return found


def relatives(n: int, seed: int = 0, length: int = 5) -> list[Path]:
    """Return paths of which many begin alike."""
    rng = random.Random(seed)
    paths: list[Path] = []
    for _ in range(n):
        parent = rng.choice(paths) if paths else ()
        cut = rng.randrange(len(parent) + 1)
        rest = tuple(
            (rng.choice("ab"), rng.randrange(4), rng.choice((1.0, 0.5)))
            for _ in range(length - cut)
        )
        paths.append(parent[:cut] + rest)
    return paths


def same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_the_same_bits_with_the_cache(family: str) -> None:
    pair = tiny_pair(family)
    prefixes = PrefixCache(PLENTY)
    for path in (*relatives(2), *relatives(1)):
        assert same(run(pair, path, prefixes), run(pair, path, None))
    assert prefixes.steps_saved > 0


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_any_budget_is_kept_and_changes_no_bit(share: float) -> None:
    pair = tiny_pair("llama")
    paths = relatives(4)
    plenty = PrefixCache(PLENTY)
    expected = [run(pair, path, plenty) for path in paths]
    budget = int(share * plenty.bytes)
    prefixes = PrefixCache(budget)
    for number in (*range(len(paths)), -1):
        assert same(run(pair, paths[number], prefixes), expected[number])
        assert prefixes.bytes <= budget
    assert prefixes.steps_saved > 0


def shared_steps(paths: Sequence[Path]) -> int:
    """Steps that a trie without limits computes for one pass."""
    return len({path[: n + 1] for path in paths for n in range(len(path))})


def test_a_shared_prefix_is_computed_once() -> None:
    pair = tiny_pair("llama")
    prefixes = PrefixCache(PLENTY)
    paths = relatives(6)
    for path in paths:
        run(pair, path, prefixes)
    n_passes = 2 * len(BATCHES)
    assert prefixes.steps_run == n_passes * shared_steps(paths)
    assert prefixes.steps_run + prefixes.steps_saved == n_passes * sum(map(len, paths))


def test_bytes_are_those_of_the_tensors_that_are_held() -> None:
    pair = tiny_pair("llama")
    prefixes = PrefixCache(PLENTY)
    path = relatives(1)[0]
    run(pair, path, prefixes)
    hidden, kv = 32, 2 * 2 * 8  # keys and values, 2 heads of 8
    tokens = sum(batch.numel() for batch in BATCHES)
    assert prefixes.bytes == len(path) * tokens * 4 * (2 * hidden + kv)
    prefixes.clear()
    assert prefixes.bytes == 0


def bytes_of_a_route(pair: dict[str, Any]) -> int:
    prefixes = PrefixCache(PLENTY)
    run(pair, relatives(1)[0], prefixes)
    return prefixes.bytes


def test_what_is_met_often_stays() -> None:
    pair = tiny_pair("llama")
    often = relatives(1)[0]
    prefixes = PrefixCache(bytes_of_a_route(pair))
    for _ in range(4):
        run(pair, often, prefixes)
    rare = [tuple((name, layer, 0.25 + n) for name, layer, _ in often) for n in range(3)]
    for path in rare:
        run(pair, path, prefixes)
    saved = prefixes.steps_saved
    run(pair, often, prefixes)
    assert prefixes.steps_saved - saved >= 0.75 * 2 * len(BATCHES) * len(often)


def test_what_was_met_long_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evomerge.merging.prefixes.HALF_LIFE", 1)
    pair = tiny_pair("llama")
    often = relatives(1)[0]
    prefixes = PrefixCache(bytes_of_a_route(pair))
    for _ in range(4):
        run(pair, often, prefixes)
    fresh: Path = tuple((name, layer, 0.25) for name, layer, _ in often)
    for _ in range(4):
        run(pair, fresh, prefixes)
    saved = prefixes.steps_saved
    run(pair, fresh, prefixes)
    assert prefixes.steps_saved - saved == 2 * len(BATCHES) * len(often)


def test_the_trie_is_forgotten_before_it_grows_without_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evomerge.merging.prefixes.MAX_NODES", 12)
    pair = tiny_pair("llama")
    prefixes = PrefixCache(PLENTY)
    for path in relatives(6):
        assert same(run(pair, path, prefixes), run(pair, path, None))
    assert prefixes.bytes < 6 * bytes_of_a_route(pair)


def test_a_pass_of_other_tokens_is_not_shared() -> None:
    pair = tiny_pair("llama")
    prefixes = PrefixCache(PLENTY)
    (path,) = relatives(1)
    run(pair, path, prefixes)
    steps = tuple(Step(name, layer, scale=scale) for name, layer, scale in path)
    model: Any = Router(pair).build(Dataflow(steps, "a", "a", "a"))
    prefixes.follow(model, "a", path)
    other = BATCHES[0].flip(1)
    with torch.inference_mode():
        outside = model(other, use_cache=False).logits
        with prefixes.reading(other, 0, keeps_cache=False):
            inside = model(other, use_cache=False).logits
        assert torch.equal(outside, inside)
        assert torch.equal(inside, Router(pair).build(Dataflow(steps, "a", "a", "a"))(other).logits)

"""What building and keeping routed candidates costs, and what sharing their prefixes saves.

On one CPU thread; times are the processor's, so that other work on the machine doesn't count.
Building: milliseconds and bytes a step, with 100 candidates alive beside one. Sharing: a late
population of paths without scales, each child one move away from one of a few parents, scored on
log-likelihoods with and without the prefix cache, in the order in which the driver hands siblings
out and in a shuffled one; beside it what a trie without limits would allow.

    python benchmarks/routing.py [--candidates 32] [--parents 4] [--budget-mib 256]
"""

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_llama import tiny_tokenizer
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
)

from evomerge.execution.protocol import BlockRef, Job
from evomerge.execution.worker import EvaluatorSpec, Worker, WorkerSpec
from evomerge.merging.routing import Router
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Step

N_LAYERS = 12
N_STEPS = 16
SOURCES = ("a", "b")
EXAMPLES = 32
Path_ = tuple[tuple[str, int], ...]


def config(family: str) -> Any:
    """Return a model of ``N_LAYERS`` layers, small but no toy."""
    common = {"vocab_size": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    size = {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 48,
    }
    kinds: dict[str, Any] = {
        "llama": (LlamaConfig, size),
        "gemma2": (Gemma2Config, size),
        "gpt2": (GPT2Config, {"n_embd": 192, "n_layer": N_LAYERS, "n_head": 4}),
        "mixtral": (MixtralConfig, {**size, "num_local_experts": 4}),
    }
    kind, options = kinds[family]
    return kind(**common, **options)


def random_path(rng: random.Random) -> Path_:
    """Return ``N_STEPS`` steps in a loose order of depth, as searched routes are."""
    layers = sorted(rng.choices(range(N_LAYERS), k=N_STEPS))
    return tuple((rng.choice(SOURCES), layer) for layer in layers)


def flow_of(path: Path_) -> Dataflow:
    """Return a route without scales."""
    return Dataflow(tuple(Step(name, layer) for name, layer in path), "a", "a", "a")


def measure_builds(family: str) -> None:
    """Print what building and keeping candidates of one family costs."""
    made = {name: AutoModelForCausalLM.from_config(config(family)).eval() for name in SOURCES}
    router = Router(made)
    rng = random.Random(0)
    flows = [flow_of(random_path(rng)) for _ in range(101)]
    router.build(flows[0])
    times = []
    for flow in flows[1:]:
        began = time.process_time()
        router.build(flow)
        times.append((time.process_time() - began) / N_STEPS)
    gc.collect()
    tracemalloc.start()
    alive = [router.build(flows[0])]
    one = tracemalloc.get_traced_memory()[0]
    alive += [router.build(flow) for flow in flows[1:100]]
    hundred = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    own = {
        t.untyped_storage().data_ptr()
        for m in made.values()
        for t in (*m.parameters(), *m.buffers())
    }
    new = sum(
        t.nbytes
        for model in alive
        for t in (*model.parameters(), *model.buffers())
        if t.untyped_storage().data_ptr() not in own
    )
    print(
        f"{family:8} {1e3 * statistics.median(times):6.3f} ms a step, "
        f"{hundred / 100 / N_STEPS / 1e3:5.1f} kB a step; alive: one {one / 1e6:.2f} MB, "
        f"a hundred {hundred / 1e6:.2f} MB, {new} bytes of new tensors"
    )


def late_population(n: int, n_parents: int, rng: random.Random) -> list[Path_]:
    """Return ``n`` children, each one move away from one of ``n_parents`` related parents."""
    ancestor = random_path(rng)
    parents = [ancestor]
    while len(parents) < n_parents:
        parents.append(moved(rng.choice(parents), rng))
    found: dict[Path_, None] = {}
    while len(found) < n:
        found[moved(rng.choice(parents), rng)] = None
    return list(found)


def moved(path: Path_, rng: random.Random) -> Path_:
    """Insert, delete, swap or replace a step, or repeat a block, at a place drawn evenly."""
    place = rng.randrange(len(path))
    fresh = (rng.choice(SOURCES), rng.randrange(N_LAYERS))
    kind = rng.choice(("insert", "delete", "swap", "replace", "repeat"))
    head, tail = path[:place], path[place:]
    if kind == "insert":
        return (*head, fresh, *tail)
    if kind == "delete" and len(path) > 2:
        return (*head, *tail[1:])
    if kind == "swap" and len(tail) > 1:
        return (*head, tail[1], tail[0], *tail[2:])
    if kind == "repeat":
        return (*head, *tail[: rng.randint(1, 3)], *tail)
    return (*head, fresh, *tail[1:])


def worker_spec(folder: Path) -> WorkerSpec:
    """Write two models and a task of log-likelihoods."""
    for seed, name in enumerate(SOURCES):
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config("llama")).save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)
    rng = random.Random(0)
    text = "abcdefghijklmnopqrstuvwxyz"
    records = [
        {"prompt": "".join(rng.choices(text, k=rng.randint(30, 60))), "answer": "answer"}
        for _ in range(3 * EXAMPLES)
    ]
    (folder / "task.jsonl").write_text("\n".join(map(json.dumps, records)))
    options = {
        "data": str(folder / "task.jsonl"),
        "splits": {"search": EXAMPLES, "validation": 8, "test": 8},
    }
    return WorkerSpec(
        folders={name: folder / name for name in SOURCES},
        sources=tuple(
            Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in SOURCES
        ),
        base="a",
        tokenizer="a",
        dtype="float32",
        evaluators=(EvaluatorSpec("task", "log_likelihood", 0, options),),
    )


def score(
    worker: Worker, sources: tuple[Source, ...], paths: Sequence[Path_]
) -> tuple[float, list[bytes]]:
    """Return candidates a second and the scores' bits."""
    blocks = [BlockRef("task", "search", n) for n in range(EXAMPLES // 32)]
    found = []
    began = time.process_time()
    for path in paths:
        recipe = Recipe(sources, "a", (), "float32", "a", flow_of(path))
        outcome = worker.run(Job("0-0", 1, recipe, blocks))
        assert outcome.failure is None, outcome.failure
        found.append(b"".join(s.values["logprob"].tobytes() for s in outcome.scores))
    return len(paths) / (time.process_time() - began), found


def measure_sharing(options: argparse.Namespace) -> None:
    """Print candidates a second with and without the prefix cache."""
    with tempfile.TemporaryDirectory() as name:
        spec = worker_spec(Path(name))
        paths = late_population(options.candidates, options.parents, random.Random(1))
        shuffled = random.Random(2).sample(paths, len(paths))
        plain = replace(spec, prefix_bytes=0).build()
        score(plain, spec.sources, paths[:1])
        alone, bits = score(plain, spec.sources, sorted(paths))
        steps = sum(map(len, paths))
        distinct = len({path[: n + 1] for path in paths for n in range(len(path))})
        print(
            f"{len(paths)} candidates of {steps / len(paths):.1f} steps, {alone:.2f} a second alone"
        )
        print(f"a trie without limits computes 1 of {steps / distinct:.2f} steps")
        for label, order in (("siblings together", sorted(paths)), ("shuffled", shuffled)):
            worker = replace(spec, prefix_bytes=options.budget_mib << 20).build()
            assert worker.prefixes is not None
            score(worker, spec.sources, [(("b", 0),)])
            cache = worker.prefixes
            cache.steps_run = cache.steps_saved = 0
            rate, found = score(worker, spec.sources, order)
            same = dict(zip(order, found, strict=True)) == dict(
                zip(sorted(paths), bits, strict=True)
            )
            ran = cache.steps_run
            print(
                f"{label}: {rate:.2f} a second, {rate / alone:.2f}x; computed 1 of "
                f"{(ran + cache.steps_saved) / ran:.2f} steps; {cache.bytes / 2**20:.0f} MiB held; "
                f"scores {'bit for bit the same' if same else 'DIFFER'}"
            )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=32)
    parser.add_argument("--parents", type=int, default=4)
    parser.add_argument("--budget-mib", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for family in ("llama", "gemma2", "gpt2", "mixtral"):
        measure_builds(family)
    sys.stdout.flush()
    measure_sharing(options)


if __name__ == "__main__":
    main()

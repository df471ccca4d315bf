"""What building and keeping routed candidates costs, and what sharing their prefixes saves.

On one CPU thread; times are the processor's, so that other work on the machine doesn't count.
Building: milliseconds and bytes a step, with 100 candidates alive beside one. Sharing: the last
four generations of a search over paths without scales, by ``path_evolution``, scored on
log-likelihoods with and without the prefix cache, each candidate once with and once without before
the next, in the order in which the driver hands out a generation; the cache remembers the eight
generations before. Beside it what a trie without limits would allow. Layers are as large a part of
a candidate's time as in models of a billion parameters: above 95 %.

    python benchmarks/routing.py [--budget 200] [--seeds 4] [--budget-mib 256]
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
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_llama import tiny_tokenizer
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
)

from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.protocol import BlockRef, Job
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.merging.routing import Router
from evomerge.models.lock import lock_folder
from evomerge.recipes.paths import PATH, PathSpace
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Step
from evomerge.search.protocol import Evaluation, Start, build_searcher

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


def searched_paths(n: int, seed: int = 0) -> list[list[Path_]]:
    """Return the generations of a search by ``path_evolution``, ``n`` candidates in all.

    What it is told is how likely a random residual network in numpy says, along the path, what it
    says along a planted one: a late population is of the searcher's own making.
    """
    rng = np.random.default_rng(seed)
    layers = [(name, layer) for name in SOURCES for layer in range(N_LAYERS)]
    reads = {at: rng.standard_normal((24, 48)) / 5 for at in layers}
    writes = {at: rng.standard_normal((48, 24)) / 14 for at in layers}
    head, inputs = rng.standard_normal((24, 12)), rng.standard_normal((200, 24))

    def normed(h: Any) -> Any:
        return h / np.sqrt((h**2).mean(axis=1, keepdims=True))

    def logits(path: Path_) -> Any:
        h = inputs
        for at in path:
            h = h + np.tanh(normed(h) @ reads[at]) @ writes[at]
        return normed(h) @ head

    said = logits(random_path(random.Random(seed))).argmax(axis=1)
    space = PathSpace(layers, 2 * N_LAYERS)
    starts = [
        Start(name, space.encode({PATH: [[name, n, 1.0] for n in range(N_LAYERS)]}))
        for name in SOURCES
    ]
    searcher = build_searcher("path_evolution", space, seed=seed, starts=starts)
    found: list[list[Path_]] = []
    while sum(map(len, found)) < n:
        asked = searcher.ask()
        decoded = [space.decode(proposal.genome)[PATH] for proposal in asked]
        found.append([tuple((name, layer) for name, layer, _ in path) for path in decoded])
        told = []
        for proposal, path in zip(asked, found[-1], strict=True):
            z = logits(path)
            likely = z[np.arange(len(z)), said] - np.log(np.exp(z).sum(axis=1))
            told.append(Evaluation(proposal.id, (float(likely.mean()),)))
        searcher.tell(told)
    return found


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


def score(worker: Worker, sources: tuple[Source, ...], path: Path_) -> tuple[float, bytes]:
    """Return seconds of the processor and the scores' bits."""
    blocks = [BlockRef("task", "search", n) for n in range(EXAMPLES // 32)]
    job = Job("0-0", 1, Recipe(sources, "a", (), "float32", "a", flow_of(path)), blocks)
    began = time.process_time()
    outcome = worker.run(job)
    seconds = time.process_time() - began
    assert outcome.failure is None, outcome.failure
    return seconds, b"".join(s.values["logprob"].tobytes() for s in outcome.scores)


def measure_parts(worker: Worker, sources: tuple[Source, ...]) -> tuple[float, float]:
    """Return seconds of a step, and of all that a candidate takes beside its steps.

    A candidate's time is a line over its steps; both lengths are taken in turn, so that other work
    on the machine slows them alike.
    """
    short, long = (tuple(("a", n % N_LAYERS) for n in range(depth)) for depth in (2, N_STEPS))
    times = [(score(worker, sources, short)[0], score(worker, sources, long)[0]) for _ in range(8)]
    brief, full = (statistics.median(column) for column in zip(*times, strict=True))
    step = (full - brief) / (len(long) - len(short))
    return step, brief - len(short) * step


def measure_sharing(options: argparse.Namespace) -> None:
    """Print candidates a second with and without the prefix cache, each candidate in turn."""
    with tempfile.TemporaryDirectory() as name:
        spec = worker_spec(Path(name))
        plain = replace(spec, prefix_bytes=0).build()
        score(plain, spec.sources, (("b", 0),))
        step, rest = measure_parts(plain, spec.sources)
        share = N_STEPS * step / (N_STEPS * step + rest)
        print(
            f"a step takes {1e3 * step:.1f} ms, all else {1e3 * rest:.1f} ms a candidate:", end=""
        )
        print(f" steps are {100 * share:.1f} % of a route of {N_STEPS}")
        for seed in range(options.seeds):
            compare(spec, plain, step, rest, seed, options)


def compare(
    spec: WorkerSpec, plain: Worker, step: float, rest: float, seed: int, options: Any
) -> None:
    """Print what sharing saves over the last generations of one search."""
    history = searched_paths(options.budget, seed)
    before = [path for paths in history[-12:-4] for path in sorted(paths)]
    late = [path for paths in history[-4:] for path in sorted(paths)]
    worker = replace(spec, prefix_bytes=options.budget_mib << 20).build()
    cache = worker.prefixes
    assert cache is not None
    for path in before:
        score(worker, spec.sources, path)
    cache.steps_run = cache.steps_saved = 0
    alone = shared = 0.0
    same = True
    for path in late:
        seconds, bits = score(plain, spec.sources, path)
        alone += seconds
        seconds, others = score(worker, spec.sources, path)
        shared += seconds
        same &= bits == others
    steps, distinct = sum(map(len, late)), len(prefixes({*before, *late}) - prefixes(before))
    expected = (steps * step + len(late) * rest) / (cache.steps_run * step + len(late) * rest)
    print(
        f"seed {seed}: {len(late)} candidates of {steps / len(late):.1f} steps, "
        f"{len(late) / alone:.2f} a second alone, {len(late) / shared:.2f} with the cache: "
        f"{alone / shared:.2f}x; a trie without limits computes 1 of {steps / distinct:.2f} steps, "
        f"the cache 1 of {steps / cache.steps_run:.2f}, which with all else is {expected:.2f}x; "
        f"{cache.bytes / 2**20:.0f} MiB held; scores "
        f"{'bit for bit the same' if same else 'DIFFER'}"
    )


def prefixes(paths: Iterable[Path_]) -> set[Path_]:
    """Return every beginning of any of ``paths``."""
    return {path[: n + 1] for path in paths for n in range(len(path))}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=200, help="candidates of a search")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--budget-mib", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for family in ("llama", "gemma2", "gpt2", "mixtral"):
        measure_builds(family)
    sys.stdout.flush()
    measure_sharing(options)


if __name__ == "__main__":
    main()

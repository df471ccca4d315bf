"""Time candidates of a ~1B-parameter random Llama on one GPU: merging, scoring, and both.

Run: python benchmarks/gpu.py            (a GPU; writes about 8 GB to --folder)
     python benchmarks/gpu.py --tiny     (the same on a CPU with a tiny model: only a trial)

Merge bandwidth counts the bytes of all sources read and of the model written, beside a plain copy
of the model on the device. A worker merges and scores by turns; the share of merging is the most
that overlapping both could gain.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tiny_llama import tiny_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.protocol import BlockRef, Job
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput

SOURCES = ("base", "left", "right")
EXAMPLES = 64


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="A tiny model, on a CPU too.")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="Keeps the models; a temporary one if absent.")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.tiny:
        print("no CUDA device here: nothing measured. --tiny tries the same code on the CPU.")
        return
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_inputs(folder, tiny=options.tiny)
        spec = worker_spec(folder, device)
        worker = spec.build()
        where = torch.cuda.get_device_name() if device != "cpu" else "CPU"
        print(f"{where}, {count(worker) / 1e6:.0f}M parameters in bfloat16, {EXAMPLES} examples")
        measure_merges(worker, spec)
        measure_candidates(worker, spec, options.candidates)


def measure_merges(worker: Worker, spec: WorkerSpec) -> None:
    """Print the bandwidth of merges beside that of a copy."""
    targets = worker.residents.targets
    copies = {name: torch.empty_like(tensor) for name, tensor in targets.items()}
    n_bytes = sum(tensor.nbytes for tensor in targets.values())

    def copy() -> None:
        for name, tensor in targets.items():
            copies[name].copy_(tensor)

    plain = 2 * n_bytes / best_seconds(copy)
    copies.clear()
    for method, read in (("linear", 2), ("task_arithmetic", 3), ("ties", 3)):
        merged = recipe(spec, method, 0.3)

        def merge(merged: Recipe = merged) -> None:
            worker.merger.forget()
            worker.merger.merge_into(merged, targets)

        first = seconds(merge)
        rate = (read + 1) * n_bytes / best_seconds(merge)
        print(
            f"merge {method}: {rate / 1e9:.1f} GB/s = {rate / plain:.0%} of a copy's "
            f"{plain / 1e9:.1f} GB/s; the first one took {first:.2f} s",
            flush=True,
        )


def measure_candidates(worker: Worker, spec: WorkerSpec, n: int) -> None:
    """Print candidates a second, and the shares of merging and scoring."""
    blocks = [BlockRef("choices", "search", block) for block in range(EXAMPLES // 32)]
    worker.run(Job("warm", 1, recipe(spec, "ties", 0.5), blocks))
    began, merge_s, score_s = time.perf_counter(), 0.0, 0.0
    for index in range(n):
        job = Job(str(index), 1, recipe(spec, "ties", (index + 1) / (n + 1)), blocks)
        outcome = worker.run(job)
        assert outcome.failure is None, outcome.failure
        merge_s, score_s = merge_s + outcome.merge_s, score_s + outcome.score_s
    took = time.perf_counter() - began
    print(
        f"candidates: {n / took:.2f} a second; merging {merge_s / took:.0%}, scoring "
        f"{score_s / took:.0%}, the rest {1 - (merge_s + score_s) / took:.0%}; they don't "
        f"overlap, and overlapping could gain at most {min(merge_s, score_s) / took:.0%}"
    )
    if worker.device != "cpu":
        print(f"most memory allocated: {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")


def best_seconds(work: Callable[[], None], repeat: int = 5) -> float:
    """Return the shortest of ``repeat`` runs after a first one."""
    work()
    return min(seconds(work) for _ in range(repeat))


def seconds(work: Callable[[], None]) -> float:
    """Return the time that ``work`` takes until the device is done."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def count(worker: Worker) -> int:
    """Return the number of parameters."""
    return sum(tensor.numel() for tensor in worker.residents.targets.values())


def recipe(spec: WorkerSpec, method: str, weight: float) -> Recipe:
    """Return a merge of the two sources."""
    parameters: dict[str, object] = {"weights": (weight, 1 - weight)}
    if method == "linear":
        parameters["normalize"] = True
    else:
        parameters["scale"] = 1.0
    if method == "ties":
        consensus = {"normalize": True, "zero_sign": "plus", "elect": "sum"}
        parameters |= {"densities": (0.5, 0.5), **consensus}
    inputs = (StageInput("left"), StageInput("right"))
    base = None if method == "linear" else "base"
    stage = Stage("merged", method, inputs, base, parameters)
    return Recipe(spec.sources, "base", (stage,), dtype="bfloat16", tokenizer="base")


def write_inputs(folder: Path, *, tiny: bool) -> None:
    """Write three random models and a task."""
    config = LlamaConfig(
        vocab_size=1000 if tiny else 32_000,
        hidden_size=64 if tiny else 2048,
        intermediate_size=128 if tiny else 5632,
        num_hidden_layers=2 if tiny else 22,
        num_attention_heads=8 if tiny else 32,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        eos_token_id=1,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    for seed, name in enumerate(SOURCES):
        if not (folder / name / "config.json").is_file():
            torch.manual_seed(seed)
            LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / name)
            tiny_tokenizer().save_pretrained(folder / name)
    text = "the quick brown fox jumps over the lazy dog "
    lines = [
        json.dumps(
            {
                "question": "".join("abcdefghij"[int(d)] for d in str(n))
                + " "
                + text * (3 + n % 4),
                "choices": ["a fox or a dog", "neither of them", "one of both", "none"],
                "gold": n % 4,
            }
        )
        for n in range(2 * EXAMPLES)
    ]
    (folder / "choices.jsonl").write_text("\n".join(lines))


def worker_spec(folder: Path, device: str) -> WorkerSpec:
    """Return what the worker is built from."""
    options = {
        "data": str(folder / "choices.jsonl"),
        "splits": {"search": EXAMPLES, "validation": 8, "test": 8},
    }
    return WorkerSpec(
        folders={name: folder / name for name in SOURCES},
        sources=tuple(
            Source(name, str(folder / name), f"{index:064x}") for index, name in enumerate(SOURCES)
        ),
        base="base",
        tokenizer="base",
        dtype="bfloat16",
        evaluators=(EvaluatorSpec("choices", "multiple_choice", 0, options),),
        device=device,
    )


if __name__ == "__main__":
    main()

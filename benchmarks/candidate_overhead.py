"""What scoring a candidate costs beyond the bare forward passes of its requests, on one CPU thread.

The tasks have the quickstart's sizes: a Llama of about 200,000 parameters, three tasks of 100
examples in blocks of 32, answers of 8 characters. The reference, run in turns with the scoring in
one process, makes the same forward passes on the same batches and tokens and does nothing else.

    python benchmarks/candidate_overhead.py [--rounds 15] [--profile]
"""

import argparse
import cProfile
import json
import pstats
import random
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tiny_llama import tiny_llama, tiny_tokenizer

from evomerge.evaluation import EVALUATORS
from evomerge.evaluation.language_model import LanguageModel

N_EXAMPLES = 100
ANSWER_LENGTH = 8
Forward = tuple[dict[str, Any], list[torch.Tensor]]


def write_task_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Write three tasks of random words and return task → settings of its evaluator."""
    settings = {}
    for task in ("reverse", "sort", "successor"):
        rng = random.Random(task)
        lines = []
        for _ in range(3 * N_EXAMPLES):
            word = "".join(rng.choices(string.ascii_lowercase, k=rng.choice((7, 8))))
            lines.append(json.dumps({"prompt": f"{task}:{word}=", "answer": word[::-1]}))
        path = folder / f"{task}.jsonl"
        path.write_text("\n".join(lines))
        splits = {"search": N_EXAMPLES, "validation": 50, "test": 50}
        settings[task] = {
            "data": str(path),
            "splits": splits,
            "max_new_tokens": ANSWER_LENGTH + 1,
        }
    return settings


def record_forwards(model: LanguageModel, score: Callable[[], None]) -> list[list[dict[str, Any]]]:
    """Return the arguments of every forward pass that ``score`` makes, grouped by batch."""
    batches: list[list[dict[str, Any]]] = []
    inner = model._forward_cached

    def record(**inputs: Any) -> Any:
        if inputs["past_key_values"] is None:
            batches.append([])
        kept = {name: value for name, value in inputs.items() if name != "past_key_values"}
        batches[-1].append(kept)
        return inner(**inputs)

    model._forward_cached = record  # type: ignore[method-assign]  # only for this recording
    score()
    model._forward_cached = inner  # type: ignore[method-assign]
    return batches


@torch.inference_mode()
def run_bare(model: LanguageModel, batches: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Make the recorded forward passes and nothing else."""
    for steps in batches:
        cache = None
        for inputs in steps:
            output = model.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values


def timed(function: Callable[[], None]) -> float:
    """Return the CPU seconds of one call: other processes may share the machine."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--profile", action="store_true", help="Show where the time goes.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = LanguageModel(tiny_llama(), tiny_tokenizer())
    with tempfile.TemporaryDirectory() as folder:
        factory = EVALUATORS.get("generation").value
        tasks = write_task_files(Path(folder))
        evaluators = [factory(name, seed=0, **settings) for name, settings in tasks.items()]
    prepared = [evaluator.prepare(model, "search") for evaluator in evaluators]

    def score() -> None:
        for evaluator, requests in zip(evaluators, prepared, strict=True):
            for first in range(0, N_EXAMPLES, evaluator.block_size):
                block = range(first, min(first + evaluator.block_size, N_EXAMPLES))
                evaluator.score(model, requests, block)

    batches = record_forwards(model, score)
    score_s, bare_s = [], []
    for _ in range(arguments.rounds):
        bare_s.append(timed(lambda: run_bare(model, batches)))
        score_s.append(timed(score))
    scored, bare = statistics.median(score_s), statistics.median(bare_s)
    n_parameters = sum(p.numel() for p in model.model.parameters())
    n_passes = sum(map(len, batches))
    print(
        f"parameters={n_parameters} forward_passes={n_passes} score_ms={1000 * scored:.1f} "
        f"bare_ms={1000 * bare:.1f} overhead={100 * (scored / bare - 1):.1f}%"
    )
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(score)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()

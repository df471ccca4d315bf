"""Compare the memory that the plan foretells with what a run of a ~70M-parameter model takes.

Run: OMP_NUM_THREADS=1 python benchmarks/memory_plan.py

Each task is scored in a process of its own through the run's own worker: merges of two random
models, search split. On a CPU the peak is of anonymous memory (mapped sources aside), sampled
every 5 ms; on a GPU it is what torch allocated at most.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from tiny_llama import tiny_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

TASKS: dict[str, dict[str, Any]] = {
    "perplexity": {"type": "perplexity", "batch_size": 8},
    "multiple_choice": {"type": "multiple_choice", "batch_size": 16},
    "generation": {"type": "generation", "batch_size": 16, "max_new_tokens": 32},
}
SOURCES = ("base", "left", "right")
EXAMPLES = 16


def main() -> None:
    """Print one line a task and element type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--small", action="store_true", help="A tiny model: only a trial.")
    parser.add_argument("--measure", nargs=2, metavar=("TASK", "DTYPE"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="Keeps the models; a temporary one if absent.")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder, *options.measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_inputs(folder, small=options.small)
        for dtype in options.dtypes:
            for task in options.tasks:
                command = [sys.executable, __file__, "--folder", str(folder)]
                command += ["--measure", task, dtype]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                report(task, dtype, json.loads(done.stdout.splitlines()[-1]))


def report(task: str, dtype: str, found: dict[str, Any]) -> None:
    """Print what was foretold beside what was taken."""
    planned, peak = found["planned"], found["peak"]
    print(
        f"{task} {dtype} on {found['where']}: planned {planned / 1e6:.0f} MB, took "
        f"{peak / 1e6:.0f} MB, ratio {planned / peak:.2f}; above the loaded process: planned "
        f"{found['own'] / 1e6:.0f} MB, took {(peak - found['idle']) / 1e6:.0f} MB",
        flush=True,
    )


def write_inputs(folder: Path, *, small: bool) -> None:
    """Write three random models and the tasks' data."""
    config = LlamaConfig(
        vocab_size=1000 if small else 32_000,
        hidden_size=64 if small else 512,
        intermediate_size=128 if small else 1408,
        num_hidden_layers=2 if small else 12,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        eos_token_id=1,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    for seed, name in enumerate(SOURCES):
        if not (folder / name / "config.json").is_file():
            torch.manual_seed(seed)
            LlamaForCausalLM(config).save_pretrained(folder / name)
            tiny_tokenizer().save_pretrained(folder / name)
    text = "the quick brown fox jumps over the lazy dog "
    lines = []
    for number in range(3 * EXAMPLES):
        tag = "".join("abcdefghij"[int(digit)] for digit in str(number))
        prompt = f"{tag} " + text * (4 + number % 4)
        lines.append(
            {
                "text": f"{tag} " + text * 10,
                "question": prompt,
                "prompt": prompt,
                "answer": "dog",
                "choices": ["a fox or a dog", "neither of them", "one of both or none"],
                "gold": number % 3,
            }
        )
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))


def measure(folder: Path, task: str, dtype: str) -> dict[str, Any]:
    """Return what one task was planned to take and what it took, in this process."""
    idle = anonymous_bytes()
    from evomerge.config.load import parse_config
    from evomerge.execution.protocol import BlockRef, Job
    from evomerge.runs.setup.memory import GPU, MAIN
    from evomerge.runs.setup.pilot import choose_recipes
    from evomerge.runs.setup.prepare import prepare

    torch.set_num_threads(1)
    prepared = prepare(parse_config(run_file(folder, task, dtype), where="benchmark"))
    plan = prepared.memory
    assert plan is not None
    where = GPU if GPU in plan.needed else MAIN
    process = sum(r.n_bytes for r in plan.rows if r.what in ("worker process", "CUDA context"))
    with Peak() as peak:
        worker = prepared.worker.build()
        blocks = [BlockRef(task, "search", block) for block in range(1)]
        for recipe in list(choose_recipes(prepared).values())[1:2]:
            outcome = worker.run(Job("0-0", 1, recipe, blocks))
            assert outcome.failure is None, outcome.failure
    planned = plan.needed[where]
    taken = torch.cuda.max_memory_allocated() if where == GPU else peak.n_bytes
    planned -= process if where == GPU else 0  # what torch allocates holds no context
    own = planned - (0 if where == GPU else process)
    idle = 0 if where == GPU else idle
    return {"where": where, "planned": planned, "peak": taken, "own": own, "idle": idle}


def run_file(folder: Path, task: str, dtype: str) -> dict[str, Any]:
    """Return a run file for one task."""
    splits = {"search": EXAMPLES, "validation": EXAMPLES, "test": 8}
    given = {**TASKS[task], "data": str(folder / "data.jsonl"), "splits": splits}
    stage = {
        "method": "ties",
        "inputs": ["left", "right"],
        "weights": {"search": {"low": 0.0, "high": 1.0}},
        "densities": 0.5,
    }
    return {
        "name": "memory",
        "base": "base",
        "sources": {name: {"path": str(folder / name)} for name in SOURCES},
        "recipe": {"parameters": [stage], "dtype": dtype},
        "evaluators": {task: given},
        "objectives": {
            "one": {"from": [task], "direction": "minimize" if task == "perplexity" else "maximize"}
        },
        "search": {"searcher": "random", "budget": 4},
    }


class Peak:
    """The largest anonymous memory of this process while the context is open."""

    def __enter__(self) -> "Peak":
        """Begin to sample."""
        self.n_bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End sampling."""
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.is_set():
            self.n_bytes = max(self.n_bytes, anonymous_bytes())
            time.sleep(0.005)


def anonymous_bytes() -> int:
    """Return the memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this benchmark reads /proc/self/status of Linux")


if __name__ == "__main__":
    main()

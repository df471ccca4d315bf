"""What a candidate of a whole run costs beyond its bare forward passes, on one CPU thread.

A real search at the quickstart's sizes (four Llamas of about 200,000 parameters, 18 genes, three
tasks of 100 examples, SQLite ledger), driven in this process. Forward passes are timed where they
are made; everything else between two candidates counts as overhead: proposing, building and
hashing the recipe, merging, grading, committing.

    python benchmarks/run_overhead.py [--candidates 96] [--profile]
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from candidate_overhead import write_task_files
from tiny_llama import tiny_llama, tiny_tokenizer

from evomerge.config import load_config
from evomerge.evaluation.language_model import LanguageModel
from evomerge.runs.start import new_run

SOURCES = ("base", "reverse", "sort", "successor")


def write_workspace(folder: Path, *, budget: int) -> Path:
    """Write models, tasks and the run file; return the run file."""
    for seed, name in enumerate(SOURCES):
        model = tiny_llama(seed=seed)
        model.generation_config.pad_token_id = 0
        model.save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)
    tasks = write_task_files(folder)
    config = {
        "name": "overhead",
        "base": "base",
        "sources": {name: {"path": str(folder / name)} for name in SOURCES},
        "recipe": {
            "parameters": [
                {
                    "method": "task_arithmetic",
                    "inputs": list(SOURCES[1:]),
                    "weights": {"search": {"low": -0.5, "high": 1.5}, "granularity": "block:1"},
                }
            ]
        },
        "evaluators": {name: {"type": "generation", **task} for name, task in tasks.items()},
        "objectives": {"mean": {"from": list(tasks), "direction": "maximize"}},
        "search": {
            "searcher": "cma_es",
            "budget": budget,
            "finalists": 1,
            "options": {"population": 16, "sigma": 0.2},
        },
        "ledger": f"sqlite:///{folder}/ledger.db",
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class ForwardClock:
    """Adds up the CPU seconds that the model's forward passes take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inner = LanguageModel._forward_cached

    def install(self) -> None:
        """Time every forward pass from now on."""
        clock = self

        def timed(self: LanguageModel, **inputs: Any) -> Any:
            start = time.process_time()
            output = clock._inner(self, **inputs)
            clock.seconds += time.process_time() - start
            return output

        LanguageModel._forward_cached = timed  # type: ignore[method-assign]  # only while measuring


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=96)
    parser.add_argument("--profile", action="store_true", help="Show where the time goes.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = ForwardClock()
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = load_config(write_workspace(folder, budget=arguments.candidates), [])
        os.chdir(folder)
        with new_run(
            config, where="run.yaml", out=folder / "run", reuse=True, plugins=[]
        ) as opened:
            marks: list[tuple[float, float]] = []
            clock.install()
            if arguments.profile:
                profile.enable()
            for event in opened.run.drive():
                if type(event).__name__ == "GenerationDone":
                    marks.append((time.process_time(), clock.seconds))
            profile.disable()
    # The first generation also builds and tokenises the requests, once a worker.
    total = marks[-1][0] - marks[0][0]
    bare = marks[-1][1] - marks[0][1]
    n = arguments.candidates - 16
    print(
        f"candidates={n} candidate_ms={1000 * total / n:.1f} forward_ms={1000 * bare / n:.1f} "
        f"overhead={100 * (total / bare - 1):.1f}%"
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()

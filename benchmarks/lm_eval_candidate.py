"""A candidate through an lm-eval task: in memory with the adapter, or over the disk as usual.

In memory: the recipe is written into the resident model and the task's prepared requests are
scored. Over the disk: the recipe is merged into a folder, lm-eval's HFLM loads it and
``simple_evaluate`` scores the same task. Both run in turns in one process on one CPU thread, on a
Llama of about 200,000 parameters and a multiple-choice task with 4 choices a question, and must
give the same accuracy. The larger the task, the more of both times is the model's own work.

    python benchmarks/lm_eval_candidate.py [--rounds 8] [--questions 25]
"""

import argparse
import json
import logging
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}

import lm_eval
import numpy as np
import torch
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tiny_llama import tiny_llama, tiny_tokenizer

from evomerge.evaluation import EVALUATORS, SPLITS
from evomerge.evaluation.language_model import LanguageModel
from evomerge.merging.engine import Merger
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput

SOURCES = ("a", "b", "c")
WORDS = ("red", "green", "blue", "black", "white", "grey", "pink")


def write_task(folder: Path, n_questions: int) -> None:
    """Write a multiple-choice task with local data."""
    rng = random.Random(0)
    lines = [
        {
            "question": " ".join(rng.choices(WORDS, k=rng.randint(4, 9))),
            "choices": rng.sample(WORDS, 4),
            "gold": rng.randrange(4),
        }
        for _ in range(n_questions)
    ]
    data = folder / "colours.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)))
    task = {
        "task": "colours",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}?",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / "colours.yaml").write_text(yaml.safe_dump(task))


def write_models(folder: Path) -> tuple[dict[str, Checkpoint], dict[str, Source]]:
    """Write the sources and return them opened."""
    for seed, name in enumerate(SOURCES):
        tiny_llama(seed).save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)
    checkpoints = {name: Checkpoint.open(folder / name) for name in SOURCES}
    sources = {
        name: Source(name, str(folder / name), f"{index:064x}")
        for index, name in enumerate(SOURCES)
    }
    return checkpoints, sources


def recipe(sources: dict[str, Source], number: int) -> Recipe:
    """Return the candidate ``number``: a linear merge with weights of its own."""
    weights = tuple(np.random.default_rng(number).dirichlet(np.ones(len(SOURCES))).tolist())
    inputs = tuple(StageInput(name) for name in SOURCES)
    parameters = {"weights": weights, "normalize": True}
    stage = Stage("merged", "linear", inputs, None, parameters)
    return Recipe(tuple(sources.values()), SOURCES[0], (stage,))


class InMemory:
    """Candidates through the resident model and the adapter."""

    def __init__(self, folder: Path, checkpoints: Any, sources: Any) -> None:
        self.sources = sources
        self.model = LanguageModel.load(folder / SOURCES[0])
        self.targets = self.model.parameters(checkpoints[SOURCES[0]])
        self.merger = Merger(checkpoints, sources)
        self.task = EVALUATORS.get("lm_eval").value(
            "colours", seed=0, task="colours", include_path=str(folder)
        )
        self.prepared = {split: self.task.prepare(self.model, split) for split in SPLITS}

    def __call__(self, number: int) -> float:
        """Return the accuracy of candidate ``number`` over all examples."""
        self.merger.merge_into(recipe(self.sources, number), self.targets)
        values: list[float] = []
        for split, prepared in self.prepared.items():
            records = self.task.score(self.model, prepared, range(self.task.n_examples(split)))
            values += [record.metrics["acc"] for record in records]
        return float(self.task.aggregate("acc", np.array(values)[:, None]))


class OverDisk:
    """Candidates merged to a folder and scored by lm-eval itself."""

    def __init__(self, folder: Path, checkpoints: Any, sources: Any) -> None:
        self.folder, self.sources = folder, sources
        self.merger = Merger(checkpoints, sources)
        self.manager = TaskManager(include_path=str(folder), include_defaults=False)

    def __call__(self, number: int) -> float:
        """Return the accuracy of candidate ``number`` over all examples."""
        out = self.folder / "merged"
        shutil.rmtree(out, ignore_errors=True)
        merge_to_disk(recipe(self.sources, number), self.merger, out)
        model = HFLM(pretrained=str(out), device="cpu", batch_size=32)
        result = lm_eval.simple_evaluate(
            model=model,
            tasks=["colours"],
            task_manager=self.manager,
            bootstrap_iters=0,
            log_samples=False,
        )
        return float(result["results"]["colours"]["acc,none"])


def timed(function: Callable[[int], float], number: int) -> tuple[float, float, float]:
    """Return the result of one call, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(number)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--questions", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    times: dict[str, list[tuple[float, float]]] = {"memory": [], "disk": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder, arguments.questions)
        models = write_models(folder)
        ways: dict[str, Callable[[int], float]] = {
            "memory": InMemory(folder, *models),
            "disk": OverDisk(folder, *models),
        }
        for number in range(arguments.rounds + 1):
            found = {}
            for way, score in ways.items():
                found[way], wall, cpu = timed(score, number)
                if number:  # the first round warms up
                    times[way].append((wall, cpu))
            assert found["memory"] == found["disk"], found
    medians = {way: np.median(found, axis=0) for way, found in times.items()}
    ratios = medians["disk"] / medians["memory"]
    pairs = zip(times["disk"], times["memory"], strict=True)
    low, _, high = statistics.quantiles([disk[0] / memory[0] for disk, memory in pairs])
    print(
        f"questions={arguments.questions} memory_s={medians['memory'][0]:.3f} "
        f"disk_s={medians['disk'][0]:.3f} "
        f"ratio={ratios[0]:.1f} quartiles={low:.1f}..{high:.1f} cpu_ratio={ratios[1]:.1f}"
    )


if __name__ == "__main__":
    main()

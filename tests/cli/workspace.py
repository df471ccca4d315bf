"""A working folder with three tiny models, two tasks and a run file."""

import json
import random
from pathlib import Path

from tests.fixtures_models import tiny_model

RUN_FILE = """\
name: toy
base: base
sources:
  base: {path: models/base}
  sort: {path: models/sort}
  reverse: {path: models/reverse}
recipe:
  parameters:
    - method: task_arithmetic
      inputs: [sort, reverse]
      weights: {search: {low: -0.5, high: 1.5}, granularity: "block:1"}
  dtype: float32
evaluators:
  sort:
    type: generation
    data: sort.jsonl
    metric: exact
    max_new_tokens: 4
    splits: {search: 8, validation: 8, test: 8}
  reverse:
    type: generation
    data: reverse.jsonl
    metric: exact
    max_new_tokens: 4
    splits: {search: 8, validation: 8, test: 8}
objectives:
  mean: {from: [sort, reverse], aggregate: mean, direction: maximize}
search: {searcher: random, budget: 8, options: {population: 4}, finalists: 2}
"""


def make_workspace(folder: Path) -> Path:
    """Write models, data and ``run.yaml`` into ``folder``."""
    for seed, name in enumerate(("base", "sort", "reverse")):
        tiny_model("llama", folder / "models" / name, seed=seed)
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(24)]
    for task, answer in (("sort", lambda w: "".join(sorted(w))), ("reverse", lambda w: w[::-1])):
        lines = [
            json.dumps({"prompt": f"{task}: {word}=", "answer": answer(word)}) for word in words
        ]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "run.yaml").write_text(RUN_FILE)
    return folder

"""What a worker does when memory runs out; the lack is raised by the model's own forward."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.devices import numeric_class
from evomerge.execution.protocol import BlockRef, Job, Outcome
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from tests.fixtures_models import tiny_model

NAMES = ("base", "left", "right")
TASKS = ("loss", "choice", "answer", "lm_eval")


@pytest.fixture(scope="module")
def spec(every_task: WorkerSpec) -> WorkerSpec:
    """Without lm-eval, whose tasks take time to load."""
    return only(every_task, "loss", "choice", "answer")


def only(spec: WorkerSpec, *tasks: str) -> WorkerSpec:
    return replace(spec, evaluators=tuple(e for e in spec.evaluators if e.name in tasks))


@pytest.fixture(scope="module")
def every_task(tmp_path_factory: pytest.TempPathFactory) -> WorkerSpec:
    folder = tmp_path_factory.mktemp("memory")
    for seed, name in enumerate(NAMES):
        tiny_model("llama", folder / name, seed=seed)
    sources = tuple(
        Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in NAMES
    )
    return WorkerSpec(
        folders={name: folder / name for name in NAMES},
        sources=sources,
        base="base",
        tokenizer="base",
        dtype="float32",
        evaluators=evaluators(folder),
    )


def evaluators(folder: Path) -> tuple[EvaluatorSpec, ...]:
    records = [
        {
            "text": f"{n}" + "ab" * (1 + n % 4),
            "question": "which one is it, " + "xyz" * (n % 3) + f"{n}?",
            "choices": [" one", " other", " none of it"],
            "gold": n % 3,
            "prompt": f"say {'y' * (n % 5)}{n}",
            "answer": str(n),
        }
        for n in range(30)
    ]
    data = folder / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, records)))
    (folder / "own_task.yaml").write_text(
        f"task: own_task\ndataset_path: json\ndataset_kwargs: {{data_files: {data}}}\n"
        "test_split: train\noutput_type: multiple_choice\ndoc_to_text: question\n"
        'doc_to_target: gold\ndoc_to_choice: "{{choices}}"\n'
        "metric_list: [{metric: acc}]\n"
    )
    own = {"task": str(folder / "own_task.yaml")}
    given = {
        "loss": ("perplexity", {"data": str(data)}),
        "choice": ("multiple_choice", {"data": str(data)}),
        "answer": ("generation", {"data": str(data), "max_new_tokens": 4}),
        "lm_eval": ("lm_eval", own),
    }
    sizes = {
        "block_size": 8,
        "batch_size": 8,
        "splits": {"search": 12, "validation": 5, "test": 5},
    }
    return tuple(
        EvaluatorSpec(name, kind, 0, {**options, **sizes})
        for name, (kind, options) in given.items()
    )


def with_batch_size(spec: WorkerSpec, batch_size: int) -> Worker:
    changed = tuple(
        replace(item, options={**item.options, "batch_size": batch_size})
        for item in spec.evaluators
    )
    return replace(spec, evaluators=changed).build()


def job(spec: WorkerSpec, *tasks: str, weight: float = 0.3) -> Job:
    stage = Stage(
        "stage1",
        "ties",
        (StageInput("left"), StageInput("right")),
        "base",
        {
            "weights": (weight, 1 - weight),
            "densities": (0.5, 0.5),
            "scale": 1.0,
            "normalize": True,
            "zero_sign": "plus",
            "elect": "sum",
        },
    )
    recipe = Recipe(spec.sources, "base", (stage,), dtype="float32", tokenizer="base")
    return Job("0-0", 1, recipe, [BlockRef(task, "search", b) for task in tasks for b in (0, 1)])


def out_of_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")


def fail_above(
    worker: Worker, rows: int, error: Callable[[], Exception] = out_of_memory
) -> list[int]:
    """Let the model's forward fail on more than ``rows`` rows; returns the sizes that failed."""
    forward = worker.model.model.forward
    failed: list[int] = []

    def limited(input_ids: Any = None, **inputs: Any) -> Any:
        if len(input_ids) > rows:
            failed.append(len(input_ids))
            raise error()
        return forward(input_ids=input_ids, **inputs)

    worker.model.model.forward = limited
    return failed


def values(outcome: Outcome) -> list[bytes]:
    assert outcome.failure is None, outcome.failure
    return [column.tobytes() for block in outcome.scores for column in block.values.values()]


@pytest.mark.parametrize("task", TASKS)
def test_a_halved_batch_scores_as_a_run_with_that_batch_size(
    every_task: WorkerSpec, task: str
) -> None:
    spec = only(every_task, task)
    worker = spec.build()
    failed = fail_above(worker, 3)
    outcome = worker.run(job(spec, task))
    assert failed == [8, 4]
    assert values(outcome) == values(with_batch_size(spec, 2).run(job(spec, task)))
    assert outcome.notes == {"batch": f"{task}: halved to 2"}
    assert outcome.numeric_class == f"{numeric_class('cpu', 1)} batch≤2:{task}"


def test_the_halved_batch_stays_and_is_noted_once(spec: WorkerSpec) -> None:
    worker = spec.build()
    before = worker.run(job(spec, "loss"))
    failed = fail_above(worker, 4)
    first = worker.run(job(spec, "loss", "choice"))
    second = worker.run(job(spec, "loss", "choice", weight=0.6))
    assert failed == [8, 8], "one failure a task, none later"
    assert first.notes == {"batch": "choice: halved to 4"}
    assert second.notes == {}
    assert first.numeric_class == second.numeric_class
    assert first.numeric_class == f"{before.numeric_class} batch≤4:choice batch≤4:loss"
    smaller = with_batch_size(spec, 4).run(job(spec, "loss", "choice", weight=0.6))
    assert values(second) == values(smaller)


def test_tasks_that_fit_keep_their_batches(spec: WorkerSpec) -> None:
    untouched = spec.build().run(job(spec, "loss"))
    worker = spec.build()
    worker._scores.limits = {"choice": 2}
    outcome = worker.run(job(spec, "loss", "choice"))
    assert values(outcome)[: len(values(untouched))] == values(untouched)


def test_what_was_scored_before_the_lack_is_not_scored_again(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = spec.build()
    asked: list[str] = []
    for name in ("loss", "answer"):
        genuine = worker.evaluators[name].score

        def score(
            model: Any, requests: Any, indices: Any, name: Any = name, f: Any = genuine
        ) -> Any:
            asked.append(name)
            return f(model, requests, indices)

        monkeypatch.setattr(worker.evaluators[name], "score", score)
    steps: list[str] = []
    worker.on_step = steps.append
    fail_above(worker, 8)
    worker.run(job(spec, "loss", "answer"))
    asked.clear()
    steps.clear()
    forward = worker.model._forward_cached
    failures = iter([True])

    def once(**inputs: Any) -> Any:
        if next(failures, False):
            raise out_of_memory()
        return forward(**inputs)

    monkeypatch.setattr(worker.model, "_forward_cached", once)
    worker.run(job(spec, "loss", "answer", weight=0.5))
    assert asked == ["loss", "answer", "answer"]
    assert steps == [
        "merging",
        "scoring task 'loss'",
        "scoring task 'answer'",
        "scoring task 'answer'",
    ]


@pytest.mark.parametrize(
    "error",
    [
        out_of_memory,
        MemoryError,
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_is_given_up_step_by_step_and_then_the_candidate_fails(
    spec: WorkerSpec, error: Callable[[], Exception]
) -> None:
    worker = spec.build()
    failed = fail_above(worker, 0, error)
    outcome = worker.run(job(spec, "loss"))
    assert failed == [8, 4, 2, 1, 1]
    assert outcome.failure is not None
    assert outcome.failure.kind == "memory"
    assert outcome.scores == []
    assert outcome.notes == {"batch": "loss: halved to 1", "sources": "spilled"}


def test_a_merge_without_memory_is_tried_again_after_spilling(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = spec.build().run(job(spec, "loss"))
    worker = spec.build()
    genuine = worker.merger._write
    writes: list[Any] = []

    def write(node: Any, target: Any) -> None:
        writes.append(node)
        if len(writes) == 5:
            raise MemoryError
        genuine(node, target)

    monkeypatch.setattr(worker.merger, "_write", write)
    outcome = worker.run(job(spec, "loss"))
    assert values(outcome) == values(expected)
    assert outcome.notes == {"sources": "spilled"}
    assert outcome.numeric_class == expected.numeric_class, "a spill changes no bits"

    monkeypatch.setattr(worker.merger, "_write", lambda node, target: out_of_memory_at_once())
    again = worker.run(job(spec, "loss", weight=0.7))
    assert again.failure is not None
    assert again.failure.message.startswith("memory ran out while merging.")


def out_of_memory_at_once() -> None:
    raise out_of_memory()


def test_other_errors_are_not_tried_again(spec: WorkerSpec) -> None:
    worker = spec.build()
    failed = fail_above(worker, 0, lambda: RuntimeError("shapes differ"))
    outcome = worker.run(job(spec, "loss"))
    assert failed == [8]
    assert outcome.failure is not None
    assert outcome.failure.kind == "exception"
    assert outcome.notes == {}


def test_many_limits_still_fit_the_ledgers_column(spec: WorkerSpec) -> None:
    worker = spec.build()
    worker._scores.limits = {f"a_rather_long_name_of_a_task_{n}": 4 for n in range(20)}
    one = worker.run(job(spec, "loss")).numeric_class
    worker._scores.limits["a_rather_long_name_of_a_task_7"] = 2
    other = worker.run(job(spec, "loss")).numeric_class
    assert one != other
    assert max(len(one), len(other)) < 255


def test_tokenising_is_counted_apart_and_once(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = spec.build()
    evaluator = worker.evaluators["loss"]
    genuine = evaluator.prepare

    def slow(model: Any, split: str) -> Any:
        time.sleep(0.2)
        return genuine(model, split)

    monkeypatch.setattr(evaluator, "prepare", slow)
    first = worker.run(job(spec, "loss"))
    second = worker.run(job(spec, "loss", weight=0.5))
    assert first.tokenise_s >= 0.2
    assert second.tokenise_s == 0
    assert first.score_s < first.tokenise_s + 0.1
    assert first.merge_s > 0


def spilled_and_not(spec: WorkerSpec, device: str) -> list[list[Any]]:
    """Merge two recipes on ``device``, the second after a spill, and once more without."""
    found = []
    for spill in (False, True):
        worker = replace(spec, device=device).build()
        recipes: Sequence[Job] = [job(spec, "loss"), job(spec, "loss", weight=0.8)]
        worker.run(recipes[0])
        if spill:
            worker.merger.spill()
        worker.run(recipes[1])
        found.append([t.cpu().numpy().copy() for t in worker.residents.targets.values()])
    return found


def test_spilled_sources_give_equal_weights(spec: WorkerSpec) -> None:
    for one, other in zip(*spilled_and_not(spec, "cpu"), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.gpu
def test_spilled_sources_give_equal_weights_on_a_gpu(spec: WorkerSpec) -> None:
    for one, other in zip(*spilled_and_not(spec, "cuda"), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.gpu
def test_a_gpu_scores_as_the_cpu_does_and_repeats_itself(spec: WorkerSpec) -> None:
    outcomes = [
        replace(spec, device=device).build().run(job(spec, "loss", "choice"))
        for device in ("cpu", "cuda", "cuda")
    ]
    assert values(outcomes[1]) == values(outcomes[2])
    for one, other in zip(outcomes[0].scores, outcomes[1].scores, strict=True):
        for metric in ("bits_per_byte", "gold_prob"):
            if metric in one.values:
                np.testing.assert_allclose(one.values[metric], other.values[metric], rtol=1e-3)

import json
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.errors import MergeError, NotFiniteError
from evomerge.evaluation.answering import answer
from evomerge.evaluation.conversation import Message, Prompt
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.protocol import ExampleRecord, Metric
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.failures import failure_of
from evomerge.execution.protocol import BlockRef, Job
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from tests.fixtures_models import tiny_model

NAMES = ("base", "left", "right")
BLOCKS = (BlockRef("copy", "search", 0), BlockRef("copy", "search", 2))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> WorkerSpec:
    folder = tmp_path_factory.mktemp("worker")
    for seed, name in enumerate(NAMES):
        tiny_model("llama", folder / name, seed=seed)
    texts = [json.dumps({"text": "ab" * (1 + n % 4) + str(n)}) for n in range(30)]
    (folder / "copy.jsonl").write_text("\n".join(texts))
    sources = tuple(
        Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in NAMES
    )
    options = {
        "data": str(folder / "copy.jsonl"),
        "block_size": 4,
        "splits": {"search": 10, "validation": 5, "test": 5},
    }
    return WorkerSpec(
        folders={name: folder / name for name in NAMES},
        sources=sources,
        base="base",
        tokenizer="base",
        dtype="float32",
        evaluators=(EvaluatorSpec("copy", "perplexity", 0, options),),
    )


@pytest.fixture
def worker(spec: WorkerSpec) -> Worker:
    return spec.build()


def recipe(spec: WorkerSpec, weights: Sequence[float], *inputs: str) -> Recipe:
    names = inputs or ("left", "right")
    stage = Stage(
        "stage1",
        "linear",
        tuple(StageInput(name) for name in names),
        None,
        {"weights": tuple(weights), "normalize": True},
    )
    return Recipe(spec.sources, "base", (stage,), dtype="float32", tokenizer="base")


def job(recipe: Recipe, blocks: Sequence[BlockRef] = BLOCKS, *, answers: bool = False) -> Job:
    return Job("0-0", 1, recipe, blocks, keep_answers=answers)


def test_blocks_hold_what_the_model_on_disk_scores(spec: WorkerSpec, worker: Worker) -> None:
    outcome = worker.run(job(recipe(spec, [1.0], "right")))
    assert outcome.failure is None
    assert [scores.ref for scores in outcome.scores] == list(BLOCKS)
    assert [len(scores.values["bits_per_byte"]) for scores in outcome.scores] == [4, 2]
    model = LanguageModel.load(spec.folders["right"])
    evaluator = worker.evaluators["copy"]
    direct = evaluator.score(model, evaluator.prepare(model, "search"), [0, 1, 2, 3, 8, 9])
    expected = np.array([record.metrics["bits_per_byte"] for record in direct])
    found = np.concatenate([scores.values["bits_per_byte"] for scores in outcome.scores])
    assert found.tobytes() == expected.tobytes()


def test_scores_do_not_depend_on_what_was_merged_before(spec: WorkerSpec, worker: Worker) -> None:
    recipes = [recipe(spec, weights) for weights in ([0.2, 0.8], [0.9, 0.1], [0.2, 0.8])]
    outcomes = [worker.run(job(item)) for item in recipes]
    fresh = spec.build().run(job(recipes[0]))
    values = [outcome.scores[0].values["bits_per_byte"].tobytes() for outcome in outcomes]
    assert values[0] == values[2] == fresh.scores[0].values["bits_per_byte"].tobytes()
    assert values[0] != values[1]


def test_requests_are_built_once_a_split(
    spec: WorkerSpec, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = worker.evaluators["copy"]
    calls: list[str] = []
    genuine = evaluator.prepare

    def prepare(model: LanguageModel, split: str) -> Any:
        calls.append(split)
        return genuine(model, split)

    monkeypatch.setattr(evaluator, "prepare", prepare)
    for split in ("search", "validation", "search"):
        worker.run(job(recipe(spec, [1.0, 1.0]), [BlockRef("copy", split, 0)]))
    assert calls == ["search", "validation"]


def test_a_merge_that_fails_is_a_failure_and_the_next_candidate_is_sound(
    spec: WorkerSpec, worker: Worker
) -> None:
    good = worker.run(job(recipe(spec, [0.5, 0.5])))
    failed = worker.run(job(recipe(spec, [1.0, -1.0])))
    assert failed.failure is not None
    assert failed.failure.kind == "exception"
    assert "whose sum is 0" in failed.failure.message
    assert "Traceback" in failed.failure.detail
    assert failed.scores == []
    again = worker.run(job(recipe(spec, [0.5, 0.5])))
    for one, other in zip(good.scores, again.scores, strict=True):
        assert one.values["bits_per_byte"].tobytes() == other.values["bits_per_byte"].tobytes()


class Raising:
    """An evaluator that raises what it is told to."""

    block_size = 4
    primary = "score"
    metrics = (Metric("score"),)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def n_examples(self, split: str) -> int:
        return 4

    def prepare(self, model: Any, split: str) -> Any:
        return None

    def score(self, model: Any, requests: Any, indices: Sequence[int]) -> list[ExampleRecord]:
        if self.error:
            raise self.error
        return [ExampleRecord({"score": 1.0}, answer=f"answer {index}") for index in indices]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no\nluck"), "exception", "scoring task 'copy': ValueError: no luck"),
        (NotFiniteError("logits are NaN"), "nan", "scoring task 'copy': logits are NaN"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate "
            ),
            "memory",
            "memory ran out while scoring task 'copy'",
        ),
        (MemoryError(), "memory", "memory ran out while scoring task 'copy'"),
        (RuntimeError("shapes differ"), "exception", "RuntimeError: shapes differ"),
        (SystemError("odd"), "exception", "SystemError: odd"),
    ],
)
def test_every_error_of_an_evaluator_becomes_a_failure(
    spec: WorkerSpec, worker: Worker, error: Exception, kind: str, message: str
) -> None:
    worker.evaluators = {"copy": Raising(error)}  # type: ignore[dict-item]  # not a whole evaluator
    failure = worker.run(job(recipe(spec, [1.0, 1.0]), BLOCKS[:1])).failure
    assert failure is not None
    assert failure.kind == kind
    assert message in failure.message
    assert "\n" not in failure.message


def test_ctrl_c_is_not_swallowed(spec: WorkerSpec, worker: Worker) -> None:
    worker.evaluators = {"copy": Raising(KeyboardInterrupt())}  # type: ignore[dict-item]  # as above
    with pytest.raises(KeyboardInterrupt):
        worker.run(job(recipe(spec, [1.0, 1.0]), BLOCKS[:1]))


def test_answers_are_kept_when_asked_for(spec: WorkerSpec, worker: Worker) -> None:
    worker.evaluators = {"copy": Raising(None)}  # type: ignore[dict-item]  # as above
    blocks = [BlockRef("copy", "search", 0)]
    plain = worker.run(job(recipe(spec, [1.0, 1.0]), blocks))
    kept = worker.run(job(recipe(spec, [1.0, 1.0]), blocks, answers=True))
    assert plain.scores[0].answers is None
    assert kept.scores[0].answers == [f"answer {index}" for index in range(4)]


HELLO = Prompt((Message("user", "hello"),), max_new_tokens=6)


def asking(recipe: Recipe) -> Job:
    return Job("0-0", 1, recipe, (), prompt=HELLO)


def test_a_prompt_is_answered_by_the_merged_model(spec: WorkerSpec, worker: Worker) -> None:
    outcome = worker.run(asking(recipe(spec, [1.0], "right")))
    assert (outcome.failure, outcome.scores) == (None, ())
    assert outcome.reply == answer(LanguageModel.load(spec.folders["right"]), HELLO)
    other = worker.run(asking(recipe(spec, [1.0], "left")))
    assert other.reply != outcome.reply


def test_answers_leave_scores_as_they_are(spec: WorkerSpec, worker: Worker) -> None:
    before = worker.run(job(recipe(spec, [0.3, 0.6])))
    state = torch.random.get_rng_state()
    worker.run(asking(recipe(spec, [1.0], "right")))
    after = worker.run(job(recipe(spec, [0.3, 0.6])))
    for one, two in zip(before.scores, after.scores, strict=True):
        assert one.values["bits_per_byte"].tobytes() == two.values["bits_per_byte"].tobytes()
    assert before.numeric_class == after.numeric_class
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_prompt_that_needs_too_much_memory_fails_alone(
    spec: WorkerSpec, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = worker.run(job(recipe(spec, [0.3, 0.6])))

    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(worker.model, "generate", too_much)
        failure = worker.run(asking(recipe(spec, [1.0], "left"))).failure
    assert failure is not None
    assert failure.kind == "memory"
    assert failure.message.startswith("memory ran out while answering. Ask for fewer tokens")
    after = worker.run(job(recipe(spec, [0.3, 0.6])))
    assert after.numeric_class == before.numeric_class
    assert after.scores[0].values["bits_per_byte"].tolist() == (
        before.scores[0].values["bits_per_byte"].tolist()
    )


def test_memory_failures_of_different_sizes_are_one_failure() -> None:
    sizes = [f"CUDA out of memory. Tried to allocate {n} MiB" for n in (20, 30)]
    messages = {failure_of(torch.OutOfMemoryError(text), "merging").message for text in sizes}
    assert len(messages) == 1


def test_an_own_error_is_told_as_it_is() -> None:
    failure = failure_of(MergeError("source 'a' lacks b.\nChoose another."), "merging")
    assert failure.message == "source 'a' lacks b. Choose another."


def test_a_spec_travels_to_another_process(spec: WorkerSpec) -> None:
    assert pickle.loads(pickle.dumps(spec)) == spec

"""Workers that score routes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.protocol import BlockRef, Job, Outcome
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.merging.engine import Merger
from evomerge.merging.routing import Router
from evomerge.merging.stream import merge_to_disk
from evomerge.models.lock import lock_folder
from evomerge.models.resident import load_resident
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Stage, StageInput, Step
from tests.fixtures_models import tiny_model

DEPTHS = {"base": 3, "other": 3, "deep": 5}
BLOCKS = (BlockRef("copy", "search", 0), BlockRef("copy", "search", 1))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> WorkerSpec:
    folder = tmp_path_factory.mktemp("residents")
    for seed, (name, layers) in enumerate(DEPTHS.items()):
        tiny_model("llama", folder / name, seed=seed, layers=layers, tie=False)
    texts = [json.dumps({"text": "ab" * (1 + n % 4) + str(n)}) for n in range(24)]
    (folder / "copy.jsonl").write_text("\n".join(texts))
    options = {
        "data": str(folder / "copy.jsonl"),
        "block_size": 4,
        "splits": {"search": 8, "validation": 4, "test": 4},
    }
    records = [
        {
            "question": "which one of them is it, " + "xyz" * (n % 3) + f"{n}?",
            "choices": [" one", " other", " none of it"],
            "gold": n % 3,
            "prompt": f"say {'y' * (n % 5)}{n}",
            "answer": str(n),
        }
        for n in range(24)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, records)))
    asked = {**options, "data": str(folder / "data.jsonl")}
    return WorkerSpec(
        folders={name: folder / name for name in DEPTHS},
        sources=tuple(
            Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in DEPTHS
        ),
        base="base",
        tokenizer="base",
        dtype="float32",
        evaluators=(
            EvaluatorSpec("copy", "perplexity", 0, options),
            EvaluatorSpec("choice", "multiple_choice", 0, asked),
            EvaluatorSpec("answer", "generation", 0, {**asked, "max_new_tokens": 4}),
            EvaluatorSpec("speed", "latency", 0, {"new_tokens": 2, "repeats": 3}),
        ),
    )


@pytest.fixture
def worker(spec: WorkerSpec) -> Worker:
    return replace(spec, prefix_bytes=0).build()


def stage(name: str, weights: Sequence[float], *inputs: str) -> Stage:
    return Stage(
        name,
        "linear",
        tuple(StageInput(one) for one in inputs),
        None,
        {"weights": tuple(weights), "normalize": True},
    )


def route(spec: WorkerSpec, steps: Sequence[Step], *stages: Stage, ends: str = "base") -> Recipe:
    flow = Dataflow(tuple(steps), ends, ends, ends)
    return Recipe(spec.sources, "base", stages, "float32", "base", flow)


def merged(spec: WorkerSpec, *weights: float) -> Recipe:
    return Recipe(spec.sources, "base", (stage("m", weights, "base", "other"),), "float32", "base")


def run(worker: Worker, recipe: Recipe) -> Outcome:
    return worker.run(Job("0-0", 1, recipe, BLOCKS))


def bits(outcome: Outcome) -> list[bytes]:
    assert outcome.failure is None, outcome.failure
    return [block.values["bits_per_byte"].tobytes() for block in outcome.scores]


def disk_bits(spec: WorkerSpec, recipe: Recipe, out: Path) -> list[bytes]:
    """Bits of the blocks as the folder scores that ``evomerge merge`` writes."""
    checkpoints = spec.build().merger.checkpoints
    merger = Merger(checkpoints, {source.name: source for source in spec.sources})
    merge_to_disk(recipe, merger, out)
    return model_bits(spec, LanguageModel.load(out))


def model_bits(
    spec: WorkerSpec, model: LanguageModel, split: str = "search", starts: Sequence[int] = (0, 4)
) -> list[bytes]:
    evaluator = spec.evaluators[0].build()
    requests = evaluator.prepare(model, split)
    found = []
    for start in starts:
        records = evaluator.score(model, requests, range(start, start + 4))
        rows = [record.metrics["bits_per_byte"] for record in records]
        found.append(np.array(rows, dtype=np.float64).tobytes())
    return found


SCALED = (Step("base", 0), Step("deep", 4, scale=0.7), Step("deep", 4, qk=2.0), Step("base", 2))


def test_a_route_scores_as_the_router_builds_it(spec: WorkerSpec, worker: Worker) -> None:
    loaded = {
        name: load_resident(spec.folders[name], dtype="float32", device="cpu") for name in DEPTHS
    }
    recipe = route(spec, SCALED)
    assert recipe.dataflow is not None
    model = LanguageModel.load(spec.folders["base"])
    model.model = Router(loaded, "base").build(recipe.dataflow)
    assert bits(run(worker, recipe)) == model_bits(spec, model)


@pytest.mark.parametrize(
    "steps",
    [
        (Step("base", 0), Step("deep", 3), Step("deep", 3), Step("other", 1)),
        (Step("m", 2), Step("other", 0), Step("m", 2)),
    ],
)
def test_a_route_without_numbers_scores_as_its_folder_does(
    spec: WorkerSpec, worker: Worker, tmp_path: Path, steps: tuple[Step, ...]
) -> None:
    recipe = route(spec, steps, stage("m", [0.3, 0.7], "base", "other"))
    assert bits(run(worker, recipe)) == disk_bits(spec, recipe, tmp_path / "out")


def test_what_decides_is_scored_in_the_form_that_is_exported(
    spec: WorkerSpec, worker: Worker, tmp_path: Path
) -> None:
    recipe = route(spec, SCALED)
    merge_to_disk(recipe, worker.merger, tmp_path / "out")
    model = LanguageModel.load(tmp_path / "out")
    outcome = worker.run(Job("0-0", 1, recipe, [BlockRef("copy", "validation", 0)]))
    assert bits(outcome) == model_bits(spec, model, "validation", (0,))
    searched = bits(run(worker, recipe))
    exported = model_bits(spec, model)
    assert searched != exported
    numbers = [np.frombuffer(b"".join(one)) for one in (searched, exported)]
    np.testing.assert_allclose(*numbers, rtol=1e-4)
    assert worker.model.model is worker.residents.scratch


def test_scores_do_not_depend_on_what_came_before(spec: WorkerSpec, worker: Worker) -> None:
    stages = (stage("m", [0.3, 0.7], "base", "other"), stage("n", [0.5, 0.5], "m", "other"))
    again = (stage("m", [0.9, 0.1], "base", "other"), stages[1])
    steps = (Step("m", 0), Step("n", 1), Step("deep", 2), Step("base", 2))
    recipes = [
        route(spec, SCALED),
        route(spec, steps, *stages),
        merged(spec, 0.2, 0.8),
        route(spec, steps, *again, ends="n"),
        route(spec, steps[1:], *stages),
    ]
    fresh = [bits(run(spec.build(), recipe)) for recipe in recipes]
    assert len({one[0] for one in fresh}) == len(recipes)
    for index in (0, 1, 2, 3, 1, 4, 0, 2, 0):
        assert bits(run(worker, recipes[index])) == fresh[index]


def test_stages_are_rewritten_only_where_their_coefficients_changed(
    spec: WorkerSpec, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    genuine = worker.merger.merge_into

    def merge_into(recipe: Recipe, targets: dict[str, torch.Tensor]) -> int:
        written.append(genuine(recipe, targets))
        return written[-1]

    monkeypatch.setattr(worker.merger, "merge_into", merge_into)
    first = stage("m", [0.3, 0.7], "base", "other")
    deep = (first, stage("n", [0.5, 0.5], "deep", "deep"))
    n_base, n_deep = (len(worker.merger.checkpoints[name].tensors) for name in ("base", "deep"))
    steps = (Step("m", 0), Step("n", 1), Step("m", 2))
    run(worker, route(spec, steps, *deep, ends="m"))
    assert written == [n_base, n_deep]
    run(worker, route(spec, steps[::-1], *deep, ends="n"))
    assert sorted(written[2:]) == [0, 0]
    changed = (stage("m", [0.4, 0.6], "base", "other"), deep[1])
    run(worker, route(spec, steps, *changed, ends="m"))
    assert written[4:] == [n_base, 0]


def test_activations_that_explode_are_a_recorded_failure(spec: WorkerSpec, worker: Worker) -> None:
    wild = route(spec, (Step("base", 0, scale=1e30), Step("deep", 1, scale=1e30), Step("base", 1)))
    failure = run(worker, wild).failure
    assert failure is not None
    assert (failure.kind, failure.message) == (
        "nan",
        "scoring task 'copy': the model gave log-likelihoods that are not finite "
        "(NaN or infinity).",
    )
    assert bits(run(worker, merged(spec, 0.2, 0.8))) == bits(
        run(spec.build(), merged(spec, 0.2, 0.8))
    )


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "the route has no steps"),
        ((Step("deep", 5),), "takes layer 5 of 'deep', which has layers 0 to 4"),
        ((Step("nobody", 0),), "takes 'nobody', which is no resident"),
    ],
)
def test_a_route_that_cannot_be_fails_alone(
    spec: WorkerSpec, worker: Worker, steps: tuple[Step, ...], message: str
) -> None:
    failure = run(worker, route(spec, steps)).failure
    assert failure is not None
    assert (failure.kind, message in failure.message) == ("exception", True)
    assert run(worker, route(spec, SCALED)).failure is None
    assert worker.model.model is worker.residents.scratch


def test_a_worker_on_several_gpus_says_that_it_takes_no_routes(
    spec: WorkerSpec, worker: Worker
) -> None:
    worker.residents = replace(worker.residents, device=None)
    failure = run(worker, route(spec, SCALED)).failure
    assert failure is not None
    assert "laid over several GPUs" in failure.message


TASKS = tuple(BlockRef(task, "search", 0) for task in ("copy", "choice", "answer"))


def everything(worker: Worker, recipe: Recipe) -> list[object]:
    outcome = worker.run(Job("0-0", 1, recipe, TASKS, keep_answers=True))
    assert outcome.failure is None, outcome.failure
    return [
        (block.answers, {name: values.tobytes() for name, values in block.values.items()})
        for block in outcome.scores
    ]


def siblings(spec: WorkerSpec) -> list[Recipe]:
    """Recipes with common prefixes; a stage's coefficients are part of them."""
    weights = ([0.3, 0.7], [0.4, 0.6], [0.3, 0.7])
    stages = [stage("m", one, "base", "other") for one in weights]
    steps = (Step("m", 0), Step("deep", 4, scale=0.7), Step("m", 2))
    shorter, longer = steps[:2], (*steps, Step("deep", 1))
    return [
        *(route(spec, steps, one) for one in stages),
        route(spec, shorter, stages[0]),
        merged(spec, 0.2, 0.8),
        route(spec, longer, stages[0]),
        route(spec, longer, stages[0], ends="m"),
    ]


@pytest.mark.parametrize("budget", [10**8, 20_000])
def test_prefixes_change_no_bit_of_any_task(spec: WorkerSpec, worker: Worker, budget: int) -> None:
    sharing = replace(spec, prefix_bytes=budget).build()
    for recipe in siblings(spec):
        assert everything(sharing, recipe) == everything(worker, recipe)
    assert sharing.prefixes is not None
    assert 0 < sharing.prefixes.bytes <= budget
    assert sharing.prefixes.steps_saved > 0


def test_latency_is_that_of_a_model_which_shares_nothing(spec: WorkerSpec) -> None:
    sharing = replace(spec, prefix_bytes=10**8).build()
    block = BlockRef("speed", "search", 0)
    for recipe in siblings(spec)[:2]:
        outcome = sharing.run(Job("0-0", 1, recipe, [block]))
        assert outcome.failure is None
        assert outcome.scores[0].values["seconds_per_token"].shape == (3, 1)
    assert sharing.prefixes is not None
    assert (sharing.prefixes.steps_run, sharing.prefixes.bytes) == (0, 0)


def test_prefixes_go_first_when_memory_runs_out(
    spec: WorkerSpec, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing = replace(spec, prefix_bytes=10**8).build()
    recipe = siblings(spec)[0]
    expected = everything(sharing, recipe)
    assert sharing.prefixes is not None
    held = sharing.prefixes.bytes
    genuine, failed = sharing.prefixes.reading, []

    def reading(*args: object, **options: bool) -> object:
        if not failed:
            failed.append(True)
            raise MemoryError
        return genuine(*args, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(sharing.prefixes, "reading", reading)
    outcome = sharing.run(Job("0-0", 1, recipe, TASKS))
    assert outcome.failure is None
    assert outcome.notes == {"prefixes": f"given up; at most {held // 2} bytes from now on"}
    assert outcome.numeric_class == sharing.numeric_class, "no batch was halved"
    assert sharing.prefixes.bytes == 0
    assert everything(sharing, recipe) == expected
    assert 0 < sharing.prefixes.bytes <= held // 2

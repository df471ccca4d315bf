"""The plan of memory: its arithmetic, and what it says would fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.evaluation.sketch import Pass, Sketch, SketchModel
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.models.checkpoint import Checkpoint
from evomerge.runs.setup import memory_check
from evomerge.runs.setup.memory import CUDA_BYTES, GPU, MAIN, PROCESS_BYTES, Demand, plan_memory
from evomerge.runs.setup.memory_shape import MergeShape, ModelShape
from evomerge.runs.setup.prepare import Prepared, prepare
from tests.fixtures_models import FAMILIES, tiny_model

MODEL = ModelShape(
    parameters=10**9,
    item=4,
    layers=10,
    width=1000,
    inner=4000,
    query=1000,
    cached=500,
    vocabulary=30_000,
    largest=30 * 10**6,
)
ANSWER = Pass(rows=32, tokens=32 * 1000, cached=32 * 2000, logits=32)
LOSS = Pass(rows=8, tokens=8 * 1000, logits=8 * 1000, scored=8 * 1000)


def demand(**changes: Any) -> Demand:
    given = Demand(
        model=MODEL,
        merge=MergeShape(sources=3, whole=False, counted=False, double=False),
        sketches={"answer": Sketch((ANSWER,), 1000), "loss": Sketch((LOSS,), 1000)},
        batch_sizes={"answer": 32, "loss": 8},
        n_tensors=100,
        source_bytes=12 * 10**9,
        workers=4,
        threads=1,
    )
    return replace(given, **changes)


def test_a_pass_is_reckoned_by_hand() -> None:
    # Keys and values of ten layers, and of one that is being made longer.
    assert MODEL.cache_bytes(ANSWER) == 2 * 11 * 500 * 64_000 * 4
    # 8,000 positions: logits, the scored ones again, and their log-softmax, in float32.
    logits = 8000 * 30_000 * (4 + 4 + 4)
    assert MODEL.pass_bytes(LOSS) == 8000 * 1000 * 4 + logits
    # Residual, norm, gate, up and product of each position.
    assert MODEL.pass_bytes(ANSWER) == 32_000 * (2 * 1000 + 3 * 4000) * 4
    both = (MODEL.pass_bytes(ANSWER), MODEL.cache_bytes(ANSWER))
    assert MODEL.largest_pass((ANSWER, LOSS)) == both
    assert MODEL.largest_pass((LOSS,), limit=4) == ((8000 * 1000 * 4 + logits) // 2, 0)


def test_half_precision_halves_all_but_the_log_softmax() -> None:
    half = replace(MODEL, item=2)
    assert half.n_bytes == MODEL.n_bytes // 2
    assert half.cache_bytes(ANSWER) == MODEL.cache_bytes(ANSWER) // 2
    assert half.pass_bytes(LOSS) == 8000 * 1000 * 2 + 8000 * 30_000 * (2 + 2 + 4 + 4)


def test_a_node_needs_each_worker_and_the_driver_but_not_the_mapped_sources() -> None:
    one, four = demand(workers=1).needed()[MAIN], demand().needed()[MAIN]
    assert four - one == 3 * (one - PROCESS_BYTES)
    alone = demand(workers=1, alone=True).needed()[MAIN]
    assert one - alone == PROCESS_BYTES
    plan = plan_memory(demand(), {MAIN: four})
    assert plan.problem is None
    assert [row.n_bytes for row in plan.rows if not row.needed] == [12 * 10**9]


def test_gpus_are_shared_by_workers() -> None:
    shared, own = demand(gpus=2).needed(), demand(gpus=4).needed()
    assert demand(gpus=2).per_gpu == 2
    assert shared[GPU] == 2 * own[GPU]
    assert own[GPU] > MODEL.n_bytes + CUDA_BYTES
    # The model passes through main memory while it is loaded.
    assert shared[MAIN] > 4 * MODEL.n_bytes


@pytest.mark.parametrize(
    ("free", "changes", "key", "words"),
    [
        (32e9, {}, "execution.workers", "At most 3 fit."),
        (10e9, {}, "execution.workers", "At most 1 fit."),
        (7e9, {"workers": 1}, "evaluators.answer.batch_size", "With batch_size 4 one does."),
        (5.6e9, {"workers": 1}, "evaluators.answer.batch_size", "So do it for loss."),
        (4.8e9, {"workers": 4}, "recipe.dtype", "Not even one fits. With bfloat16"),
        (2e9, {"workers": 1}, "sources", "Neither a batch of 1 nor bfloat16"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(
    free: float, changes: dict[str, Any], key: str, words: str
) -> None:
    asked = demand(**changes)
    plan = plan_memory(asked, {MAIN: int(free)})
    assert plan.problem is not None
    assert plan.problem.key == key
    assert words in plan.problem.message
    assert "GB of main memory, and" in plan.problem.message


def test_what_is_said_to_fit_does_fit_and_more_does_not() -> None:
    for free in range(8, 40, 4):
        plan = plan_memory(demand(), {MAIN: free * 10**9})
        if plan.problem is not None and plan.problem.key == "execution.workers":
            most = int(plan.problem.message.split("At most ")[1].split()[0])
            assert demand(workers=most).fits(plan.free)
            assert not demand(workers=most + 1).fits(plan.free)


def test_workers_elsewhere_are_not_compared() -> None:
    plan = plan_memory(demand(), {MAIN: 0}, compared=False, notes=["elsewhere"])
    assert plan.problem is None
    assert plan.notes == ("elsewhere",)


@pytest.mark.parametrize(
    ("wanted", "left", "kept"),
    [
        (None, 800 * 10**6, 100 * 10**6),
        (None, 800 * 10**9, 2**31),
        (10**8, 800 * 10**6, 10**8),
        (10**9, 800 * 10**6, 400 * 10**6),
        (10**9, -1, 0),
        (0, 800 * 10**6, 0),
    ],
)
def test_shared_activations_take_of_what_is_left(wanted: int | None, left: int, kept: int) -> None:
    asked = demand(workers=2, prefix_bytes=wanted)
    plan = plan_memory(asked, {MAIN: asked.needed()[MAIN] + left})
    assert plan.prefix_bytes == kept
    assert (plan.problem is None) == (left >= 0), "they never keep a run from starting"
    rows = [row for row in plan.rows if row.what == "activations that routes share"]
    assert [row.n_bytes for row in rows] == [kept] * (kept > 0)
    lowered = wanted is not None and kept < wanted
    assert [note.split(":")[0] for note in plan.notes] == ["execution.prefix_cache_gb"] * lowered


def test_shared_activations_on_a_gpu_take_of_what_its_workers_leave() -> None:
    asked = demand(workers=4, gpus=2, prefix_bytes=None)
    free = {where: n_bytes + 80 * 10**9 for where, n_bytes in asked.needed().items()}
    assert plan_memory(asked, free).prefix_bytes == 10 * 10**9
    assert plan_memory(asked, free, compared=False).prefix_bytes is None


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_are_read_off_header_and_configuration(family: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(tiny_model(family, tmp_path / family, layers=3))
    shape = ModelShape.of(checkpoint, "bfloat16")
    assert (shape.layers, shape.width, shape.vocabulary) == (3, 32, 100)
    assert shape.n_bytes * 2 == checkpoint.total_bytes
    assert shape.query == 32
    full = family in ("gpt2", "gpt_neox")
    assert shape.cached == (32 if full else 16)
    inner = {"gpt2": 128, "mixtral": 2 * 48, "qwen3_moe": 2 * 32}
    assert shape.inner == inner.get(family, 48)


def test_a_sketch_has_the_batches_that_a_model_runs(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "m")
    data = tmp_path / "d.jsonl"
    data.write_text("\n".join(f'{{"prompt": "{"x" * n}{n}", "answer": "y"}}' for n in range(30)))
    options = {"data": str(data), "max_new_tokens": 5, "block_size": 6, "batch_size": 4}
    splits = {"search": 12, "validation": 4, "test": 4}
    evaluator = EvaluatorSpec("t", "generation", 0, {**options, "splits": splits}).build()
    model = SketchModel(folder, folder)
    assert all(parameter.is_meta for parameter in model.model.parameters())
    sketch = model.sketch(evaluator, ("search", "validation"))
    plan = evaluator.prepare(model, "search")[1]
    widest = max(batch.tokens.shape[1] for batch in plan.batches)
    assert max(one.tokens / one.rows for one in sketch.passes) >= widest
    assert {one.rows for one in sketch.passes} == {4, 2}
    assert all(one.cached == one.tokens + 5 * one.rows for one in sketch.passes)


def test_prepare_refuses_what_does_not_fit(
    workspace: Path, raw_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_check, "free_memory", lambda: int(2.4 * PROCESS_BYTES))
    raw_config["execution"] = {"executor": "local", "workers": 4}
    found = problems(raw_config)
    assert list(found) == ["execution.workers"]
    assert (
        "4 workers need 2.5 GB of main memory, and 1.2 GB are free." in found["execution.workers"]
    )
    assert "At most 1 fit." in found["execution.workers"]
    raw_config["execution"]["workers"] = 1
    plan = prepared(raw_config).memory
    assert plan is not None
    assert plan.needed[MAIN] > 2 * PROCESS_BYTES
    monkeypatch.setattr(memory_check, "free_memory", lambda: 1000)
    assert prepare(parse_config(raw_config, where=""), plan=False).memory is None


def test_a_prompt_that_the_model_cannot_take_is_found_before_the_start(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["evaluators"]["copy"] = {
        "type": "generation",
        "data": "copy.jsonl",
        "prompt_key": "text",
        "answer_key": "text",
        "max_new_tokens": 500,
        "splits": {"search": 8, "validation": 8, "test": 8},
    }
    raw_config["objectives"]["loss"]["from"] = ["next"]
    assert "max_new_tokens is 500" in problems(raw_config)["evaluators.copy"]


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml")


def problems(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        prepared(raw)
    return {problem.key: problem.message for problem in caught.value.problems}


def test_workers_share_activations_within_what_the_run_file_says(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["execution"] = {"prefix_cache_gb": 0.002}
    assert prepared(raw_config).worker.prefix_bytes == 0, "nothing is routed"
    raw_config["dataflow"] = {"space": "path"}
    assert prepared(raw_config).worker.prefix_bytes == 2 * 10**6
    raw_config["execution"]["prefix_cache_gb"] = 0
    assert prepared(raw_config).worker.prefix_bytes == 0


@pytest.mark.gpu
def test_a_gpus_memory_is_compared(workspace: Path, raw_config: dict[str, Any]) -> None:
    plan = prepared(raw_config).memory
    assert plan is not None
    assert plan.free[GPU] <= torch.cuda.mem_get_info()[1]
    assert plan.needed[GPU] > CUDA_BYTES

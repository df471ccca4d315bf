"""Real workers under the executor ``local``: the bits of ``inprocess``, whoever is killed."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.local import LocalExecutor
from evomerge.execution.protocol import LOST, BlockRef, Job, Outcome
from evomerge.execution.registry import Crew
from evomerge.execution.worker import WorkerSpec
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from tests.execution.executor_contract import collect, failure_of, run_all, until
from tests.execution.specs import MappingSpec, job
from tests.fixtures_models import tiny_model

NAMES = ("base", "left", "right")
pytestmark = pytest.mark.slow
PLUGIN = Path(__file__).with_name("slow_plugin.py")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> WorkerSpec:
    folder = tmp_path_factory.mktemp("local")
    for seed, name in enumerate(NAMES):
        tiny_model("llama", folder / name, seed=seed)
    (folder / "copy.jsonl").write_text(
        "\n".join(f'{{"text": "{"ab" * (1 + n % 4)}{n}"}}' for n in range(30))
    )
    options = {
        "data": str(folder / "copy.jsonl"),
        "block_size": 4,
        "splits": {"search": 10, "validation": 5, "test": 5},
    }
    return WorkerSpec(
        folders={name: folder / name for name in NAMES},
        sources=tuple(
            Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in NAMES
        ),
        base="base",
        tokenizer="base",
        dtype="float32",
        evaluators=(
            EvaluatorSpec("copy", "perplexity", 0, options),
            EvaluatorSpec("norm", "slow_norm", 0, {}),
        ),
        plugins=(PLUGIN,),
        cache_dir=folder / "cache",
    )


def candidate(spec: WorkerSpec, name: str, method: str, weights: Sequence[float]) -> Job:
    parameters = {
        "ties": {
            "weights": tuple(weights), "densities": (0.4, 0.6), "scale": 1.0, "normalize": True,
            "zero_sign": "plus", "elect": "sum",
        },
        "slow_first": {},
    }[method]  # fmt: skip
    base = "base" if method == "ties" else None
    stage = Stage("merged", method, (StageInput("left"), StageInput("right")), base, parameters)
    recipe = Recipe(spec.sources, "base", (stage,), dtype="float32", tokenizer="base")
    blocks = [BlockRef("copy", "search", n) for n in (0, 2)] + [BlockRef("norm", "search", 0)]
    return Job(name, 1, recipe, blocks)


def bits(outcome: Outcome) -> list[tuple[BlockRef, dict[str, bytes]]]:
    assert outcome.failure is None
    return [
        (scores.ref, {name: array.tobytes() for name, array in scores.values.items()})
        for scores in outcome.scores
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that tells the plug-in where to wait."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOMERGE_TEST_WAIT", str(folder))
        yield folder


@pytest.fixture(scope="module")
def executor(spec: WorkerSpec, told: Path) -> Iterator[LocalExecutor]:
    """Two workers for all tests: each imports torch and transformers, which takes seconds."""
    executor = LocalExecutor(Crew(spec, slots=2))
    executor.start()
    yield executor
    executor.close()


@pytest.fixture
def inprocess(spec: WorkerSpec, told: Path) -> InprocessExecutor:
    return InprocessExecutor(Crew(spec))


def test_scores_are_those_of_one_process_bit_for_bit(
    spec: WorkerSpec, executor: LocalExecutor, inprocess: InprocessExecutor
) -> None:
    weights = [(0.1 * n, 1 - 0.1 * n) for n in range(8)]
    jobs = [candidate(spec, f"0-{n}", "ties", weights[n]) for n in range(8)]
    expected = run_all(inprocess, jobs)
    until(lambda: all(worker.is_ready for worker in executor._workers), executor=executor)
    found = run_all(executor, jobs)
    assert len({outcome.worker for outcome in found.values()}) == 2
    for name, outcome in found.items():
        assert bits(outcome) == bits(expected[name])
        assert outcome.numeric_class == expected[name].numeric_class
        assert 0 < outcome.merge_s + outcome.score_s <= outcome.busy_s
    assert {state.device for state in executor.workers()} == {"cpu"}


@pytest.mark.parametrize(("part", "step"), [("merge", "merging"), ("score", "scoring task 'norm'")])
def test_a_worker_killed_at_work_costs_one_attempt(
    spec: WorkerSpec,
    executor: LocalExecutor,
    inprocess: InprocessExecutor,
    told: Path,
    part: str,
    step: str,
) -> None:
    item = candidate(spec, f"kill-{part}", "slow_first", ())
    (told / part).touch()
    executor.submit(item)
    until(lambda: (told / f"{part}.reached").exists(), executor=executor)
    (pid,) = (worker.pid for worker in executor._workers if worker.job is not None)
    os.kill(pid, signal.SIGKILL)
    lost = collect(executor, 1)[item.candidate_id]
    (told / part).unlink()
    failure = failure_of(lost)
    assert (failure.kind, failure.message) == (LOST, f"worker ended by SIGKILL while {step}")
    again = run_all(executor, [replace(item, attempt=2)])[item.candidate_id]
    assert again.worker != lost.worker
    assert bits(again) == bits(run_all(inprocess, [item])[item.candidate_id])


def test_workers_share_the_memory_of_sources(tmp_path: Path) -> None:
    tiny_model("llama", tmp_path, vocab=100_000, hidden=64, tokenizer=False)
    n_bytes = Checkpoint.open(tmp_path).total_bytes
    assert n_bytes > 50e6
    executor = LocalExecutor(Crew(MappingSpec(tmp_path), slots=2))
    try:
        outcomes = run_all(executor, [job(f"0-{n}", "sleep 1.5") for n in range(2)])
        notes = {outcome.notes["pid"]: outcome.notes for outcome in outcomes.values()}
        assert len(notes) == 2
        for pid, note in notes.items():
            memory = psutil.Process(int(pid)).memory_full_info()
            # Each has all of it in its memory, and nothing of it to itself.
            assert memory.rss - int(note["rss_before"]) > 0.9 * n_bytes
            assert memory.uss - int(note["uss_before"]) < 0.2 * n_bytes
    finally:
        executor.close()

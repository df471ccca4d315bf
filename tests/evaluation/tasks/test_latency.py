import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.objectives import estimate_task
from evomerge.evaluation.sketch import SketchModel
from evomerge.evaluation.tasks.latency import LatencyEvaluator
from tests.fixtures_models import tiny_model

OPTIONS = {"prompt_tokens": 6, "new_tokens": 4, "batch_size": 2, "repeats": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("latency") / "llama")


def values(records: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([[record.metrics["seconds_per_token"]] for record in records])


def test_each_repeat_counts_every_forward_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LanguageModel.load(folder)
    model.eos_ids = frozenset(range(100))  # no answer may end early all the same
    forward, calls = model.model.forward, []

    def slow(input_ids: Any = None, logits_to_keep: int = 0, **inputs: Any) -> Any:
        calls.append(tuple(input_ids.shape))
        time.sleep(0.02)
        return forward(input_ids=input_ids, logits_to_keep=logits_to_keep, **inputs)

    monkeypatch.setattr(model.model, "forward", slow)
    made = LatencyEvaluator("speed", seed=0, **OPTIONS)
    assert made.n_examples("search") == made.block_size == 3
    records = made.score(model, made.prepare(model, "search"), range(3))
    assert calls == [(2, 6), (2, 1), (2, 1), (2, 1)] * (1 + 3)
    # Four passes of 0.02 s and more write four tokens in each of two rows.
    assert (values(records) >= 4 * 0.02 / 8).all()
    assert records[0].tokens == 8


def test_the_median_stands_between_the_measurements() -> None:
    made = LatencyEvaluator("speed", seed=0, **OPTIONS)
    found = estimate_task(made, "seconds_per_token", np.array([[0.1], [0.9], [0.2]]))
    assert (found.value, found.n) == (0.2, 3)
    assert 0.1 <= found.low <= 0.2 <= found.high <= 0.9


def test_memory_is_planned_for_its_batch(folder: Path) -> None:
    made = LatencyEvaluator("speed", seed=0, **OPTIONS)
    (only,) = SketchModel(folder, folder).sketch(made, ("search", "validation")).passes
    assert (only.rows, only.tokens, only.cached) == (2, 2 * 6, 2 * (6 + 4))


def test_settings_and_seed_are_part_of_what_is_measured() -> None:
    plain = LatencyEvaluator("speed", seed=0, **OPTIONS).fingerprint()
    assert plain == LatencyEvaluator("other", seed=0, **OPTIONS).fingerprint()
    assert plain != LatencyEvaluator("speed", seed=1, **OPTIONS).fingerprint()
    longer = LatencyEvaluator("speed", seed=0, **{**OPTIONS, "new_tokens": 5})
    assert plain != longer.fingerprint()
    with pytest.raises(EvaluationError, match="repeats"):
        LatencyEvaluator("speed", seed=0, repeats=1)

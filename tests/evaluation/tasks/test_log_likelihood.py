"""The log-likelihood evaluator: per-token means and an exact perplexity."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.evaluation import EVALUATORS

RECORDS = [{"prompt": f"{index} is", "answer": " " + "so" * (index % 4 + 1)} for index in range(24)]


def test_metrics_come_from_the_continuations_tokens(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    made = EVALUATORS.get("log_likelihood").value("task", seed=0, data=write_lines(RECORDS))
    records = made.score(language_model, made.prepare(language_model, "search"), range(12))
    totals = []
    for item, record in zip(made.items("search"), records, strict=True):
        pair = language_model.encoder.encode_pair(item.prompt, item.expected)
        plan = language_model.plan_scoring([[pair]], block_size=1, batch_size=1)
        scored = language_model.logprobs(plan, [0])[0][0]
        mean = scored.logprob / scored.n_tokens
        assert record.metrics["logprob"] == pytest.approx(mean, rel=1e-5)
        assert record.metrics["probability"] == pytest.approx(math.exp(mean), rel=1e-5)
        totals.append((scored.logprob, scored.n_tokens))
    values = np.array([record.metrics["perplexity"] for record in records])
    logprob, n_tokens = np.sum(totals, axis=0)
    expected = math.exp(-logprob / n_tokens)
    assert made.aggregate("perplexity", values) == pytest.approx(expected, rel=1e-5)
    parts = [made.aggregate("perplexity", part) for part in (values[:4], values[4:])]
    assert min(parts) < made.aggregate("perplexity", values) < max(parts)


def test_a_prompt_may_be_empty(language_model: Any, write_lines: Callable[..., str]) -> None:
    path = write_lines([{"prompt": "", "answer": f"text {index}"} for index in range(12)])
    made = EVALUATORS.get("log_likelihood").value("task", seed=0, data=path)
    records = made.score(language_model, made.prepare(language_model, "test"), range(3))
    assert all(record.metrics["logprob"] < 0 for record in records)

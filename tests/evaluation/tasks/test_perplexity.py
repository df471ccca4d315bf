"""The perplexity evaluator: exact over any set of texts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS

RECORDS = [{"text": f"tale {index}: " + "once upon a time " * (index % 12)} for index in range(24)]


def test_units_share_one_log_likelihood(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    made = EVALUATORS.get("perplexity").value("task", seed=0, data=write_lines(RECORDS))
    prepared = made.prepare(language_model, "search")
    records = made.score(language_model, prepared, range(12))
    windows = [len(batch.slots) for batch in prepared[1].batches]
    assert sum(windows) > 12, "some texts exceed the model's length"
    values = {
        metric.name: np.array([record.metrics[metric.name] for record in records])
        for metric in made.metrics
    }
    logprob = values["bits_per_byte"][:, 0].sum()
    texts = [item.prompt for item in made.items("search")]
    n_bytes = sum(len(text.encode()) for text in texts)
    n_words = sum(len(text.split(" ")) for text in texts)
    bits = made.aggregate("bits_per_byte", values["bits_per_byte"])
    assert bits == pytest.approx(-logprob / n_bytes / math.log(2))
    byte = made.aggregate("byte_perplexity", values["byte_perplexity"])
    assert byte == pytest.approx(2**bits)
    word = made.aggregate("word_perplexity", values["word_perplexity"])
    assert word == pytest.approx(math.exp(-logprob / n_words))


def test_an_empty_text_is_named(write_lines: Callable[..., str]) -> None:
    with pytest.raises(EvaluationError, match=r":2: 'text' is empty"):
        EVALUATORS.get("perplexity").value(
            "task", seed=0, data=write_lines([RECORDS[0], {"text": ""}, *RECORDS])
        )

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from evomerge.errors import EvaluationError
from evomerge.evaluation.network_model import NetworkModel
from evomerge.evaluation.protocol import EVALUATORS, needs_network
from evomerge.recipes.declarations import load_plugin_file

load_plugin_file(Path(__file__).parents[2] / "evaluators" / "digits.py")
IMAGES, LABELS = load_digits(return_X_y=True)


def digits(**options: Any) -> Any:
    return EVALUATORS.get("digits").value("digits", seed=0, **options)


class Knowing(nn.Module):
    """Recognises the digits of ``known`` and takes all others for 0."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self._answers = {
            image.astype(np.float32).tobytes(): int(label) if label in known else 0
            for image, label in zip(IMAGES, LABELS, strict=True)
        }

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answers = [self._answers[image.numpy().tobytes()] for image in images]
        return nn.functional.one_hot(torch.tensor(answers), 10).float()


def shares(evaluator: Any, module: nn.Module, split: str) -> dict[str, float]:
    model = NetworkModel(module)
    n = evaluator.n_examples(split)
    records = evaluator.score(model, evaluator.prepare(model, split), range(n))
    found = {}
    for metric in evaluator.metrics:
        rows = np.array([record.metrics[metric.name] for record in records], dtype=float)
        found[metric.name] = evaluator.aggregate(metric.name, rows.reshape(n, metric.width))
    return found


@pytest.mark.parametrize("known", [set(range(10)), {0, 1, 2, 3, 4}, {0}])
def test_shares_are_those_of_the_known_digits(known: set[int]) -> None:
    evaluator = digits()
    start = 0
    for split, n in (("search", 1437), ("validation", 180), ("test", 180)):
        labels = LABELS[start : start + n]
        start += n
        right = np.isin(labels, list(known | {0}))
        odd = labels % 2 == 1
        assert shares(evaluator, Knowing(known), split) == pytest.approx(
            {
                "correct": right.mean(),
                "odd": right[odd].mean(),
                "even": right[~odd].mean(),
            }
        )


def test_it_is_for_networks_and_shows_images() -> None:
    evaluator = digits()
    assert needs_network(evaluator)
    (example,) = evaluator.examples("test", [3])
    assert example.expected == str(LABELS[1437 + 180 + 3])
    rows = example.prompt.split("\n")
    assert [len(row) for row in rows] == [8] * 8
    assert "@" in example.prompt


def test_other_settings_are_other_scores() -> None:
    small = {"search": 10, "validation": 5, "test": 5}
    prints = {digits().fingerprint(), digits(splits=small).fingerprint()}
    assert len(prints) == 2
    assert digits().fingerprint() in prints


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"search": 1437}, "expected a number of images for each"),
        ({"search": 0.5, "validation": 5, "test": 5}, "expected a number of images for each"),
        ({"search": 1790, "validation": 5, "test": 5}, "but there are 1797"),
    ],
)
def test_splits_that_the_data_have_not_are_refused(splits: dict[str, Any], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        digits(splits=splits)

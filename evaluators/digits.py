"""Handwritten digits of 8×8 pixels: a plug-in that scores networks evolved from scratch.

    evomerge run configs/digits.yaml --plugin evaluators/digits.py

    network: {type: mlp, layers: [64, 256, 10]}
    evaluators:
      digits: {type: digits}

It scores no language model: ``needs_network`` says so, and ``score`` gets the network's module.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError, MissingExtraError
from evomerge.evaluation.base import fill_settings
from evomerge.evaluation.data import content_hash
from evomerge.evaluation.protocol import SPLITS, Example, ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from evomerge.evaluation.network_model import NetworkModel

VERSION = "digits/1"

PARAMETERS = (
    Parameter(
        "splits",
        "mapping",
        "search, validation, test: images each, in the order of the data.",
        default={"search": 1437, "validation": 180, "test": 180},
    ),
    Parameter("block_size", "int", "Images in a block.", default=2048, low=1),
)


@evaluator("digits", parameters=PARAMETERS)
class DigitsEvaluator:
    """Share of digits that a network of 64 inputs and 10 outputs recognises.

    Metrics: ``correct``, and the same of ``odd`` and of ``even`` digits alone, by which
    quality-diversity tells networks apart.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed; unused, since the data's own order is split.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Splits that the 1,797 images don't have.
        MissingExtraError: scikit-learn, which brings the images, isn't there.
    """

    needs_network = True
    metrics: Sequence[Metric] = (
        Metric("correct", binary=True),
        Metric("odd", width=2),
        Metric("even", width=2),
    )
    primary = "correct"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("digits", PARAMETERS, name, options)
        self.block_size: int = settings["block_size"]
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise MissingExtraError(
                f"evaluators.{name}: digits needs scikit-learn. Install it: pip install "
                "scikit-learn"
            ) from None
        images, labels = load_digits(return_X_y=True)
        self._images = images.astype(np.float32)
        self._labels = labels.astype(np.int64)
        self._parts = _parts(name, settings["splits"], len(labels))

    def fingerprint(self) -> str:
        """Hash of the images, their split and the version of this code."""
        parts = {split: [part.start, part.stop] for split, part in self._parts.items()}
        data = [self._images.tolist(), self._labels.tolist()]
        return content_hash([VERSION, parts, self.block_size, data])

    def n_examples(self, split: str) -> int:
        """Return the number of images in ``split``."""
        return len(self._parts[split])

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return images as rows of their 16 shades, and what they show."""
        places = [self._parts[split][index] for index in indices]
        return [Example(_drawn(self._images[place]), str(self._labels[place])) for place in places]

    def prepare(self, model: "NetworkModel", split: str) -> tuple["Tensor", NDArray[np.int64]]:
        """Return images, shape ``(n, 64)``, on the network's device, and labels ``(n,)``."""
        import torch

        part = self._parts[split]
        images = torch.from_numpy(self._images[part.start : part.stop]).to(model.device)
        return images, self._labels[part.start : part.stop]

    def score(
        self,
        model: "NetworkModel",
        requests: tuple["Tensor", NDArray[np.int64]],
        indices: Sequence[int],
    ) -> list[ExampleRecord]:
        """Score images ``indices`` in one batch."""
        images, labels = requests[0][list(indices)], requests[1][list(indices)]
        outputs = model.module(images)
        if outputs.shape != (len(labels), 10):
            raise EvaluationError(
                f"the network gives outputs of shape {tuple(outputs.shape)}, expected "
                f"({len(labels)}, 10): one number a digit. Give it 10 outputs."
            )
        answers = outputs.argmax(dim=1).cpu().numpy()
        return [_record(int(a), int(b)) for a, b in zip(answers, labels, strict=True)]

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return a share: of all images, or of those that ``odd`` or ``even`` speaks of."""
        if metric == "correct":
            return float(values[:, 0].mean())
        return float(values[:, 0].sum() / max(values[:, 1].sum(), 1.0))


def _parts(name: str, sizes: Mapping[str, Any], n: int) -> dict[str, range]:
    """Runs of the data, one a split."""
    counts = [sizes.get(split) for split in SPLITS]
    if set(sizes) != set(SPLITS) or not all(type(c) is int and c > 0 for c in counts):
        raise EvaluationError(
            f"evaluators.{name}.splits: got {dict(sizes)}, expected a number of images for each of "
            f"{', '.join(SPLITS)}."
        )
    ends = np.cumsum([0, *counts]).tolist()
    if ends[-1] > n:
        raise EvaluationError(
            f"evaluators.{name}.splits: got {ends[-1]} images in all, but there are {n}. Take less."
        )
    return {split: range(a, b) for split, (a, b) in zip(SPLITS, pairwise(ends), strict=True)}


def _record(answer: int, label: int) -> ExampleRecord:
    right = float(answer == label)
    odd = float(label % 2)
    metrics: dict[str, float | tuple[float, ...]] = {
        "correct": right,
        "odd": (right * odd, odd),
        "even": (right * (1 - odd), 1 - odd),
    }
    return ExampleRecord(metrics, answer=str(answer))


def _drawn(image: NDArray[np.float32]) -> str:
    shades = " .:-=+*#%@"
    rows = image.reshape(8, 8) / 16 * (len(shades) - 1)
    return "\n".join("".join(shades[int(value)] for value in row) for row in rows)

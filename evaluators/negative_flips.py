"""What a reference model gets right should stay right: a plug-in around any other evaluator.

    evomerge run CONFIG --plugin evaluators/negative_flips.py

    evaluators:
      no_regress:
        type: negative_flips
        evaluator: {type: generation, data: qa.jsonl, max_new_tokens: 16}
        reference_model: models/in-production     # scored once a split
        # or reference: answers.jsonl, lines {"prompt": …, "score": 1} or {"prompt": …, "answer": …}

With scores q in [0, 1] and the reference's r, an example gives ``kept = 1 - max(0, r - q)`` and
``gained = max(0, q - r)``; for right and wrong these are 1 minus a negative flip, and a positive
flip. Accuracy minus the reference's accuracy is the mean of ``gained`` minus that of ``1 - kept``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import fill_settings
from evomerge.evaluation.data import content_hash, read_table
from evomerge.evaluation.objectives import find_metric
from evomerge.evaluation.protocol import (
    EVALUATORS,
    SPLITS,
    Evaluator,
    Example,
    ExampleRecord,
    Metric,
    evaluator,
)
from evomerge.evaluation.splits import normalise_text
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.language_model import LanguageModel

PARAMETERS = (
    Parameter(
        "evaluator", "mapping", "The evaluator to watch: its type and settings.", required=True
    ),
    Parameter("metric", "str", "Its metric, from 0 to 1; its primary one if absent."),
    Parameter(
        "reference", "str", "JSON Lines file of the reference's scores or answers by prompt."
    ),
    Parameter("reference_model", "str", "Folder of the reference model, scored once a split."),
)


@evaluator("negative_flips", parameters=PARAMETERS)
class NegativeFlipsEvaluator:
    """Share of examples on which the model is not worse than a reference model.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Settings don't fit, or the reference lacks an example.
    """

    primary = "kept"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("negative_flips", PARAMETERS, name, options)
        if (settings["reference"] is None) == (settings["reference_model"] is None):
            raise EvaluationError(
                f"evaluator {name!r}: give either reference (scores or answers) or reference_model "
                "(a folder), and not both."
            )
        self.name = name
        self._inner = _build_inner(name, settings["evaluator"], seed)
        self._metric: str = settings["metric"] or self._inner.primary
        known = find_metric(self._inner, self._metric, name)
        if known.width != 1 or known.direction != "maximize":
            raise EvaluationError(
                f"evaluator {name!r}: metric {self._metric!r} is no score from 0 to 1 where more "
                "is better. Choose another metric of the evaluator."
            )
        self.block_size: int = self._inner.block_size
        self._model_folder: str | None = settings["reference_model"]
        self._reference: dict[str, list[float]] = {}
        self._source = self._read_reference(settings["reference"])
        # A model is useless that loses all of what the reference can; unscored, it may have all.
        known_scores = self._reference.get(SPLITS[0])
        worst = 1.0 - float(np.mean(known_scores)) if known_scores else 0.0
        kept = Metric("kept", binary=known.binary, range=known.range, reference=worst)
        gained = Metric("gained", binary=known.binary, range=known.range)
        self.metrics: Sequence[Metric] = (kept, gained)

    def fingerprint(self) -> str:
        """Hash of the watched evaluator and of the reference."""
        return content_hash(
            ["negative_flips/1", self._inner.fingerprint(), self._metric, self._source]
        )

    def n_examples(self, split: str) -> int:
        """Return the number of examples in ``split``."""
        return self._inner.n_examples(split)

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return examples for people."""
        return self._inner.examples(split, indices)

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Prepare the watched evaluator; score the reference model where this is the first time."""
        if split not in self._reference:
            self._reference[split] = self._score_reference(model, split)
        return self._inner.prepare(model, split), self._reference[split]

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Score the examples ``indices`` and compare them with the reference."""
        inner, reference = requests
        records = []
        for index, record in zip(indices, self._inner.score(model, inner, indices), strict=True):
            score = _as_score(record.metrics[self._metric], self.name)
            metrics = {
                "kept": 1.0 - max(0.0, reference[index] - score),
                "gained": max(0.0, score - reference[index]),
            }
            records.append(ExampleRecord(metrics, record.answer, record.tokens, record.flags))
        return records

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the mean of per-example ``values`` of shape ``(n, 1)``."""
        return float(np.mean(values[:, 0]))

    def _score_reference(self, model: "LanguageModel", split: str) -> list[float]:
        from evomerge.evaluation.language_model import LanguageModel

        assert self._model_folder is not None
        reference = LanguageModel.load(Path(self._model_folder), device=str(model.device))
        records = self._inner.score(
            reference, self._inner.prepare(reference, split), range(self.n_examples(split))
        )
        return [_as_score(record.metrics[self._metric], self.name) for record in records]

    def _read_reference(self, path: str | None) -> str:
        """Fill in stored scores, or identify the reference model; returns a hash of the source."""
        if path is None:
            from evomerge.models.lock import lock_folder

            assert self._model_folder is not None
            return lock_folder(Path(self._model_folder)).sha256
        table = read_table(path)
        scores: dict[str, float] = {}
        answers: dict[str, str] = {}
        for index, record in enumerate(table.records):
            prompt = normalise_text(table.text(index, "prompt"))
            if "score" in record:
                scores[prompt] = _as_score(table.get(index, "score"), str(path))
            else:
                answers[prompt] = table.text(index, "answer")
        for split in SPLITS:
            self._reference[split] = self._look_up(split, scores, answers, path)
        return table.sha256

    def _look_up(
        self, split: str, scores: Mapping[str, float], answers: Mapping[str, str], path: str
    ) -> list[float]:
        """Return the reference's score on each example of ``split``."""
        found = []
        shown = self.examples(split, range(self.n_examples(split)))
        for index, example in enumerate(shown):
            prompt = normalise_text(example.prompt)
            if prompt in scores:
                found.append(scores[prompt])
            elif prompt in answers:
                found.append(self._grade(split, index, answers[prompt]))
            else:
                raise EvaluationError(
                    f"{path} has no line for the prompt {example.prompt[:60]!r} of the {split} "
                    "split. Add it, or give reference_model."
                )
        return found

    def _grade(self, split: str, index: int, answer: str) -> float:
        """Return the score that the watched evaluator gives a stored answer."""
        from evomerge.evaluation.decoding import Generated
        from evomerge.evaluation.text_generation import GenerationTask

        if not isinstance(self._inner, GenerationTask):
            raise EvaluationError(
                f"evaluator {self.name!r}: stored answers can only be graded where the model "
                "writes answers. Store 'score' in each line instead."
            )
        item = self._inner.items(split)[index]
        metrics = self._inner.grade(item, Generated(answer, 0, capped=False, truncated=False))
        return _as_score(metrics[self._metric], self.name)


def _build_inner(name: str, settings: Mapping[str, Any], seed: int) -> Evaluator:
    """Return the watched evaluator."""
    if "type" not in settings:
        raise EvaluationError(f"evaluator {name!r}: evaluator.type is missing; name a type.")
    options = {key: value for key, value in settings.items() if key != "type"}
    return EVALUATORS.get(settings["type"]).value(name, seed=seed, **options)


def _as_score(value: Any, where: str) -> float:
    """Return ``value`` as a score from 0 to 1."""
    if isinstance(value, bool) or (isinstance(value, (int, float)) and 0 <= value <= 1):
        return float(value)
    raise EvaluationError(f"{where}: {value!r} is no score; expected a number from 0 to 1.")

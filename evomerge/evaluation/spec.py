"""What an evaluator is built from, in any process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation.protocol import EVALUATORS, Evaluator


@dataclass(frozen=True)
class EvaluatorSpec:
    """What an evaluator is built from, in any process.

    Args:
        name: Its name in the run file.
        type: Registered evaluator.
        seed: The run's seed.
        options: Its settings.
    """

    name: str
    type: str
    seed: int
    options: Mapping[str, Any]

    def build(self) -> Evaluator:
        """Build the evaluator.

        Raises:
            EvaluationError: Its data or settings don't fit.
        """
        return EVALUATORS.get(self.type).value(self.name, seed=self.seed, **self.options)

"""What an evaluator is, what it returns, and the registry of evaluators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Declaration, Parameter, Registry

if TYPE_CHECKING:
    from evomerge.evaluation.language_model import LanguageModel

SPLITS = ("search", "validation", "test")


@dataclass(frozen=True)
class Metric:
    """A number that an evaluator gives for each example.

    Args:
        name: ``exact``, ``acc``, ``perplexity`` …
        direction: ``maximize`` or ``minimize``: which way is better.
        binary: Every example is 0 or 1, so that intervals are Wilson's.
        width: Values an example: 1, or more where the aggregate needs a tuple (a perplexity:
            log-likelihood and words).
        range: Where an example's value lies. ``unit``: between 0 and 1, as the last of several
            values. ``log``: the logarithm of such a number; of two values, their ratio is.
        reference: The task's number that a useless model has (chance, the token limit); where it is
            None that is the worse end of the range.
        ideal: The best number that there can be; where it is None, the better end of the range.
    """

    name: str
    direction: str = "maximize"
    binary: bool = False
    width: int = 1
    range: Literal["free", "unit", "log"] = "free"
    reference: float | None = None
    ideal: float | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Return (reference, ideal) in the metric's own unit; None for what isn't known."""
        ends: tuple[float | None, float | None] = (None, None)
        if self.binary or self.range == "unit":
            ends = (0.0, 1.0) if self.direction == "maximize" else (1.0, 0.0)
        return (
            ends[0] if self.reference is None else self.reference,
            ends[1] if self.ideal is None else self.ideal,
        )

    def utilities(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return each example's utility in [0, 1], larger is better, shape ``(n,)``.

        Args:
            values: Shape ``(n, width)``; NaN where an example has no score.

        Returns:
            None for a metric whose values have no known range.
        """
        if self.range == "log":
            logs = values[:, 0] if self.width == 1 else values[:, 0] / values[:, 1]
            return np.exp(np.minimum(logs, 0.0))
        if not self.binary and self.range != "unit":
            return None
        found = np.clip(values[:, -1], 0.0, 1.0)
        return found if self.direction == "maximize" else 1.0 - found


@dataclass(frozen=True)
class ExampleRecord:
    """What one example gave.

    Args:
        metrics: Metric → value, a float or the tuple of ``Metric.width`` floats.
        answer: Text or choice that the model gave; None where there is none.
        tokens: Tokens generated or scored.
        flags: ``capped`` (token limit hit), ``truncated`` (prompt cut on the left) …
    """

    metrics: Mapping[str, float | tuple[float, ...]]
    answer: str | None = None
    tokens: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One example as a person reads it."""

    prompt: str
    expected: str


class Evaluator(Protocol):
    """Turns a model into per-example scores on one task.

    An evaluator is built from its settings and the run's seed. Its examples are numbered within
    each split,
    0 … n−1, in a fixed seeded order; blocks are consecutive runs of ``block_size`` of them.
    """

    block_size: int
    metrics: Sequence[Metric]
    primary: str
    """Metric that an objective takes when it names only the evaluator."""

    def fingerprint(self) -> str:
        """Hash of all that decides a score but the weights: code, data, prompts, seed."""

    def n_examples(self, split: str) -> int:
        """Return the number of examples in ``split``."""

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return examples for people; never called while searching."""

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Build and tokenise all requests of ``split`` once; ``score`` gets them back."""

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Score the examples ``indices`` of the prepared split, one record each, in that order."""

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the task's number from per-example ``values`` of shape ``(n, width)``."""


def needs_network(evaluator: object) -> bool:
    """Say if an evaluator, or a class of them, scores networks and no language models.

    Its ``prepare`` and ``score`` get an ``evaluation.network_model.NetworkModel``.
    """
    return bool(getattr(evaluator, "needs_network", False))


@runtime_checkable
class Grouped(Protocol):
    """An evaluator over several tasks may have these; an interval then draws within each task."""

    def strata(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of each row's task, shape ``(n,)``."""

    def scored(self, metric: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows are of a task that has ``metric``, shape ``(n,)``."""


class EvaluatorFactory(Protocol):
    """An evaluator's class as the registry sees it; ``options`` are its parameters."""

    def __call__(self, name: str, *, seed: int, **options: Any) -> Evaluator:
        """Build the evaluator called ``name`` in the run file.

        Raises:
            EvaluationError: Data is missing or a split would be empty.
        """


EVALUATORS: Registry[EvaluatorFactory] = Registry(
    kind="evaluator", package="evomerge.evaluation.tasks", entry_point="evomerge.evaluators"
)


def evaluator(
    name: str, *, parameters: Sequence[Parameter] = (), paper: str = ""
) -> Callable[[Any], Any]:
    """Register the decorated class as the evaluator type ``name``."""

    def register(cls: Any) -> Any:
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        EVALUATORS.add(Declaration(name, summary, tuple(parameters), paper), cls)
        return cls

    return register

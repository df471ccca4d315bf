"""What evaluators over a fixed list of examples share: settings, splits, blocks, fingerprint.

An evaluator may derive from ``SplitTask`` and add ``metrics``, ``primary``, ``prepare`` and
``score``; it doesn't have to: only the protocol counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError
from evomerge.evaluation.data import content_hash
from evomerge.evaluation.protocol import SPLITS, Example
from evomerge.evaluation.splits import DEFAULT_SPLITS, split_examples
from evomerge.recipes.declarations import Declaration, Parameter

BLOCK_SIZE = Parameter(
    "block_size",
    "int",
    "Examples in a block, the unit of scoring and caching.",
    default=32,
    low=1,
)
BATCH_SIZE = Parameter("batch_size", "int", "Most sequences in a forward pass.", default=32, low=1)
SPLIT_SIZES = Parameter(
    "splits",
    "mapping",
    "search, validation, test: a number of examples each, or a fraction (0.5).",
    default=DEFAULT_SPLITS,
)
STRATIFY = Parameter(
    "stratify_key", "str", "Key of the data whose values are spread evenly over the splits."
)
DATA = Parameter("data", "str", "JSON Lines file, relative to the working folder.", required=True)


ALL = "all"
"""The whole of a task as a split: for ``evomerge evaluate``, never for a search."""


def fill_settings(
    kind: str, parameters: Sequence[Parameter], name: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return ``options`` with defaults filled in.

    Raises:
        EvaluationError: An option is unknown, missing or out of range; all are named.
    """
    declaration = Declaration(kind, "", tuple(parameters))
    problems = declaration.check_options(options, f"evaluators.{name}")
    if problems:
        raise EvaluationError("\n".join(f"{p.key}: {p.message}" for p in problems))
    return declaration.fill(options)


@dataclass(frozen=True)
class Item:
    """One example of a task as data.

    Args:
        prompt: What the model is given, before few-shot examples and chat template.
        expected: The right answer, for people and for exact comparison.
        identity: What makes it the same as another example; the prompt where empty.
        extra: What grading needs besides.
    """

    prompt: str
    expected: str
    identity: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What makes it the same as another example."""
        return self.identity or self.prompt


class SplitTask:
    """Examples in splits.

    Args:
        name: The evaluator's name in the run file.
        items: All examples.
        settings: Filled-in settings; ``splits`` and ``block_size`` are read here.
        seed: The run's seed.
        version: ``TYPE/NUMBER`` of the scoring code; raise the number when a change alters scores.
        data_sha256: Hash of the data that ``items`` come from.
        strata: One label an item.

    Attributes:
        rest: Examples that are in no split, nor near-duplicates of one that is.
    """

    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        *,
        settings: Mapping[str, Any],
        seed: int,
        version: str,
        data_sha256: str,
        strata: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.seed = seed
        self.settings = dict(settings)
        self.block_size: int = settings["block_size"]
        self._version = version
        self._data_sha256 = data_sha256
        self._items = items
        splits = split_examples(
            [item.text for item in items], settings["splits"], seed=seed, name=name, strata=strata
        )
        self.rest = splits.pop("rest")
        # Every example, duplicates too: what others report on a task. The first few are of all
        # strata, so that a limit leaves none out.
        self._splits = {**splits, ALL: _in_turn(strata or [""] * len(items))}

    def fingerprint(self) -> str:
        """Hash of code version, data, settings and seed; the caller adds the tokenizer."""
        return content_hash(
            {
                "version": self._version,
                "data": self._data_sha256,
                "seed": self.seed,
                "settings": {k: v for k, v in self.settings.items() if not _is_path(k)},
            }
        )

    def n_examples(self, split: str) -> int:
        """Return the number of examples in ``split``."""
        return len(self._members(split))

    def items(self, split: str) -> list[Item]:
        """Return the examples of ``split`` in order."""
        return [self._items[index] for index in self._members(split)]

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return examples for people."""
        members = self._members(split)
        chosen = [self._items[members[index]] for index in indices]
        return [Example(item.prompt, item.expected) for item in chosen]

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the mean of per-example ``values`` of shape ``(n, 1)``."""
        return float(np.mean(values[:, 0]))

    def _members(self, split: str) -> list[int]:
        if split not in self._splits:
            raise EvaluationError(
                f"evaluator {self.name!r} has no split {split!r}; expected one of "
                f"{', '.join(SPLITS)}."
            )
        return self._splits[split]


def _in_turn(strata: Sequence[str]) -> list[int]:
    """Return indices, each stratum's in order, one of each stratum at a time."""
    seen: Counter[str] = Counter()
    ranks = []
    for label in strata:
        ranks.append(seen[label])
        seen[label] += 1
    return sorted(range(len(strata)), key=lambda index: ranks[index])


def _is_path(key: str) -> bool:
    """Return whether a setting only says where data is; its content is hashed instead."""
    return key in ("data", "fewshot_data", "reference", "include_path")

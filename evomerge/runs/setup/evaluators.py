"""A run file's evaluators: built, each mistake in them collected. Free of torch by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.config.run import RunConfig
from evomerge.errors import EvomergeError, Problem
from evomerge.evaluation.protocol import EVALUATORS, SPLITS, Evaluator
from evomerge.evaluation.spec import EvaluatorSpec


def facts_of(evaluators: Mapping[str, Evaluator]) -> dict[str, dict[str, Any]]:
    """Return what the ledger keeps of each task, so that no evaluator is needed to read it."""
    return {
        name: {
            "fingerprint": item.fingerprint(),
            "primary": item.primary,
            "block_size": item.block_size,
            "metrics": [vars(metric) for metric in item.metrics],
            "n": {split: item.n_examples(split) for split in SPLITS},
        }
        for name, item in evaluators.items()
    }


def evaluator_specs(config: RunConfig) -> tuple[EvaluatorSpec, ...]:
    """Return what the run file's evaluators are built from."""
    return tuple(
        EvaluatorSpec(name, item.type, config.search.seed, dict(item.model_extra or {}))
        for name, item in config.evaluators.items()
    )


def build_evaluators(
    specs: Sequence[EvaluatorSpec], problems: list[Problem]
) -> dict[str, Evaluator]:
    """Build all evaluators; a mistake in one is added to ``problems`` and it is left out."""
    built: dict[str, Evaluator] = {}
    for spec in specs:
        key = f"evaluators.{spec.name}"
        try:
            declaration = EVALUATORS.get(spec.type).declaration
        except EvomergeError as error:
            problems.append(Problem(f"{key}.type", str(error)))
            continue
        if wrong := declaration.check_options(spec.options, key):
            problems += wrong
            continue
        try:
            evaluator = spec.build()
            for split in SPLITS:
                if evaluator.n_examples(split) < 1:
                    message = f"split {split!r} has no examples. Give it some, or more data."
                    problems.append(Problem(f"{key}.splits.{split}", message))
        except EvomergeError as error:
            problems += [Problem(key, line) for line in str(error).splitlines() if line]
            continue
        built[spec.name] = evaluator
    return built

"""A run file as a validated ``RunConfig``, and back: every mistake in one pass, one line each."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evomerge.config.overrides import Override, apply_overrides, parse_overrides
from evomerge.config.problems import describe, model_at, show
from evomerge.config.run import SCHEMA_VERSION, RunConfig
from evomerge.config.yaml_text import dump_yaml, read_yaml
from evomerge.errors import ConfigError, Problem


class ShapeError(ConfigError):
    """Mistakes in the shape of a run file: unknown keys, values of a wrong type.

    Args:
        where: The file.
        problems: The mistakes.
        rest: The run file without its faulty keys, whose names can still be checked; None where it
            can't do without one of them.
    """

    def __init__(self, where: str, problems: Sequence[Problem], rest: RunConfig | None) -> None:
        super().__init__(where, problems)
        self.rest = rest


_MERGED = (["recipe"], ["recipe", "parameters"], ["dataflow"])
"""Blocks without which a run file seems to merge nothing."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run file ``path`` with ``overrides`` (``KEY=VALUE``, as ``--set`` takes them).

    Raises:
        ConfigError: The file can't be read, or has mistakes: one line ``FILE: KEY: MESSAGE`` each.
    """
    raw = read_yaml(Path(path))
    return parse_config(raw, where=str(path), overrides=overrides)


def parse_config(raw: Any, *, where: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run file whose plain data is ``raw``; ``where`` names it in messages.

    Raises:
        ConfigError: As ``load_config``; a ``ShapeError`` where only keys and values are wrong.
    """
    if not isinstance(raw, dict):
        found = f"holds {show(raw)}" if not isinstance(raw, list) else "holds a list"
        message = f"{found}, expected a mapping with name, sources, recipe, evaluators, …"
        raise ConfigError(where, [Problem("", message)])
    parsed, problems = parse_overrides(overrides)
    changed, lost = apply_overrides(raw, parsed)
    problems += lost
    version = changed.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        message = f"got {version}; this evomerge reads up to {SCHEMA_VERSION}. Upgrade evomerge."
        raise ConfigError(where, [Problem("schema_version", message)])
    try:
        config = RunConfig.model_validate(changed)
    except ValidationError as error:
        problems += [_name_override(p, parsed) for p in describe(error, RunConfig)]
        raise ShapeError(where, problems, _rest(changed, error)) from None
    if problems:
        raise ShapeError(where, problems, config)
    return config


def dump_config(config: RunConfig) -> str:
    """Return ``config`` as YAML, defaults filled in; ``load_config`` reads it back equal."""
    plain = config.model_dump(by_alias=True)
    return dump_yaml({"schema_version": plain.pop("schema_version"), **plain})


def _rest(raw: dict[str, Any], error: ValidationError) -> RunConfig | None:
    """Return the run file ``raw`` without the keys that ``error`` names, if it is one then."""
    rest = copy.deepcopy(raw)
    for item in error.errors(include_url=False):
        path = list(item["loc"])
        while path and isinstance(path[-1], int):
            path.pop()  # a list goes as a whole: without one entry it would mean something else
        if not path or path in _MERGED or model_at(RunConfig, path[:-1]) is None:
            return None  # a source, evaluator or objective, which others may name
        block: Any = rest
        for part in path[:-1]:
            block = block[int(part)] if isinstance(block, list) else block.get(part, {})
        block.pop(path[-1], None)
    try:
        return RunConfig.model_validate(rest)
    except ValidationError:
        return None


def _name_override(problem: Problem, overrides: Sequence[Override]) -> Problem:
    """Say that a mistake came from ``--set`` where it did."""
    for override in reversed(overrides):
        if problem.key == override.key or problem.key.startswith(
            (f"{override.key}.", f"{override.key}[")
        ):
            return Problem(problem.key, f"{problem.message} (from --set {override.text})")
    return problem

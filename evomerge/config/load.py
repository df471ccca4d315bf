"""A run file as a validated ``RunConfig``, and back: every mistake in one pass, one line each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evomerge.config.overrides import Override, apply_overrides, parse_overrides
from evomerge.config.problems import describe, show
from evomerge.config.run import SCHEMA_VERSION, RunConfig
from evomerge.config.yaml_text import dump_yaml, read_yaml
from evomerge.errors import ConfigError, Problem


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
        ConfigError: As ``load_config``.
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
        raise ConfigError(where, problems) from None
    if problems:
        raise ConfigError(where, problems)
    return config


def dump_config(config: RunConfig) -> str:
    """Return ``config`` as YAML, defaults filled in; ``load_config`` reads it back equal."""
    plain = config.model_dump(by_alias=True)
    return dump_yaml({"schema_version": plain.pop("schema_version"), **plain})


def _name_override(problem: Problem, overrides: Sequence[Override]) -> Problem:
    """Say that a mistake came from ``--set`` where it did."""
    for override in reversed(overrides):
        if problem.key == override.key or problem.key.startswith(
            (f"{override.key}.", f"{override.key}[")
        ):
            return Problem(problem.key, f"{problem.message} (from --set {override.text})")
    return problem

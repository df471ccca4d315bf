"""``--set a.b=c``: single values of a run file, replaced on the command line."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.config.problems import fields_of, model_at, show
from evomerge.config.run import RunConfig
from evomerge.config.yaml_text import join_key, parse_yaml
from evomerge.errors import ConfigError, Problem, nearest

_PART = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")


@dataclass(frozen=True)
class Override:
    """One ``--set``.

    Args:
        text: What the user wrote, ``search.budget=40``.
        path: Its keys and list indexes.
        value: The value, read as YAML.
    """

    text: str
    path: tuple[str | int, ...]
    value: Any

    @property
    def key(self) -> str:
        """Return the dotted path as problems name it."""
        key = ""
        for part in self.path:
            key = join_key(key, part)
        return key


def parse_overrides(texts: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Return the overrides in ``texts``, each ``KEY=VALUE``, and what is wrong with the others."""
    overrides, problems = [], []
    for text in texts:
        path, equals, value = text.partition("=")
        parts = _split(path.strip())
        if not equals or parts is None:
            message = f"got {text!r}, expected KEY=VALUE like search.budget=40."
            problems.append(Problem("--set", message))
            continue
        try:
            overrides.append(Override(text, parts, parse_yaml(value, text)))
        except ConfigError as error:
            problems.append(Problem(f"--set {text}", error.problems[0].message))
    return overrides, problems


def apply_overrides(
    raw: dict[str, Any], overrides: Sequence[Override]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a copy of the file ``raw`` with the overrides' values, and paths that lead nowhere.

    A block of the format that the file leaves out is added; a name that the user gave (a source, an
    evaluator) has to be there already, unless the override gives it as a whole.
    """
    changed = copy.deepcopy(raw)
    problems = []
    for override in overrides:
        if problem := _apply(changed, override):
            problems.append(problem)
    return changed, problems


def _split(path: str) -> tuple[str | int, ...] | None:
    """``recipe.parameters[0].method`` → its parts; None if it has another form."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        if parts and path[position] == ".":
            position += 1
        match = _PART.match(path, position)
        if match is None:
            return None
        parts.append(int(match[2]) if match[2] else match[1])
        position = match.end()
    return tuple(parts) if parts and isinstance(parts[0], str) else None


def _apply(raw: dict[str, Any], override: Override) -> Problem | None:
    """Write one value into ``raw``, or say why its path leads nowhere."""
    here: Any = raw
    path: list[str | int] = []
    for depth, part in enumerate(override.path):
        last = depth == len(override.path) - 1
        key = _index(part) if isinstance(here, list) else str(part)
        if problem := _check_step(here, part, key, path, override, last=last):
            return problem
        if last:
            here[key] = override.value
            break
        if isinstance(here, dict) and here.get(str(key)) is None:
            here[key] = {}
        assert key is not None  # _check_step refused it
        path.append(key)
        here = here[key]
    return None


def _check_step(
    here: Any,
    part: str | int,
    key: str | int | None,
    path: list[str | int],
    override: Override,
    *,
    last: bool,
) -> Problem | None:
    """Return why ``here`` has no ``part``, or None."""
    where = Override("", tuple(path), None).key
    if isinstance(here, list):
        if isinstance(key, int) and -len(here) <= key < len(here):
            return None
        return Problem(
            f"--set {override.text}",
            f"{where} is a list of {len(here)}; got {part!r}, expected an index below {len(here)}.",
        )
    if not isinstance(here, dict) or isinstance(part, int):
        found = show(here)
        return Problem(
            f"--set {override.text}", f"{where} is {found}, so it has no {part!r} below it."
        )
    if key in here:
        return None
    model = model_at(RunConfig, path)
    known = set(fields_of(model)) if model else set()
    open_ended = model is None or model.model_config.get("extra") == "allow"
    named = not where or where in ("sources", "evaluators", "objectives")
    whole = last and (isinstance(override.value, dict) or not named)
    if part in known or (open_ended and whole):
        return None
    return Problem(
        f"--set {override.text}",
        f"no key {join_key(where, part)!r}; {nearest(str(part), {*known, *here})}",
    )


def _index(part: str | int) -> int | None:
    if isinstance(part, int):
        return part
    return int(part) if part.isdigit() else None

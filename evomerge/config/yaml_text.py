"""YAML text as plain data and back, with the line of every mistake.

The scalars are those of YAML 1.2's core schema: ``1e-3`` is a number, ``no`` and ``on`` are texts
(a task may well be called ``no``), dates stay texts, ``1:30`` is no number of minutes. A key that
stands twice is refused: YAML would silently take the last.
"""

import json
import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from evomerge.errors import ConfigError, Problem

_SCALARS = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", "~nN\0"),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    """Safe loader with YAML 1.2 scalars that refuses a key that stands twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012  pyyaml's way
        "<": yaml.SafeLoader.yaml_implicit_resolvers["<"]
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key.value!r} stands twice, in lines {seen[key.value]} and "
                    f"{line}. Remove one",
                    problem_mark=key.start_mark,
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Safe dumper that quotes every text which YAML 1.1 or 1.2 takes for something else."""

    yaml_implicit_resolvers = {  # noqa: RUF012  pyyaml's way
        first: list(rules) for first, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if len(text) > 100:
        raise yaml.constructor.ConstructorError(
            problem=f"a number of {len(text)} digits", problem_mark=node.start_mark
        )
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


for _tag, (_pattern, _first) in _SCALARS.items():
    _rule = re.compile(rf"^(?:{_pattern})$")
    _letters = [letter if letter != "\0" else "" for letter in _first]
    _Loader.add_implicit_resolver(_tag, _rule, _letters)
    _Dumper.add_implicit_resolver(_tag, _rule, _letters)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def read_yaml(path: Path) -> Any:
    """Return the plain data in the YAML or ``.json`` file ``path``.

    Raises:
        ConfigError: The file is missing, unreadable or empty, or isn't YAML (with the line).
    """
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(where, [Problem("", "no such file. Check the path.")]) from None
    except IsADirectoryError:
        raise ConfigError(where, [Problem("", "is a folder, expected a YAML file.")]) from None
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        raise ConfigError(where, [Problem("", message)]) from None
    except OSError as error:
        raise ConfigError(where, [Problem("", f"can't be read: {error.strerror}.")]) from None
    raw = _parse_json(text, where) if path.suffix == ".json" else parse_yaml(text, where)
    if raw is None:
        raise ConfigError(where, [Problem("", "is empty, expected a mapping of keys.")])
    return raw


def _parse_json(text: str, where: str) -> Any:
    """Return the plain data in JSON ``text``; YAML would refuse its tabs."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(where, [Problem(place, f"JSON syntax error: {error.msg}.")]) from None


def parse_yaml(text: str, where: str) -> Any:
    """Return the plain data in ``text``, which came from ``where``.

    Raises:
        ConfigError: A syntax error, a key that stands twice, or a value that is not plain data.
    """
    try:
        raw = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise ConfigError(where, [_syntax_problem(text, error)]) from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(where, [Problem("", f"is not YAML: {reason}.")]) from None
    except RecursionError:
        raise ConfigError(where, [Problem("", "is nested too deeply.")]) from None
    problems: list[Problem] = []
    plain = _plain(raw, "", problems, ())
    if problems:
        raise ConfigError(where, problems)
    return plain


def dump_yaml(plain: Any) -> str:
    """Return ``plain`` as YAML that ``parse_yaml`` reads back equal; mappings keep their order."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def join_key(parent: str, key: str | int) -> str:
    """Return the dotted path of ``key`` under ``parent``: ``recipe.parameters[0]``."""
    if isinstance(key, int):
        return f"{parent}[{key}]"
    return f"{parent}.{key}" if parent else key


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    reason = error.problem or error.context or "syntax error"
    if mark is None:
        return Problem("", f"is not YAML: {reason}.")
    if error.context == "expected a single document in the stream":
        return Problem(
            f"line {mark.line + 1}",
            "a second document begins; several in one file (mergekit-multi) aren't supported. Put "
            "each in a file of its own and merge them one by one.",
        )
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "stands twice" in reason:
        return Problem(f"line {mark.line + 1}", f"{reason}.")
    if "\t" in line[: mark.column + 1]:
        reason = "a tab stands where YAML wants spaces. Indent with spaces"
    elif isinstance(error, yaml.constructor.ConstructorError):
        reason = f"{reason}. Only plain YAML values are read"
    else:
        reason = f"YAML syntax error: {reason}"
    return Problem(f"line {mark.line + 1}, column {mark.column + 1}", f"{reason}.")


def _plain(raw: Any, key: str, problems: list[Problem], parents: tuple[int, ...]) -> Any:
    """Return ``raw`` with text keys, and note every value that JSON has no word for."""
    if isinstance(raw, (dict, list)) and id(raw) in parents:
        problems.append(Problem(key, "an alias refers to what it stands in. Write it out."))
        return None
    inside = (*parents, id(raw))
    if isinstance(raw, dict):
        for name in raw:
            if not isinstance(name, str):
                problems.append(
                    Problem(
                        join_key(key, str(name)),
                        f"the key {name!r} is not a text. Put it in quotes.",
                    )
                )
        return {
            str(name): _plain(value, join_key(key, str(name)), problems, inside)
            for name, value in raw.items()
        }
    if isinstance(raw, list):
        return [_plain(v, join_key(key, i), problems, inside) for i, v in enumerate(raw)]
    if isinstance(raw, float) and not math.isfinite(raw):
        problems.append(Problem(key, f"got {raw}, expected a finite number."))
    elif raw is not None and not isinstance(raw, (bool, int, float, str)):
        problems.append(
            Problem(key, f"got a {type(raw).__name__}, expected a text, number, list or mapping.")
        )
    return raw

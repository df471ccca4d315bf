"""What a submitted run file may make the server read, run and reach: what its operator listed.

A submitter isn't the operator. Their files name sources, data and settings by text, so every
text that could be a path, an address or code is looked at before anything acts on it. Whatever
isn't known to be harmless is refused by its key.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from evomerge.config.run import ExecutionConfig, RunConfig
from evomerge.config.yaml_text import join_key, parse_yaml, read_yaml
from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.service.settings import Settings

HUB = "huggingface.co"
MOST_NODES = 50_000
"""Values in a run file, aliases written out."""
MOST_DEPTH = 50
"""Blocks within each other in a run file."""

_LEDGER = RunConfig.model_fields["ledger"].default
_NO_PATHS = ("name", "base", "recipe", "objectives", "constraints", "ledger", "execution")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LONGEST_PATH = 4096
_RAY_SHARES = ("cpus", "gpus", "memory_gb", "resources")
"""Options of the executor ray that say what a worker takes, not where it is."""
_CODE = ("include_path",)
"""Settings that name folders whose files are run as code."""


def read_submitted(text: str, where: str) -> Any:
    """Return the plain data in YAML ``text`` from somebody who may mean harm.

    Raises:
        ConfigError: It isn't YAML, or grows out of bounds where its aliases are written out.
    """
    try:
        n = _written(text, where)
        if n <= MOST_NODES:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            n = 0 if root is None else _size(root, {}, ())
    except yaml.YAMLError:
        n = 0  # parse_yaml says what is wrong with it
    if n > MOST_NODES:
        message = f"holds more than {MOST_NODES} values where aliases are written out."
        raise ConfigError(where, [Problem("", message)])
    return parse_yaml(text, where)


def check_depth(raw: Any, where: str) -> None:
    """Refuse plain data that is nested deeper than any run file.

    Raises:
        ConfigError: It is.
    """
    level, depth = [raw], 0
    while level:
        if depth > MOST_DEPTH:
            raise ConfigError(where, [Problem("", "is nested too deeply.")])
        depth += 1
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]


def unsafe(config: RunConfig, plugins: Sequence[str], settings: Settings) -> list[Problem]:
    """Return what ``config`` asks for that the operator hasn't allowed."""
    plain = config.model_dump(mode="json", by_alias=True)
    looked_at = {key: value for key, value in plain.items() if key not in _NO_PATHS}
    problems = [*_plugins(plugins, settings), *_execution(config, settings)]
    for key, value in _texts(looked_at, ""):
        problems += _text(key, value, settings)
    for key, on in _flags(looked_at, ""):
        if on and key.endswith("unsafe_code") and not settings.unsafe_code:
            problems.append(Problem(key, "code that models write isn't run here. Leave it out."))
    problems += _remote_code(plain, settings)
    for index, path in enumerate(config.search.recipes):
        problems += _recipe(f"search.recipes[{index}]", path, settings)
    return problems


def fitted(raw: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the run file ``raw`` with what the service decides: its ledger and its disk."""
    execution = dict(raw.get("execution") or {})
    given = execution.get("disk_reserve_gb", ExecutionConfig().disk_reserve_gb)
    execution["disk_reserve_gb"] = max(float(given), settings.disk_reserve_gb)
    if execution.get("executor") == "ray" and settings.ray is not None:
        execution["options"] = {**(execution.get("options") or {}), "address": settings.ray}
    return {**raw, "ledger": settings.ledger, "execution": execution}


# -- single keys --------------------------------------------------------------------------------


def _plugins(plugins: Sequence[str], settings: Settings) -> Iterator[Problem]:
    allowed = {path.resolve() for path in settings.plugins}
    for index, plugin in enumerate(plugins):
        if _resolved(plugin) not in allowed:
            message = f"{plugin!r} isn't among the plug-ins that this service allows."
            yield Problem(f"plugins[{index}]", message)


def _execution(config: RunConfig, settings: Settings) -> Iterator[Problem]:
    """Refuse what is the operator's to say."""
    execution = config.execution
    if config.ledger not in (_LEDGER, settings.ledger):
        yield Problem("ledger", "the service has its own. Leave it out.")
    if execution.executor not in settings.executors:
        allowed = ", ".join(settings.executors)
        message = f"got {execution.executor!r}, and this service allows {allowed}."
        yield Problem("execution.executor", message)
    own = {"address": settings.ray} if execution.executor == "ray" else {}
    for key, found in execution.options.items():
        if not (execution.executor == "ray" and key in _RAY_SHARES) and own.get(key) != found:
            yield Problem(f"execution.options.{key}", "is the operator's to say. Leave it out.")
    for key, found, most in (
        ("workers", execution.workers, settings.max_workers),
        ("threads", execution.threads, settings.max_threads),
    ):
        if found > most:
            message = f"got {found}, and this service allows at most {most}."
            yield Problem(f"execution.{key}", message)


def _text(key: str, value: str, settings: Settings) -> Iterator[Problem]:
    """Refuse a text that leads out of the roots or to another host."""
    if _URL.search(value):
        for word in re.split(r"[\s,;'\"()<>]+", value):
            if _URL.match(word):
                yield from _address(key, word, settings)
        return
    path = _resolved(value)
    if path is None:
        if key.startswith(("sources.", "search.recipes")):
            yield Problem(key, "is no path that this system can have.")
        return
    code = key.rpartition(".")[2] in _CODE or _is_task_file(key, value)
    if code and not any(_within(path, allowed.resolve()) for allowed in settings.plugins):
        message = f"{value!r} isn't among the folders whose code this service runs."
        yield Problem(key, message)
        return
    leads_out = value.startswith(("/", "~")) or ".." in Path(value).parts or _exists(path)
    if leads_out and not code:
        for place in _places(path):
            if not any(_within(place, root) for root in settings.readable):
                message = (
                    f"{value!r} leads out of the folders that this service reads. Name a path "
                    "under one of its roots."
                )
                yield Problem(key, message)
                return


def _address(key: str, url: str, settings: Settings) -> Iterator[Problem]:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if host is None or host.lower() not in {item.lower() for item in settings.hosts}:
        yield Problem(key, f"{host or url!r} isn't among the hosts that this service reaches.")


def _remote_code(plain: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    for name, source in plain["sources"].items():
        if source.get("trust_remote_code") and source["path"] not in settings.remote_code:
            message = f"the code of {source['path']!r} isn't among what this service runs."
            yield Problem(f"sources.{name}.trust_remote_code", message)
    for key, on in _flags(plain["evaluators"], "evaluators"):
        if on and key.endswith("trust_remote_code"):
            yield Problem(key, "this service runs no code of data sets. Leave it out.")


def _recipe(key: str, path: str, settings: Settings) -> Iterator[Problem]:
    """Look at the sources that a recipe file of the server names."""
    file = _resolved(path)
    if file is None or not any(_within(file, root) for root in settings.readable):
        return  # told already
    try:
        raw = read_yaml(file)
    except EvomergeError:
        return  # told by the check of the run file
    for where, value in _texts(raw, ""):
        if where.rpartition(".")[2] in ("path", "model", "base_model"):
            yield from (Problem(key, item.message) for item in _text(where, value, settings))


# -- paths and values ---------------------------------------------------------------------------


def _is_task_file(key: str, value: str) -> bool:
    """Say if an evaluator's setting names a file of tasks, which may run code."""
    return key.endswith(".task") and ("/" in value or value.endswith((".yaml", ".yml")))


def _resolved(value: str) -> Path | None:
    """Return where a text leads as a path, symbolic links resolved; None where it can't be one."""
    if not value or len(value) > _LONGEST_PATH or "\0" in value or "\n" in value:
        return None
    try:
        return Path(value).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _places(path: Path) -> Iterator[Path]:
    """Yield where a path leads, and where the links directly in a folder do."""
    yield path
    try:
        for item in path.iterdir() if path.is_dir() else ():
            if item.is_symlink():
                yield item.resolve()
    except OSError:
        return


def _within(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text in plain data with its key; keys that users name count as texts too."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, join_key(key, str(name)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts(item, join_key(key, index))


def _flags(value: Any, key: str) -> Iterator[tuple[str, bool]]:
    """Yield every switch in plain data with its key; anything that isn't off counts as on."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if str(name) in ("unsafe_code", "trust_remote_code"):
                yield join_key(key, str(name)), bool(item)
            yield from _flags(item, join_key(key, str(name)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _flags(item, join_key(key, index))


def _written(text: str, where: str) -> int:
    """Return how many values YAML ``text`` holds as it is written; it stops where that is enough.

    Raises:
        ConfigError: It is nested too deeply, for a parser that calls itself for each level.
    """
    n = depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        n += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ConfigError(where, [Problem("", "is nested too deeply.")])
        if n > MOST_NODES:
            break
    return n


def _size(node: yaml.Node, known: dict[int, int], inside: tuple[int, ...]) -> int:
    """Return how many values ``node`` holds where aliases are written out."""
    if id(node) in inside:
        return 0  # refers to what it stands in; parse_yaml refuses that
    if id(node) in known:
        return known[id(node)]
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    known[id(node)] = 1 + sum(_size(part, known, (*inside, id(node))) for part in below)
    return known[id(node)]

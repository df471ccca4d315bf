"""Checks submitted run files in a process of its own, as the command line would.

A check loads torch, opens models and may load plug-ins; nothing of that belongs into the service.
The process stays for the next check, which then takes no time to load, and ends when it is idle. It
also knows the names that a run file may use.
"""

import multiprocessing
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evomerge.errors import ConfigError, EvomergeError, Problem, ProblemsError, ServiceError
from evomerge.recipes.declarations import Registry

IDLE_S = 600.0
"""Seconds without a check after which the process ends."""


@dataclass(frozen=True)
class Checked:
    """A run file without mistakes.

    Args:
        config: The run file as plain data, defaults filled in.
        warnings: What may go wrong all the same.
    """

    config: Mapping[str, Any]
    warnings: tuple[str, ...]


class Checker:
    """Checks one run file at a time.

    Args:
        timeout_s: A check that takes longer is given up.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._choices: dict[str, list[dict[str, Any]]] | None = None

    def check(self, raw: Mapping[str, Any], *, where: str, plugins: Sequence[str] = ()) -> Checked:
        """Check the run file with the plain data ``raw``.

        Raises:
            ConfigError: Its mistakes.
            ServiceError: 503: the check took too long, or its process ended.
        """
        with self._lock:
            answer = self._ask({"raw": dict(raw), "where": where, "plugins": list(plugins)})
            if plugins:
                self._end()  # what a plug-in registers isn't for the next check
        if problems := answer.get("problems"):
            raise ConfigError(where, [Problem(*item) for item in problems])
        return Checked(answer["config"], tuple(answer["warnings"]))

    def choices(self) -> dict[str, list[dict[str, Any]]]:
        """Return kind → the plug-ins that are installed: name, summary, several objectives or not.

        Raises:
            ServiceError: 503: the process took too long, or ended.
        """
        with self._lock:
            if self._choices is None:
                self._choices = self._ask(None)
            return self._choices

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, question: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            return self._answer_to(question)
        except (EOFError, OSError):
            self._end()
            raise ServiceError(
                503,
                "the process that checks run files has ended. Try again; if that happens "
                "again, the memory may be too small for it.",
            ) from None

    def _answer_to(self, question: Mapping[str, Any] | None) -> dict[str, Any]:
        if self._process is None or not self._process.is_alive():
            self._end()
            self._begin()
        assert self._pipe is not None
        self._pipe.send(question)
        if not self._pipe.poll(self._timeout_s):
            self._end()
            raise ServiceError(
                503, f"checking this took more than {self._timeout_s:.0f} s and was given up."
            )
        answer: dict[str, Any] = self._pipe.recv()
        return answer

    def _begin(self) -> None:
        # Never forked: the service has threads and open databases.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_answer, args=(theirs,), name="evomerge checker", daemon=True
        )
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _answer(pipe: Connection) -> None:
    """Answer questions until the service is gone, or has none for long."""
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while pipe.poll(IDLE_S):
            question = pipe.recv()
            pipe.send(_choices() if question is None else _check(**question))


def _choices() -> dict[str, list[dict[str, Any]]]:
    """Return the plug-ins that are installed, by kind, but executors: settings say which may be."""
    from evomerge.evaluation.protocol import EVALUATORS
    from evomerge.merging.registry import METHODS
    from evomerge.search.protocol import SEARCHERS

    registries: dict[str, Registry[Any]] = {
        "methods": METHODS,
        "evaluators": EVALUATORS,
        "searchers": SEARCHERS,
    }
    return {
        kind: [
            {"name": item.name, "summary": item.summary, "several": item.multi_objective}
            for item in registry.declarations().values()
        ]
        for kind, registry in registries.items()
    }


def _check(raw: dict[str, Any], where: str, plugins: list[str]) -> dict[str, Any]:
    """Return a run file in full, or what is wrong with it."""
    from evomerge.runs.setup.check import parse_checked
    from evomerge.runs.setup.prepare import prepare

    files = [Path(item) for item in plugins]
    try:
        config = parse_checked(raw, where=where, plugins=files)
        prepared = prepare(config, where=where, plugins=files)
    except ProblemsError as error:
        return {"problems": [(item.key, item.message) for item in error.problems]}
    except EvomergeError as error:
        return {"problems": [("", str(error))]}
    except Exception as error:  # noqa: BLE001  what a plug-in raises ends no service
        return {"problems": [("", f"can't be checked: {type(error).__name__}: {error}")]}
    plain = config.model_dump(mode="json", by_alias=True)
    return {"config": plain, "warnings": list(prepared.warnings)}

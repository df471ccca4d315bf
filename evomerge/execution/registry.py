"""The registry of executors: what each is built from, and how one is registered. Free of torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evomerge.execution.protocol import Executor, RunnerSpec
from evomerge.recipes.declarations import Declaration, Parameter, Registry


@dataclass(frozen=True)
class Crew:
    """What an executor is built from.

    Args:
        spec: What each worker is built from.
        slots: Number of workers.
        time_limit_s: Seconds after which a job is cut off; None for no limit.
        folder: Where workers write their logs, ``NAME.log`` each; None for nowhere.
        run_id: The run; names what is shared with others, such as a cluster.
        threads: Threads of each worker.
    """

    spec: RunnerSpec
    slots: int = 1
    time_limit_s: float | None = None
    folder: Path | None = None
    run_id: str = ""
    threads: int = 1


class ExecutorFactory(Protocol):
    """An executor's class as the registry sees it; ``options`` are its parameters."""

    def __call__(self, crew: Crew, **options: Any) -> Executor:
        """Build the executor; nothing is acquired before ``start``."""


EXECUTORS: Registry[ExecutorFactory] = Registry(
    kind="executor", package="evomerge.execution", entry_point="evomerge.executors"
)


def executor(name: str, *, parameters: Sequence[Parameter] = ()) -> Callable[[Any], Any]:
    """Register a class as the executor ``name``; its docstring's first line is the summary."""

    def register(cls: Any) -> Any:
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        EXECUTORS.add(Declaration(name, summary, tuple(parameters)), cls)
        return cls

    return register

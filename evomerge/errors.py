"""Every error that evomerge raises on purpose.

::

    EvomergeError                 the user can mend it: exit code 2, no traceback
    ├── ProblemsError             several mistakes at once, each with file, key and mend
    │   └── ConfigError           a run file
    ├── RecipeError               a recipe or a search space
    ├── ModelError                a source: missing, broken, unfit
    ├── MergeError                a merge that cannot be carried out
    ├── EvaluationError           an evaluator, its data or its model
    │   └── NotFiniteError        the model gave NaN or infinity
    ├── SearchError               a searcher, or results that don't belong to it
    ├── ExecutionError            workers that can't be had
    ├── LedgerError               the ledger or a run folder
    │   ├── LedgerAwayError       the database can't be reached or written just now
    │   └── FencedError           another driver has taken the run over
    ├── PluginError               a plug-in that can't be loaded, or a name taken twice
    ├── MissingExtraError         an optional package
    ├── MirrorError               a tracker that doesn't take a run
    ├── AccessError               tokens of the service, and where it may listen
    ├── ServiceError              what the service refuses, with its HTTP status
    └── RunFailedError            a run that started and could not go on: exit code 1

A message says what was found (with the value), what was expected, and what to do.
"""

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType


class EvomergeError(Exception):
    """Root of the tree; the CLI prints it without traceback and exits with ``exit_code``."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake of the user's.

    Args:
        key: Dotted path of the key, ``search.budget``; empty for the whole file.
        message: What was found, what was expected, what to do; one line.
    """

    key: str
    message: str


class ProblemsError(EvomergeError):
    """All mistakes that were found in one file, one line each: ``FILE: KEY: MESSAGE``."""

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.where = where
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(
                ": ".join(part for part in (where, problem.key, problem.message) if part)
                for problem in self.problems
            )
        )


class ConfigError(ProblemsError):
    """Mistakes in a run file or in ``--set``."""


class RecipeError(EvomergeError):
    """A recipe or search space that can't be read or doesn't fit its sources."""


class ModelError(EvomergeError):
    """A source that is missing, broken or unfit."""


class MergeError(EvomergeError):
    """A merge that cannot be carried out."""


class EvaluationError(EvomergeError):
    """An evaluator whose data, settings or model don't fit."""


class NotFiniteError(EvaluationError):
    """The model gave NaN or infinity: the candidate failed, not the task."""


class SearchError(EvomergeError):
    """A searcher's settings, or results that it isn't waiting for."""


class ExecutionError(EvomergeError):
    """Workers that can't be had: a cluster that isn't there, or none of them can be built."""


class LedgerError(EvomergeError):
    """A ledger or run folder that can't be used."""


class LedgerAwayError(LedgerError):
    """A database that can't be reached or written just now; the same write may work later."""


class FencedError(LedgerError):
    """Another driver has taken the run over: this one must not write any more."""


class PluginError(EvomergeError):
    """A plug-in that can't be loaded, or a name that is taken twice."""


class MissingExtraError(EvomergeError):
    """An optional package that isn't installed."""


class MirrorError(EvomergeError):
    """A tracker (Optuna's storage, MLflow, Weights & Biases) that doesn't take a run."""


class AccessError(EvomergeError):
    """A token of the service that can't be made or found, or an address that it can't use."""


class ServiceError(EvomergeError):
    """What the service refuses, here or at the other end of a connection.

    Args:
        status: The HTTP status, 400 to 599; 0 where there was no answer at all.
        message: What was found, what was expected, what to do.
        problems: Single mistakes, where there are several.
    """

    def __init__(self, status: int, message: str, problems: Iterable[Problem] = ()) -> None:
        self.status = status
        self.message = message
        self.problems = tuple(problems)
        lines = [": ".join(part for part in (p.key, p.message) if part) for p in self.problems]
        super().__init__("\n".join(lines) or message)


class RunFailedError(EvomergeError):
    """A run that started and could not go on."""

    exit_code = 1


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that an unknown ``name`` may have been meant as, or None."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? Known: a, b, x.`` for an unknown ``name``."""
    names = sorted(known)
    close = closest(name, names)
    hint = "" if close is None else f"did you mean {close!r}? "
    return f"{hint}Known: {', '.join(names) or 'none'}."


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module.

    Raises:
        MissingExtraError: It isn't installed; the message tells how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{module} is not installed. Install it with: pip install 'evomerge[{extra}]'"
        ) from error

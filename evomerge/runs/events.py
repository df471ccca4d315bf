"""What a run tells while it goes on: typed, frozen, the same for terminal, dashboard and ledger.

Objectives in events are raw values in the declared direction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a run is; part of several events.

    Args:
        evaluated: Candidates that were evaluated, failed ones among them.
        failed: Candidates that failed.
        budget: Candidates to evaluate in all.
    """

    evaluated: int
    failed: int
    budget: int


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    @property
    def kind(self) -> str:
        """Name in the ledger: ``candidate_done`` for ``CandidateDone``."""
        return _kind_of(type(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return {
            key: dict(vars(value)) if isinstance(value, Progress) else value
            for key, value in vars(self).items()
        }


def kinds() -> list[str]:
    """Return the kinds of events that there are, sorted."""
    return sorted(_kind_of(item) for item in Event.__subclasses__())


def _kind_of(event: type[Event]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()


@dataclass(frozen=True)
class Started(Event):
    """A driver took the run up; ``resumed`` if another one had before."""

    run_id: str
    name: str
    resumed: bool
    progress: Progress


@dataclass(frozen=True)
class Asked(Event):
    """The searcher proposed the candidates of ``ask``; they are stored."""

    ask: int
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class CandidateDone(Event):
    """A candidate was scored; ``reused``: every score came from the ledger.

    ``feasible``: it keeps the run's constraints.
    """

    candidate: str
    objectives: Mapping[str, float]
    reused: bool
    merge_s: float
    score_s: float
    progress: Progress
    attempt: int = 1
    worker: str = ""
    feasible: bool = True


@dataclass(frozen=True)
class CandidateFailed(Event):
    """A candidate gave no scores, and no further attempt is made."""

    candidate: str
    failure: str
    message: str
    progress: Progress
    attempt: int = 1
    worker: str = ""


@dataclass(frozen=True)
class AttemptLost(Event):
    """A worker ended under a candidate, which is tried again."""

    candidate: str
    attempt: int
    worker: str
    message: str


@dataclass(frozen=True)
class GenerationDone(Event):
    """A whole generation was evaluated and told to the searcher; ``best`` is of the run so far.

    ``hypervolume``: share of the ideal that the front covers; None where the run has none.
    """

    ask: int
    best: Mapping[str, float]
    elapsed_s: float
    progress: Progress
    hypervolume: float | None = None


@dataclass(frozen=True)
class Advanced(Event):
    """In asynchronous mode, every so many results: how far the search is, and the best so far.

    ``hypervolume``: share of the ideal that the front covers; None where the run has none.
    """

    best: Mapping[str, float]
    elapsed_s: float
    progress: Progress
    hypervolume: float | None = None


@dataclass(frozen=True)
class Rescoring(Event):
    """A finalist is about to be scored on the validation split; ``index`` counts from 1."""

    candidate: str
    index: int
    total: int


@dataclass(frozen=True)
class Enough(Event):
    """A rule ends the search before its budget: ``target``, ``stagnation``, ``device_hours``."""

    reason: str
    progress: Progress


@dataclass(frozen=True)
class Finished(Event):
    """The budget is spent, or a rule ended the search, and the finalists are re-scored.

    Args:
        best: Best by validation score; with several objectives the knee of the front.
        front: The best alone, or the Pareto front by validation scores.
        objectives: Validation values of ``best``.
        reason: ``budget``, ``exhausted`` where the searcher had nothing left to propose, or the
            rule that ended the search.
        progress: Final counts.
        hypervolume: Share of the ideal that the front covers; None where the run has none.
    """

    best: str
    front: tuple[str, ...]
    objectives: Mapping[str, float]
    reason: str
    progress: Progress
    hypervolume: float | None = None


@dataclass(frozen=True)
class Stopped(Event):
    """The run ends before its budget is spent; all that was finished is kept, and it can go on.

    Args:
        progress: Counts so far.
        reason: ``user``, ``signal``, ``disk``, ``ledger``, or what another process asked for:
            ``pause``, ``cancel``.
        message: What was the matter, where something was.
    """

    progress: Progress
    reason: str = "user"
    message: str = ""


@dataclass(frozen=True)
class Draining(Event):
    """A stop was asked for: nothing new is begun, and ``running`` candidates may still finish."""

    reason: str
    running: int


@dataclass(frozen=True)
class WorkerJoined(Event):
    """A worker is ready; it may be the replacement of one that is gone."""

    worker: str
    node: str
    device: str


@dataclass(frozen=True)
class WorkerGone(Event):
    """A worker ended, was given back or was lost with its node."""

    worker: str
    reason: str


@dataclass(frozen=True)
class Scaled(Event):
    """The run was asked to have so many workers from now on."""

    workers: int


@dataclass(frozen=True)
class Steered(Event):
    """The run took up what a user asked of it, or refused it.

    Args:
        action: ``inject``, ``ban``, ``unban``, ``pin`` or ``unpin``.
        subject: The recipe's label, or the candidate.
        refused: Why not; empty where it was done.
        best: Objective → best value so far, after a ban or its end.
        hypervolume: Share of the ideal that the front covers then; None where the run has none.
    """

    action: str
    subject: str
    refused: str = ""
    best: Mapping[str, float] | None = None
    hypervolume: float | None = None


@dataclass(frozen=True)
class LedgerAway(Event):
    """The database can't be written just now; results wait on the disk until it can."""

    message: str


@dataclass(frozen=True)
class LedgerBack(Event):
    """The database is back after ``away_s`` seconds; ``spooled`` results had waited."""

    away_s: float
    spooled: int

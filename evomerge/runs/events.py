"""What a run tells while it goes on: typed, frozen, the same for terminal, dashboard and ledger.

Objectives in events are raw values in the declared direction.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Started(Event):
    """A driver took the run up; ``resumed`` if another one had before."""

    run_id: str
    name: str
    resumed: bool
    progress: Progress


@dataclass(frozen=True)
class Asked(Event):
    """The searcher proposed generation ``ask``; it is stored."""

    ask: int
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class CandidateDone(Event):
    """A candidate was scored; ``reused``: every score came from the ledger."""

    candidate: str
    objectives: Mapping[str, float]
    reused: bool
    merge_s: float
    score_s: float
    progress: Progress


@dataclass(frozen=True)
class CandidateFailed(Event):
    """A candidate gave no scores."""

    candidate: str
    failure: str
    message: str
    progress: Progress


@dataclass(frozen=True)
class GenerationDone(Event):
    """A whole generation was evaluated and told to the searcher; ``best`` is of the run so far."""

    ask: int
    best: Mapping[str, float]
    elapsed_s: float
    progress: Progress


@dataclass(frozen=True)
class Rescoring(Event):
    """A finalist is about to be scored on the validation split; ``index`` counts from 1."""

    candidate: str
    index: int
    total: int


@dataclass(frozen=True)
class Finished(Event):
    """The budget is spent and the finalists are re-scored.

    Args:
        best: Best by validation score; with several objectives the first of the front.
        front: The best alone, or the Pareto front by validation scores.
        objectives: Validation values of ``best``.
        reason: ``budget``, or ``exhausted`` where the searcher had nothing left to propose.
        progress: Final counts.
    """

    best: str
    front: tuple[str, ...]
    objectives: Mapping[str, float]
    reason: str
    progress: Progress


@dataclass(frozen=True)
class Stopped(Event):
    """The user asked to stop; everything that was finished is stored and the run can be resumed."""

    progress: Progress

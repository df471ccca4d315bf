"""Runs: one search each, from a run file to its best recipe, kept in a ledger.

Here stands only what is quick to import. ``start`` begins and resumes runs, ``results`` reads them,
``report`` opens the test split, ``export`` writes what was found.
"""

from evomerge.runs.events import (
    Advanced,
    Asked,
    AttemptLost,
    CandidateDone,
    CandidateFailed,
    Draining,
    Enough,
    Event,
    Finished,
    GenerationDone,
    LedgerAway,
    LedgerBack,
    Progress,
    Rescoring,
    Scaled,
    Started,
    Steered,
    Stopped,
    WorkerGone,
    WorkerJoined,
)
from evomerge.runs.folder import RunFolder

__all__ = [
    "Advanced",
    "Asked",
    "AttemptLost",
    "CandidateDone",
    "CandidateFailed",
    "Draining",
    "Enough",
    "Event",
    "Finished",
    "GenerationDone",
    "LedgerAway",
    "LedgerBack",
    "Progress",
    "Rescoring",
    "RunFolder",
    "Scaled",
    "Started",
    "Steered",
    "Stopped",
    "WorkerGone",
    "WorkerJoined",
]

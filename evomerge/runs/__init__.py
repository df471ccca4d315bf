"""Runs: one search each, from a run file to its best recipe, kept in a ledger.

Here stands only what is quick to import. ``start`` begins and resumes runs, ``results`` reads them,
``report`` opens the test split, ``export`` writes what was found.
"""

from evomerge.runs.events import (
    Asked,
    CandidateDone,
    CandidateFailed,
    Event,
    Finished,
    GenerationDone,
    Progress,
    Rescoring,
    Started,
    Stopped,
)
from evomerge.runs.folder import RunFolder

__all__ = [
    "Asked",
    "CandidateDone",
    "CandidateFailed",
    "Event",
    "Finished",
    "GenerationDone",
    "Progress",
    "Rescoring",
    "RunFolder",
    "Started",
    "Stopped",
]

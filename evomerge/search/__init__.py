"""Searchers: they propose candidates and learn from results; they never see a model."""

from evomerge.search.protocol import (
    SEARCHERS,
    Evaluation,
    Injectable,
    Proposal,
    Restorable,
    Searcher,
    Start,
    build_searcher,
)
from evomerge.search.snapshots import Snapshot

__all__ = [
    "SEARCHERS",
    "Evaluation",
    "Injectable",
    "Proposal",
    "Restorable",
    "Searcher",
    "Snapshot",
    "Start",
    "build_searcher",
]

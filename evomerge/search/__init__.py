"""Searchers: they propose candidates and learn from results; they never see a model."""

from evomerge.search.protocol import (
    SEARCHERS,
    Evaluation,
    Proposal,
    Searcher,
    Start,
    build_searcher,
)

__all__ = ["SEARCHERS", "Evaluation", "Proposal", "Searcher", "Start", "build_searcher"]

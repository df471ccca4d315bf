"""Execution: candidates in, evaluations out. Workers, which need torch, are in ``worker``."""

from evomerge.execution.inprocess import InprocessExecutor, JobRunner
from evomerge.execution.protocol import (
    BlockRef,
    BlockScores,
    Executor,
    Failure,
    Job,
    Outcome,
)

__all__ = [
    "BlockRef",
    "BlockScores",
    "Executor",
    "Failure",
    "InprocessExecutor",
    "Job",
    "JobRunner",
    "Outcome",
]

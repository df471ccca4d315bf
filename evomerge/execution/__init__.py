"""Execution: candidates in, evaluations out. Workers, which need torch, are in ``worker``."""

from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import (
    LOST,
    BlockRef,
    BlockScores,
    Executor,
    Failure,
    Job,
    JobRunner,
    Outcome,
    RunnerSpec,
    WorkerState,
)
from evomerge.execution.registry import EXECUTORS, Crew, ExecutorFactory, executor

__all__ = [
    "EXECUTORS",
    "LOST",
    "BlockRef",
    "BlockScores",
    "Crew",
    "Executor",
    "ExecutorFactory",
    "Failure",
    "InprocessExecutor",
    "Job",
    "JobRunner",
    "Outcome",
    "RunnerSpec",
    "WorkerState",
    "executor",
]

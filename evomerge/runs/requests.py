"""What another process asks of the driver of a run, through the ledger."""

import contextlib
from pathlib import Path
from typing import Literal

from evomerge.errors import ExecutionError, LedgerError
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.results import status_of


def request_stop(path: Path, kind: Literal["pause", "cancel"]) -> int:
    """Ask the driver of the run in ``path`` to end; it answers by a decision within seconds.

    Args:
        path: The run's folder.
        kind: ``pause`` lets running candidates finish, ``cancel`` leaves them. Either run goes on
            with a resume.

    Returns:
        The request's number.

    Raises:
        LedgerError: It is no run, or nobody drives it.
    """
    folder = RunFolder.open(path)
    state = status_of(path).state
    if state != "running":
        raise LedgerError(
            f"run {folder.name!r} is {state}: nobody drives it, so there is nothing to {kind}."
        )
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        return RunWriter(ledger, folder.run_id).add_request(kind, {})


def request_scale(path: Path, workers: int) -> int:
    """Ask the driver of the run in ``path`` to have ``workers`` workers; it answers by a decision.

    Args:
        path: The run's folder.
        workers: At least 1.

    Returns:
        The request's number.

    Raises:
        ExecutionError: Its executor can't have that many.
        LedgerError: It is no run, or nobody drives it.
    """
    folder = RunFolder.open(path)
    status = status_of(path)
    if status.state == "finished":
        raise LedgerError(
            f"run {folder.name!r} is finished, so there is nothing for workers to do. Give it more "
            f"candidates, and as many workers: evomerge resume {path} --set search.budget=N "
            f"--set execution.workers={workers}, N above {status.progress.budget}"
        )
    if status.state != "running":
        raise LedgerError(
            f"run {folder.name!r} is {status.state}: nobody drives it. Resume it with as many: "
            f"evomerge resume {path} --set execution.workers={workers}"
        )
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        executor = RunRecords(ledger, folder.run_id).run().config["execution"]["executor"]
        if executor == "inprocess" and workers != 1:
            raise ExecutionError(
                f"got {workers} workers, but the executor inprocess has one. Stop the run and "
                f"resume it with another: evomerge resume {path} --set execution.executor=local "
                f"--set execution.workers={workers}"
            )
        return RunWriter(ledger, folder.run_id).add_request("scale", {"workers": workers})

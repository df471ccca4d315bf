"""Runs as lists and single ones show them, those that can't be read with the reason."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select

from evomerge.errors import EvomergeError
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger import tables
from evomerge.runs.reading.status import Status
from evomerge.service.reading.cursors import cursor_of, read_cursor
from evomerge.service.reading.stored import readable
from evomerge.service.reading.workspace import Workspace

UNREADABLE = "unreadable"
STATES = ("running", "finished", "stopped", "failed", "interrupted", UNREADABLE)


@dataclass(frozen=True)
class Wanted:
    """Which runs.

    Args:
        text: Part of the name.
        states: Some of ``STATES``; none for all.
        run_id: The only one; None for all.
    """

    text: str = ""
    states: Sequence[str] = ()
    run_id: str | None = None

    def includes(self, folder: RunFolder) -> bool:
        """Say if a run is wanted, whatever its state."""
        named = self.text.lower() in folder.name.lower()
        return named and self.run_id in (None, folder.run_id)


def list_runs(
    workspace: Workspace, wanted: Wanted, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Return a page of runs, the newest first, as plain data.

    Args:
        workspace: The runs.
        wanted: Which of them.
        limit: Most runs.
        cursor: Where an earlier page ended.

    Raises:
        ServiceError: 422: the cursor is broken.
    """
    after = None if cursor is None else read_cursor(cursor, float, str)
    found = [item for item in workspace.folders.all() if wanted.includes(item)]
    keyed = sorted((_key(workspace, item), item) for item in found)
    page: list[tuple[tuple[float, str], dict[str, Any]]] = []
    for key, folder in keyed:
        if after is not None and key <= after:
            continue
        item = summary_of(workspace, folder)
        if wanted.states and item["state"] not in wanted.states:
            continue
        page.append((key, item))
        if len(page) > limit:
            break
    more = len(page) > limit
    return {
        "items": [item for _, item in page[:limit]],
        "next": cursor_of(*page[limit - 1][0]) if more else None,
    }


def summary_of(workspace: Workspace, folder: RunFolder) -> dict[str, Any]:
    """Return a run as a line of a list; one that can't be read says why."""
    started_s = started(workspace, folder)
    try:
        status = workspace.status(folder.run_id)
        return _empty(folder, started_s) | _filled(status) | _course(workspace, status)
    except EvomergeError as error:
        message = " ".join(str(error).split())
        return _empty(folder, started_s) | {"state": UNREADABLE, "message": message}


def run_of(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Return all about a run but its candidates.

    Raises:
        ServiceError: 404: there is no such run.
        LedgerError: It can't be read.
    """
    folder = workspace.folder(run_id)
    status = workspace.status(run_id)
    row = workspace.records(run_id).run()
    return (
        _empty(folder, row.started_s)
        | _filled(status)
        | _course(workspace, status)
        | {
            "accounting": asdict(status.accounting),
            "config": row.config,
            "sources": row.sources,
            "tasks": row.tasks,
            "genes": row.space.get("genes", []),
            "versions": row.versions,
            "plugins": [{"path": path, "sha256": sha256} for path, sha256 in row.plugins],
            "remarks": [asdict(remark) for remark in status.remarks],
        }
    )


def started(workspace: Workspace, folder: RunFolder) -> float | None:
    """Return when a run was started, in seconds since 1970; None where nobody can tell."""
    known = workspace.started.get(folder.run_id)
    if known is None:
        query = select(tables.run.c.started_s).where(tables.run.c.run_id == folder.run_id)
        try:
            with workspace.ledger(folder).read() as connection:
                known = connection.scalar(query)
        except EvomergeError:
            return None
        if known is not None:
            workspace.started[folder.run_id] = known
    return known


def _key(workspace: Workspace, folder: RunFolder) -> tuple[float, str]:
    return -(started(workspace, folder) or 0.0), folder.run_id


def _empty(folder: RunFolder, started_s: float | None) -> dict[str, Any]:
    return {
        "run_id": folder.run_id,
        "name": folder.name,
        "folder": folder.path.name,
        "started_s": started_s,
        "reason": "",
        "message": "",
        "driver": "",
        "mode": None,
        "progress": None,
        "generations": None,
        "best": {},
        "best_candidate": None,
        "split": None,
        "directions": {},
        "hypervolume": None,
        "candidates_per_s": None,
        "eta_s": None,
        "device_s": None,
        "cost": None,
        "utilisation": None,
        "workers": 0,
        "starred": [],
        "course": None,
    }


def _course(workspace: Workspace, status: Status) -> dict[str, Any]:
    with readable(status.name, "the course"):
        course = workspace.courses.of(workspace.records(status.run_id), status.directions)
    return {"course": course}


def _filled(status: Status) -> dict[str, Any]:
    same = (
        "state", "reason", "message", "driver", "mode", "generations", "best", "best_candidate",
        "split", "directions", "candidates_per_s", "eta_s",
    )  # fmt: skip
    volume = status.hypervolume
    return {name: getattr(status, name) for name in same} | {
        "progress": asdict(status.progress),
        "hypervolume": None if volume is None else asdict(volume),
        "device_s": status.accounting.device_s,
        "cost": status.accounting.cost,
        "utilisation": status.accounting.utilisation,
        "workers": sum(worker.state != "gone" for worker in status.workers),
        "starred": [remark.candidate for remark in status.remarks if remark.starred],
    }

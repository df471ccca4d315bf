"""What a report of a run shows, as plain data in the shapes that the API gives it."""

import time
from pathlib import Path
from typing import Any

from evomerge import __version__
from evomerge.config import dump_yaml
from evomerge.runs.folder import RunFolder
from evomerge.runs.report import Report
from evomerge.service.folders import Folders
from evomerge.service.reading.archives import archive_of
from evomerge.service.reading.details import details_of
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.fronts import MOST_OTHERS, MOST_POINTS, front_picture
from evomerge.service.reading.run_list import run_of
from evomerge.service.reading.series import MOST, series_of
from evomerge.service.reading.workspace import Workspace

_SHOWN = (
    "run_id", "name", "started_s", "state", "progress", "best_candidate", "directions", "device_s",
    "cost", "sources", "tasks", "versions", "plugins",
)  # fmt: skip
"""What of a run's description is for those whom a report is sent to: no ledger, host or folder."""


class _OneRun(Folders):
    """The folder of one run as a workspace."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder.path.parent)
        self._folder = folder

    def all(self) -> list[RunFolder]:
        """Return that folder."""
        return [self._folder]


def contents_of(path: Path, report: Report) -> dict[str, Any]:
    """Return all that the report of a run shows.

    Args:
        path: The run's folder.
        report: Its table on the test split.

    Raises:
        LedgerError: The run can't be read.
    """
    folder = RunFolder.open(path)
    workspace = Workspace(_OneRun(folder))
    try:
        run = workspace.run(folder.run_id)
        records = workspace.records(folder.run_id)
        about = run_of(workspace, folder.run_id)
        test = report.to_dict()
        best = details_of(run, records, test["models"][-1]["candidate"])
        return {
            "made_s": time.time(),
            "version": __version__,
            "test": test,
            "run": {key: about[key] for key in _SHOWN},
            "fronts": [_front(workspace, run, split) for split in ("validation", "search")],
            "metrics": series_of(run, points=MOST),
            "niches": archive_of(run, records),
            "best": {key: value for key, value in best.items() if key not in ("remark", "tries")},
            "texts": {
                "recipe": dump_yaml(test["recipe"]),
                "config": dump_yaml(_shared(about["config"])),
            },
        }
    finally:
        workspace.close()


def _front(workspace: Workspace, run: FollowedRun, split: str) -> dict[str, Any]:
    chosen = tuple(range(len(run.columns.objectives.all)))
    front = workspace.front(run, split, chosen)
    picture = front_picture(
        run.columns, front, split, chosen, points=MOST_POINTS, others=MOST_OTHERS
    )
    best = None if run.final is None else run.final["best"]
    return picture | {"final": run.final is not None, "best": best}


def _shared(config: dict[str, Any]) -> dict[str, Any]:
    """Return a run file without its ledger, whose address may hold a host and a user."""
    return {key: value for key, value in config.items() if key != "ledger"}

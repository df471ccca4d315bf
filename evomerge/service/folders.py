"""The runs of the workspace, by id: those that jobs made and those of the command line."""

import logging
import threading
from pathlib import Path

from evomerge.errors import LedgerError, ServiceError
from evomerge.runs.folder import RunFolder

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int]


class Folders:
    """Run folders directly under one folder; safe in several threads.

    Args:
        runs: That folder; needn't exist yet.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Stamp, RunFolder | None]] = {}

    def all(self) -> list[RunFolder]:
        """Return all runs that can be read, by folder name."""
        files = sorted(self._runs.glob("[!.]*/run.json"))
        with self._lock:
            found = [self._open(file) for file in files]
            for gone in set(self._read) - set(files):
                del self._read[gone]
        return [folder for folder in found if folder is not None]

    def find(self, run_id: str) -> RunFolder:
        """Return the folder of a run.

        Raises:
            ServiceError: 404: the workspace has no such run.
        """
        for folder in self.all():
            if folder.run_id == run_id:
                return folder
        raise ServiceError(404, f"there is no run {run_id!r}. GET /api/v1/runs lists them.")

    def _open(self, file: Path) -> RunFolder | None:
        """Return what ``file`` says, read anew only where it has changed."""
        try:
            stat = file.stat()
        except OSError:
            return None
        stamp = stat.st_mtime_ns, stat.st_ino
        known = self._read.get(file)
        if known is None or known[0] != stamp:
            try:
                folder: RunFolder | None = RunFolder.open(file.parent)
            except LedgerError as error:
                logger.warning("%s", error)
                folder = None
            known = self._read[file] = stamp, folder
        return known[1]

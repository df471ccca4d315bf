"""A finished run on formulas, with failures, and what reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evomerge.execution.protocol import Failure, Job
from evomerge.runs.folder import RunFolder, write_run
from evomerge.service.folders import Folders
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.workspace import Workspace
from tests.runs.fakes import TWO, FakeRun

RUN_ID = "0123456789abcdef0123456789abcdef"


def fails(job: Job) -> Failure | None:
    """Every candidate with place 3 fails."""
    broken = job.candidate_id.endswith("-3")
    return Failure("exception", "<b>broken</b> & bad", "Traceback …") if broken else None


@dataclass(frozen=True)
class Place:
    """A workspace with one run.

    Args:
        fake: The run.
        runs: Folder of run folders.
        folder: The run's.
    """

    fake: FakeRun
    runs: Path
    folder: RunFolder


def make_place(path: Path, **settings: object) -> Place:
    """Store a run of two objectives in ``path``; nothing is evaluated yet."""
    fake = FakeRun(path, objectives=TWO, run_id=RUN_ID, **settings)  # type: ignore[arg-type]
    fake.worker.fails = fails
    folder = path / "runs" / "toy"
    folder.mkdir(parents=True)
    fake.store().close()
    written = write_run(folder, run_id=RUN_ID, name="toy", ledger=fake.url, config="{}\n")
    return Place(fake, folder.parent, written)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run of 40 candidates that is final; every sixth failed."""
    place = make_place(tmp_path_factory.mktemp("reading"), budget=40)
    place.fake.drive()
    return place


@pytest.fixture(scope="session")
def workspace(finished: Place) -> Iterator[Workspace]:
    found = Workspace(Folders(finished.runs), refresh_s=0.0)
    yield found
    found.close()


@pytest.fixture(scope="session")
def followed(workspace: Workspace) -> FollowedRun:
    return workspace.run(RUN_ID)

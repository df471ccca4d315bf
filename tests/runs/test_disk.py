import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge.runs.disk import (
    disk_trouble,
    folder_bytes,
)
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.writer import RunWriter


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with contextlib.closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.db", create=True)) as opened:
        yield opened


def test_enough_room_is_no_trouble(tmp_path: Path, ledger: Ledger) -> None:
    assert disk_trouble(tmp_path, ledger, reserve_gb=0, budget_gb=1) is None


def test_a_disk_that_fills_up_is_named(tmp_path: Path, ledger: Ledger) -> None:
    found = disk_trouble(tmp_path, ledger, reserve_gb=1e9, budget_gb=None)
    assert found is not None
    assert str(tmp_path) in found
    assert "execution.disk_reserve_gb" in found


def test_the_budget_covers_folder_and_ledger(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "run"
    (folder / "spool").mkdir(parents=True)
    alone = disk_trouble(folder, ledger, reserve_gb=0, budget_gb=0.001)
    assert alone is None
    (folder / "spool" / "one").write_bytes(b"x" * 1_000_000)
    assert folder_bytes(folder) == 1_000_000
    both = disk_trouble(folder, ledger, reserve_gb=0, budget_gb=0.001)
    assert both is not None
    assert "execution.disk_budget_gb (0.001)" in both


@pytest.mark.postgres
def test_a_ledger_on_a_server_counts_towards_the_budget(tmp_path: Path, postgres_url: str) -> None:
    with contextlib.closing(Ledger.open(postgres_url, create=True)) as ledger:
        RunWriter(ledger, "run1").decide("ask", {})
        assert disk_trouble(tmp_path, ledger, reserve_gb=0, budget_gb=1) is None
        found = disk_trouble(tmp_path, ledger, reserve_gb=0, budget_gb=0.001)
        assert found is not None
        assert "more than" in found

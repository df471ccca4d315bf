import contextlib
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from evomerge.errors import LedgerError
from evomerge.runs.ledger import driving, tables
from evomerge.runs.ledger.copying import back_up, restore
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.integrity import check_ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import AttemptRecord
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.fakes import BINARY, FakeRun, picture


def finished(folder: Path, url: str, *, budget: int = 8) -> FakeRun:
    fake = FakeRun(folder, budget=budget, finalists=2, evaluators=BINARY, ledger=url)
    for _ in fake.start().drive():
        pass
    return fake


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(Ledger.open(url, read_only=True)) as ledger, ledger.read() as reading:
        return {
            table.name: [
                tuple(row) for row in reading.execute(select(table).order_by(*table.primary_key))
            ]
            for table in tables.METADATA.sorted_tables
            if table.name not in ("worker", "driver")
        }


def test_a_backup_holds_every_row_and_goes_back(ledger_url: str, tmp_path: Path) -> None:
    finished(tmp_path, ledger_url)
    file = tmp_path / "copy.db"
    copied = back_up(ledger_url, file)
    assert copied.rows["candidate"] == 12
    assert "worker" not in copied.rows
    assert everything(f"sqlite:///{file}") == everything(ledger_url)
    again = f"sqlite:///{tmp_path}/again.db"
    restore(file, again)
    assert everything(again) == everything(ledger_url)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.postgres
def test_a_run_moves_to_a_server_and_goes_on_there(postgres_url: str, tmp_path: Path) -> None:
    fake = finished(tmp_path, "")
    restore(tmp_path / "ledger.db", postgres_url)
    moved = FakeRun(tmp_path, budget=8, finalists=2, evaluators=BINARY, ledger=postgres_url)
    assert picture(moved.records()) == picture(fake.records())
    run = moved.resume()  # its driver is not bound to that of the original
    run.extend(14)
    for _ in run.drive():
        pass
    ids = [row.attempt_id for row in moved.records().attempts()]
    assert ids == sorted(set(ids))
    assert len(ids) > len(fake.records().attempts())


def test_a_backup_is_of_one_moment_while_a_run_writes(ledger_url: str, tmp_path: Path) -> None:
    """Every copy holds together, and they grow."""
    ledger = Ledger.open(ledger_url, create=True)
    done = threading.Event()
    fake = FakeRun(tmp_path, budget=36, finalists=2, evaluators=BINARY, ledger=ledger_url)
    run = fake.start()

    def drive() -> None:
        for _ in run.drive():
            pass
        done.set()

    thread = threading.Thread(target=drive)
    thread.start()
    sizes = []
    for number in range(100):
        last = done.is_set()
        file = tmp_path / f"copy{number}.db"
        sizes.append(back_up(ledger_url, file).rows["attempt"])
        copy = Ledger.open(f"sqlite:///{file}", read_only=True)
        assert check_ledger(copy).problems == []
        copy.close()
        if last:
            break
    thread.join()
    ledger.close()
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 1
    assert sizes[-1] == 38


def test_a_copy_can_be_driven_at_once(ledger_url: str, tmp_path: Path) -> None:
    ledger = Ledger.open(ledger_url, create=True)
    driving.claim(ledger, "run1", holder="far:7")
    back_up(ledger_url, tmp_path / "copy.db")
    ledger.close()
    copy = Ledger.open(f"sqlite:///{tmp_path}/copy.db")
    assert driving.claim(copy, "run1", holder="near:8") == 2
    copy.close()


def test_nothing_is_overwritten_or_mixed(ledger_url: str, tmp_path: Path) -> None:
    finished(tmp_path, ledger_url, budget=2)
    file = tmp_path / "copy.db"
    back_up(ledger_url, file)
    with pytest.raises(LedgerError, match="Choose another --out"):
        back_up(ledger_url, file)
    with pytest.raises(LedgerError, match="holds runs already"):
        restore(file, ledger_url)


def test_a_restore_that_fails_leaves_an_empty_database(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"sqlite:///{tmp_path}/source.db"
    ledger = Ledger.open(source, create=True)
    RunWriter(ledger, "run1").add_attempt(AttemptRecord("0-0", "search", 1, None), [], {}, None)
    ledger.close()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("evomerge.runs.ledger.copying._take_back_drivers", broken)
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "source.db", ledger_url)
        with pytest.raises(KeyboardInterrupt):
            back_up(source, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == []
    restore(tmp_path / "source.db", ledger_url)
    restored = Ledger.open(ledger_url, read_only=True)
    assert len(RunRecords(restored, "run1").attempts()) == 1
    restored.close()


def test_a_place_that_cannot_be_written_is_named(ledger_url: str, tmp_path: Path) -> None:
    Ledger.open(ledger_url, create=True).close()
    with pytest.raises(LedgerError, match=r"can't be|is away"):
        back_up(ledger_url, Path("/proc/nowhere/copy.db"))

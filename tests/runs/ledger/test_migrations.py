"""Upgrades from every released schema, with a ledger that its own version wrote."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from evomerge.errors import LedgerError
from evomerge.runs.folder import change_ledger, driver_lock, write_run
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.copying import restore
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.integrity import check_ledger
from evomerge.runs.ledger.records import RunRecords
from tests.cli.commands import call, call_json, mistake
from tests.runs.fakes import BINARY, FakeRun, picture
from tests.runs.ledger.conftest import Opener

FIRST = Path(__file__).with_name("ledger-0001.sql")
"""A finished run of 12 candidates, as the version with schema 0001 left it."""


@pytest.fixture
def first_file(tmp_path: Path) -> Path:
    """A SQLite file of the first schema."""
    file = tmp_path / "first.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(FIRST.read_text())
    return file


@pytest.fixture
def first_url(first_file: Path, ledger_url: str) -> str:
    """The same in a database of each kind."""
    restore(first_file, ledger_url)
    return ledger_url


def resumed(folder: Path, ledger: str, budget: int) -> FakeRun:
    fake = FakeRun(folder, budget=12, finalists=2, evaluators=BINARY, ledger=ledger)
    run = fake.resume()
    run.extend(budget)
    for _ in run.drive():
        pass
    return fake


def test_a_copy_keeps_the_schema_of_the_original(first_url: str) -> None:
    ledger = Ledger.open(first_url, read_only=True, schema=None)
    assert ledger.revision() == "0001"
    ledger.close()


def test_reading_an_old_ledger_never_changes_it(first_url: str) -> None:
    with pytest.raises(LedgerError, match=r"schema 0001, older than 0004.*evomerge db upgrade"):
        Ledger.open(first_url, read_only=True)
    ledger = Ledger.open(first_url, read_only=True, schema=None)
    assert ledger.revision() == "0001"
    ledger.close()


@pytest.mark.parametrize("steps", [["0004"], ["0002", "0004"], ["0003", "0004"]])
def test_an_upgraded_run_is_whole_and_goes_on(
    first_url: str, open_ledger: Opener, tmp_path: Path, steps: list[str]
) -> None:
    for step in steps[:-1]:
        between = Ledger.open(first_url, schema=step)
        assert between.revision() == step
        between.close()
    ledger = open_ledger()  # upgrades
    assert ledger.revision() == "0004"
    before = picture(RunRecords(ledger, "run1"))
    assert len(before["candidates"]) == 12
    assert check_ledger(ledger).problems == []
    attempts = RunRecords(ledger, "run1").attempts()
    assert {(row.busy_s, row.devices, row.lost) for row in attempts} == {(0.0, 1.0, False)}
    fake = resumed(tmp_path, first_url, 18)
    after = picture(fake.records())
    assert after["candidates"][:12] == before["candidates"]
    assert after["attempts"][:14] == before["attempts"]
    whole = FakeRun(tmp_path / "whole", budget=18, finalists=2, evaluators=BINARY)
    whole.folder.mkdir()
    for _ in whole.start().drive():
        pass
    assert after["candidates"] == picture(whole.records())["candidates"]
    assert after["estimates"]["search"] == picture(whole.records())["estimates"]["search"]
    assert check_ledger(ledger).problems == []


def test_the_commands_work_on_an_upgraded_run(first_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "toy"
    folder.mkdir(parents=True)
    write_run(folder, run_id="run1", name="toy", ledger=first_url, config="{}\n")
    assert "schema 0001, older than 0004" in mistake("front", folder)[0]
    found = call_json("db", "upgrade", folder)
    assert (found["before"], found["after"]) == ("0001", "0004")
    assert "has schema 0004 already" in call("db", "upgrade", folder)[1]
    assert call_json("status", folder)["state"] == "finished"
    best = call_json("front", folder)["front"][0]["candidate"]
    assert call_json("show", folder, "best")["candidate"] == best


def test_an_upgrade_is_refused_while_a_run_is_driven(ledger: Ledger, open_ledger: Opener) -> None:
    driving.claim(ledger, "run1", holder="far:7")
    with ledger.write("test") as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(LedgerError, match="can't be upgraded while its runs are driven, by far:7"):
        open_ledger()


def test_drivers_of_the_first_version_are_known_by_their_folders(first_file: Path) -> None:
    folder = first_file.parent / "toy"
    folder.mkdir()
    write_run(folder, run_id="run1", name="toy", ledger=f"sqlite:///{first_file}", config="{}\n")
    with driver_lock(folder):
        (message,) = mistake("db", "upgrade", "--ledger", f"sqlite:///{first_file}")
        assert f"driven, by {folder}" in message
        with pytest.raises(LedgerError, match="drives the run"):
            change_ledger(folder, "sqlite:///other.db")
    call("db", "upgrade", "--ledger", f"sqlite:///{first_file}")


def test_an_upgrade_that_fails_changes_nothing(
    first_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alembic.op.add_column", broken)
    with pytest.raises(KeyboardInterrupt):
        Ledger.open(f"sqlite:///{first_file}")
    monkeypatch.undo()
    ledger = Ledger.open(f"sqlite:///{first_file}", read_only=True, schema=None)
    assert ledger.revision() == "0001"
    ledger.close()
    Ledger.open(f"sqlite:///{first_file}").close()

import shutil
import sqlite3
from pathlib import Path

import pytest

from evomerge.runs.ledger.database import Ledger
from tests.cli.commands import call, call_json, mistake


@pytest.fixture
def run_folder(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run with its ledger."""
    shutil.copytree(finished_run.parents[1], tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    for old in (tmp_path / "work").glob("ledger.db*"):
        old.rename(tmp_path / "work" / old.name.replace("ledger", "mine"))
    from evomerge.runs.folder import change_ledger

    folder = Path("runs/toy")
    change_ledger(folder, "sqlite:///mine.db")
    return folder


def test_a_sound_ledger_is_counted(run_folder: Path) -> None:
    out, err = call("db", "check", run_folder)
    assert "fake" in out
    assert "Nothing is wrong with it." in err
    found = call_json("db", "check", "--ledger", "sqlite:///mine.db")
    assert found["problems"] == []
    assert found["runs"][0]["attempts"] > 20


def test_a_broken_ledger_names_every_problem_and_exits_with_2(run_folder: Path) -> None:
    with sqlite3.connect("mine.db") as connection:
        connection.execute("DELETE FROM recipe")
        connection.execute("DELETE FROM event WHERE sequence = 2")
    out, err = call("db", "check", run_folder, code=2)
    assert "Problem: run fake (run1): candidates without their recipe: 0-0" in out
    assert "Problem: run fake (run1): gaps in the numbers of events" in out
    assert "2 problems in ledger" in err


def test_a_backup_is_a_ledger_and_goes_back_with_its_runs(run_folder: Path) -> None:
    front = call_json("front", run_folder)
    assert call_json("db", "backup", run_folder, "--out", "copy.db")["rows"]["run"] == 1
    assert call_json("db", "check", "--ledger", "sqlite:///copy.db")["problems"] == []
    Path("mine.db").unlink()
    out, err = call("db", "restore", "copy.db", run_folder, "--ledger", "sqlite:///new.db")
    assert "candidate" in out
    assert "Restored copy.db as new.db" in err
    assert call_json("front", run_folder) == front
    assert mistake("db", "backup", run_folder, "--out", "copy.db") == [
        "copy.db exists. Choose another --out."
    ]


@pytest.mark.postgres
def test_a_run_moves_to_a_server(run_folder: Path, postgres_url: str) -> None:
    front = call_json("front", run_folder)
    status = call_json("status", run_folder)
    call("db", "backup", run_folder, "--out", "copy.db")
    call("db", "restore", "copy.db", run_folder, "--ledger", postgres_url)
    Path("mine.db").unlink()
    assert call_json("front", run_folder) == front
    moved = call_json("status", run_folder)
    assert {**moved, "eta_s": None} == {**status, "eta_s": None}
    assert call_json("show", run_folder, "best")["candidate"] == front["front"][0]["candidate"]
    assert call_json("db", "check", run_folder)["problems"] == []
    assert call_json("db", "upgrade", run_folder)["after"] == "0004"


def test_an_upgrade_of_what_is_new_says_so(run_folder: Path) -> None:
    assert "has schema 0004 already" in call("db", "upgrade", run_folder)[1]


def test_a_ledger_is_named_once(run_folder: Path) -> None:
    for words in ((), (run_folder, "--ledger", "sqlite:///mine.db")):
        assert mistake("db", "check", *words) == [
            "got no ledger, or two. Give the folder of a run, or --ledger URL."
        ]
    (message,) = mistake("db", "check", "--ledger", "sqlite:///nowhere.db")
    assert "does not exist" in message


def test_garbage_is_listed_and_then_removed(run_folder: Path) -> None:
    (run_folder / "run.json.partial").write_text("x" * 2000)
    out, err = call("gc", "--dry-run")
    assert "run.json.partial" in out
    assert "Would remove 1 files and folders, 2 kB." in err
    assert (run_folder / "run.json.partial").exists()
    assert call_json("gc")["n_bytes"] == 2000
    assert not (run_folder / "run.json.partial").exists()
    assert "Removed 0 files" in call("gc")[1]
    Ledger.open("sqlite:///mine.db").close()

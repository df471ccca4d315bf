import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evomerge.errors import LedgerError
from evomerge.runs.folder import (
    RunFolder,
    check_free,
    driver_lock,
    is_driven,
    make_folder,
    write_atomically,
    write_run,
)


def new_folder(path: Path) -> RunFolder:
    make_folder(path)
    ledger = f"sqlite:///{path.parent}/ledger.db"
    return write_run(path, run_id="ab12", name="mine", ledger=ledger, config="name: mine\n")


def test_a_folder_says_which_run_it_is(tmp_path: Path) -> None:
    made = new_folder(tmp_path / "mine")
    found = RunFolder.open(tmp_path / "mine")
    assert found == made
    assert (found.run_id, found.name) == ("ab12", "mine")
    assert found.ledger == f"sqlite:///{tmp_path}/ledger.db"
    assert found.config_file.read_text() == "name: mine\n"
    raw = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert raw["schema_version"] == 1


def test_a_relative_ledger_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(Path("runs/mine"))
    write_run(
        Path("runs/mine"), run_id="a", name="mine", ledger="sqlite:///runs/ledger.db", config=""
    )
    monkeypatch.chdir("/")
    found = RunFolder.open(tmp_path / "runs/mine")
    assert found.ledger == f"sqlite:///{tmp_path}/runs/ledger.db"


def test_a_workspace_may_move_as_a_whole(tmp_path: Path) -> None:
    new_folder(tmp_path / "old" / "mine")
    (tmp_path / "old" / "ledger.db").touch()
    (tmp_path / "old").rename(tmp_path / "new")
    found = RunFolder.open(tmp_path / "new" / "mine")
    assert found.ledger == f"sqlite:///{tmp_path}/new/ledger.db"


def test_an_existing_run_is_refused(tmp_path: Path) -> None:
    new_folder(tmp_path / "mine")
    with pytest.raises(LedgerError, match=r"holds a run already.*evomerge resume"):
        make_folder(tmp_path / "mine")


def test_other_files_are_never_mixed_with_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LedgerError, match=r"holds other files \(thesis\.tex\)"):
        make_folder(tmp_path)
    with pytest.raises(LedgerError, match="is a file"):
        make_folder(tmp_path / "thesis.tex")


def test_what_a_killed_start_left_is_free(tmp_path: Path) -> None:
    make_folder(tmp_path / "mine")
    with driver_lock(tmp_path / "mine"):
        write_atomically(tmp_path / "mine" / "config.yaml", "name: mine\n")
    (tmp_path / "mine" / "run.json.partial").touch()
    assert check_free(tmp_path / "mine") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="can't be written: Not a directory"):
        make_folder(tmp_path / "file" / "mine")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="can't be written: Permission denied"):
        make_folder(tmp_path / "mine")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "config.yaml", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LedgerError, match="No space left on device"):
        write_atomically(tmp_path / "config.yaml", "new")
    assert (tmp_path / "config.yaml").read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is broken"),
        ("[]", "not what evomerge writes"),
        ('{"schema_version": 7}', "schema 7, newer than"),
        ('{"schema_version": 1, "ledger": "sqlite:///x"}', "lacks 'run_id'"),
    ],
)
def test_a_damaged_run_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(LedgerError, match=message):
        RunFolder.open(tmp_path)


def test_a_folder_without_a_run_is_explained(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="not the folder of a run"):
        RunFolder.open(tmp_path)


HOLDER = """
import sys
from pathlib import Path
from evomerge.runs.folder import driver_lock
with driver_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_refused_and_a_killed_one_frees_the_run(tmp_path: Path) -> None:
    assert not is_driven(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_driven(tmp_path)
        with (
            pytest.raises(LedgerError, match=rf"another process \(pid {holder.pid}\) drives"),
            driver_lock(tmp_path),
        ):
            pass
        holder.kill()
    assert not is_driven(tmp_path)
    with driver_lock(tmp_path):
        assert is_driven(tmp_path)

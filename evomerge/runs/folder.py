"""The folder of a run: which run it is, its resolved config, its log, and the driver's lock.

``run.json`` is written last when a run starts, so a folder that has it has a run in the ledger.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evomerge.errors import LedgerError
from evomerge.runs.failpoints import failpoint

SCHEMA_VERSION = 1
_TRIES, _PAUSE_S = 10, 0.02
_SQLITE = "sqlite:///"
_STOP = "stop.json"
_OURS = ("config.yaml", "driver.lock", "log.txt")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder that exists.

    Args:
        path: The folder.
        run_id: The run's id in the ledger.
        name: The run's name.
        ledger: URL of its ledger.
    """

    path: Path
    run_id: str
    name: str
    ledger: str

    @property
    def config_file(self) -> Path:
        """The resolved copy of the run file."""
        return self.path / "config.yaml"

    @property
    def log_file(self) -> Path:
        """Where the command line writes the run's log."""
        return self.path / "log.txt"

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Read the run folder ``path``.

        Raises:
            LedgerError: It is no run folder, or a newer version wrote it.
        """
        file = path / "run.json"
        try:
            raw = json.loads(file.read_text())
        except OSError as error:
            raise LedgerError(
                f"{path} is not the folder of a run: {file.name} is missing. Give the folder that "
                "'evomerge run' made, runs/NAME by default."
            ) from error
        except ValueError as error:
            raise LedgerError(f"{file} is broken: {error}. Restore it from a copy.") from error
        if not isinstance(raw, dict) or not isinstance(raw.get("schema_version"), int):
            raise LedgerError(f"{file} is not what evomerge writes. Restore it from a copy.")
        if raw["schema_version"] > SCHEMA_VERSION:
            raise LedgerError(
                f"{file} has schema {raw['schema_version']}, newer than this evomerge knows "
                f"({SCHEMA_VERSION}). Use the version of evomerge that wrote it, or a newer one."
            )
        try:
            ledger = _ledger_url(path, raw)
            return cls(path=path, run_id=raw["run_id"], name=raw["name"], ledger=ledger)
        except KeyError as error:
            raise LedgerError(f"{file} lacks {error}. Restore it from a copy.") from error


def check_free(path: Path) -> str | None:
    """Return why ``path`` can't become a run folder, or None.

    A folder that a killed start left behind, without ``run.json``, is free.
    """
    if not path.exists():
        return None
    if (path / "run.json").exists():
        return (
            f"{path} holds a run already. Choose another name or --out, or go on with it: "
            f"evomerge resume {path}"
        )
    if not path.is_dir():
        return f"{path} exists and is a file. Choose another name or --out."
    strange = sorted(
        item.name
        for item in path.iterdir()
        if item.name not in _OURS and not item.name.endswith(".partial")
    )
    if strange:
        return (
            f"{path} exists and holds other files ({', '.join(strange[:3])}). "
            "Choose another name or --out."
        )
    return None


def make_folder(path: Path) -> None:
    """Make the folder of a new run.

    Raises:
        LedgerError: It exists as a run or as something else, or it can't be made or written.
    """
    if message := check_free(path):
        raise LedgerError(message)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make the folder of a new run and be its driver until the block ends.

    A block that fails before there is a run leaves no folder behind that only holds a lock.

    Raises:
        LedgerError: As ``make_folder`` and ``driver_lock``.
    """
    made = not path.exists()
    make_folder(path)
    try:
        with driver_lock(path):
            make_folder(path)  # another driver may have come and gone meanwhile
            yield
    except BaseException:
        if made:
            _remove_unused(path)
        raise


def _remove_unused(path: Path) -> None:
    """Remove a folder that holds nothing but the lock of a driver that has ended."""
    with contextlib.suppress(OSError):
        if [item.name for item in path.iterdir()] == ["driver.lock"] and not is_driven(path):
            (path / "driver.lock").unlink()
            path.rmdir()


@contextlib.contextmanager
def driver_lock(path: Path) -> Iterator[None]:
    """Hold the run folder as its one driver; the lock goes with the process, however it ends.

    Raises:
        LedgerError: Another process drives this run, or the folder can't be written.
    """
    try:
        file: IO[str] = (path / "driver.lock").open("a+")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LedgerError(
                f"another process (pid {holder}) drives the run in {path}. Wait for it or stop it "
                "first; 'evomerge status' and 'front' can be used meanwhile."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_driven(path: Path) -> bool:
    """Say if a process drives the run in ``path`` just now."""
    try:
        with (path / "driver.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def note_stop(path: Path, reason: str, message: str) -> None:
    """Say in the run folder ``path`` why its driver stopped, where the ledger can't be told."""
    body = {"schema_version": SCHEMA_VERSION, "reason": reason, "message": message}
    with contextlib.suppress(LedgerError):  # a full disk: the status then says interrupted
        write_atomically(path / _STOP, json.dumps(body, indent=2) + "\n")


def noted_stop(path: Path) -> tuple[str, str] | None:
    """Return reason and message of ``note_stop``, None where the last driver left none."""
    try:
        raw = json.loads((path / _STOP).read_text())
        return str(raw["reason"]), str(raw["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_stop(path: Path) -> None:
    """Take back what ``note_stop`` said: the run goes on."""
    with contextlib.suppress(OSError):
        (path / _STOP).unlink(missing_ok=True)


def write_run(path: Path, *, run_id: str, name: str, ledger: str, config: str) -> RunFolder:
    """Write ``config.yaml`` and then ``run.json`` into ``path``.

    Args:
        path: The run folder.
        run_id: The run's id in the ledger.
        name: The run's name.
        ledger: URL of the ledger; a relative SQLite file is relative to the working folder.
        config: The resolved run file as YAML.
    """
    write_atomically(path / "config.yaml", config)
    _write_identity(path, run_id=run_id, name=name, ledger=ledger)
    return RunFolder.open(path)


def change_ledger(path: Path, ledger: str) -> RunFolder:
    """Say in the run folder ``path`` that its ledger is the one at ``ledger`` from now on.

    Raises:
        LedgerError: It is no run folder, a process drives it, or it can't be written.
    """
    folder = RunFolder.open(path)
    with driver_lock(path):
        _write_identity(path, run_id=folder.run_id, name=folder.name, ledger=ledger)
    return RunFolder.open(path)


def _write_identity(path: Path, *, run_id: str, name: str, ledger: str) -> None:
    """Write ``run.json``."""
    body = {"schema_version": SCHEMA_VERSION, "run_id": run_id, "name": name, "ledger": ledger}
    if ledger.startswith(_SQLITE):
        database, _, options = ledger.removeprefix(_SQLITE).partition("?")
        file = Path(database).absolute()
        body["ledger"] = f"{_SQLITE}{file}" + (f"?{options}" if options else "")
        # Found again when the workspace moves as a whole, or is mounted elsewhere.
        body["ledger_from_here"] = os.path.relpath(file, path.absolute())
    write_atomically(path / "run.json", json.dumps(body, indent=2) + "\n")


def write_atomically(file: Path, text: str) -> None:
    """Write ``text`` to a temporary file beside ``file``, flush it to the disk, then rename it.

    Raises:
        LedgerError: The folder can't be written or the disk is full.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        failpoint(f"before:{file.name}")
        partial.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(file.parent, error) from error
    failpoint(f"after:{file.name}")


def _lock(file: IO[str]) -> bool:
    """Try to take the lock; ``is_driven`` of another process may hold it for an instant."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _ledger_url(path: Path, raw: dict[str, Any]) -> str:
    """Return the ledger's URL; where its file has moved along with the folder, the new place."""
    url = str(raw["ledger"])
    if not url.startswith(_SQLITE):
        return url
    database, _, options = url.removeprefix(_SQLITE).partition("?")
    beside = path / str(raw.get("ledger_from_here", ""))
    if not Path(database).exists() and beside.is_file():
        return f"{_SQLITE}{beside.resolve()}" + (f"?{options}" if options else "")
    return url


def _unwritable(path: Path, error: OSError) -> LedgerError:
    reason = error.strerror or str(error)
    return LedgerError(
        f"run folder {path} can't be written: {reason}. Choose a folder that you may write with "
        "--out, or free some disk space."
    )

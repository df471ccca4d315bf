"""Finds and removes what is left over: of killed exports, of finished runs, in the cache.

Nothing is touched that a living process may still need: a run that is driven, from here or from
another machine, or whose ledger can't be read; an export that was written to within the hour.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evomerge.errors import LedgerError
from evomerge.models.cache import cache_dir
from evomerge.runs.disk import folder_bytes
from evomerge.runs.folder import RunFolder, driver_lock
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.driving import read_driver
from evomerge.runs.ledger.records import RunRecords

_STILL_S = 3600.0
"""A partial file that was written to so recently may be in the making."""

_DAY_S = 86400.0
_FIGURES = (".json", ".jsonl", ".npy")  # ends of files of figures in the cache
_EXPORT = re.compile(r"\..+\.[0-9a-f]{8}\.partial(-wal|-shm|-journal)?|\..+\.ya?ml\.partial")
_DEPTH = 3
"""Folders below the given ones that are looked into for runs and exports."""


@dataclass(frozen=True)
class Garbage:
    """Something that can go.

    Args:
        path: File or folder.
        n_bytes: What it takes.
        why: What it is left over from.
    """

    path: Path
    n_bytes: int
    why: str


@dataclass(frozen=True)
class Collection:
    """What was found, and removed unless it was only looked at.

    Args:
        garbage: In order of path.
        removed: It is gone.
        kept: Runs that were left alone, and why.
    """

    garbage: Sequence[Garbage]
    removed: bool
    kept: Sequence[str]

    @property
    def n_bytes(self) -> int:
        """All of it."""
        return sum(item.n_bytes for item in self.garbage)


def collect(places: Iterable[Path], *, older_than_days: float, dry_run: bool) -> Collection:
    """Find what is left over in ``places`` and in the cache; remove it unless ``dry_run``.

    Args:
        places: Folders with runs or exports, in them or up to three levels below.
        older_than_days: Days for which a fact in the cache wasn't used before it goes.
        dry_run: Only look.

    Raises:
        LedgerError: Something can't be removed.
    """
    garbage: dict[Path, Garbage] = {}
    kept: list[str] = []
    for folder in _folders(places):
        if (folder / "run.json").is_file():
            found = _of_run(folder, kept, dry_run=dry_run)
        else:
            found = _remove(_exports(folder), dry_run=dry_run)
        garbage |= {item.path: item for item in found}
    cached = list(_cached(cache_dir(), older_than_days))
    garbage |= {item.path: item for item in _remove(cached, dry_run=dry_run)}
    ordered = sorted(garbage.values(), key=lambda item: item.path)
    return Collection(ordered, removed=not dry_run, kept=kept)


def _folders(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders to look into; nothing below a run's folder, and no hidden one."""
    for place in places:
        for root, names, _ in os.walk(place):
            folder = Path(root)
            deep = len(folder.parts) - len(place.parts) >= _DEPTH
            if deep or (folder / "run.json").is_file():
                names.clear()
            names[:] = [name for name in names if not name.startswith(".")]
            yield folder


def _of_run(folder: Path, kept: list[str], *, dry_run: bool) -> list[Garbage]:
    """Deal with one run's folder while nobody else can take the run up."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(driver_lock(folder))
            finished = _finished(RunFolder.open(folder))
        except LedgerError as error:
            kept.append(f"{folder}: {error}")
            return []
        return _remove(_left_in_run(folder, finished=finished), dry_run=dry_run)


def _finished(folder: RunFolder) -> bool:
    """Say if the run is final.

    Raises:
        LedgerError: Another machine drives it, or its ledger can't be read.
    """
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        driver = read_driver(ledger, folder.run_id)
        if driver is not None and driver.alive:
            raise LedgerError(f"{driver.holder} drives it.")
        decisions = RunRecords(ledger, folder.run_id).decisions("final", "extend")
    return bool(decisions) and decisions[-1].kind == "final"


def _left_in_run(folder: Path, *, finished: bool) -> Iterator[Garbage]:
    for path in sorted(folder.glob("*.partial")):
        yield _garbage(path, "file that was never finished")
    if not finished:
        return
    spool = folder / "spool"
    if spool.is_dir():
        yield _garbage(spool, "results that waited for the ledger; the run is finished")
    logs = sorted((folder / "workers").glob("*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-1]:
        yield _garbage(path, "log of a worker of a finished run")


def _exports(folder: Path) -> Iterator[Garbage]:
    """Find what killed exports, merges and backups left beside where they would have gone."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if _EXPORT.fullmatch(path.name) and _age_s(path) > _STILL_S:
                yield _garbage(path, "export or backup that was never finished")


def _cached(folder: Path, older_than_days: float) -> Iterator[Garbage]:
    """Find facts that weren't read or written for long, and files that were never finished."""
    for path in sorted(folder.glob("*/*")):
        if path.name.endswith(".partial") and _age_s(path) > _STILL_S:
            yield _garbage(path, "file in the cache that was never finished")
        elif path.suffix in _FIGURES and _unused_s(path) > older_than_days * _DAY_S:
            yield _garbage(path, "figures of sources that weren't used for long")


def _remove(found: Iterable[Garbage], *, dry_run: bool) -> list[Garbage]:
    items = list(found)
    if not dry_run:
        for item in items:
            try:
                shutil.rmtree(item.path) if item.path.is_dir() else item.path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LedgerError(
                    f"{item.path} can't be removed: {error.strerror or error}. Check that you may "
                    "write its folder."
                ) from error
    return items


def _garbage(path: Path, why: str) -> Garbage:
    n_bytes = folder_bytes(path) if path.is_dir() else path.lstat().st_size
    return Garbage(path, n_bytes, why)


def _age_s(path: Path) -> float:
    """Return seconds since ``path`` or a file right in it was written to."""
    times = [path.lstat().st_mtime]
    if path.is_dir():
        times += [item.lstat().st_mtime for item in path.iterdir()]
    return time.time() - max(times)


def _unused_s(path: Path) -> float:
    """Return seconds since ``path`` was read or written, as far as the disk keeps that."""
    state = path.stat()
    return time.time() - max(state.st_mtime, state.st_atime)

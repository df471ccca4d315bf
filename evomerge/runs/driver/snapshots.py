"""Keeps a searcher's state in the run's folder, so that a resume replays only the latest part.

Only a shortcut: without the file, or with one that doesn't fit, the ledger is replayed from its
start and gives the same. It fits if run, package versions and the searcher's code are the same and
a digest of all asks and tells that it covers agrees with the ledger's.
"""

import inspect
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import evomerge.search
from evomerge.errors import SearchError
from evomerge.runs.ledger.rows import DecisionRow
from evomerge.search.protocol import (
    Evaluation,
    Proposal,
    Restorable,
    Searcher,
    Start,
    inject,
)
from evomerge.search.snapshots import Snapshot

logger = logging.getLogger(__name__)

FILE = "searcher.npz"
FORMAT = 1
EVERY_S = 2.0
"""CPU seconds of asks and tells between two snapshots: about what a resume has to repeat."""
SHARE = 20
"""Asks and tells take at least this many times as long as writing snapshots."""

UNUSABLE = (BadZipFile, EOFError, KeyError, OSError, SearchError, TypeError, ValueError)
"""What reading a damaged file may raise."""


class RememberedSearcher:
    """A searcher whose state is written to the run's folder now and then.

    It is written after a tell only: then all asks before it are in the ledger too.

    Args:
        searcher: Freshly built.
        folder: The run's folder; None keeps nothing.
        run_id: The run.
        versions: Package → installed version.
    """

    def __init__(
        self, searcher: Searcher, folder: Path | None, *, run_id: str, versions: Mapping[str, str]
    ) -> None:
        self._searcher = searcher
        self._file = folder / FILE if folder and isinstance(searcher, Restorable) else None
        self._facts = {
            "format": FORMAT,
            "run": run_id,
            "versions": dict(versions),
            "code": _code_digest(searcher) if self._file else "",
        }
        self._history = _History()
        self._since_s = 0.0
        self._write_s = 0.0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the searcher's proposals."""
        began = time.thread_time()
        proposals = self._searcher.ask(n)
        self._history.asked(proposal.id for proposal in proposals)
        self._since_s += time.thread_time() - began
        return proposals

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Tell the searcher, and store its state if enough has happened since the last time."""
        began = time.thread_time()
        evaluations = list(evaluations)
        self._searcher.tell(evaluations)
        self._history.told((item.candidate_id, item.values) for item in evaluations)
        self._since_s += time.thread_time() - began
        if self._since_s >= max(EVERY_S, SHARE * self._write_s):
            self._write()

    def inject(self, start: Start) -> None:
        """Have the searcher propose ``start`` at its next ask.

        Raises:
            SearchError: It takes nothing from outside, or not this.
        """
        inject(self._searcher, start)
        self._history.injected(start.label)

    def recall(self, decisions: Sequence[DecisionRow]) -> int:
        """Take up the stored state; return how many of ``decisions`` it covers, 0 if it can't be.

        Args:
            decisions: All asks, tells and injections of the run, in order.
        """
        if self._file is None or not self._file.exists():
            return 0
        try:
            facts, snapshot = _read(self._file)
            if {name: facts[name] for name in self._facts} != self._facts:
                logger.info("%s is of other versions or another run; not used", self._file)
                return 0
            history = _History()
            for decision in decisions[: facts["count"]]:
                history.lived(decision)
            if (history.count, history.digest) != (facts["count"], facts["digest"]):
                logger.info("%s doesn't fit the ledger; not used", self._file)
                return 0
            assert isinstance(self._searcher, Restorable)
            self._searcher.restore(snapshot)
        except UNUSABLE as error:
            logger.info("%s can't be used: %s", self._file, error)
            return 0
        self._history, self._since_s = history, 0.0
        return history.count

    def _write(self) -> None:
        """Store the state; a disk that doesn't take it costs nothing but time at a resume."""
        began, self._since_s = time.thread_time(), 0.0
        if self._file is None or not isinstance(self._searcher, Restorable):
            return
        try:
            snapshot = self._searcher.snapshot()
        except SearchError as error:
            logger.info("no snapshot: %s", error)
            self._file = None
            return
        place = {"count": self._history.count, "digest": self._history.digest}
        plain = json.dumps({**self._facts, **place, "state": snapshot.plain})
        text = np.frombuffer(plain.encode(), dtype=np.uint8)
        temporary = self._file.with_name(f".{FILE}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, plain=text, **snapshot.arrays)
            temporary.replace(self._file)
        except OSError as error:
            logger.info("%s can't be written: %s", self._file, error)
            temporary.unlink(missing_ok=True)
        self._write_s = time.thread_time() - began


class _History:
    """Counts asks and tells, and digests their ids and values in order."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def asked(self, names: Iterable[str]) -> None:
        self._add("ask " + " ".join(names))

    def told(self, results: Iterable[tuple[str, Sequence[float] | None]]) -> None:
        parts = [
            f"{name}={None if values is None else [float(value) for value in values]}"
            for name, values in results
        ]
        self._add("tell " + " ".join(parts))

    def injected(self, label: str) -> None:
        self._add(f"inject {label}")

    def lived(self, decision: DecisionRow) -> None:
        if decision.kind == "ask":
            self.asked(decision.body["candidates"])
        elif decision.kind == "inject":
            self.injected(decision.body["label"])
        else:
            self.told((name, values) for name, values, *_ in decision.body["results"])

    def _add(self, line: str) -> None:
        self.count += 1
        self._hash.update(line.encode() + b"\n")


def _read(path: Path) -> tuple[dict[str, Any], Snapshot]:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    facts: dict[str, Any] = json.loads(arrays.pop("plain").tobytes())
    return facts, Snapshot(facts["state"], arrays)


def _code_digest(searcher: Searcher) -> str:
    """Return a digest of the code that a snapshot's meaning hangs on."""
    own = inspect.getsourcefile(type(searcher))
    files = {*Path(evomerge.search.__path__[0]).glob("*.py"), *([Path(own)] if own else [])}
    found = blake2b(digest_size=16)
    for file in sorted(files):
        found.update(file.read_bytes())
    return found.hexdigest()

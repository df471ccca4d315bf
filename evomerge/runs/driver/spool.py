"""Finished outcomes that wait on the disk for a ledger that is away, one file each.

A file is flushed before it gets its name, so one that is there is whole. Arrays are stored as
numpy does without pickle, everything else as JSON beside them.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.execution.protocol import BlockRef, BlockScores, Failure, Job, Outcome

logger = logging.getLogger(__name__)

_SECONDS = ("merge_s", "score_s", "tokenise_s", "wait_s", "busy_s", "devices")


@dataclass(frozen=True)
class Kept:
    """An outcome as it was kept; the recipe of its job is in the ledger.

    Args:
        candidate_id, split, number: The attempt.
        head: Everything but the arrays.
        arrays: ``BLOCK.METRIC`` → values, shape ``(n, width)``.
    """

    candidate_id: str
    split: str
    number: int
    head: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.float64]]

    def outcome(self, job: Job) -> Outcome:
        """Return the outcome of ``job``, which it was."""
        head = self.head
        scores = [
            BlockScores(
                BlockRef(item["task"], self.split, item["block"]),
                {name: self.arrays[f"{place}.{name}"] for name in item["metrics"]},
                item["answers"],
            )
            for place, item in enumerate(head["blocks"])
        ]
        return Outcome(
            job,
            scores=scores,
            failure=Failure(*head["failure"]) if head["failure"] else None,
            worker=head["worker"],
            numeric_class=head["numeric_class"],
            notes=head["notes"],
            **{name: head[name] for name in _SECONDS},
        )


class Spool:
    """The folder of outcomes that wait.

    Args:
        folder: Made when the first one comes; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: set[str] = set()

    def __len__(self) -> int:
        """Return how many wait that were kept or read here."""
        return len(self._kept)

    def keep(self, outcome: Outcome) -> None:
        """Store ``outcome``, flushed to the disk; a disk that can't take it is logged.

        Nothing is lost by that as long as the process lives: the outcome is in memory too.
        """
        name = _name(outcome.job.candidate_id, _split(outcome), outcome.job.attempt)
        if self._folder is None or name in self._kept:
            return
        file = self._folder / name
        partial = file.with_name(f"{name}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                np.savez(stream, head=_head(outcome), **_arrays(outcome))  # type: ignore[arg-type]  # savez names its own options
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
            _flush(self._folder)
        except OSError as error:
            logger.warning("a result can't be kept in %s: %s", self._folder, error.strerror)
            return
        self._kept.add(name)

    def drop(self, candidate_id: str, split: str, number: int) -> None:
        """Forget an attempt that is in the ledger now."""
        name = _name(candidate_id, split, number)
        if self._folder is not None and name in self._kept:
            self._kept.discard(name)
            (self._folder / name).unlink(missing_ok=True)

    def read(self) -> Iterator[Kept]:
        """Yield what waits; a file that was cut short by a crash is removed."""
        if self._folder is None or not self._folder.is_dir():
            return
        for partial in self._folder.glob("*.partial"):
            partial.unlink(missing_ok=True)
        for file in sorted(self._folder.glob("*.npz")):
            with np.load(file, allow_pickle=False) as arrays:
                head = json.loads(str(arrays["head"]))
                values = {name: arrays[name] for name in arrays.files if name != "head"}
            self._kept.add(file.name)
            yield Kept(head["candidate"], head["split"], head["number"], head, values)


def _split(outcome: Outcome) -> str:
    return outcome.job.blocks[0].split


def _name(candidate_id: str, split: str, number: int) -> str:
    """Return the file of an attempt; ids may hold what no file name may."""
    return hashlib.sha256(f"{candidate_id} {split} {number}".encode()).hexdigest()[:24] + ".npz"


def _head(outcome: Outcome) -> str:
    failure = outcome.failure
    return json.dumps(
        {
            "schema_version": 1,
            "candidate": outcome.job.candidate_id,
            "split": _split(outcome),
            "number": outcome.job.attempt,
            "failure": [failure.kind, failure.message, failure.detail] if failure else None,
            "worker": outcome.worker,
            "numeric_class": outcome.numeric_class,
            "notes": dict(outcome.notes),
            **{name: getattr(outcome, name) for name in _SECONDS},
            "blocks": [
                {
                    "task": item.ref.task,
                    "block": item.ref.block,
                    "metrics": list(item.values),
                    "answers": list(item.answers) if item.answers is not None else None,
                }
                for item in outcome.scores
            ],
        }
    )


def _arrays(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    return {
        f"{place}.{name}": values
        for place, item in enumerate(outcome.scores)
        for name, values in item.values.items()
    }


def _flush(folder: Path) -> None:
    """Flush the folder itself, so that a new name in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Merges beside another process; prints what it computed of the sources and what came out.

Usage: python counted_merge.py FOLDER NUMBER OTHER; starts when FOLDER/OTHER is there.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from evomerge.merging.cuts import Cut, TaskVector
from evomerge.merging.statistics import gram_of
from tests.merging.lab import Lab

computed: list[str] = []
genuine_cut = TaskVector.cut


def slow_cut(self: TaskVector, keep: int) -> Cut:
    computed.append(f"cut {keep}")
    time.sleep(0.02)  # long enough for the other one to come to the same place
    return genuine_cut(self, keep)


def slow_gram(tensors: Any) -> Any:
    computed.append("gram")
    time.sleep(0.02)
    return gram_of(tensors)


def main(folder: Path, number: str, other: str) -> None:
    TaskVector.cut = slow_cut  # type: ignore[method-assign]  # counted
    sys.modules["evomerge.merging.statistics"].gram_of = slow_gram  # type: ignore[attr-defined]
    lab = Lab.make(folder / f"lab{number}", n=2)
    merger = lab.merger(cache_dir=folder / "cache")
    (folder / number).touch()
    while not (folder / other).exists():
        time.sleep(0.005)
    digest = hashlib.sha256()
    for method in ("ties", "slerp"):
        for _, tensor in merger.tensors(lab.recipe(method, "ab")):
            digest.update(tensor.numpy().tobytes())
    print(json.dumps({"computed": computed, "merged": digest.hexdigest()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])

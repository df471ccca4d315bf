"""Time merges of three sources into tensors in memory, beside a plain copy of one model.

Run: OMP_NUM_THREADS=1 python benchmarks/merge_in_memory.py --sizes 24M 256M

Rates count the bytes of every source read (the base too where a method needs it) and of the target
written. Times are CPU seconds of the one thread, best of several, copy and merges by turns, so that
a busy machine disturbs both alike. "new" is a recipe whose statistics of the sources are not known
yet.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from synthetic import count, new_merger, open_models, recipe, write_models
from torch import Tensor

from evomerge.recipes.recipe import Recipe

METHODS = {"linear": 3, "task_arithmetic": 4, "ties": 4, "dare_linear": 4, "dare_ties": 4}
"""Method → models read."""


def main() -> None:
    """Print one line a size, dtype and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["24M"])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="Keeps the models; a temporary one if absent.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        for size in options.sizes:
            for dtype in options.dtypes:
                folder = (options.folder or Path(temporary)) / f"{size}-{dtype}"
                write_models(folder, size, getattr(torch, dtype))
                measure(folder, size, dtype, options.methods, options.repeat)


def measure(folder: Path, size: str, dtype: str, methods: list[str], repeat: int) -> None:
    """Print the copy's rate and each method's, with their ratio."""
    checkpoints, _ = open_models(folder)
    base = checkpoints["base"]
    targets = {name: torch.empty_like(base.read(name)) for name in base.tensors}
    n_bytes = count(size) * getattr(torch, dtype).itemsize

    def copy() -> None:
        for name, target in targets.items():
            target.copy_(base.read(name))

    copy()
    for method in methods:
        read = METHODS[method]
        new, again = merges(folder, recipe(folder, method), targets)
        copies, firsts, repeats = [], [], []
        for _ in range(repeat):
            copies.append(seconds(copy))
            repeats.append(seconds(again))
            if len(firsts) < 2:
                firsts.append(seconds(new))
        plain = 2 * n_bytes / min(copies) / 1e9
        rate = (read + 1) * n_bytes / min(repeats) / 1e9
        first = (read + 1) * n_bytes / min(firsts) / 1e9
        print(
            f"{size} {dtype} {method}: {rate:.2f} GB/s = {rate / plain:.0%} of a plain copy's "
            f"{plain:.2f} GB/s; new {first:.2f} GB/s",
            flush=True,
        )


def merges(
    folder: Path, merged: Recipe, targets: dict[str, Tensor]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a merge by a merger that knows nothing yet, and one that knows the recipe."""
    known = new_merger(folder)
    known.merge_into(merged, targets)

    def again() -> None:
        known.forget()
        known.merge_into(merged, targets)

    def new() -> None:
        new_merger(folder).merge_into(merged, targets)

    return new, again


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU time that ``work`` takes on this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


if __name__ == "__main__":
    main()

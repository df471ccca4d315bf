"""Time merges of three sources from disk to disk, beside mergekit's run_merge of the same recipe.

Run: OMP_NUM_THREADS=1 python benchmarks/merge_to_disk.py --mergekit-python PATH

PATH is a Python that has mergekit (and torch) installed, in an environment of its own; without it
only evomerge is timed. Each merge runs in a process of its own, one thread, sources in the page
cache. Time starts after the imports and ends when the checkpoint is written, CPU and wall seconds;
memory is the highest anonymous resident memory above that after the imports, in models (bytes of
one checkpoint).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from synthetic import count, write_models

HERE = Path(__file__).resolve().parent

WATCH = """
import os, sys, threading, time
def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
class Watch:
    def __enter__(self):
        self.before = self.peak = anonymous()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.poll)
        self.thread.start()
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self
    def poll(self):
        while not self.stop.wait(0.005):
            self.peak = max(self.peak, anonymous())
    def __exit__(self, *error):
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        self.stop.set()
        self.thread.join()
        print("RESULT", cpu, wall, self.peak - self.before)
"""

OURS = """
import torch
torch.set_num_threads(1)
from pathlib import Path
from synthetic import new_merger, recipe
from evomerge.merging.stream import merge_to_disk
folder, method, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
with Watch():
    merge_to_disk(recipe(folder, method), new_merger(folder), out)
"""

THEIRS = """
import json
import torch
torch.set_num_threads(1)
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
config = MergeConfiguration.model_validate(json.loads(sys.argv[1]))
with Watch():
    run_merge(config, sys.argv[2], options=MergeOptions(copy_tokenizer=False, quiet=True))
"""


def main() -> None:
    """Print one line a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256M")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--methods", nargs="+", default=["linear", "ties"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--mergekit-python", type=Path)
    parser.add_argument("--folder", type=Path, help="Keeps the models; a temporary one if absent.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / f"{options.size}-{options.dtype}"
        write_models(folder, options.size, getattr(torch, options.dtype))
        n_bytes = count(options.size) * getattr(torch, options.dtype).itemsize
        out = Path(temporary) / "out"
        for method in options.methods:
            ours, theirs = [], []
            for _ in range(options.repeat):
                ours.append(timed(Path(sys.executable), OURS, [str(folder), method, str(out)], out))
                if options.mergekit_python:
                    config = json.dumps(mergekit_config(folder, method, options.dtype))
                    arguments = [config, str(out)]
                    theirs.append(timed(options.mergekit_python, THEIRS, arguments, out))
            report(f"{options.size} {options.dtype} {method}", n_bytes, ours, theirs)


def report(
    label: str,
    n_bytes: int,
    ours: list[tuple[float, float, float]],
    theirs: list[tuple[float, float, float]],
) -> None:
    """Print best times, highest memory and the ratio of the times."""
    cpu, wall = min(t[0] for t in ours), min(t[1] for t in ours)
    memory = max(t[2] for t in ours) / n_bytes
    line = f"{label}: {cpu:.2f} s CPU, {wall:.2f} s wall, {memory:.2f} models of memory"
    if theirs:
        their_cpu, their_wall = min(t[0] for t in theirs), min(t[1] for t in theirs)
        their_memory = max(t[2] for t in theirs) / n_bytes
        line += (
            f"; mergekit {their_cpu:.2f} s CPU, {their_wall:.2f} s wall, {their_memory:.2f} "
            f"models; {their_cpu / cpu:.1f}x by CPU, {their_wall / wall:.1f}x by wall"
        )
    print(line, flush=True)


def timed(python: Path, script: str, arguments: list[str], out: Path) -> tuple[float, float, float]:
    """Run ``script`` in a process; return CPU seconds, wall seconds and bytes of memory."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    if python != Path(sys.executable):
        environment.pop("PYTHONPATH")
    try:
        done = subprocess.run(
            [str(python), "-c", WATCH + script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
        if done.returncode or not lines:
            raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    finally:
        shutil.rmtree(out, ignore_errors=True)
    _, cpu, wall, memory = lines[-1].split()
    return float(cpu), float(wall), float(memory)


def mergekit_config(folder: Path, method: str, dtype: str) -> dict[str, object]:
    """Return mergekit's form of ``synthetic.recipe``."""
    weights, densities = (0.5, 0.3, 0.4), (0.2, 0.3, 0.25)
    models: list[dict[str, object]] = []
    for name, weight, density in zip("abc", weights, densities, strict=True):
        own = {"weight": weight} | ({"density": density} if method == "ties" else {})
        models.append({"model": str(folder / name), "parameters": own})
    config: dict[str, object] = {"merge_method": method, "models": models, "dtype": dtype}
    if method != "linear":
        config["base_model"] = str(folder / "base")
        config["parameters"] = {"normalize": True, "lambda": 0.9}
    return config


if __name__ == "__main__":
    main()

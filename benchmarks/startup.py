"""How long ``evomerge --help`` and ``status`` take, beside a bare Python with typer and rich.

The run has 1,000 candidates on formulas instead of models. Every command runs in a process of its
own, in turns; medians count.

    python benchmarks/startup.py [--rounds 11]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

MAKE_RUN = """
import sys
from pathlib import Path
from evomerge.runs.folder import write_run
from tests.runs.fakes import BINARY, FakeRun

workspace = Path(sys.argv[1])
fake = FakeRun(workspace, budget=1000, evaluators=BINARY)
for event in fake.start().drive():
    pass
folder = workspace / "runs" / "toy"
folder.mkdir(parents=True)
write_run(folder, run_id=fake.run_id, name="toy", ledger=fake.url, config="")
"""


def seconds(command: list[str]) -> float:
    """Return the wall time of one process."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - began_s


def main() -> None:
    """Measure and print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    python = sys.executable
    with tempfile.TemporaryDirectory() as workspace:
        subprocess.run([python, "-c", MAKE_RUN, workspace], check=True, cwd=ROOT)
        evomerge = [python, "-m", "evomerge.cli.main"]
        commands = {
            "python, typer, rich": [python, "-c", "import typer, rich"],
            "evomerge --help": [*evomerge, "--help"],
            "evomerge status RUN": [*evomerge, "status", f"{workspace}/runs/toy"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare = medians["python, typer, rich"]
    for name, median in medians.items():
        print(f"{name:<22} {median:.3f} s  {median / bare:.2f} x bare")


if __name__ == "__main__":
    main()

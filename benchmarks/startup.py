"""How long ``evomerge --help`` and ``status`` take, beside a bare Python with typer and rich.

The run has 1,000 candidates on formulas instead of models, and a second one 100 times as many
attempts and events. Every command runs in a process of its own, in turns; medians count.

    python benchmarks/startup.py [--rounds 11]
"""

import argparse
import json
import shutil
import sqlite3
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

TIMES = "WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < 99) "


def make_long(workspace: Path) -> None:
    """Copy the run, with 99 older copies of each attempt and event."""
    shutil.copytree(workspace / "runs" / "toy", workspace / "runs" / "long")
    shutil.copy(workspace / "ledger.db", workspace / "long.db")
    file = workspace / "runs" / "long" / "run.json"
    body = json.loads(file.read_text())
    file.write_text(json.dumps(body | {"ledger": f"sqlite:///{workspace}/long.db"}))
    connection = sqlite3.connect(workspace / "long.db")
    for table, changed in (
        ("attempt", {"attempt_id": "NULL", "number": "number + 10 * n"}),
        ("event", {"sequence": "sequence - 10000 * n"}),
    ):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(changed.get(name, name) for name in columns)
        names = ", ".join(columns)
        connection.execute(
            f"{TIMES} INSERT INTO {table} ({names}) SELECT {values} FROM {table}, times"
        )
    connection.commit()
    connection.close()


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
        make_long(Path(workspace))
        evomerge = [python, "-m", "evomerge.cli.main"]
        commands = {
            "python, typer, rich": [python, "-c", "import typer, rich"],
            "evomerge --help": [*evomerge, "--help"],
            "evomerge status RUN": [*evomerge, "status", f"{workspace}/runs/toy"],
            "status of 100,000": [*evomerge, "status", f"{workspace}/runs/long"],
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

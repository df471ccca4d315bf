"""Kill workers, nodes and the driver of a run, again and again, and see that nothing is lost.

A supervisor (this process) starts the driver as a process of its own, watches the ledger, and at
seeded points sends SIGKILL: to a worker, to the driver (which is then started anew and goes on), or
with Ray to a whole node (a new one joins). In generation mode the end must be bit for bit that of
an undisturbed run; in async mode there must be exactly as many results, and the searcher must
replay. Jobs sleep about 0.1 s; with ``--model`` they are real merges of the quickstart's models,
driven through the command line.

    OMP_NUM_THREADS=1 python benchmarks/chaos.py [--executor local ray] [--modes generation async]
    OMP_NUM_THREADS=1 python benchmarks/chaos.py --model --candidates 32 --kills 5
"""

import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from chaos_driver import study_of
from chaos_ledger import faults, lost_attempts, picture

from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.registry import Crew
from evomerge.runs.driver.snapshots import FILE as SNAPSHOT

HERE = Path(__file__).parent
PATIENCE_S = 900.0
ATTEMPTS = 12
"""More than any candidate can be hit by chance: a candidate that fails would be a difference."""

KINDS = {
    "inprocess": ["driver"],
    "local": ["worker", "worker", "driver"],
    "ray": ["worker", "worker", "driver", "node"],
}
"""Executor → what there is to kill."""

Kill = tuple[int, str, float]
"""After so many results, what is killed, so many seconds later."""


class Place(Protocol):
    """Where workers live."""

    options: dict[str, Any]
    """Settings of the executor."""

    def workers(self, driver: int) -> list[psutil.Process]:
        """Return the living workers' processes of the driver with this process id."""

    def kill_node(self) -> bool:
        """Kill a whole node at once and let a new one join; False where there are none."""


class ThisMachine:
    """Worker processes that the driver has spawned itself."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def workers(self, driver: int) -> list[psutil.Process]:
        """Return the driver's spawned children."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(driver).children(recursive=True)
            return [child for child in children if "spawn_main" in _command(child)]
        return []

    def kill_node(self) -> bool:
        """Do nothing: there is one node, and this process is on it."""
        return False


class RayNodes:
    """A Ray cluster of several raylets on this machine; the head has no room for workers."""

    def __init__(self, workers: int) -> None:
        from ray.cluster_utils import Cluster

        self._cpus = -(-workers // 2)
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self._nodes = [self._cluster.add_node(num_cpus=self._cpus) for _ in range(2)]
        self.options: dict[str, Any] = {"address": self._cluster.address}

    def workers(self, driver: int) -> list[psutil.Process]:
        """Return the actors' processes on all nodes."""
        found = []
        for node in self._nodes:
            for raylet in node.all_processes["raylet"]:
                with contextlib.suppress(psutil.Error):
                    children = psutil.Process(raylet.process.pid).children(recursive=True)
                    found += [child for child in children if _is_actor(child)]
        return found

    def kill_node(self) -> bool:
        """Kill the older node and let a new one join."""
        self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)
        self._nodes.append(self._cluster.add_node(num_cpus=self._cpus))
        return True

    def close(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray's own


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _is_actor(process: psutil.Process) -> bool:
    """Say if it is an actor, or the process that an actor lets do its work."""
    command = _command(process)
    # Ray's own agents are "ray::" too, and a node ends with its agents.
    return command.startswith("ray::Host") or "spawn_main" in command


@dataclass
class Supervisor:
    """Drives a run in another process and kills what it is told to.

    Args:
        begin: Command that starts the run.
        resume: Command that goes on with it.
        database: Its ledger.
        place: Where its workers live.
        folder: Where drivers run; what they print goes to ``NAME.txt`` there.
        name: Name of the run's log.
        killed: What was killed, in order.
    """

    begin: Sequence[str]
    resume: Sequence[str]
    database: Path
    place: Place
    folder: Path
    name: str
    killed: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """File for what drivers print."""
        return self.folder / f"{self.name}.txt"

    def run(self, plan: Sequence[Kill]) -> None:
        """Run to the end; ``plan`` says what to kill after how many results, how much later."""
        with self.log.open("a") as log:
            driver = self._start(self.begin, log)
            deadline = time.monotonic() + PATIENCE_S
            waiting = list(plan)
            while (code := driver.poll()) is None:
                assert time.monotonic() < deadline, f"no end within {PATIENCE_S} s; see {self.log}"
                if waiting and self.results() >= waiting[0][0]:
                    time.sleep(waiting[0][2])
                    if self._kill(waiting[0][1], driver):
                        self.killed.append(waiting.pop(0)[1])
                    if driver.poll() is not None:
                        driver = self._start(self.resume if self._stored() else self.begin, log)
                time.sleep(0.02)
        if code != 0:
            raise SystemExit(f"a driver ended with {code}:\n{self.log.read_text()[-3000:]}")

    def results(self) -> int:
        """Return how many candidates are settled on the search split."""
        query = (
            "SELECT COUNT(DISTINCT candidate_id) FROM attempt "
            "WHERE split = 'search' AND status != 'lost'"
        )
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as base,
        ):
            return int(base.execute(query).fetchone()[0])
        return 0

    def _stored(self) -> bool:
        """Say if the run is in the ledger."""
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as base,
        ):
            return bool(base.execute("SELECT COUNT(*) FROM run").fetchone()[0])
        return False

    def _start(self, command: Sequence[str], log: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def _kill(self, what: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill; False where there is nothing of the kind just now."""
        if what == "driver":
            driver.kill()
            driver.wait()
            return True
        if what == "node":
            return self.place.kill_node()
        victims = self.place.workers(driver.pid)
        if not victims:
            return False
        index = len(self.killed) % len(victims)
        with contextlib.suppress(psutil.Error):
            victims[index].kill()
            return True
        return False


def plan_of(kinds: Sequence[str], kills: int, budget: int, seed: int) -> list[Kill]:
    """Return seeded kills: (after so many results, what, so many seconds later), in order.

    Each of ``kinds`` comes about equally often, at least once.
    """
    rng = np.random.default_rng(seed)
    at = np.sort(rng.choice(np.arange(1, budget - 2), size=kills, replace=False))
    what = rng.permutation([kinds[index % len(kinds)] for index in range(kills)])
    later = rng.uniform(0, 0.15, kills)
    return [(int(a), str(w), float(s)) for a, w, s in zip(at, what, later, strict=True)]


@dataclass(frozen=True)
class Result:
    """How a disturbed run ended.

    Args:
        kills: What was killed → how often.
        lost: Attempts that ended with their worker or driver.
        seconds: How long it took.
        faults: What is wrong in its ledger.
        identical: Equal to the undisturbed run; None where that can't be asked (async).
    """

    kills: dict[str, int]
    lost: int
    seconds: float
    faults: list[str]
    identical: bool | None


def sleeping(
    folder: Path,
    *,
    executor: str,
    mode: str,
    candidates: int,
    kills: int,
    seed: int,
    workers: int = 4,
) -> Result:
    """Disturb a run of sleeping jobs."""
    settings: dict[str, Any] = {
        "budget": candidates,
        "mode": mode,
        "workers": workers,
        "seed": seed,
        "attempts": ATTEMPTS,
        "executor": executor,
    }
    with _place(executor, workers) as place:
        settings["options"] = place.options
        kinds = KINDS[executor]

        def supervise(name: str, plan: Sequence[Kill]) -> tuple[Supervisor, float]:
            (folder / name).mkdir(parents=True)
            script = str(HERE / "chaos_driver.py")
            command = [sys.executable, script, str(folder / name), json.dumps(settings)]
            database = folder / name / "ledger.db"
            return _timed(Supervisor(command, command, database, place, folder, name), plan)

        if mode == "generation":
            supervise("whole", [])
        chaos, seconds = supervise("chaos", plan_of(kinds, kills, candidates, seed))
    if mode == "async":
        study = study_of(folder / "chaos", settings)
        # Replays, and refuses a difference: with the searcher's stored state, and all of it.
        study.open(InprocessExecutor(Crew(study.spec)))
        (study.folder / SNAPSHOT).unlink(missing_ok=True)
        study.open(InprocessExecutor(Crew(study.spec)))
    return _result(chaos, seconds, folder, candidates, compare=mode == "generation")


def with_model(folder: Path, *, candidates: int, kills: int, seed: int) -> Result:
    """Disturb a search over the quickstart's models, driven through the command line."""
    import yaml

    evomerge = [sys.executable, "-m", "evomerge.cli.main"]
    subprocess.run([*evomerge, "demo", "demo"], cwd=folder, check=True, capture_output=True)
    config = yaml.safe_load((HERE.parent / "configs" / "quickstart.yaml").read_text())
    config["search"] |= {"budget": candidates, "finalists": 2, "options": {"population": 8}}
    config["execution"] = {"executor": "local", "workers": 2, "attempts": ATTEMPTS}

    def supervise(name: str, plan: Sequence[Kill]) -> tuple[Supervisor, float]:
        (folder / name).mkdir()
        database = folder / name / "ledger.db"
        config["ledger"] = f"sqlite:///{database}"
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
        out = str(folder / name / "run")
        begin = [*evomerge, "run", f"{name}.yaml", "--out", out]
        resume = [*evomerge, "resume", out]
        return _timed(Supervisor(begin, resume, database, ThisMachine(), folder, name), plan)

    supervise("whole", [])
    chaos, seconds = supervise("chaos", plan_of(KINDS["local"], kills, candidates, seed))
    return _result(chaos, seconds, folder, candidates, compare=True)


@contextlib.contextmanager
def _place(executor: str, workers: int) -> Iterator[Place]:
    if executor != "ray":
        yield ThisMachine()
        return
    # Actors import the sleeping worker from here.
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONPATH"] = path
    nodes = RayNodes(workers)
    try:
        yield nodes
    finally:
        nodes.close()


def _timed(supervisor: Supervisor, plan: Sequence[Kill]) -> tuple[Supervisor, float]:
    began = time.monotonic()
    supervisor.run(plan)
    return supervisor, time.monotonic() - began


def _result(
    chaos: Supervisor, seconds: float, folder: Path, candidates: int, *, compare: bool
) -> Result:
    found = faults(chaos.database, candidates)
    identical = None
    if compare:
        identical = picture(chaos.database) == picture(folder / "whole" / "ledger.db")
    return Result(
        kills={kind: chaos.killed.count(kind) for kind in sorted(set(chaos.killed))},
        lost=lost_attempts(chaos.database),
        seconds=seconds,
        faults=found,
        identical=identical,
    )


def main() -> None:
    """Print one line an executor and mode; end with 1 if anything was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor", nargs="+", default=["local"], choices=list(KINDS))
    parser.add_argument("--modes", nargs="+", default=["generation", "async"])
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="store_true", help="Real merges, by the command line.")
    parser.add_argument("--folder", type=Path, help="Keep ledgers and logs here.")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    common = {"candidates": arguments.candidates, "kills": arguments.kills, "seed": arguments.seed}
    cases: list[tuple[str, Callable[[Path], Result]]] = [
        (f"{executor} {mode}", partial(sleeping, executor=executor, mode=mode, **common))
        for executor in arguments.executor
        for mode in arguments.modes
    ]
    if arguments.model:
        cases = [("models, local generation", partial(with_model, **common))]
    bad = False
    for label, case in cases:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) if arguments.folder is None else arguments.folder / label
            folder.mkdir(parents=True, exist_ok=True)
            result = case(folder)
        bad |= bool(result.faults) or result.identical is False
        print(
            f"{label:24} candidates={arguments.candidates} kills={result.kills} "
            f"lost_attempts={result.lost} seconds={result.seconds:.0f} "
            f"faults={result.faults or 'none'} identical={result.identical}",
            flush=True,
        )
    sys.exit(bad)


if __name__ == "__main__":
    main()

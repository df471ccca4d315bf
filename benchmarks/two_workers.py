"""What a second local worker gains, beside what a second bare forward-pass process gains.

Two workers of the executor ``local`` with one thread each evaluate candidates at the quickstart's
sizes (a Llama of about 200,000 parameters, three tasks of 100 examples), and two bare processes
make the forward passes of one candidate over and over. Each round measures one and two of both;
where other work shares the machine, both suffer alike, so medians of ratios are told.

    python benchmarks/two_workers.py [--rounds 9] [--seconds 6]
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads; children inherit it

import numpy as np
import psutil
import torch
from candidate_overhead import N_EXAMPLES, record_forwards, run_bare, write_task_files
from run_overhead import write_workspace
from tiny_llama import tiny_llama, tiny_tokenizer

from evomerge.config import load_config
from evomerge.evaluation import EVALUATORS
from evomerge.evaluation.language_model import LanguageModel
from evomerge.execution import BlockRef, Crew, Job
from evomerge.execution.local import LocalExecutor
from evomerge.runs.setup.prepare import Prepared, prepare

SPAWN = multiprocessing.get_context("spawn")


def make_forwards(pipe: Connection, folder: Path) -> None:
    """Make a candidate's forward passes for as long as the pipe says; answer how many a second."""
    torch.set_num_threads(1)
    model = LanguageModel(tiny_llama(), tiny_tokenizer())
    factory = EVALUATORS.get("generation").value
    evaluators = [
        factory(name, seed=0, **settings) for name, settings in write_task_files(folder).items()
    ]
    prepared = [evaluator.prepare(model, "search") for evaluator in evaluators]

    def score() -> None:
        for evaluator, requests in zip(evaluators, prepared, strict=True):
            evaluator.score(model, requests, range(N_EXAMPLES))

    batches = record_forwards(model, score)
    pipe.send(0.0)
    while seconds := pipe.recv():
        began = time.monotonic()
        count = 0
        while time.monotonic() - began < seconds:
            run_bare(model, batches)
            count += 1
        pipe.send(count / (time.monotonic() - began))


def bare_rate(pipes: Sequence[Connection], seconds: float) -> float:
    """Return candidates a second of as many bare processes as there are ``pipes``."""
    for pipe in pipes:
        pipe.send(seconds)
    return sum(pipe.recv() for pipe in pipes)


class Candidates:
    """Jobs with random recipes of a run.

    Args:
        prepared: The run.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._space = prepared.space
        self._rng = np.random.default_rng(0)
        self._count = 0
        self._blocks = [
            BlockRef(task, "search", block)
            for task, evaluator in prepared.evaluators.items()
            for block in range(-(-evaluator.n_examples("search") // evaluator.block_size))
        ]

    def next(self) -> Job:
        """Return another job."""
        self._count += 1
        genome = self._space.decode(self._rng.random(self._space.n_dims))
        return Job(str(self._count), 1, self._space.recipe(genome), self._blocks)


def executor_rate(
    executor: LocalExecutor, candidates: Candidates, n_workers: int, seconds: float
) -> float:
    """Return candidates a second while ``n_workers`` jobs are always in hand."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    ended: dict[str, float] = {}
    for _ in range(n_workers):
        executor.submit(candidates.next())
    running = n_workers
    while running:
        for outcome in executor.wait():
            assert outcome.failure is None, outcome.failure
            counts[outcome.worker] += 1
            ended[outcome.worker] = time.monotonic()
            running -= 1
            if time.monotonic() - began < seconds:
                executor.submit(candidates.next())
                running += 1
    return sum(count / (ended[worker] - began) for worker, count in counts.items())


def main() -> None:
    """Measure and print one line a round, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=6.0, help="Of each measurement.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare(load_config(write_workspace(folder, budget=16)))
        candidates = Candidates(prepared)
        pipes = []
        for number in range(2):
            (folder / f"bare{number}").mkdir()
            ours, theirs = SPAWN.Pipe()
            arguments_of = (theirs, folder / f"bare{number}")
            SPAWN.Process(target=make_forwards, args=arguments_of, daemon=True).start()
            pipes.append(ours)
        executor = LocalExecutor(Crew(replace(prepared.worker, device="cpu"), slots=2))
        executor.start()
        for pipe in pipes:
            pipe.recv()
        while any(state.state == "starting" for state in executor.workers()):
            executor.wait(timeout_s=0.1)
            time.sleep(0.05)
        executor_rate(executor, candidates, 2, 2.0)  # tokenise, fill the caches
        gains = [
            measure(executor, candidates, pipes, arguments.seconds) for _ in range(arguments.rounds)
        ]
        for state in executor.workers():
            memory = psutil.Process(process_id(executor, state.name)).memory_full_info()
            print(f"{state.name}: resident_mib={memory.rss >> 20} own_mib={memory.uss >> 20}")
        executor.close()
        for pipe in pipes:
            pipe.send(0.0)
    workers = statistics.median(gain for gain, _ in gains)
    bare = statistics.median(gain for _, gain in gains)
    ratio = statistics.median(gain / of_bare for gain, of_bare in gains)
    print(f"gain_workers={workers:.2f} gain_bare={bare:.2f} ratio={100 * ratio:.1f}%")


def measure(
    executor: LocalExecutor, candidates: Candidates, pipes: Sequence[Connection], seconds: float
) -> tuple[float, float]:
    """Return what a second worker gains, and a second bare process, measured in turns."""
    bare, workers = [], []
    for n in (1, 2):
        bare.append(bare_rate(pipes[:n], seconds))
        workers.append(executor_rate(executor, candidates, n, seconds))
    gain, of_bare = workers[1] / workers[0], bare[1] / bare[0]
    print(
        f"bare/s={bare[0]:.2f},{bare[1]:.2f} workers/s={workers[0]:.2f},{workers[1]:.2f} "
        f"gain_bare={of_bare:.2f} gain_workers={gain:.2f}",
        flush=True,
    )
    return gain, of_bare


def process_id(executor: LocalExecutor, name: str) -> int:
    """Return the process id of the worker called ``name``."""
    return next(worker.pid for worker in executor._workers if worker.name == name)


if __name__ == "__main__":
    main()

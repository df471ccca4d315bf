"""A ledger as a long search over five objectives leaves it, and a driver that goes on with it."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import BlockRef, Failure
from evomerge.runs.events import (
    Asked,
    CandidateDone,
    CandidateFailed,
    Event,
    GenerationDone,
    Progress,
)
from evomerge.runs.folder import write_run
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import AttemptRecord, Block, CandidateRow, FinishedAttempt, RunRow
from evomerge.runs.ledger.writer import RunWriter

RUN_ID = "0123456789abcdef0123456789abcdef"
TASKS = ("math", "code", "chat", "law", "poems")
GENERATION = 100
EXAMPLES = 64
RECIPES = 500
FAILED = 0.03
UNFINISHED = 0.01
"""Share of the candidates that were asked for and are still out."""


def url_of(folder: Path) -> str:
    """Return the URL of the ledger in ``folder``."""
    return f"sqlite:///{folder}/ledger.db"


def values_of(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the scores of candidates, shape ``(n, 5)``: trade-offs, the better the later."""
    found = []
    for number in numbers:
        rng = np.random.default_rng(int(number))
        direction = np.abs(rng.normal(size=len(TASKS)))
        found.append(direction / np.linalg.norm(direction) * rng.beta(6, 3))
    return np.array(found)


def name_of(number: int) -> str:
    """Return a candidate's id."""
    return f"{number // GENERATION}-{number % GENERATION}"


def fails(number: int) -> str | None:
    """Return how a candidate fails, None for most."""
    draw = np.random.default_rng(number + 2**32).random()
    return None if draw >= FAILED else "nan" if draw < FAILED / 2 else "memory"


def fill(folder: Path, n: int) -> None:
    """Store a run with ``n`` candidates in ``folder``, and the run's own folder in it."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(url_of(folder), create=True)
    RunWriter(ledger, RUN_ID).create(_run(n))
    with ledger.write("fill") as connection:
        for number in range(RECIPES):
            connection.execute(insert(tables.recipe), _recipe(number))
    for start in range(0, n, 10 * GENERATION):
        rows = _rows(range(start, min(start + 10 * GENERATION, n)), n)
        with ledger.write("fill") as connection:
            for table, found in rows.items():
                if found:
                    connection.execute(insert(tables.METADATA.tables[table]), found)
    ledger.close()
    path = folder / "runs" / "wide"
    path.mkdir(parents=True)
    write_run(path, run_id=RUN_ID, name="wide", ledger=url_of(folder), config="{}\n")
    (path / "log.txt").write_text("".join(f"line {i} of a log\n" for i in range(50_000)))


def drive(
    folder: Path, first: int, pause_s: float, *, generations: int = 10_000
) -> Iterator[float]:
    """Go on with the run as a driver does; yield the seconds of each commit of a result.

    Args:
        folder: The run's.
        first: Number of the first new candidate, at the beginning of a generation.
        pause_s: Between two results.
        generations: How many.
    """
    ledger = Ledger.open(url_of(folder))
    writer = RunWriter(ledger, RUN_ID)
    values = np.ones((EXAMPLES, 1))
    for generation in range(generations):
        numbers = range(first + generation * GENERATION, first + (generation + 1) * GENERATION)
        names = tuple(name_of(number) for number in numbers)
        rows = [(_candidate(number), _plain_recipe(number % RECIPES)) for number in numbers]
        ask = numbers[0] // GENERATION
        writer.add_ask(ask, rows, Asked(ask, names))
        for number in numbers:
            item = _finished(number, values)
            began = time.perf_counter()
            writer.add_attempts([item])
            yield time.perf_counter() - began
            time.sleep(pause_s)
        writer.tell_of(_told(ask, numbers[-1]))


def _finished(number: int, values: NDArray[np.float64]) -> FinishedAttempt:
    name, kind = name_of(number), fails(number)
    record = AttemptRecord(
        name, "search", 1, Failure(kind, f"candidate failed: {kind}") if kind else None,
        merge_s=0.1, score_s=1.7, worker="w0", numeric_class="cpu", busy_s=2.0,
    )  # fmt: skip
    event = _event(number, kind)
    if kind:
        return FinishedAttempt(record, (), {}, event)
    blocks = [
        Block(
            BlockRef(task, "search", block), f"{number}-{task}", {"hit": values[block * 32 :][:32]}
        )
        for task in TASKS
        for block in range(EXAMPLES // 32)
    ]
    scores = values_of(np.array([number]))[0]
    estimates = {
        (task, "hit"): Estimate(v, v - 0.1, v + 0.1, EXAMPLES)
        for task, v in zip(TASKS, map(float, scores), strict=True)
    }
    return FinishedAttempt(record, blocks, estimates, event)


def _told(ask: int, last: int) -> Event:
    best = dict.fromkeys(TASKS, 0.9)
    return GenerationDone(ask, best, 2.0 * last, Progress(last + 1, 0, 10**6), 0.4)


def _event(number: int, kind: str | None) -> Event:
    progress = Progress(number + 1, 0, 10**6)
    if kind:
        return CandidateFailed(name_of(number), kind, f"candidate failed: {kind}", progress)
    values = dict(zip(TASKS, values_of(np.array([number]))[0].tolist(), strict=True))
    return CandidateDone(name_of(number), values, False, 0.1, 1.7, progress)


def _run(n: int) -> RunRow:
    objectives = {
        task: {
            "from": [task],
            "aggregate": "mean",
            "direction": "maximize",
            "reference": 0.0,
            "ideal": 1.0,
        }
        for task in TASKS
    }
    metric = {"name": "hit", "direction": "maximize", "binary": True}
    return RunRow(
        run_id=RUN_ID,
        name="wide",
        started_s=time.time(),
        config={"search": {"budget": 10 * n, "searcher": "random"}, "objectives": objectives},
        sources={},
        tasks={task: {"primary": "hit", "metrics": [metric]} for task in TASKS},
        space={"genes": []},
        starts=(),
        versions={"evomerge": "benchmark"},
        plugins=(),
        reuse=False,
    )


def _plain_recipe(number: int) -> dict[str, Any]:
    weights = [{"block": 1, "values": [(number + layer) / RECIPES for layer in range(24)]}] * 4
    sources = {f"s{i}": {"path": f"models/s{i}", "sha256": f"{i}" * 64} for i in range(4)}
    inputs = [{"source": name, "shift": 0} for name in sources]
    stage = {"name": "s", "method": "linear", "inputs": inputs, "base": None,
             "options": {"weights": weights}}  # fmt: skip
    return {"sources": sources, "base": "s0", "parameters": [stage], "dataflow": None}


def _recipe(number: int) -> dict[str, Any]:
    body = json.dumps(_plain_recipe(number))
    return {"run_id": RUN_ID, "recipe_hash": f"{number:064x}", "body": body}


def _candidate(number: int) -> CandidateRow:
    parents = (name_of(number // 3), name_of(number // 2)) if number > 2 else ()
    genome = {f"s.weights.{gene}": (number % 997) / 997 for gene in range(24)}
    return CandidateRow(
        name_of(number), number // GENERATION, number % GENERATION, "search", "m2n2", parents,
        genome, f"{number % RECIPES:064x}",
    )  # fmt: skip


def _rows(numbers: Sequence[int], n: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables for some generations."""
    now = time.time() - n + numbers[0]
    run = {"run_id": RUN_ID}
    rows: dict[str, list[dict[str, Any]]] = {
        table: [] for table in ("candidate", "attempt", "estimate", "decision", "event")
    }
    scores = values_of(np.array(numbers))
    for number, values in zip(numbers, scores.tolist(), strict=True):
        row = vars(_candidate(number))
        rows["candidate"].append(run | row | {"parents": list(row["parents"])})
        if np.random.default_rng(number + 2**33).random() < UNFINISHED:
            continue
        kind, place = fails(number), {"candidate_id": name_of(number), "split": "search"}
        rows["attempt"].append(_attempt(run | place, kind, now + number - numbers[0]))
        event = _event(number, kind)
        rows["event"].append(
            run | {"sequence": 2 * number + 1, "kind": event.kind, "body": event.to_dict(),
                   "at_s": now}
        )  # fmt: skip
        for task, value in zip(TASKS, values if kind is None else [], strict=kind is None):
            value = float("inf") if number % 9_973 == 0 else value
            ends = {"n": EXAMPLES, "value": value, "low": value - 0.1, "high": value + 0.1}
            rows["estimate"].append(run | place | {"task": task, "metric": "hit"} | ends)
    for first in range(numbers[0], numbers[-1] + 1, GENERATION):
        names = [name_of(number) for number in range(first, first + GENERATION)]
        body = {"ask": first // GENERATION, "candidates": names, "n": None}
        told = _told(first // GENERATION, first + GENERATION - 1)
        rows["event"].append(
            run | {"sequence": 2 * first + 2 * GENERATION, "kind": told.kind, "at_s": now,
                   "body": told.to_dict()}
        )  # fmt: skip
        rows["decision"].append(
            run | {"sequence": first // GENERATION + 1, "kind": "ask", "body": body, "made_s": now}
        )
    return rows


def _attempt(place: dict[str, Any], kind: str | None, at_s: float) -> dict[str, Any]:
    return place | {
        "number": 1,
        "status": "failed" if kind else "done",
        "failure_kind": kind,
        "failure_message": f"candidate failed: {kind}" if kind else None,
        "failure_detail": None,
        "merge_s": 0.1,
        "score_s": 1.7,
        "worker": "w0",
        "numeric_class": "cpu",
        "reused": False,
        "notes": {},
        "finished_s": at_s,
        "tokenise_s": 0.0,
        "wait_s": 0.0,
        "busy_s": 2.0,
        "devices": 1.0,
    }

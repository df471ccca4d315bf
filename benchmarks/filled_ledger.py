"""Fills a ledger with a run of any length, as a real run would have, but in large commits."""

import functools
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert
from synthetic_run import RUN_ID, Study, make_space
from synthetic_worker import Formula

from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver.replay import evaluations_of
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import BlockKey, pack_scores
from evomerge.runs.ledger.database import Ledger
from evomerge.search.protocol import Proposal, Searcher

ROWS_A_COMMIT = 20_000
TABLES = (
    tables.recipe,
    tables.candidate,
    tables.lease,
    tables.attempt,
    tables.score_block,
    tables.estimate,
    tables.decision,
    tables.event,
)


class _Rows:
    """Rows on their way, by table, with the sequence numbers of decisions and events."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
        self.now_s = time.time()
        self._sequence = {"decision": 0, "event": 0}

    def add(self, table: str, **values: Any) -> None:
        self.waiting[table].append({"run_id": RUN_ID, **values})

    def decide(self, kind: str, body: dict[str, Any], event: dict[str, Any]) -> None:
        self._sequence["decision"] += 1
        self.add(
            "decision",
            sequence=self._sequence["decision"],
            kind=kind,
            body=body,
            made_s=self.now_s,
        )
        self.happen(event)

    def happen(self, event: dict[str, Any]) -> None:
        self._sequence["event"] += 1
        self.add(
            "event",
            sequence=self._sequence["event"],
            kind=event["kind"],
            body=event,
            at_s=self.now_s,
        )

    def store(self, connection: Connection) -> None:
        for table in TABLES:
            if rows := self.waiting[table.name]:
                connection.execute(insert(table), rows)
                rows.clear()

    def __len__(self) -> int:
        return sum(map(len, self.waiting.values()))


def fill(study: Study, n: int) -> Searcher:
    """Store ``study`` with ``n`` or a few more candidates that are evaluated and told.

    Proposals are the searcher's own and the numbers are the tasks' own, so that a resume replays
    them; bytes of single examples are all zeros, since no resume reads them.

    Returns:
        The searcher, told of everything.
    """
    study.create()
    space = make_space(study.genes)
    searcher = study.searcher_in(space)
    ledger = Ledger.open(study.url)
    rows = _Rows()
    for step in _steps(study, searcher, n):
        step(rows, space)
        if len(rows) >= ROWS_A_COMMIT:
            with ledger.write("fill") as connection:
                rows.store(connection)
    with ledger.write("fill") as connection:
        rows.store(connection)
    ledger.close()
    return searcher


def _steps(study: Study, searcher: Searcher, n: int) -> Iterator[Any]:
    """Yield what happens in the run, one ask or tell after the other."""
    asked = told = ask = 0
    flying: deque[list[Any]] = deque()
    generation = study.mode == "generation"
    while told < n:
        if asked < n or not flying:
            size = None if generation else (1 if ask else study.workers)
            proposals = searcher.ask(size)
            asked += len(proposals)
            results: list[Any] = []
            yield _Ask(study, ask, size, proposals, results)
            flying += [results] if generation else [[item] for item in results]
            ask += 1
        if generation or len(flying) >= study.workers or asked >= n:
            results = flying.popleft()
            told += len(results)
            searcher.tell(evaluations_of(results))
            yield _Tell(ask - 1 if generation else None, results, told)


class _Ask:
    """Stores a generation and everything that its candidates leave; fills in their results."""

    def __init__(
        self,
        study: Study,
        ask: int,
        size: int | None,
        proposals: Sequence[Proposal],
        results: list[Any],
    ) -> None:
        self._study, self._ask, self._size = study, ask, size
        self._proposals, self._results = proposals, results

    def __call__(self, rows: _Rows, space: SearchSpace) -> None:
        names = [proposal.id for proposal in self._proposals]
        event = {"kind": "asked", "ask": self._ask, "candidates": names}
        rows.decide("ask", {"ask": self._ask, "n": self._size, "candidates": names}, event)
        for place, proposal in enumerate(self._proposals):
            genome = space.decode(proposal.genome)
            recipe = space.recipe(genome)
            body = json.dumps(recipe.to_dict(), separators=(",", ":"))
            rows.add("recipe", recipe_hash=recipe.hash(), body=body)
            rows.add(
                "candidate",
                candidate_id=proposal.id,
                ask=self._ask,
                place=place,
                kind="search",
                origin=proposal.origin,
                parents=list(proposal.parents),
                genome=genome,
                recipe_hash=recipe.hash(),
            )
            values = [
                _score(rows, proposal.id, recipe, task, self._study) for task in self._study.tasks
            ]
            _attempt(rows, proposal.id)
            mean = sum(values) / len(values)
            self._results.append([proposal.id, [mean], ""])


class _Tell:
    """Stores a tell."""

    def __init__(self, ask: int | None, results: list[Any], told: int) -> None:
        self._ask, self._results, self._told = ask, results, told

    def __call__(self, rows: _Rows, space: SearchSpace) -> None:
        event = {"kind": "generation_done", "ask": self._ask, "evaluated": self._told}
        rows.decide("tell", {"ask": self._ask, "results": self._results}, event)


def _score(rows: _Rows, name: str, recipe: Recipe, task: Formula, study: Study) -> float:
    """Add a task's blocks and its estimate; return the task's number."""
    value = task.aggregate("hit", task.hits(recipe, "search"))
    place = {"candidate_id": name, "task": task.name, "split": "search", "metric": "hit"}
    for block, start in enumerate(range(0, task.n, task.block_size)):
        size = min(task.block_size, task.n - start)
        key = BlockKey(recipe.hash(), task.fingerprint(), "base", "benchmark", "search", block)
        rows.add(
            "score_block",
            **place,
            block=block,
            n=size,
            width=1,
            data=_packed(size),
            cache_key=key.digest(),
            attempt=1,
            reused=False,
        )
    rows.add("estimate", **place, n=task.n, value=value, low=value - 0.1, high=value + 0.1)
    return value


@functools.cache
def _packed(size: int) -> bytes:
    """Return a block of zeros."""
    return pack_scores(np.zeros((size, 1)))


def _attempt(rows: _Rows, name: str) -> None:
    """Add a lease, the attempt that it led to, and the event that told of it."""
    place = {"candidate_id": name, "split": "search", "number": 1}
    rows.add("lease", **place, epoch=1, granted_s=rows.now_s)
    rows.add(
        "attempt",
        **place,
        status="done",
        merge_s=0.1,
        score_s=1.9,
        worker="worker1",
        numeric_class="benchmark",
        reused=False,
        notes={},
        finished_s=rows.now_s,
        tokenise_s=0.0,
        wait_s=0.0,
        busy_s=2.0,
        devices=1.0,
    )
    rows.happen({"kind": "candidate_done", "candidate": name, "objectives": {"mean": 0.5}})

"""How far a run is, read at a glance: from a SQLite ledger with the standard library alone.

``evomerge status`` is asked often and should answer at once, and loading SQLAlchemy and numpy takes
longer than the answer. ``RunResults.status`` gives the same for any ledger; a test holds the two
together.
"""

import json
import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.runs.events import Progress
from evomerge.runs.folder import RunFolder, is_driven

REVISION = "0002"
"""Schema that this module reads."""

_SQLITE = "sqlite:///"
_SPEED_OVER = 100


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Args:
        name, run_id, folder: Which run.
        state: ``running``, ``finished``, ``stopped`` (by the user), ``failed`` (equal failures in a
            row) or ``interrupted`` (its process is gone).
        progress: Candidates evaluated and failed, and the budget.
        generations: Generations told.
        best: Objective → best value so far on the search split; its validation value once final.
        best_candidate: The candidate named best, once final.
        split: Split that ``best`` is of.
        candidates_per_s: Speed over the last driver's candidates; None before two of them.
        eta_s: Seconds to the end of the budget at that speed; None where it is unknown.
        directions: Objective → ``maximize`` or ``minimize``.
        message: Why it failed, where it did.
    """

    name: str
    run_id: str
    folder: str
    state: str
    progress: Progress
    generations: int
    best: Mapping[str, float]
    best_candidate: str | None
    split: str
    candidates_per_s: float | None
    eta_s: float | None
    directions: Mapping[str, str]
    message: str = ""


@dataclass(frozen=True)
class _Decision:
    kind: str
    body: Mapping[str, Any]
    made_s: float


@dataclass(frozen=True)
class _Attempt:
    """One attempt; ``search`` where it was a proposal's on the search split."""

    candidate: str
    split: str
    done: bool
    search: bool
    finished_s: float


def glance(path: Path) -> Status | None:
    """Return the status of the run in folder ``path``; None where its ledger has to be asked fully.

    Raises:
        LedgerError: It is no run folder.
    """
    folder = RunFolder.open(path)
    file = Path(folder.ledger.removeprefix(_SQLITE))
    if not folder.ledger.startswith(_SQLITE) or not file.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=10)
    except sqlite3.Error:
        return None
    try:
        # One read transaction: everything is of one moment.
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        if connection.execute("SELECT version_num FROM alembic_version").fetchall() != [
            (REVISION,)
        ]:
            return None
        return _read(connection, folder)
    except (sqlite3.Error, LookupError):
        return None
    finally:
        connection.close()


def _read(connection: sqlite3.Connection, folder: RunFolder) -> Status | None:
    run = connection.execute(
        "SELECT name, config FROM run WHERE run_id = ?", (folder.run_id,)
    ).fetchone()
    if run is None:
        return None
    name, config = run[0], json.loads(run[1])
    directions = {key: item["direction"] for key, item in config["objectives"].items()}
    decisions = _decisions(connection, folder.run_id)
    attempts = _attempts(connection, folder.run_id)
    driven = is_driven(folder.path)
    final = _final(decisions)
    progress = _progress(_budget(config, decisions), decisions, attempts)
    if final is None:
        best: Mapping[str, float] = _best_so_far(connection, folder.run_id, directions)
    else:
        best = _last_finished(connection, folder.run_id)
    speed = _speed([a.finished_s for a in attempts if a.split == "search"])
    state, message = _state(driven, final, decisions, attempts)
    left = progress.budget - progress.evaluated
    return Status(
        name=name,
        run_id=folder.run_id,
        folder=str(folder.path),
        state=state,
        progress=progress,
        generations=len({d.body["ask"] for d in decisions if d.kind == "tell"}),
        best=best,
        best_candidate=final["best"] if final else None,
        split="validation" if final else "search",
        candidates_per_s=speed,
        eta_s=left / speed if speed and driven else None,
        directions=directions,
        message=message,
    )


def _decisions(connection: sqlite3.Connection, run_id: str) -> list[_Decision]:
    """Return the decisions in order; of asks, which are long, nothing is needed."""
    query = (
        "SELECT kind, body, made_s FROM decision WHERE run_id = ? AND kind != 'ask' "
        "ORDER BY sequence"
    )
    return [_Decision(k, json.loads(b), t) for k, b, t in connection.execute(query, (run_id,))]


def _attempts(connection: sqlite3.Connection, run_id: str) -> list[_Attempt]:
    """Return the attempts in the order of commits."""
    query = (
        "SELECT candidate_id, split, status = 'done', split = 'search' AND kind = 'search', "
        "finished_s FROM attempt JOIN candidate USING (run_id, candidate_id) WHERE run_id = ? "
        "ORDER BY attempt_id"
    )
    return [
        _Attempt(name, split, bool(done), bool(search), finished_s)
        for name, split, done, search, finished_s in connection.execute(query, (run_id,))
    ]


def _budget(config: Mapping[str, Any], decisions: Sequence[_Decision]) -> int:
    extended = [d.body["budget"] for d in decisions if d.kind == "extend"]
    return int(extended[-1] if extended else config["search"]["budget"])


def _final(decisions: Sequence[_Decision]) -> Mapping[str, Any] | None:
    """Return the final decision unless the run was extended since."""
    last = next((d for d in reversed(decisions) if d.kind in ("final", "extend")), None)
    return last.body if last and last.kind == "final" else None


def _progress(
    budget: int, decisions: Sequence[_Decision], attempts: Sequence[_Attempt]
) -> Progress:
    """Count proposals by their last attempt; a stop after equal failures takes those back."""
    stops = deque(d.body for d in decisions if d.kind == "stop" and "after_attempts" in d.body)
    done: dict[str, bool] = {}

    def take_back(retry: Sequence[Sequence[str]]) -> None:
        for candidate, split in retry:
            if split == "search" and done.get(candidate) is False:
                del done[candidate]

    for count, attempt in enumerate(attempts):
        while stops and count >= stops[0]["after_attempts"]:
            take_back(stops.popleft()["retry"])
        if attempt.search:
            done[attempt.candidate] = attempt.done or done.get(attempt.candidate, False)
    for stop in stops:
        take_back(stop["retry"])
    failed = sum(not good for good in done.values())
    return Progress(evaluated=len(done), failed=failed, budget=budget)


def _best_so_far(
    connection: sqlite3.Connection, run_id: str, directions: Mapping[str, str]
) -> dict[str, float]:
    """Return the best search value of each objective over all candidates."""
    query = "SELECT body FROM event WHERE run_id = ? AND kind = 'candidate_done'"
    rows = [json.loads(body)["objectives"] for (body,) in connection.execute(query, (run_id,))]
    pick = {"maximize": max, "minimize": min}
    return {name: pick[way](row[name] for row in rows) for name, way in directions.items() if rows}


def _last_finished(connection: sqlite3.Connection, run_id: str) -> dict[str, float]:
    """Return the validation values of the best candidate, as told when the run finished."""
    query = (
        "SELECT body FROM event WHERE run_id = ? AND kind = 'finished' "
        "ORDER BY sequence DESC LIMIT 1"
    )
    found = connection.execute(query, (run_id,)).fetchone()
    if found is None:  # killed between the decision and the event
        raise LookupError("no finished event")
    objectives: dict[str, float] = json.loads(found[0])["objectives"]
    return objectives


def _speed(times: Sequence[float]) -> float | None:
    """Return candidates per second over the last attempts on the search split."""
    last = times[-_SPEED_OVER:]
    if len(last) < 2 or last[-1] <= last[0]:
        return None
    return (len(last) - 1) / (last[-1] - last[0])


def _state(
    driven: bool,
    final: Mapping[str, Any] | None,
    decisions: Sequence[_Decision],
    attempts: Sequence[_Attempt],
) -> tuple[str, str]:
    """Return the state in one word, and why the run failed where it did."""
    if driven:
        return "running", ""
    if final is not None:
        return "finished", ""
    stop = next((d for d in reversed(decisions) if d.kind == "stop"), None)
    if stop is None or (attempts and attempts[-1].finished_s > stop.made_s):
        return "interrupted", ""
    if stop.body["reason"] == "user":
        return "stopped", ""
    return "failed", str(stop.body["message"])

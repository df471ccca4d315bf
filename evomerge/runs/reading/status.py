"""How far a run is, who is at work on it and what it has taken, whichever database holds it.

Standard library alone: ``evomerge status`` should answer at once.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evomerge.runs.events import Progress
from evomerge.runs.folder import RunFolder, is_driven, noted_stop
from evomerge.runs.reading.accounting import Query, Spent, cost, spent_on
from evomerge.runs.reading.covered import Hypervolume, hypervolume_of
from evomerge.runs.reading.newest import Tail, latest_decisions, plain, read_tail, speed_of
from evomerge.runs.reading.remarks import Remark, read_remarks

_CLOCKS = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}
_CLEAN = ("user", "signal", "disk", "ledger", "pause", "cancel")


@dataclass(frozen=True)
class WorkerRow:
    """A worker of the driver at its last beat.

    Args:
        worker, node, device: Which, and where.
        state: ``waiting``, ``starting``, ``idle``, ``busy`` or ``gone``.
        candidate, attempt: What it works on.
        since_s: Seconds that it has been in this state.
        jobs: Jobs done.
        busy_s, alive_s: Seconds of work, and since it was ready.
        utilisation: Their ratio; None before it was ready.
        memory_bytes: Resident memory; 0 if unknown.
        reason: Why it is gone.
    """

    worker: str
    node: str
    device: str
    state: str
    candidate: str | None
    attempt: int | None
    since_s: float
    jobs: int
    busy_s: float
    alive_s: float
    utilisation: float | None
    memory_bytes: int
    reason: str


@dataclass(frozen=True)
class Accounting:
    """What a run has taken so far, over all its drivers.

    Args:
        attempts: Attempts at candidates.
        lost: Attempts whose worker ended under them; they were made again.
        device_s: Seconds of work times devices.
        seconds: Part of the workers' time → seconds: merge, score, tokenise, cut_off, overhead,
            wait.
        utilisation: Work by the time that workers were there, over the whole run; None before any.
        utilisation_now: The same of the workers that are there; None without any.
        cost: Work and waiting times devices at ``execution.cost_per_device_hour``; None without.
    """

    attempts: int
    lost: int
    device_s: float
    seconds: Mapping[str, float]
    utilisation: float | None
    utilisation_now: float | None
    cost: float | None


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Args:
        name, run_id, folder: Which run.
        state: ``running``, ``finished``, ``stopped`` (cleanly), ``failed`` (equal failures in a
            row, nothing scored, no workers) or ``interrupted`` (its process is gone).
        reason: Why it stopped (``user``, ``signal``, ``disk``, ``ledger``, ``pause``, ``cancel``)
            or failed (``identical_failures``, ``no_scores``, ``executor``).
        driver: ``HOST:PID`` of the driver, where one is known.
        mode: ``generation`` or ``async``.
        progress: Candidates evaluated and failed, and the budget.
        generations: Generations told; None in asynchronous mode.
        best: Objective → best value so far on the search split; its validation value once final.
        best_candidate: The candidate named best, once final.
        split: Split that ``best`` and ``hypervolume`` are of.
        hypervolume: What the front of several objectives covers: at the last generation's end (in
            asynchronous mode every so many candidates), and of the finalists once final. None where
            there is none.
        candidates_per_s: Speed over the last driver's last 100 candidates; None before two.
        eta_s: Seconds to the end of the budget at that speed; None where it is unknown.
        directions: Objective → ``maximize`` or ``minimize``.
        accounting: What the run has taken.
        workers: The driver's workers, those that are gone with their reason; none without driver.
        message: Why it stopped or failed, where there is more to say.
        remarks: What users have said of candidates.
    """

    name: str
    run_id: str
    folder: str
    state: str
    reason: str
    driver: str
    mode: str
    progress: Progress
    generations: int | None
    best: Mapping[str, float]
    best_candidate: str | None
    split: str
    candidates_per_s: float | None
    eta_s: float | None
    directions: Mapping[str, str]
    accounting: Accounting
    workers: tuple[WorkerRow, ...]
    message: str = ""
    hypervolume: Hypervolume | None = None
    remarks: tuple[Remark, ...] = ()


def read_status(
    query: Query,
    folder: RunFolder,
    *,
    dialect: str = "sqlite",
    validated: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    spent: Spent | None = None,
) -> Status:
    """Return the status of a run.

    Args:
        query: Asks its ledger, everything at one moment.
        folder: Its folder.
        dialect: ``sqlite`` or ``postgresql``.
        validated: Gives ``objectives`` and ``hypervolume`` on the validation split from the body of
            the last decision, for a run that was killed between it and the event that tells of it.
        spent: What its attempts took, where that is known: else they are added up.

    Raises:
        LookupError: The ledger has no such run, or ``validated`` is needed and there is none.
    """
    run = next(
        iter(query("SELECT name, config FROM run WHERE run_id = :run", {"run": folder.run_id})),
        None,
    )
    if run is None:
        raise LookupError(folder.run_id)
    config = plain(run[1])
    directions = {key: item["direction"] for key, item in config["objectives"].items()}
    mode = config["search"].get("mode", "generation")
    tail = read_tail(query, folder.run_id, directions)
    decisions = latest_decisions(query, folder.run_id)
    progress = _progress(tail, decisions, config["search"]["budget"])
    driver = _driver(query, folder, _CLOCKS[dialect])
    noted = noted_stop(folder.path)
    state, reason, message = _state(driver is not None, decisions, tail, noted)
    final = decisions.get("final")
    best, covered = tail.best, tail.hypervolume
    if final is not None:
        told = tail.finished
        if told is None and validated is None:
            raise LookupError("no finished event")
        told = told or (validated(final) if validated else {})
        best, covered = told["objectives"], told.get("hypervolume")
    speed = speed_of(tail.times)
    left = progress.budget - progress.evaluated
    workers = _workers(query, folder) if driver is not None else ()
    price = config.get("execution", {}).get("cost_per_device_hour")
    return Status(
        name=run[0],
        run_id=folder.run_id,
        folder=str(folder.path),
        state=state,
        reason=reason,
        driver=driver or "",
        mode=mode,
        progress=progress,
        generations=None if mode == "async" else tail.generations,
        best=best,
        best_candidate=final["best"] if final else None,
        split="validation" if final else "search",
        candidates_per_s=speed,
        eta_s=left / speed if speed and driver is not None else None,
        directions=directions,
        accounting=_accounting(spent or spent_on(query, folder.run_id), workers, price),
        workers=workers,
        message=message,
        hypervolume=hypervolume_of(config["objectives"], covered),
        remarks=tuple(read_remarks(query, folder.run_id).values()),
    )


# -- decisions and state ------------------------------------------------------------------------


def _progress(tail: Tail, decisions: Mapping[str, Any], budget: int) -> Progress:
    """Return the newest counts, with what was decided since: an extension, a second try."""
    found = tail.progress or Progress(evaluated=0, failed=0, budget=budget)
    if "extend" in decisions:
        found = replace(found, budget=decisions["extend"]["budget"])
    stop = decisions.get("stop", {"made_s": 0.0})
    if stop["made_s"] < tail.started_s:
        return found
    again = {name for name, split in stop.get("retry", ()) if split == "search"}
    return replace(found, evaluated=found.evaluated - len(again), failed=found.failed - len(again))


def _state(
    driven: bool, decisions: Mapping[str, Any], tail: Tail, noted: tuple[str, str] | None
) -> tuple[str, str, str]:
    """Return the state in one word, why it stopped or failed, and what there is to say of it.

    ``noted`` is what the last driver couldn't store.
    """
    if driven:
        return "running", "", ""
    if "final" in decisions:
        return "finished", "", ""
    if noted is not None:
        return "stopped", *noted
    if tail.stopped is not None:
        reason = tail.stopped.get("reason", "user")
        return "stopped", reason, tail.stopped.get("message", "")
    stop = decisions.get("stop")
    if stop is None or stop["made_s"] < tail.started_s or stop["reason"] in _CLEAN:
        return "interrupted", "", ""
    return "failed", stop["reason"], str(stop["message"])


# -- who is at work -----------------------------------------------------------------------------


def _driver(query: Query, folder: RunFolder, clock: str) -> str | None:
    """Return ``HOST:PID`` of the driver that lives (empty if unknown), or None without one.

    On this machine the folder's lock tells, which goes with the process; on another its last sign
    of life by the database's clock.
    """
    rows = query(
        f"SELECT holder, lease_s, {clock} - beat_s FROM driver WHERE run_id = :run",
        {"run": folder.run_id},
    )
    holder, lease_s, age_s = rows[0] if rows else ("", 0.0, 0.0)
    if is_driven(folder.path):
        return str(holder)
    here = holder.rpartition(":")[0] in ("", os.uname().nodename)
    return None if here or not -lease_s < age_s < lease_s else str(holder)


def _workers(query: Query, folder: RunFolder) -> tuple[WorkerRow, ...]:
    """Return the workers: those that are there, then those that are gone."""
    rows = query(
        "SELECT worker, node, device, state, candidate_id, attempt, since_s, jobs, busy_s, "
        "alive_s, memory_bytes, reason FROM worker WHERE run_id = :run "
        "ORDER BY CASE WHEN state = 'gone' THEN 1 ELSE 0 END, worker",
        {"run": folder.run_id},
    )
    return tuple(
        WorkerRow(*(*row[:10], _ratio(row[8], row[9]), *row[10:]))  # alive_s, then utilisation
        for row in rows
    )


def _accounting(spent: Spent, workers: Sequence[WorkerRow], price: float | None) -> Accounting:
    """Return what a run has taken.

    The time that workers were there is that of the attempts, and of the present workers where this
    is longer: they may have waited since, or be at work on attempts that aren't stored yet.
    """
    present = [worker for worker in workers if worker.state != "gone"]
    now = _ratio(sum(w.busy_s for w in present), sum(w.alive_s for w in present))
    busy_s, alive_s = spent.busy_s, spent.busy_s + spent.wait_s
    if (all_s := sum(w.alive_s for w in workers)) > alive_s:
        busy_s, alive_s = sum(w.busy_s for w in workers), all_s
    return Accounting(
        attempts=spent.attempts,
        lost=spent.lost,
        device_s=spent.device_s,
        seconds=spent.parts(),
        utilisation=_ratio(busy_s, alive_s),
        utilisation_now=now,
        cost=cost(spent.held_device_s, price),
    )


def _ratio(busy_s: float, alive_s: float) -> float | None:
    return min(busy_s / alive_s, 1.0) if alive_s > 0 else None

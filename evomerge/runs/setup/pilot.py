"""Three candidates tried before a run, which foretell what its budget will take.

They go through the run file's own executor on the search split. Nothing is stored.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.errors import RunFailedError
from evomerge.execution.protocol import BlockRef, Executor, Job, Outcome
from evomerge.recipes.recipe import Recipe
from evomerge.runs.setup.builders import make_executor
from evomerge.runs.setup.prepare import Prepared

CANDIDATES = 3
"""How many are tried."""

DRAWS = 100
"""Random genomes to look at for recipes that differ."""


@dataclass(frozen=True)
class Trial:
    """What one candidate took, in seconds.

    Args:
        label: ``base``, ``uniform``, ``middle`` or ``random``.
        merge_s, score_s, tokenise_s: Parts of it; a worker tokenises once.
        busy_s: From its handing out to its result, tokenising left out.
        devices: Devices that its worker held.
        failure: Why it failed, or None.
    """

    label: str
    merge_s: float
    score_s: float
    tokenise_s: float
    busy_s: float
    devices: float
    failure: str | None


@dataclass(frozen=True)
class Forecast:
    """What the budget will take if all candidates are like the slowest, a typical, the fastest.

    Args:
        search_h: Hours for the search: (low, typical, high).
        rescoring_h: Hours for the finalists' re-scoring on the validation split.
        total_h: Both, and the start-up.
        device_hours: Devices held times ``total_h``.
        cost: Price of those, None where the run file gives none.
    """

    search_h: tuple[float, float, float]
    rescoring_h: tuple[float, float, float]
    total_h: tuple[float, float, float]
    device_hours: tuple[float, float, float]
    cost: tuple[float, float, float] | None


@dataclass(frozen=True)
class Pilot:
    """What was tried, and what it foretells.

    Args:
        trials: In the order in which they were handed out.
        startup_s: Until the first worker was ready.
        tokenise_s: What each worker spends on tokenising, once.
        workers: Workers that the run will have.
        budget: Its candidates.
        forecast: What they will take.
        notes: What the forecast can't know, one line each.
    """

    trials: tuple[Trial, ...]
    startup_s: float
    tokenise_s: float
    workers: int
    budget: int
    forecast: Forecast
    notes: tuple[str, ...]


def run_pilot(prepared: Prepared) -> Pilot:
    """Try three candidates and foretell what the run will take.

    Raises:
        RunFailedError: All of them failed.
        ExecutionError: No worker can be had.
    """
    recipes = choose_recipes(prepared)
    began = time.monotonic()
    executor = make_executor(prepared.config, prepared.worker, run_id=f"pilot-{time.time_ns():x}")
    jobs = [
        Job(f"pilot-{label}", 1, recipe, _blocks(prepared)) for label, recipe in recipes.items()
    ]
    with contextlib.closing(executor):
        executor.start()
        outcomes = _collect(executor, jobs)
    ready = [arrived - outcome.busy_s - began for arrived, outcome in outcomes]
    found = {outcome.job.candidate_id: outcome for _, outcome in outcomes}
    trials = tuple(
        _trial(label, found[job.candidate_id]) for label, job in zip(recipes, jobs, strict=True)
    )
    if all(trial.failure for trial in trials):
        raise RunFailedError(
            f"all {len(trials)} candidates of the pilot failed; the last one: {trials[-1].failure}"
        )
    return _pilot(prepared, trials, startup_s=max(0.0, min(ready)))


def choose_recipes(prepared: Prepared) -> dict[str, Recipe]:
    """Return label → recipe: base, uniform average or mid point, random; all different."""
    space = prepared.space
    starts = dict(prepared.starts)
    labels: Sequence[str] = ("base", "uniform")
    genomes = {label: starts[label] for label in labels if label in starts}
    genomes["middle"] = space.decode(space.middle())
    rng = np.random.default_rng(prepared.config.search.seed)
    for number in range(DRAWS):
        genomes[f"random {number}"] = space.decode(space.draw(rng))
    chosen: dict[str, Recipe] = {}
    hashes: set[str] = set()
    for label, genome in genomes.items():
        recipe = space.recipe(genome)
        last_place = len(chosen) == CANDIDATES - 1
        if recipe.hash() in hashes or (last_place and not label.startswith("random")):
            continue
        hashes.add(recipe.hash())
        chosen[label.split()[0] if last_place else label] = recipe
        if len(chosen) == CANDIDATES:
            break
    return chosen


def foretell(
    trials: Sequence[Trial],
    *,
    budget: int,
    workers: int,
    once_s: float,
    finalists: int,
    share: float,
    price: float | None,
) -> Forecast:
    """Foretell a run's hours, device-hours and cost.

    Args:
        trials: What candidates took; those that failed don't count.
        budget: Candidates of the run.
        workers: Workers that it has.
        once_s: Start-up and tokenising, which come once.
        finalists: Candidates that are scored again.
        share: Examples of the validation split, in proportion to those of the search split.
        price: Of one device for an hour.
    """
    sound = [trial for trial in trials if trial.failure is None]
    # The base is copied, not merged: the others are what a search is made of.
    usual = [trial for trial in sound if trial.label != "base"] or sound
    fastest, slowest = min(t.busy_s for t in sound), max(t.busy_s for t in sound)
    seconds = np.array([fastest, np.mean([t.busy_s for t in usual]), slowest])
    scoring = np.array([f([t.score_s for t in usual]) for f in (min, np.mean, max)])
    rounds = -(-finalists // workers)
    search = seconds * budget / min(workers, budget) / 3600
    rescoring = (seconds - scoring).clip(0) * rounds / 3600 + scoring * share * rounds / 3600
    total = search + rescoring + once_s / 3600
    held = total * workers * max(trial.devices for trial in sound)
    return Forecast(
        search_h=_three(search),
        rescoring_h=_three(rescoring),
        total_h=_three(total),
        device_hours=_three(held),
        cost=None if price is None else _three(held * price),
    )


def _three(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float, float]:
    low, typical, high = sorted(float(value) for value in values)
    return low, typical, high


def _blocks(prepared: Prepared) -> list[BlockRef]:
    """All blocks of the search split, as a candidate of the run is scored."""
    return [
        BlockRef(task, "search", block)
        for task in prepared.objectives.tasks
        for block in range(-(-_count(prepared, task, "search") // _size(prepared, task)))
    ]


def _count(prepared: Prepared, task: str, split: str) -> int:
    return prepared.evaluators[task].n_examples(split)


def _size(prepared: Prepared, task: str) -> int:
    return prepared.evaluators[task].block_size


def _collect(executor: Executor, jobs: Sequence[Job]) -> list[tuple[float, Outcome]]:
    """Run ``jobs`` and return each outcome with the time when it came."""
    for job in jobs:
        executor.submit(job)
    found: list[tuple[float, Outcome]] = []
    while len(found) < len(jobs):
        found += [(time.monotonic(), outcome) for outcome in executor.wait(60.0)]
    return found


def _trial(label: str, outcome: Outcome) -> Trial:
    return Trial(
        label=label,
        merge_s=outcome.merge_s,
        score_s=outcome.score_s,
        tokenise_s=outcome.tokenise_s,
        busy_s=max(0.0, outcome.busy_s - outcome.tokenise_s),
        devices=outcome.devices,
        failure=None if outcome.failure is None else outcome.failure.message,
    )


def _pilot(prepared: Prepared, trials: tuple[Trial, ...], *, startup_s: float) -> Pilot:
    config = prepared.config
    tokenise_s = max(trial.tokenise_s for trial in trials)
    counts: Mapping[str, int] = {
        split: sum(_count(prepared, task, split) for task in prepared.objectives.tasks)
        for split in ("search", "validation")
    }
    workers = config.execution.workers
    notes = [f"{t.label} failed: {t.failure}" for t in trials if t.failure is not None]
    if workers > len(trials):
        notes.append(
            f"{len(trials)} candidates kept only {len(trials)} of {workers} workers busy; where "
            "workers share processors or a GPU, a candidate takes longer in the run."
        )
    if config.search.mode == "generation" and workers > 1:
        notes.append("generation mode lets workers wait at each generation's end: not counted.")
    return Pilot(
        trials=trials,
        startup_s=startup_s,
        tokenise_s=tokenise_s,
        workers=workers,
        budget=config.search.budget,
        forecast=foretell(
            trials,
            budget=config.search.budget,
            workers=workers,
            once_s=startup_s + tokenise_s,
            finalists=min(config.search.finalists, config.search.budget),
            share=counts["validation"] / counts["search"],
            price=config.execution.cost_per_device_hour,
        ),
        notes=tuple(notes),
    )

"""What a run has found so far, candidate by candidate, in the order in which it was committed."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.reading.results import RunResults


@dataclass(frozen=True)
class Outcome:
    """A candidate that was scored, or failed, on the search split.

    Args:
        number: Counts the run's outcomes from 0.
        candidate: Its row.
        values: Objective → raw value; empty where it failed.
        violation: By how much it misses the constraints; 0: it keeps them.
        failure: Why it failed, empty where it didn't.
        began_s, finished_s: When, in seconds since 1970.
    """

    number: int
    candidate: CandidateRow
    values: Mapping[str, float]
    violation: float
    failure: str
    began_s: float
    finished_s: float


@dataclass(frozen=True)
class Feed:
    """A run at one moment.

    Args:
        name, run_id: Which run.
        config: The resolved run file.
        space: The search space's plain form.
        directions: Objective → ``maximize`` or ``minimize``.
        state: As ``evomerge status`` tells it.
        best: The candidate that was named best, once the run is final.
        outcomes: Search candidates with an outcome, in the order of commits.
    """

    name: str
    run_id: str
    config: Mapping[str, Any]
    space: Mapping[str, Any]
    directions: Mapping[str, str]
    state: str
    best: str | None
    outcomes: Sequence[Outcome]


def read_feed(path: Path) -> Feed:
    """Return what the run in the folder ``path`` has found so far.

    Raises:
        LedgerError: It is no run, or its ledger can't be read.
    """
    with contextlib.closing(RunResults.open(path)) as results:
        status = results.status()
        return Feed(
            name=results.row.name,
            run_id=results.row.run_id,
            config=results.row.config,
            space=results.row.space,
            directions={item.name: item.direction for item in results.objectives.numbers},
            state=status.state,
            best=status.best_candidate,
            outcomes=_outcomes(results),
        )


def _outcomes(results: RunResults) -> list[Outcome]:
    rows, scored = results.state.candidates, results.state.estimates[SEARCH]
    found: dict[str, Outcome] = {}
    for attempt in results.records.attempts():
        name = attempt.candidate_id
        if attempt.split != SEARCH or attempt.lost or name in found or name not in rows:
            continue
        values, violation = {}, 0.0
        if name in scored:
            raw = results.objectives.values(scored[name])
            values = {key: value for key, value in raw.items() if math.isfinite(value)}
            violation = results.objectives.violation(scored[name])
        failure = attempt.failure
        found[name] = Outcome(
            number=len(found),
            candidate=rows[name],
            values=values,
            violation=violation,
            failure="" if failure is None else f"{failure.kind}: {failure.message}",
            began_s=attempt.finished_s - attempt.merge_s - attempt.score_s,
            finished_s=attempt.finished_s,
        )
    return list(found.values())

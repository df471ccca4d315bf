"""What a run has reached, read from its ledger: status, front, one candidate. Never imports torch.

All values are raw, in the declared direction.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from evomerge.errors import LedgerError, nearest
from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import Failure
from evomerge.runs.driver.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.folder import RunFolder
from evomerge.runs.hypervolume import covered
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import Estimates, RunRecords
from evomerge.runs.ledger.rows import AttemptRow, CandidateRow
from evomerge.runs.objectives import Objectives, Panel
from evomerge.runs.ranking import pareto_front
from evomerge.runs.reading.accounting import Query, Spent, cost, device_seconds
from evomerge.runs.reading.covered import hypervolume_of
from evomerge.runs.reading.front import (
    NONE,
    SCALARISED,
    Front,
    FrontEntry,
    Sureness,
    Wishes,
    equals_of,
    kept,
    marks_of,
)
from evomerge.runs.reading.remarks import Remark, read_remarks, remark_on
from evomerge.runs.reading.scalarised import scalarised_best
from evomerge.runs.reading.status import Status, read_status


@dataclass(frozen=True)
class CandidateDetails:
    """One candidate.

    Args:
        candidate: Its id.
        kind: ``search`` or ``reference``.
        origin: Searcher, ``warm:LABEL`` or the reference's label.
        parents: Candidates that it was made from.
        recipe_hash, recipe: Its recipe, plain.
        genome: Gene → value; None for a reference.
        status: ``pending``, ``done`` or ``failed``.
        objectives: Split → objective → estimate.
        tasks: Split → task → metric → estimate.
        failures: Split → why it failed there.
        attempts: Number of attempts on all splits.
        tries: Those attempts, in the order in which they ended, each with its failure.
        merge_s, score_s: Seconds of its last attempt on the search split.
        device_s: Device-seconds of all its attempts, lost ones included.
        cost: Their price, where ``execution.cost_per_device_hour`` is set.
        remark: What users have said of it.
    """

    candidate: str
    kind: str
    origin: str
    parents: tuple[str, ...]
    recipe_hash: str
    recipe: Mapping[str, Any]
    genome: Mapping[str, Any] | None
    status: str
    objectives: Mapping[str, Mapping[str, Estimate]]
    tasks: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    failures: Mapping[str, Failure]
    attempts: int
    tries: tuple[AttemptRow, ...]
    merge_s: float
    score_s: float
    device_s: float
    cost: float | None
    remark: Remark


class RunResults:
    """A run as any process can read it, at any time, while a driver writes or not.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.records = RunRecords(Ledger.open(folder.ledger, read_only=True), folder.run_id)
        self.row = self.records.run()
        self.state = SearchState.load(self.records, budget=self.row.config["search"]["budget"])
        self.objectives = Objectives.from_plain(
            self.row.config["objectives"],
            self.row.tasks,
            self.row.config.get("constraints", ()),
            self.row.config["search"].get("measures"),
            Panel(self.state.references()),
        )

    @classmethod
    def open(cls, path: Path) -> "RunResults":
        """Open the run in the folder ``path``.

        Raises:
            LedgerError: It is no run, or its ledger can't be read.
        """
        return cls(RunFolder.open(path))

    def close(self) -> None:
        """Close the ledger."""
        self.records.ledger.close()

    def status(self) -> Status:
        """Return how far the run is."""

        def validated(final: Mapping[str, Any]) -> dict[str, Any]:
            found = self.state.estimates[VALIDATION]
            return {
                "objectives": self.objectives.values(found[final["best"]]),
                "hypervolume": covered(self.objectives, [found[n] for n in final["front"]]),
            }

        ledger = self.records.ledger
        with ledger.read() as connection:
            dialect = connection.dialect.name
            query = _query(connection)
            return read_status(query, self.folder, dialect=dialect, validated=validated)

    def front(self, wishes: Wishes = NONE, *, confidence: bool = False) -> Front:
        """Return the front: by search scores until the run is final, then by validation scores.

        Args:
            wishes: Bounds that its candidates must keep, and what is preferred.
            confidence: Leave out only what is beaten beyond the noise, and tell how sure each
                entry is; this resamples the examples' scores and needs the run's evaluators.

        Raises:
            EvaluationError: Wishes of what the run doesn't know.
            LedgerError: No candidate keeps the bounds.
        """
        final = self.state.final
        split = SEARCH if final is None else VALIDATION
        scored = self.state.scored(split)
        if wishes.where:
            scored = {name: scored[name] for name in kept(self.row, scored, wishes.where)}
        eligible = self.objectives.eligible(scored)
        values = {name: self.objectives.utilities(scored[name]) for name in eligible}
        if final is not None and not wishes.where:
            names = list(final["front"])
        else:
            names = pareto_front(values)
            if len(self.objectives.all) == 1:
                names = names[:1]
        sure = Sureness()
        if confidence:
            sure = self._sure(split, {name: scored[name] for name in eligible}, names)
            names = sorted(sure.on_front, key=lambda name: values[name], reverse=True)
        entries = self._entries(names, split, wishes, sure)
        return Front(
            entries=entries,
            split=split,
            final=final is not None,
            hypervolume=hypervolume_of(
                self.row.config["objectives"],
                covered(self.objectives, [scored[name] for name in names]),
            ),
        )

    def _sure(self, split: str, scored: Mapping[str, Estimates], front: Sequence[str]) -> Sureness:
        """Return how sure the front is; candidates that are surely beaten are left out of it."""
        from evomerge.runs.reading.confidence import neighbours, resampled, stored_evaluators

        names = neighbours(self.objectives, scored, front)
        evaluators = stored_evaluators(self.row)
        scores = {
            name: {
                (task, metric): self.records.scores(name, split, task, metric)
                for item in self.objectives.all
                if not item.is_of_recipe
                for task, metric in item.parts
            }
            for name in names
        }
        fixed = {name: scored[name] for name in names}
        found = resampled(self.objectives, evaluators, scores, fixed)
        return Sureness(found.on_front(), found.knees() if len(self.objectives.all) > 1 else {})

    def _entries(
        self, names: Sequence[str], split: str, wishes: Wishes, sure: Sureness
    ) -> tuple[FrontEntry, ...]:
        with self.records.ledger.read() as connection:
            query = _query(connection)
            spent = device_seconds(query, self.row.run_id)
            remarks = read_remarks(query, self.row.run_id)
        found = self.state.estimates
        values = {name: self.objectives.utilities(found[split][name]) for name in names}
        marks, equal = marks_of(self.objectives, values, wishes), equals_of(values)
        searched = scalarised_best(
            self.row.config["search"].get("scalarise"), self.objectives, self._first(), values
        )
        if searched is not None:
            marks[searched] += (SCALARISED,)
        scores = {
            name: {
                part: self.objectives.estimates(found[part][name])
                for part in (SEARCH, VALIDATION)
                if name in found.get(part, {})
            }
            for name in names
        }
        return tuple(
            FrontEntry(
                candidate=name,
                recipe_hash=self.state.candidates[name].recipe_hash,
                objectives=scores[name][split],
                device_s=spent.get(name, 0.0),
                marks=marks[name],
                equal=equal[name],
                p_front=sure.on_front.get(name),
                p_knee=sure.knee.get(name),
                scores=scores[name],
                remark=remark_on(remarks, name),
            )
            for name in names
        )

    def _first(self) -> list[tuple[float, ...]]:
        """Return the utilities of the first ask's candidates that have some."""
        found = self.state.estimates[SEARCH]
        names = [row.candidate_id for row in self.state.generations.get(0, ())]
        return [self.objectives.utilities(found[name]) for name in names if name in found]

    def best(self) -> str:
        """Return the id of the best candidate: final if there is one, else by search score.

        Of several objectives it is the knee of the front, or what stands for it.

        Raises:
            LedgerError: No candidate has a score yet.
        """
        entry = self.front().best
        if entry is None:
            raise LedgerError(
                f"run {self.row.name!r} has no scored candidate yet. Go on with it: "
                f"evomerge resume {self.folder.path}"
            )
        return entry.candidate

    def find(self, candidate: str) -> CandidateRow:
        """Return the row of ``candidate``, an id or ``best``.

        Raises:
            LedgerError: There is no such candidate.
        """
        if candidate == "best":
            candidate = self.best()
        rows = {row.candidate_id: row for row in self.records.candidates()}
        if candidate not in rows:
            hint = nearest(candidate, rows) if len(rows) < 30 else f"It has {len(rows)} of them."
            raise LedgerError(f"run {self.row.name!r} has no candidate {candidate!r}; {hint}")
        return rows[candidate]

    def remarks(self) -> dict[str, Remark]:
        """Return candidate → what users have said of it."""
        with self.records.ledger.read() as connection:
            return read_remarks(_query(connection), self.row.run_id)

    def show(self, candidate: str) -> CandidateDetails:
        """Return all that is known of ``candidate``, an id or ``best``.

        Raises:
            LedgerError: There is no such candidate.
        """
        row = self.find(candidate)
        candidate = row.candidate_id
        splits = {
            s: found[candidate] for s, found in self.state.estimates.items() if candidate in found
        }
        tasks: dict[str, dict[str, dict[str, Estimate]]] = {}
        for split, estimates in splits.items():
            for (task, metric), estimate in estimates.items():
                tasks.setdefault(split, {}).setdefault(task, {})[metric] = estimate
        failures = {s: f[candidate] for s, f in self.state.failures.items() if candidate in f}
        attempts = tuple(a for a in self.records.attempts() if a.candidate_id == candidate)
        device_s = Spent.of(attempts).device_s
        last = next((a for a in reversed(attempts) if a.split == SEARCH), None)
        status = "done" if splits else "pending"
        return CandidateDetails(
            candidate=candidate,
            kind=row.kind,
            origin=row.origin,
            parents=row.parents,
            recipe_hash=row.recipe_hash,
            recipe=self.records.recipe(row.recipe_hash),
            genome=row.genome,
            status="failed" if SEARCH in failures else status,
            objectives={s: self.objectives.estimates(e) for s, e in splits.items()},
            tasks=tasks,
            failures=failures,
            attempts=len(attempts),
            tries=attempts,
            merge_s=last.merge_s if last else 0.0,
            score_s=last.score_s if last else 0.0,
            device_s=device_s,
            cost=cost(device_s, self.row.config.get("execution", {}).get("cost_per_device_hour")),
            remark=remark_on(self.remarks(), candidate),
        )


def status_of(path: Path) -> Status:
    """Return the status of the run in the folder ``path``, whichever database has its ledger.

    Raises:
        LedgerError: It is no run, or its ledger can't be read.
    """
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        try:
            with ledger.read() as connection:
                dialect = connection.dialect.name
                return read_status(_query(connection), folder, dialect=dialect)
        except LookupError:
            pass  # something is missing that the full reading finds elsewhere, or explains
    with contextlib.closing(RunResults(folder)) as results:
        return results.status()


def _query(connection: Connection) -> Query:
    """Return what asks this connection."""
    return lambda sql, values: [tuple(row) for row in connection.execute(text(sql), values)]

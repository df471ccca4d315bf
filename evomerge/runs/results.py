"""What a run has reached, read from its ledger: status, front, one candidate. Never imports torch.

All values are raw, in the declared direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import LedgerError, nearest
from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import Failure
from evomerge.runs.folder import RunFolder, is_driven
from evomerge.runs.glance import Status
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.objectives import Objectives
from evomerge.runs.ranking import pareto_front
from evomerge.runs.state import SEARCH, VALIDATION, SearchState


@dataclass(frozen=True)
class FrontEntry:
    """One candidate of the front, with its objectives as estimates."""

    candidate: str
    recipe_hash: str
    objectives: Mapping[str, Estimate]


@dataclass(frozen=True)
class Front:
    """The Pareto front, or the best candidate where there is one objective.

    Args:
        entries: Best first, by the first objective.
        split: ``search`` until the run is final, then ``validation``.
        final: The budget is spent and the finalists are re-scored.
    """

    entries: tuple[FrontEntry, ...]
    split: str
    final: bool

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"front": [{"candidate", "recipe_hash", "objectives": {…}}, …]}`` alone."""
        return {
            "front": [
                {
                    "candidate": entry.candidate,
                    "recipe_hash": entry.recipe_hash,
                    "objectives": {name: vars(e) for name, e in entry.objectives.items()},
                }
                for entry in self.entries
            ]
        }


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
        merge_s, score_s: Seconds of its last attempt on the search split.
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
    merge_s: float
    score_s: float


class RunResults:
    """A run as any process can read it, at any time, while a driver writes or not.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.records = RunRecords(Ledger.open(folder.ledger, read_only=True), folder.run_id)
        self.row = self.records.run()
        self.objectives = Objectives.from_plain(self.row.config["objectives"], self.row.tasks)
        self.state = SearchState.load(self.records, budget=self.row.config["search"]["budget"])

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
        progress = self.state.progress
        driven = is_driven(self.folder.path)
        state, message = self._state_of(driven=driven)
        split = VALIDATION if self.state.final else SEARCH
        best_candidate = self.state.final["best"] if self.state.final else None
        if best_candidate is not None:
            best = self.objectives.values(self.state.estimates[VALIDATION][best_candidate])
        else:
            scored = self.state.scored(SEARCH).values()
            best = self.objectives.best(self.objectives.values(item) for item in scored)
        speed = self._speed()
        left = progress.budget - progress.evaluated
        return Status(
            name=self.row.name,
            run_id=self.row.run_id,
            folder=str(self.folder.path),
            state=state,
            progress=progress,
            generations=len(self.state.told),
            best=best,
            best_candidate=best_candidate,
            split=split,
            candidates_per_s=speed,
            eta_s=left / speed if speed and driven else None,
            directions={item.name: item.direction for item in self.objectives.all},
            message=message,
        )

    def front(self) -> Front:
        """Return the front: by search scores until the run is final, then by validation scores."""
        final = self.state.final
        if final is not None:
            names, split = list(final["front"]), VALIDATION
        else:
            split = SEARCH
            scored = self.state.scored(SEARCH)
            utilities = {name: self.objectives.utilities(e) for name, e in scored.items()}
            names = pareto_front(utilities)
            if len(self.objectives.all) == 1:
                names = names[:1]
        entries = tuple(
            FrontEntry(
                candidate=name,
                recipe_hash=self.state.candidates[name].recipe_hash,
                objectives=self.objectives.estimates(self.state.estimates[split][name]),
            )
            for name in names
        )
        return Front(entries=entries, split=split, final=final is not None)

    def best(self) -> str:
        """Return the id of the best candidate: final if there is one, else by search score.

        Raises:
            LedgerError: No candidate has a score yet.
        """
        entries = self.front().entries
        if not entries:
            raise LedgerError(
                f"run {self.row.name!r} has no scored candidate yet. Go on with it: "
                f"evomerge resume {self.folder.path}"
            )
        return entries[0].candidate

    def show(self, candidate: str) -> CandidateDetails:
        """Return all that is known of ``candidate``, an id or ``best``.

        Raises:
            LedgerError: There is no such candidate.
        """
        if candidate == "best":
            candidate = self.best()
        rows = {row.candidate_id: row for row in self.records.candidates()}
        if candidate not in rows:
            hint = nearest(candidate, rows) if len(rows) < 30 else f"It has {len(rows)} of them."
            raise LedgerError(f"run {self.row.name!r} has no candidate {candidate!r}; {hint}")
        row = rows[candidate]
        splits = {
            s: found[candidate] for s, found in self.state.estimates.items() if candidate in found
        }
        tasks: dict[str, dict[str, dict[str, Estimate]]] = {}
        for split, estimates in splits.items():
            for (task, metric), estimate in estimates.items():
                tasks.setdefault(split, {}).setdefault(task, {})[metric] = estimate
        failures = {s: f[candidate] for s, f in self.state.failures.items() if candidate in f}
        attempts = [a for a in self.records.attempts() if a.candidate_id == candidate]
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
            merge_s=last.merge_s if last else 0.0,
            score_s=last.score_s if last else 0.0,
        )

    def _state_of(self, *, driven: bool) -> tuple[str, str]:
        """Return the run's state in one word, and why it failed where it did."""
        if driven:
            return "running", ""
        if self.state.final is not None:
            return "finished", ""
        stops = self.records.decisions("stop")
        attempts = self.records.attempts()
        if not stops or (attempts and attempts[-1].finished_s > stops[-1].made_s):
            return "interrupted", ""
        if stops[-1].body["reason"] == "user":
            return "stopped", ""
        return "failed", str(stops[-1].body["message"])

    def _speed(self) -> float | None:
        """Return candidates per second over the last hundred attempts on the search split."""
        times = [a.finished_s for a in self.records.attempts() if a.split == SEARCH][-100:]
        if len(times) < 2 or times[-1] <= times[0]:
            return None
        return (len(times) - 1) / (times[-1] - times[0])

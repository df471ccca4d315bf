"""Where a search stands, read from the ledger once and then kept up with every commit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.execution.protocol import Failure
from evomerge.runs.events import Progress
from evomerge.runs.ledger.records import Estimates, RunRecords
from evomerge.runs.ledger.rows import CandidateRow, DecisionRow

SEARCH, VALIDATION, TEST = "search", "validation", "test"


@dataclass
class SearchState:
    """Candidates and what became of them.

    Args:
        budget: Candidates to evaluate in all.
        candidates: Proposals by id, in the order of asking.
        generations: Ask → its candidates, in order; an empty list says the searcher is exhausted.
        told: Asks whose results the searcher was told.
        estimates: Split → candidate → estimates.
        failures: Split → candidate → its last failure.
        attempts: (candidate, split) → number of attempts.
        streak: (candidate, split) of the latest attempts, as long as all failed alike.
        last_attempt: Id of the last attempt in the ledger.
        final: Body of the last ``final`` decision that nothing came after; None otherwise.
    """

    budget: int
    candidates: dict[str, CandidateRow] = field(default_factory=dict)
    generations: dict[int, list[CandidateRow]] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    estimates: dict[str, dict[str, Estimates]] = field(default_factory=dict)
    failures: dict[str, dict[str, Failure]] = field(default_factory=dict)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    streak: list[tuple[str, str]] = field(default_factory=list)
    final: Mapping[str, Any] | None = None

    @classmethod
    def load(cls, records: RunRecords, *, budget: int) -> "SearchState":
        """Read the state of a run; ``budget`` is that of its config, before any extension."""
        state = cls(budget=budget)
        decisions = records.decisions()
        for row in records.candidates():
            if row.kind == "search":
                state.candidates[row.candidate_id] = row
        for split in (SEARCH, VALIDATION, TEST):
            state.estimates[split] = records.estimates(split)
            state.failures[split] = {}
        for decision in decisions:
            state.decided(decision)
        state._load_attempts(records, [d for d in decisions if d.kind == "stop"])
        return state

    def decided(self, decision: DecisionRow) -> None:
        """Take a decision into account."""
        body = decision.body
        if decision.kind == "ask":
            rows = [self.candidates[name] for name in body["candidates"]]
            self.generations[body["ask"]] = rows
        elif decision.kind == "tell":
            self.told.add(body["ask"])
        elif decision.kind == "extend":
            self.budget = body["budget"]
            self.final = None
        elif decision.kind == "final":
            self.final = body

    def attempted(
        self, candidate_id: str, split: str, failure: Failure | None, estimates: Estimates
    ) -> None:
        """Take a finished attempt into account."""
        self._count(candidate_id, split, failure)
        if failure is None:
            self.estimates.setdefault(split, {})[candidate_id] = estimates

    def settled(self, candidate_id: str, split: str = SEARCH) -> bool:
        """Say if the candidate needs no further attempt on ``split``."""
        return candidate_id in self.estimates.get(split, {}) or candidate_id in self.failures.get(
            split, {}
        )

    def scored(self, split: str) -> dict[str, Estimates]:
        """Return candidate → estimates on ``split``, proposals only, in the order of asking."""
        found = self.estimates.get(split, {})
        return {name: found[name] for name in self.candidates if name in found}

    @property
    def progress(self) -> Progress:
        """Evaluated and failed proposals, and the budget."""
        # References are never scored on the search split.
        failed = len(self.failures.get(SEARCH, {}))
        done = len(self.estimates.get(SEARCH, {}))
        return Progress(evaluated=done + failed, failed=failed, budget=self.budget)

    @property
    def exhausted(self) -> bool:
        """Say if the searcher had nothing more to propose."""
        return bool(self.generations) and not self.generations[max(self.generations)]

    def open_generation(self) -> int | None:
        """Return the ask that waits for results, or None."""
        waiting = (ask for ask, rows in self.generations.items() if rows and ask not in self.told)
        return next(waiting, None)

    def to_retry(self) -> list[tuple[str, str]]:
        """Return what of the streak the searcher wasn't told of: a resume tries it again."""
        told = {row.candidate_id for ask in self.told for row in self.generations[ask]}
        return [item for item in self.streak if item[1] != SEARCH or item[0] not in told]

    def forgive(self, retry: Iterable[tuple[str, str]]) -> None:
        """End the streak; the failures in ``retry`` count as not yet attempted."""
        for candidate_id, split in retry:
            self.failures.get(split, {}).pop(candidate_id, None)
        self.streak.clear()

    def _count(self, candidate_id: str, split: str, failure: Failure | None) -> None:
        self.attempts[candidate_id, split] += 1
        if failure is None:
            self.failures.setdefault(split, {}).pop(candidate_id, None)
            self.streak.clear()
            return
        if self.streak:
            before = self.failures[self.streak[-1][1]][self.streak[-1][0]]
            if (before.kind, before.message) != (failure.kind, failure.message):
                self.streak.clear()
        self.failures.setdefault(split, {})[candidate_id] = failure
        self.streak.append((candidate_id, split))

    def _load_attempts(self, records: RunRecords, stops: list[DecisionRow]) -> None:
        """Count attempts in commit order, with the stops that forgave failures in between."""
        waiting = [stop.body for stop in stops if "after_attempts" in stop.body]
        for count, row in enumerate(records.attempts()):
            while waiting and count >= waiting[0]["after_attempts"]:
                self.forgive([(name, split) for name, split in waiting.pop(0)["retry"]])
            self._count(row.candidate_id, row.split, row.failure)
        for stop in waiting:
            self.forgive([(name, split) for name, split in stop["retry"]])

"""Where a search stands, read from the ledger once and then kept up with every commit.

Nothing here takes time that grows with the number of candidates but ``load``, ``scored`` and
``unsettled``.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evomerge.execution.protocol import Failure
from evomerge.runs.events import Progress
from evomerge.runs.ledger.records import Estimates, RunRecords
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.objectives import BANNED, CONSTRAINT
from evomerge.runs.reading.accounting import Spent

SEARCH, VALIDATION, TEST = "search", "validation", "test"

Lease = tuple[str, str, int]
"""Candidate, split, attempt number."""


@dataclass
class SearchState:
    """Candidates and what became of them.

    Args:
        budget: Candidates to evaluate in all.
        candidates: Proposals by id, in the order of asking.
        generations: Ask → its candidates, in order; an empty list says the searcher is exhausted.
        open: Ask → number of its candidates that the searcher wasn't told of, where there are any.
        told: Asks whose results the searcher was all told.
        untold: Candidates settled on the search split that it wasn't told of, in commit order.
        estimates: Split → candidate → estimates.
        failures: Split → candidate → its last failure.
        numbers: (candidate, split) → highest number of an attempt that was handed out.
        lost: (candidate, split) → attempts lost with their worker since it was last settled.
        orphans: Attempts that were in flight when an earlier driver died.
        n_attempts: Attempts in the ledger, lost ones among them.
        spent: What those that were loaded took.
        streak: (candidate, split) of the latest settled attempts, as long as all failed alike.
        works: Something has been scored.
        ended_by: Rule that cut the budget to what was proposed; empty for none.
        banned: Recipes that are never chosen nor scored again, by hash.
        pinned: Candidates that are always among the finalists.
        aside: References that have an outcome on the search split; they count for no budget.
        final: Body of the last ``final`` decision that nothing came after; None otherwise.
    """

    budget: int
    candidates: dict[str, CandidateRow] = field(default_factory=dict)
    generations: dict[int, list[CandidateRow]] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    untold: dict[str, None] = field(default_factory=dict)
    estimates: dict[str, dict[str, Estimates]] = field(default_factory=dict)
    failures: dict[str, dict[str, Failure]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    orphans: list[Lease] = field(default_factory=list)
    n_attempts: int = 0
    spent: Spent = field(default_factory=Spent)
    streak: list[tuple[str, str]] = field(default_factory=list)
    works: bool = False
    ended_by: str = ""
    banned: set[str] = field(default_factory=set)
    pinned: dict[str, None] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)
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
        stops = [decision.body for decision in decisions if decision.kind == "stop"]
        attempted = state._load_attempts(records, stops)
        state._load_leases(records, stops, attempted)
        for decision in decisions:
            state.decided(decision.kind, decision.body)
        return state

    def decided(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take a decision into account; the candidates of an ask are known already."""
        if kind == "ask":
            rows = [self.candidates[name] for name in body["candidates"]]
            self.generations[body["ask"]] = rows
            if rows:
                self.open[body["ask"]] = len(rows)
        elif kind == "tell":
            for name, *_ in body["results"]:
                self._tell(name)
        elif kind == "extend":
            self.budget = body["budget"]
            self.ended_by = body.get("reason", "")
            self.final = None
        elif kind == "final":
            self.final = body
        elif kind in ("ban", "pin") and "refused" not in body:
            self._steer(kind, body["candidate"], on=body["on"])

    def asked(self, ask: int, rows: Sequence[CandidateRow]) -> None:
        """Take new proposals and the decision to evaluate them into account."""
        self.candidates.update({row.candidate_id: row for row in rows})
        self.decided("ask", {"ask": ask, "candidates": [row.candidate_id for row in rows]})

    def attempted(
        self,
        candidate_id: str,
        split: str,
        number: int,
        failure: Failure | None,
        estimates: Estimates,
        *,
        lost: bool = False,
    ) -> None:
        """Take a finished attempt into account."""
        self._count(candidate_id, split, number, failure, lost=lost)
        if failure is None:
            self.estimates.setdefault(split, {})[candidate_id] = estimates

    def settled(self, candidate_id: str, split: str = SEARCH) -> bool:
        """Say if the candidate needs no further attempt on ``split``."""
        return candidate_id in self.estimates.get(split, {}) or candidate_id in self.failures.get(
            split, {}
        )

    def scored(self, split: str) -> dict[str, Estimates]:
        """Return candidate → estimates on ``split``, in the order of asking.

        Only proposals that may be chosen: what is banned isn't among them.
        """
        found = self.estimates.get(split, {})
        return {name: found[name] for name in self.candidates if name in found and self.may(name)}

    def may(self, candidate_id: str) -> bool:
        """Say if a proposal may be chosen: its recipe isn't banned."""
        return self.candidates[candidate_id].recipe_hash not in self.banned

    def references(self) -> list[Estimates]:
        """Return what references have on the search split: the panel of a stability."""
        found = self.estimates.get(SEARCH, {})
        return [item for name, item in found.items() if name not in self.candidates]

    def unsettled(self) -> Iterator[CandidateRow]:
        """Yield the proposals that wait for an evaluation, in the order of asking."""
        return (row for name, row in self.candidates.items() if not self.settled(name))

    def next_number(self, candidate_id: str, split: str) -> int:
        """Return the number of the candidate's next attempt on ``split``."""
        return self.numbers.get((candidate_id, split), 0) + 1

    @property
    def progress(self) -> Progress:
        """Evaluated and failed proposals, and the budget."""
        failures, estimates = self.failures.get(SEARCH, {}), self.estimates.get(SEARCH, {})
        failed = len(failures) - sum(name in failures for name in self.aside)
        done = len(estimates) - sum(name in estimates for name in self.aside)
        return Progress(evaluated=done + failed, failed=failed, budget=self.budget)

    @property
    def exhausted(self) -> bool:
        """Say if the searcher had nothing more to propose."""
        return bool(self.generations) and not self.generations[len(self.generations) - 1]

    def open_generation(self) -> int | None:
        """Return the ask that waits for results, or None."""
        return next(iter(self.open), None)

    def to_retry(self) -> list[tuple[str, str]]:
        """Return what of the streak the searcher wasn't told of: a resume tries it again."""
        return [item for item in self.streak if item[1] != SEARCH or item[0] in self.untold]

    def forgive(self, retry: Iterable[tuple[str, str]]) -> None:
        """End the streak; the failures in ``retry`` count as not yet attempted."""
        for candidate_id, split in retry:
            self.failures.get(split, {}).pop(candidate_id, None)
            if split == SEARCH:
                self.untold.pop(candidate_id, None)
        self.streak.clear()

    def _steer(self, kind: str, candidate_id: str, *, on: bool) -> None:
        """Ban or pin a candidate, or take that back."""
        recipe = self.candidates[candidate_id].recipe_hash
        if kind == "ban":
            (self.banned.add if on else self.banned.discard)(recipe)
        elif on:
            self.pinned[candidate_id] = None
        else:
            self.pinned.pop(candidate_id, None)

    def _tell(self, candidate_id: str) -> None:
        """Strike a candidate off those that the searcher wasn't told of."""
        self.untold.pop(candidate_id, None)
        ask = self.candidates[candidate_id].ask
        self.open[ask] -= 1
        if not self.open[ask]:
            del self.open[ask]
            self.told.add(ask)

    def _count(
        self, candidate_id: str, split: str, number: int, failure: Failure | None, *, lost: bool
    ) -> None:
        key = candidate_id, split
        self.n_attempts += 1
        self.numbers[key] = max(number, self.numbers.get(key, 0))
        if lost:
            self.lost[key] += 1
            return
        self.lost.pop(key, None)
        if split == SEARCH and candidate_id in self.candidates:
            self.untold[candidate_id] = None
        elif split == SEARCH:
            self.aside.add(candidate_id)
        if failure is None:
            self.failures.setdefault(split, {}).pop(candidate_id, None)
            self.streak.clear()
            self.works = True
            return
        # Neither says anything of whether scoring works; a model may well have no finite scores.
        if failure.kind in (CONSTRAINT, BANNED) or (failure.kind == "nan" and self.works):
            self.failures.setdefault(split, {})[candidate_id] = failure
            return
        if self.streak:
            before = self.failures[self.streak[-1][1]][self.streak[-1][0]]
            if (before.kind, before.message) != (failure.kind, failure.message):
                self.streak.clear()
        self.failures.setdefault(split, {})[candidate_id] = failure
        self.streak.append(key)

    def _load_attempts(
        self, records: RunRecords, stops: Sequence[Mapping[str, Any]]
    ) -> dict[Lease, bool]:
        """Count attempts in commit order, with the stops that forgave failures in between.

        Returns:
            Attempt → it was lost.
        """
        waiting = deque(stop for stop in stops if "after_attempts" in stop)
        attempted: dict[Lease, bool] = {}
        rows = records.attempts()
        self.spent = Spent.of(rows)
        for count, row in enumerate(rows):
            while waiting and count >= waiting[0]["after_attempts"]:
                self.forgive([(name, split) for name, split in waiting.popleft()["retry"]])
            self._count(row.candidate_id, row.split, row.number, row.failure, lost=row.lost)
            attempted[row.candidate_id, row.split, row.number] = row.lost
        for stop in waiting:
            self.forgive([(name, split) for name, split in stop["retry"]])
        return attempted

    def _load_leases(
        self,
        records: RunRecords,
        stops: Sequence[Mapping[str, Any]],
        attempted: Mapping[Lease, bool],
    ) -> None:
        """Note the attempts that were handed out and never came back.

        One that a stop gave up counts for nothing; nor does one from before the candidate was
        settled (a stop may have forgiven its failure since).
        """
        given_up = {tuple(item) for stop in stops for item in stop.get("abandoned", ())}
        settled: dict[tuple[str, str], int] = {}
        for (name, split, number), lost in attempted.items():
            if not lost:
                settled[name, split] = max(number, settled.get((name, split), 0))
        for row in records.leases():
            key, lease = (row.candidate_id, row.split), (row.candidate_id, row.split, row.number)
            if lease in attempted:
                continue
            self.numbers[key] = max(row.number, self.numbers.get(key, 0))
            if lease not in given_up and row.number > settled.get(key, 0):
                self.orphans.append(lease)

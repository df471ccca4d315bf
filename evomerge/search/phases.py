"""A search in phases: each searches a part of the whole, and its winner goes on into the next one.

To the run it is one searcher: ids run on, replay and snapshots cover all phases.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.search.fronts import FrontArchive, knee
from evomerge.search.protocol import (
    Evaluation,
    Proposal,
    Restorable,
    Searcher,
    Start,
    inject,
)
from evomerge.search.snapshots import Snapshot

Array = NDArray[np.float64]


@dataclass
class _Phase:
    """Where the phase at hand stands.

    Args:
        index: Which one.
        searcher: Its searcher.
        first_ask: Ask number of the whole search at which it began.
        left: Candidates that it may still propose; infinite for the last phase.
        asks: How often it was asked.
        injected: Genomes from outside since it was asked last.
    """

    index: int
    searcher: Searcher
    first_ask: int
    left: float
    asks: int = 0
    injected: int = 0


class PhasedSearcher:
    """Runs one searcher after the other; each begins from the winner of the one before.

    A genome's first number is its phase. The winner is the best result (of several objectives: the
    knee of the front) that was told when the next phase is first asked: in generation mode all of
    the phase's, in asynchronous mode those that have come, so that no worker waits at the boundary.
    Later results of an earlier phase count for the run, not for its winner.

    Args:
        budgets: Candidates of each phase but the last, which takes what is left.
        begin: Builds the searcher of a phase, given its index and the winner before it (as this
            searcher proposed it; None for the first phase).
        needs_examples: The searcher of some phase does.
        needs_measures: Likewise.

    Raises:
        SearchError: A phase can't be built.
    """

    def __init__(
        self,
        budgets: Sequence[int],
        begin: Callable[[int, Array | None], Searcher],
        *,
        needs_examples: bool = False,
        needs_measures: bool = False,
    ) -> None:
        self.needs_examples = needs_examples
        self.needs_measures = needs_measures
        self._budgets: tuple[float, ...] = (*budgets, float("inf"))
        self._begin = begin
        self._winners: list[Array] = []
        self._front: FrontArchive[Array] = FrontArchive()
        self._waiting: dict[str, Array] = {}
        self._phase = self._enter(0, None, 0)

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the proposals of the phase at hand, no more than are left of its budget.

        Raises:
            SearchError: The phase before has no result to go on from.
        """
        while True:
            proposals = [] if self._phase.left <= 0 else self._ask(n)
            if proposals or self._phase.index == len(self._budgets) - 1:
                return proposals
            self._advance()

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take results; those of an earlier phase change nothing.

        Raises:
            SearchError: An id that isn't waiting for a result.
        """
        mine = []
        for item in evaluations:
            genome = self._waiting.pop(item.candidate_id, None)
            if genome is None:
                raise SearchError(
                    f"got a result for {item.candidate_id!r}, which isn't waiting for one."
                )
            if int(genome[0]) != self._phase.index:
                continue
            if item.values is not None:
                self._front.add(item.values, genome, violation=item.violation)
            mine.append(replace(item, candidate_id=self._inner_id(item.candidate_id)))
        if mine:
            self._phase.searcher.tell(mine)

    def inject(self, start: Start) -> None:
        """Have the phase at hand propose ``start``, a genome of its space, at the next ask.

        Raises:
            SearchError: The phase has no candidate left for it, or is another.
        """
        phase = self._phase
        if int(start.genome[0]) != phase.index or phase.injected >= phase.left:
            raise SearchError(
                f"phase {phase.index + 1} of the search is at its end, and the next one searches "
                "something else. Try again once that has begun."
            )
        inject(phase.searcher, replace(start, genome=start.genome[1:]))
        phase.injected += 1

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays.

        Raises:
            SearchError: The phase's searcher can't be stored.
        """
        phase = self._phase
        if not isinstance(phase.searcher, Restorable):
            raise SearchError(f"the searcher of phase {phase.index + 1} can't be stored.")
        inner = phase.searcher.snapshot()
        plain = {
            "winners": [genome.tolist() for genome in self._winners],
            "front": [
                [values.tolist(), genome.tolist()]
                for values, genome in zip(self._front.values, self._front.items, strict=True)
            ],
            "violation": self._front.violation,
            "waiting": [[name, genome.tolist()] for name, genome in self._waiting.items()],
            "first_ask": phase.first_ask,
            "asks": phase.asks,
            "injected": phase.injected,
            "used": self._budgets[phase.index] - phase.left if phase.left < float("inf") else 0,
            "inner": dict(inner.plain),
        }
        return Snapshot(plain, inner.arrays)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot.

        Raises:
            SearchError: It can't be used.
        """
        plain: Any = snapshot.plain
        self._winners = [np.array(genome) for genome in plain["winners"]]
        for index, winner in enumerate(self._winners, 1):
            self._phase = self._enter(index, winner, plain["first_ask"])
        self._phase.asks = plain["asks"]
        self._phase.injected = plain["injected"]
        self._phase.left = self._budgets[self._phase.index] - plain["used"]
        self._front = FrontArchive()
        for values, genome in plain["front"]:
            self._front.add(values, np.array(genome), violation=plain["violation"])
        self._waiting = {name: np.array(genome) for name, genome in plain["waiting"]}
        if not isinstance(self._phase.searcher, Restorable):
            raise SearchError(f"the searcher of phase {self._phase.index + 1} can't be restored.")
        self._phase.searcher.restore(Snapshot(plain["inner"], snapshot.arrays))

    def _enter(self, index: int, winner: Array | None, first_ask: int) -> _Phase:
        return _Phase(index, self._begin(index, winner), first_ask, self._budgets[index])

    def _ask(self, n: int | None) -> list[Proposal]:
        """Ask the phase's searcher; what is beyond the phase's budget is never told."""
        phase = self._phase
        wanted = n if n is None else int(min(n, phase.left))
        found = phase.searcher.ask(wanted)
        if phase.left < len(found):
            found = found[: int(phase.left)]
        if not found:
            return []
        phase.asks += 1
        phase.injected = 0
        phase.left -= len(found)
        proposals = [self._outward(proposal) for proposal in found]
        self._waiting |= {proposal.id: proposal.genome for proposal in proposals}
        return proposals

    def _advance(self) -> None:
        """Begin the next phase from the winner of this one."""
        phase, front = self._phase, self._front
        if not len(front):
            raise SearchError(
                f"no candidate of phase {phase.index + 1} has a score yet, so the next phase has "
                "nothing to go on from. Give the phase a larger share of the budget."
            )
        winner = front.items[knee(front.values).index]
        self._winners.append(winner)
        self._front = FrontArchive()
        self._phase = self._enter(phase.index + 1, winner, phase.first_ask + phase.asks)

    def _outward(self, proposal: Proposal) -> Proposal:
        genome = np.concatenate([[float(self._phase.index)], proposal.genome])
        return replace(
            proposal,
            id=self._outer_id(proposal.id),
            genome=genome,
            parents=tuple(self._outer_id(name) for name in proposal.parents),
        )

    def _outer_id(self, name: str) -> str:
        ask, _, place = name.partition("-")
        return f"{int(ask) + self._phase.first_ask}-{place}"

    def _inner_id(self, name: str) -> str:
        ask, _, place = name.partition("-")
        return f"{int(ask) - self._phase.first_ask}-{place}"

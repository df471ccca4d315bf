"""Takes up what users ask of a search as it goes on: recipes to try, candidates to ban or pin."""

import logging
from collections.abc import Iterator

from evomerge.runs.driver import rulings
from evomerge.runs.driver.injections import Injections
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.rulings import rule
from evomerge.runs.driver.settling import Tally
from evomerge.runs.driver.state import SearchState
from evomerge.runs.driver.verdict import cover_of
from evomerge.runs.events import Event
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RequestRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives

logger = logging.getLogger(__name__)

KINDS = ("inject", *rulings.KINDS)
"""Requests, and decisions that answer them."""


class Steering:
    """Reads users' requests from the ledger; what an earlier driver left unanswered comes first.

    Args:
        records: The run's rows.
        writer: Writes decisions.
        patience: Reads and writes a ledger that may be away.
        state: Where the search stands.
        tally: What the results add up to, without what is banned.
        objectives: What is optimised.
        injections: Takes recipes to try.
    """

    def __init__(
        self,
        records: RunRecords,
        writer: RunWriter,
        patience: Patience,
        state: SearchState,
        tally: Tally,
        objectives: Objectives,
        injections: Injections,
    ) -> None:
        self._records = records
        self._writer = writer
        self._patience = patience
        self._state = state
        self._tally = tally
        self._objectives = objectives
        self._injections = injections
        self._seen = 0
        self._answered = {int(item.body["request"]) for item in records.decisions(*KINDS)}

    def take_up(self) -> Iterator[Event]:
        """Deal with what has come since the last time."""
        seen = self._seen
        rows = yield from self._patience.read(lambda: self._records.requests(*KINDS, after=seen))
        for row in rows:
            self._seen = row.sequence
            if row.sequence in self._answered:
                continue
            if row.kind == "inject":
                self._injections.add(row)
            else:
                yield from self._rule(row)

    def _rule(self, request: RequestRow) -> Iterator[Event]:
        ruling = rule(request, self._state, self._objectives)
        if ruling.event.refused:
            logger.warning("request %d was refused: %s", request.sequence, ruling.event.refused)
        yield from self._patience.write(lambda: ruling.write(self._writer))
        if ruling.event.best is not None:
            self._tally.best = ruling.event.best
            self._tally.cover = cover_of(self._state, self._objectives)
        yield ruling.event

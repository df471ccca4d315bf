"""Takes up what users ask of a search while it goes on: recipes to try."""

from collections.abc import Iterator

from evomerge.runs.driver.injections import Injections
from evomerge.runs.driver.patience import Patience
from evomerge.runs.events import Event
from evomerge.runs.ledger.records import RunRecords

KINDS = ("inject",)
"""Requests, and decisions that answer them."""


class Steering:
    """Reads users' requests from the ledger; what an earlier driver left unanswered comes first.

    Args:
        records: The run's rows.
        patience: Reads a ledger that may be away.
        injections: Takes recipes to try.
    """

    def __init__(self, records: RunRecords, patience: Patience, injections: Injections) -> None:
        self._records = records
        self._patience = patience
        self._injections = injections
        self._seen = 0
        self._answered = {int(item.body["request"]) for item in records.decisions(*KINDS)}

    def take_up(self) -> Iterator[Event]:
        """Deal with what has come since the last time."""
        seen = self._seen
        rows = yield from self._patience.read(lambda: self._records.requests(*KINDS, after=seen))
        for row in rows:
            self._seen = row.sequence
            if row.sequence not in self._answered:
                self._injections.add(row)

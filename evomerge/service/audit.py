"""The audit log: who did what, written before it is done."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.plain import text_of
from evomerge.runs.ledger.tables import audit
from evomerge.service.tokens import Caller

_LONGEST = 2000


@dataclass(frozen=True)
class AuditRow:
    """One thing that somebody did, or tried.

    Args:
        entry_id: Counts the entries of a ledger upwards.
        at_s: When it began, in seconds since 1970.
        who: Name of their token; empty where nobody was known.
        token_id: The token's public part.
        role: Their role, empty where nobody was known.
        address: Where the request came from.
        method: ``POST`` and the like; ``command`` for the command line.
        path: What was asked.
        detail: What came of it, in words.
        status: The answer's HTTP status; None: not answered yet, or the service died before.
    """

    entry_id: int
    at_s: float
    who: str
    token_id: str | None
    role: str
    address: str
    method: str
    path: str
    detail: str
    status: int | None


class Audit:
    """The audit log of a ledger.

    Args:
        ledger: Where it is stored.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(
        self,
        caller: Caller | None,
        *,
        address: str,
        method: str,
        path: str,
        detail: str = "",
        status: int | None = None,
    ) -> int:
        """Store that something begins, and return the entry's id.

        Raises:
            LedgerError: It can't be stored, so it must not be done either.
        """
        values = {
            "at_s": time.time(),
            "who": "" if caller is None else text_of(caller.name, 255),
            "token_id": None if caller is None else caller.token_id,
            "role": "" if caller is None else caller.role.value,
            "address": text_of(address, 64),
            "method": text_of(method, 16),
            "path": text_of(path, _LONGEST),
            "detail": text_of(detail, _LONGEST),
            "status": status,
        }
        with self._ledger.write("audit") as connection:
            found = connection.execute(insert(audit).values(values).returning(audit.c.entry_id))
            return int(found.scalar_one())

    def end(self, entry_id: int, status: int, detail: str = "") -> None:
        """Store what came of it."""
        values = {"status": status, "detail": text_of(detail, _LONGEST)}
        with self._ledger.write("audit") as connection:
            connection.execute(update(audit).where(audit.c.entry_id == entry_id).values(values))

    def rows(self, *, before: int | None = None, limit: int = 100) -> Sequence[AuditRow]:
        """Return the newest entries, newest first.

        Args:
            before: Only entries with lower ids.
            limit: At most so many.
        """
        columns = (audit.c[name] for name in AuditRow.__dataclass_fields__)
        query = select(*columns).order_by(audit.c.entry_id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.entry_id < before)
        with self._ledger.read() as connection:
            return [AuditRow(*row) for row in connection.execute(query)]

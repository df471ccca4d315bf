"""Sessions: what a browser holds in place of a token; only a hash of each is stored."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import session, token
from evomerge.service.tokens import Caller, Role, hash_of

LASTS_S = 12 * 3600.0


@dataclass(frozen=True)
class Session:
    """A session that was just begun.

    Args:
        value: The secret that goes into the cookie.
        csrf: What the browser must send along with whatever changes something.
    """

    value: str
    csrf: str


class Sessions:
    """The sessions of a ledger.

    Args:
        ledger: Where they are stored.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(self, caller: Caller) -> Session:
        """Begin a session of twelve hours for who has just shown a token."""
        value, now = secrets.token_urlsafe(32), time.time()
        with self._ledger.write("session") as connection:
            connection.execute(delete(session).where(session.c.expires_s <= now))
            connection.execute(
                insert(session).values(
                    session_hash=hash_of(value),
                    token_id=caller.token_id,
                    made_s=now,
                    expires_s=now + LASTS_S,
                )
            )
        return Session(value, csrf_of(value))

    def end(self, value: str) -> None:
        """End a session, if there is such a one."""
        with self._ledger.write("session") as connection:
            where = session.c.session_hash == hash_of(value)
            connection.execute(update(session).where(where).values(ended_s=time.time()))

    def caller(self, value: str) -> Caller | None:
        """Return whose session it is; None where it, or the token it began with, has ended."""
        now = time.time()
        query = (
            select(token.c.name, token.c.role, token.c.token_id)
            .join(session, session.c.token_id == token.c.token_id)
            .where(
                session.c.session_hash == hash_of(value),
                session.c.ended_s.is_(None),
                session.c.expires_s > now,
                token.c.revoked_s.is_(None),
                token.c.expires_s.is_(None) | (token.c.expires_s > now),
            )
        )
        with self._ledger.read() as connection:
            found = connection.execute(query).one_or_none()
        return None if found is None else Caller(found.name, Role(found.role), found.token_id)


def csrf_of(value: str) -> str:
    """Return the CSRF token that belongs to a session: no other site can know it."""
    return hmac.new(value.encode(), b"evomerge csrf", hashlib.sha256).hexdigest()

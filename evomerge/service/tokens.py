"""Tokens: who may use the service, in which role; only a hash of each is stored."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select, update

from evomerge.errors import AccessError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import token

_PREFIX = "evm"
_FORM = re.compile(rf"{_PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_DAY_S = 86400.0


class Role(StrEnum):
    """What a caller may do; each role may do all that those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Say if whoever has this role may do what ``other`` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Args:
        name: The name of their token; ``local`` where the service asks for none.
        role: What they may do.
        token_id: The public part of their token; None where there is none.
    """

    name: str
    role: Role
    token_id: str | None = None


@dataclass(frozen=True)
class TokenRow:
    """A token as it may be shown: all but its secret.

    Args:
        token_id: Its public part.
        name: Whose it is, or what for.
        role: What it lets its holder do.
        made_s: When it was made, in seconds since 1970.
        made_by: Who made it.
        expires_s: When it ends by itself, if ever.
        revoked_s: When it was revoked, if it was.
        device_hours: How many device-hours its jobs may take; None: any number.
    """

    token_id: str
    name: str
    role: Role
    made_s: float
    made_by: str
    expires_s: float | None
    revoked_s: float | None
    device_hours: float | None

    @property
    def state(self) -> str:
        """``live``, ``expired`` or ``revoked``."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and self.expires_s <= time.time() else "live"


class Tokens:
    """The tokens of a ledger.

    Args:
        ledger: Where they are stored.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(
        self,
        name: str,
        role: Role,
        *,
        made_by: str = "",
        days: float | None = None,
        device_hours: float | None = None,
    ) -> str:
        """Make a token and return it; it can't be shown again.

        Args:
            name: 1 to 64 letters, digits and ``._@+-``; no other live token's.
            role: What it lets its holder do.
            made_by: Who makes it.
            days: Ends so many days from now; None: never.
            device_hours: How many device-hours its jobs may take; None: any number.

        Raises:
            AccessError: The name can't be used.
        """
        if not _NAME.fullmatch(name):
            raise AccessError(
                f"token name {name!r} can't be used. Give 1 to 64 letters, digits and any of "
                "'._@+-', beginning with a letter or digit."
            )
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = time.time()
        with self._ledger.write("token") as connection:
            taken = connection.execute(_SHOWN.where(token.c.name == name)).all()
            if any(_row(row._mapping).state == "live" for row in taken):
                raise AccessError(
                    f"there is a live token named {name!r} already. Choose another name, or revoke "
                    f"that one first: evomerge token revoke {name}"
                )
            connection.execute(
                insert(token).values(
                    token_id=token_id,
                    name=name,
                    role=role.value,
                    secret_hash=hash_of(secret),
                    made_s=now,
                    made_by=made_by,
                    expires_s=None if days is None else now + days * _DAY_S,
                    device_hours=device_hours,
                )
            )
        return f"{_PREFIX}_{token_id}_{secret}"

    def make_first(self, *, made_by: str = "") -> str | None:
        """Make an admin's token where there has never been any, and return it; else None."""
        with self._ledger.read() as connection:
            if connection.execute(select(func.count()).select_from(token)).scalar_one():
                return None
        return self.create("admin", Role.ADMIN, made_by=made_by)

    def rows(self) -> list[TokenRow]:
        """Return all tokens, revoked ones too, in the order in which they were made."""
        with self._ledger.read() as connection:
            query = _SHOWN.order_by(token.c.made_s, token.c.token_id)
            return [_row(row._mapping) for row in connection.execute(query)]

    def revoke(self, which: str) -> TokenRow:
        """End a token for good, and all sessions that were begun with it.

        Args:
            which: Its public part, or the name of a live one.

        Raises:
            AccessError: There is no such token that lives.
        """
        with self._ledger.write("token") as connection:
            named = (token.c.token_id == which) | (token.c.name == which)
            query = _SHOWN.where(named, token.c.revoked_s.is_(None)).order_by(token.c.made_s)
            found = [_row(item._mapping) for item in connection.execute(query)]
            if not found:
                raise AccessError(
                    f"there is no live token {which!r}. See them with: evomerge token list"
                )
            now = time.time()
            ids = [row.token_id for row in found]
            connection.execute(update(token).where(token.c.token_id.in_(ids)).values(revoked_s=now))
        return found[-1]

    def caller(self, text: str) -> Caller | None:
        """Return who holds the token ``text``; None where it is none, or lives no more."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        with self._ledger.read() as connection:
            query = select(token).where(token.c.token_id == match[1])
            found = connection.execute(query).mappings().one_or_none()
        stored = "" if found is None else found["secret_hash"]
        if not hmac.compare_digest(stored, hash_of(match[2])) or found is None:
            return None
        row = _row(found)
        return Caller(row.name, row.role, row.token_id) if row.state == "live" else None

    def device_hours(self, token_id: str | None) -> float | None:
        """Return how many device-hours the jobs of a token may take; None: any number."""
        with self._ledger.read() as connection:
            query = select(token.c.device_hours).where(token.c.token_id == token_id)
            return connection.execute(query).scalar_one_or_none()


def hash_of(secret: str) -> str:
    """Return what is stored of a secret.

    A plain hash is enough: secrets are 256 random bits, which nobody finds by trying.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def prefix_of(text: str) -> str:
    """Return the public part of what may be a token, empty where it has none."""
    match = _FORM.fullmatch(text)
    return "" if match is None else match[1]


_COLUMNS = tuple(item.name for item in fields(TokenRow))
_SHOWN = select(*(token.c[name] for name in _COLUMNS))


def _row(found: Mapping[Any, Any]) -> TokenRow:
    values = {name: found[name] for name in _COLUMNS}
    return TokenRow(**values | {"role": Role(values["role"])})

import contextlib
import time

import pytest

from evomerge.errors import AccessError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import token
from evomerge.service import tokens as module
from evomerge.service.access import Access
from evomerge.service.tokens import Caller, Role, Tokens


@pytest.fixture
def tokens(ledger: Ledger) -> Tokens:
    return Tokens(ledger)


def test_a_token_tells_who_holds_it(tokens: Tokens) -> None:
    made = tokens.create("ada", Role.OPERATOR, device_hours=2.5)
    (row,) = tokens.rows()
    assert tokens.caller(made) == Caller("ada", Role.OPERATOR, row.token_id)
    assert (row.name, row.role, row.state) == ("ada", Role.OPERATOR, "live")
    assert tokens.device_hours(row.token_id) == 2.5


def test_no_part_of_the_secret_is_stored(tokens: Tokens, ledger: Ledger) -> None:
    made = tokens.create("ada", Role.ADMIN)
    secret = made.split("_", 2)[2]
    with ledger.read() as connection:
        stored = str(connection.execute(token.select()).one())
    assert secret[:8] not in stored
    assert len(secret) == 43


def test_only_the_token_itself_will_do(tokens: Tokens) -> None:
    made = tokens.create("ada", Role.VIEWER)
    secret = made.split("_", 2)[2]
    assert tokens.caller(made) is not None
    for wrong in (
        made[:-4] + ("AAAA" if made[-4:] != "AAAA" else "BBBB"),
        made[:-1],
        made + "x",
        made + "\n",
        f" {made}",
        made.upper(),
        f"evm_000000000000_{secret}",
        secret,
        "",
        "evm_' OR 1=1 --_" + "x" * 43,
    ):
        assert tokens.caller(wrong) is None


def test_a_revoked_token_is_worth_nothing(tokens: Tokens) -> None:
    made, other = tokens.create("ada", Role.VIEWER), tokens.create("bob", Role.VIEWER)
    tokens.revoke("ada")
    assert tokens.caller(made) is None
    assert tokens.caller(other) is not None
    assert [row.state for row in tokens.rows()] == ["revoked", "live"]
    tokens.revoke(other.split("_")[1])
    assert tokens.caller(other) is None


def test_a_name_is_free_again_once_its_token_is_revoked(tokens: Tokens) -> None:
    tokens.create("ada", Role.VIEWER)
    with pytest.raises(AccessError, match="live token named 'ada'"):
        tokens.create("ada", Role.ADMIN)
    tokens.revoke("ada")
    assert tokens.caller(tokens.create("ada", Role.ADMIN)) is not None


def test_an_unknown_token_cannot_be_revoked(tokens: Tokens) -> None:
    tokens.revoke(tokens.create("ada", Role.VIEWER).split("_")[1])
    with pytest.raises(AccessError, match="no live token 'ada'"):
        tokens.revoke("ada")


def test_a_token_ends_by_itself(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    made, now = tokens.create("ada", Role.VIEWER, days=2), time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 2 * 86400 - 60)
    assert tokens.caller(made) is not None
    monkeypatch.setattr(module.time, "time", lambda: now + 2 * 86400 + 60)
    assert tokens.caller(made) is None
    assert tokens.rows()[0].state == "expired"


def test_the_first_token_is_made_once(tokens: Tokens) -> None:
    first = tokens.make_first()
    assert first is not None
    caller = tokens.caller(first)
    assert caller is not None
    assert caller.role is Role.ADMIN
    tokens.revoke("admin")
    # Who has revoked the last one makes another by the command line, not by a restart.
    assert tokens.make_first() is None


@pytest.mark.parametrize("name", ["", "a b", "-x", "a" * 65, "a\nb", "<b>", "é"])
def test_names_are_plain(tokens: Tokens, name: str) -> None:
    with pytest.raises(AccessError, match="can't be used"):
        tokens.create(name, Role.VIEWER)


def test_roles_include_those_before_them() -> None:
    found = {(a, b) for a in Role for b in Role if a.includes(b)}
    v, o, a = Role
    assert found == {(v, v), (o, v), (o, o), (a, v), (a, o), (a, a)}


@pytest.mark.postgres
def test_all_of_it_works_on_postgres(postgres_url: str) -> None:
    with contextlib.closing(Ledger.open(postgres_url, create=True)) as ledger:
        access = Access(ledger)
        made = access.tokens.create("ada", Role.OPERATOR, days=1)
        caller = access.tokens.caller(made)
        assert caller is not None
        session = access.sessions.begin(caller)
        assert access.sessions.caller(session.value) == caller
        entries = [
            access.audit.begin(caller, address="a", method="POST", path="/\0\ud800x")
            for _ in range(2)
        ]
        access.audit.end(entries[0], 201, "done")
        rows = access.audit.rows()
        assert [(row.entry_id, row.status) for row in rows] == [
            (entries[1], None),
            (entries[0], 201),
        ]
        access.tokens.revoke("ada")
        assert access.tokens.caller(made) is None
        assert access.sessions.caller(session.value) is None

from pathlib import Path

import pytest

from evomerge.runs.ledger.database import Ledger
from evomerge.service.audit import Audit
from evomerge.service.tokens import Role, Tokens
from tests.cli.commands import call, call_json, mistake


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_token_is_made_listed_and_revoked() -> None:
    out, err = call("token", "create", "ada", "--role", "viewer", "--device-hours", "3")
    token = out.strip()
    assert "'ada' (viewer)" in err
    ledger = Ledger.open("sqlite:///runs/ledger.db")
    caller = Tokens(ledger).caller(token)
    assert caller is not None
    assert (caller.name, caller.role) == ("ada", Role.VIEWER)
    made = call_json("token", "create", "bob", "--days", "1")
    assert made["role"] == "operator"

    listed, _ = call("token", "list")
    assert token not in listed
    ada, bob = (line for line in listed.splitlines() if "live" in line)
    assert ada.split()[1:4] == ["ada", "viewer", "live"]
    assert ada.split()[-2:] == ["never", "3"]
    assert bob.split()[-1] == "any"
    assert made["token"] not in listed
    rows = call_json("token", "list")
    assert [(row["name"], row["state"]) for row in rows] == [("ada", "live"), ("bob", "live")]
    assert rows[0]["device_hours"] == 3

    call("token", "revoke", "ada")
    assert Tokens(ledger).caller(token) is None
    assert [row["state"] for row in call_json("token", "list")] == ["revoked", "live"]
    paths = [row.path for row in Audit(ledger).rows()]
    assert paths == [
        "token revoke ada",
        "token create bob --role operator",
        "token create ada --role viewer",
    ]
    ledger.close()


def test_mistakes_are_told() -> None:
    assert "does not exist" in mistake("token", "revoke", "ada")[0]
    assert not Path("runs").exists()
    call("token", "create", "ada")
    assert "live token named 'ada'" in mistake("token", "create", "ada")[0]
    assert "no live token 'bob'" in mistake("token", "revoke", "bob")[0]

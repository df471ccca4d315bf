from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from evomerge.errors import AccessError, LedgerError
from evomerge.runs.ledger.database import Ledger
from evomerge.service.access import Access, check_bind
from evomerge.service.failures import PER_ADDRESS, PER_TOKEN
from evomerge.service.sessions import LASTS_S
from evomerge.service.tokens import Role, Tokens
from tests.service.doors import bearer, build_app, client_of


@pytest.fixture
def client(ledger: Ledger) -> TestClient:
    return client_of(build_app(ledger))


@pytest.fixture
def local(ledger: Ledger) -> TestClient:
    return client_of(build_app(ledger, no_auth=True))


@pytest.fixture
def make(ledger: Ledger) -> Callable[..., str]:
    return Tokens(ledger).create


def audit_of(ledger: Ledger) -> list[tuple[Any, ...]]:
    rows = Access(ledger).audit.rows()
    return [(row.who, row.method, row.path, row.detail, row.status) for row in reversed(rows)]


def test_each_role_opens_its_doors(client: TestClient, make: Callable[..., str]) -> None:
    found = {}
    for role in Role:
        headers = bearer(make(role.value, role))
        found[role] = (
            client.get("/open", headers=headers).status_code,
            client.get("/look", headers=headers).status_code,
            client.post("/steer", headers=headers).status_code,
            client.get("/rule", headers=headers).status_code,
        )
    assert found[Role.VIEWER] == (200, 200, 403, 403)
    assert found[Role.OPERATOR] == (200, 200, 200, 403)
    assert found[Role.ADMIN] == (200, 200, 200, 200)


def test_nobody_comes_in_without_a_token(client: TestClient) -> None:
    assert client.get("/open").status_code == 200
    for answer in (client.get("/look"), client.post("/steer"), client.get("/rule")):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "bearer x y", "\x7f", ""])
def test_other_headers_are_no_tokens(client: TestClient, header: str) -> None:
    assert client.get("/look", headers={"Authorization": header}).status_code == 401


def test_a_revoked_token_is_refused_at_once(
    client: TestClient, ledger: Ledger, make: Callable[..., str]
) -> None:
    headers = bearer(make("ada", Role.VIEWER))
    assert client.get("/look", headers=headers).status_code == 200
    Tokens(ledger).revoke("ada")
    assert client.get("/look", headers=headers).status_code == 401


def test_guessing_the_secret_of_a_token_is_slow(
    client: TestClient, make: Callable[..., str]
) -> None:
    made, other = make("ada", Role.VIEWER), make("bob", Role.VIEWER)
    wrong = made[:-4] + ("aaaa" if not made.endswith("aaaa") else "bbbb")
    for _ in range(PER_TOKEN):
        assert client.get("/look", headers=bearer(wrong)).status_code == 401
    refused = client.get("/look", headers=bearer(wrong))
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
    # The right secret is then no better than a guess, and others at this address go on.
    assert client.get("/look", headers=bearer(made)).status_code == 429
    assert client.get("/look", headers=bearer(other)).status_code == 200


def test_guessing_tokens_shuts_out_the_address(
    client: TestClient, make: Callable[..., str]
) -> None:
    made = make("ada", Role.VIEWER)
    for number in range(PER_ADDRESS):
        guess = f"evm_{number:012x}_{'a' * 43}"
        assert client.get("/look", headers=bearer(guess)).status_code == 401
    assert client.get("/look", headers=bearer(made)).status_code == 429
    assert client.post("/api/v1/session", json={"token": made}).status_code == 429
    assert client.get("/open").status_code == 200


class TestSessions:
    def test_a_session_stands_for_its_token(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        answer = client.post("/api/v1/session", json={"token": make("ada", Role.OPERATOR)})
        assert answer.status_code == 201
        assert answer.json()["name"] == "ada"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert f"max-age={int(LASTS_S)}" in cookie
        assert "secure" not in cookie
        assert client.get("/look").json() == "ada"
        assert client.get("/rule").status_code == 403
        assert client.get("/api/v1/session").json() == answer.json()

    def test_one_that_has_ended_shuts_out_no_other(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        client.post("/api/v1/session", json={"token": make("ada", Role.VIEWER)})
        good = dict(client.cookies)
        (name,) = good
        client.cookies.set(name, "stale", domain="127.0.0.1", path="/")
        found = [client.get("/look").status_code for _ in range(PER_TOKEN + 1)]
        assert found == [401] * PER_TOKEN + [429]
        client.cookies.clear()
        client.cookies.update(good)
        assert client.get("/look").status_code == 200

    def test_its_cookie_is_secure_behind_tls(
        self, ledger: Ledger, make: Callable[..., str]
    ) -> None:
        client = client_of(build_app(ledger), "https://merge.example")
        answer = client.post("/api/v1/session", json={"token": make("ada", Role.VIEWER)})
        assert "secure" in answer.headers["set-cookie"].lower()

    def test_changes_need_its_csrf_token(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        token = make("ada", Role.OPERATOR)
        csrf = client.post("/api/v1/session", json={"token": token}).json()["csrf"]
        assert client.post("/steer").status_code == 403
        assert client.post("/steer", headers={"X-CSRF-Token": "0" * 64}).status_code == 403
        assert client.post("/steer", headers={"X-CSRF-Token": "é".encode()}).status_code == 403
        assert client.delete("/api/v1/session").status_code == 403
        assert client.post("/steer", headers={"X-CSRF-Token": csrf}).status_code == 200
        foreign = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}
        assert client.post("/steer", headers=foreign).status_code == 403

    def test_the_csrf_token_of_another_session_will_not_do(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        token = make("ada", Role.OPERATOR)
        first = client.post("/api/v1/session", json={"token": token}).json()["csrf"]
        client.post("/api/v1/session", json={"token": token})
        assert client.post("/steer", headers={"X-CSRF-Token": first}).status_code == 403

    def test_it_ends_when_it_is_told_to(self, client: TestClient, make: Callable[..., str]) -> None:
        answer = client.post("/api/v1/session", json={"token": make("ada", Role.VIEWER)})
        cookies = dict(client.cookies)
        headers = {"X-CSRF-Token": answer.json()["csrf"]}
        assert client.delete("/api/v1/session", headers=headers).status_code == 204
        assert not client.cookies
        client.cookies.update(cookies)
        assert client.get("/look").status_code == 401

    def test_it_ends_with_its_token(
        self, client: TestClient, ledger: Ledger, make: Callable[..., str]
    ) -> None:
        client.post("/api/v1/session", json={"token": make("ada", Role.VIEWER)})
        assert client.get("/look").status_code == 200
        Tokens(ledger).revoke("ada")
        assert client.get("/look").status_code == 401

    def test_it_ends_by_itself(
        self, client: TestClient, make: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import evomerge.service.sessions as module

        client.post("/api/v1/session", json={"token": make("ada", Role.VIEWER)})
        cookies = dict(client.cookies)
        real = module.time.time()
        monkeypatch.setattr(module.time, "time", lambda: real + LASTS_S + 60)
        client.cookies.update(cookies)
        assert client.get("/look").status_code == 401

    def test_another_site_cannot_begin_one(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        body = {"token": make("ada", Role.VIEWER)}
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            answer = client.post("/api/v1/session", json=body, headers=headers)
            assert answer.status_code == 403
        same = {"Origin": "http://127.0.0.1"}
        assert client.post("/api/v1/session", json=body, headers=same).status_code == 201

    def test_a_form_cannot_begin_one(self, client: TestClient, make: Callable[..., str]) -> None:
        token = make("ada", Role.VIEWER)
        text = f'{{"token": "{token}"}}'
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            answer = client.post("/api/v1/session", content=text, headers={"Content-Type": kind})
            assert answer.status_code == 422


class TestWithoutTokens:
    def test_everybody_on_this_machine_is_admin(self, local: TestClient) -> None:
        assert local.get("/rule").json() == "local"
        assert local.post("/steer").json() == "local"
        assert local.get("/api/v1/session").json() == {
            "name": "local",
            "role": "admin",
            "csrf": None,
        }

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1", "", "[", "::"])
    def test_a_name_that_was_made_to_lead_here_is_refused(
        self, local: TestClient, host: str
    ) -> None:
        assert local.get("/look", headers={"Host": host}).status_code == 403

    @pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:1", "[::1]:8000"])
    def test_names_of_this_machine_are_fine(self, local: TestClient, host: str) -> None:
        assert local.get("/look", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:9999"},
            {"Sec-Fetch-Site": "cross-site"},
        ],
    )
    def test_other_sites_change_nothing(
        self, local: TestClient, ledger: Ledger, headers: dict[str, str]
    ) -> None:
        assert local.post("/steer", headers=headers).status_code == 403
        assert audit_of(ledger) == []

    def test_it_is_refused_where_others_reach_it(self) -> None:
        for host in ("127.0.0.1", "::1", "localhost"):
            check_bind(host, no_auth=True)
        for host in ("0.0.0.0", "::", "192.0.2.1", "merge.example"):
            check_bind(host, no_auth=False)
            with pytest.raises(AccessError, match="--no-auth with --host"):
                check_bind(host, no_auth=True)


class TestAudit:
    def test_it_tells_who_did_what(
        self, client: TestClient, ledger: Ledger, make: Callable[..., str]
    ) -> None:
        ada, eve = make("ada", Role.OPERATOR), make("eve", Role.VIEWER)
        client.get("/look", headers=bearer(ada))
        client.post("/steer", headers=bearer(ada))
        client.post("/steer", headers=bearer(eve))
        client.post("/steer")
        client.post("/break", headers=bearer(ada))
        client.post("/api/v1/session", json={"token": ada})
        assert audit_of(ledger) == [
            ("ada", "POST", "/steer", "steered", 200),
            ("eve", "POST", "/steer", "", 403),
            ("ada", "POST", "/break", "", 500),
            ("ada", "POST", "/api/v1/session", "", 201),
        ]

    def test_what_cannot_be_written_is_not_done(
        self,
        client: TestClient,
        ledger: Ledger,
        make: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        headers = bearer(make("ada", Role.OPERATOR))

        def full(*_: object, **__: object) -> int:
            raise LedgerError("the disk is full")

        monkeypatch.setattr("evomerge.service.audit.Audit.begin", full)
        answer = client.post("/steer", headers=headers)
        assert answer.status_code == 500
        assert audit_of(ledger) == []

    def test_admins_read_it_page_by_page(
        self, client: TestClient, make: Callable[..., str]
    ) -> None:
        headers = bearer(make("ada", Role.ADMIN))
        for _ in range(5):
            client.post("/steer", headers=headers)
        page = client.get("/api/v1/audit?limit=2", headers=headers).json()
        ids = [item["entry_id"] for item in page["items"]]
        while page["next"] is not None:
            url = f"/api/v1/audit?limit=2&before={page['next']}"
            page = client.get(url, headers=headers).json()
            ids += [item["entry_id"] for item in page["items"]]
        assert ids == [5, 4, 3, 2, 1]
        viewer = bearer(make("eve", Role.OPERATOR))
        assert client.get("/api/v1/audit", headers=viewer).status_code == 403


def test_answers_carry_careful_headers(client: TestClient) -> None:
    for path in ("/open", "/look", "/nowhere", "/api/v1/session"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in client.get("/api/v1/audit").headers["content-security-policy"]

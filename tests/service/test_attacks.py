"""What somebody who means harm may try through HTTP, role of an admin included."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import httpx2
import pytest
import uvicorn
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from evomerge.service.app import create_app
from evomerge.service.failures import PER_TOKEN
from evomerge.service.jobs.exports import safe_name, sha256_of
from evomerge.service.jobs.table import NewJob
from evomerge.service.serve import server_config
from evomerge.service.settings import Settings
from tests.service.hostile import MARKUP, RUN_ID, Hostile, make_hostile

RUN = f"/api/v1/runs/{RUN_ID}"
DATA = ("application/json", "text/csv", "text/plain", "application/vnd.apache.arrow.stream")
ENDLESS = "/api/v1/runs/{run}/events"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    return make_hostile(tmp_path_factory.mktemp("attacks"), no_auth=True)


@pytest.fixture(scope="module")
def client(hostile: Hostile) -> Iterator[TestClient]:
    app = create_app(hostile.settings)
    yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    app.state.service.close()


def reading_paths(client: TestClient) -> list[str]:
    """Every path that GET knows and that ends."""
    contexts = iter_route_contexts(client.app.routes)  # type: ignore[attr-defined]  # FastAPI
    return [c.path for c in contexts if "GET" in (c.methods or ()) and c.path != ENDLESS]


def filled(path: str, run: str, other: str) -> str:
    """Put names into ``path``."""
    for name in ("{run}", "{run_id}"):
        path = path.replace(name, run)
    return path.replace("{candidate}", other).replace("{job_id}", other)


def test_markup_stays_text_wherever_it_is_read(client: TestClient) -> None:
    seen = set()
    for path in reading_paths(client):
        url = filled(path, RUN_ID, "0-1")
        answer = client.get(url, params={"wait_s": 0} if "/examples/" in url else None)
        assert answer.status_code < 500 or url == "/readyz", url
        assert answer.headers["content-type"].split(";")[0] in DATA, url
        assert answer.headers["x-content-type-options"] == "nosniff"
        if url.startswith("/api/"):
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not any("\n" in value for value in answer.headers.values())
        assert "set-cookie" not in answer.headers
        if "script>alert" in answer.text:
            seen.add(path.removeprefix("/api/v1"))
    # The name of the run, the failure of a candidate, a line of the log.
    assert {"/runs", "/runs/{run}", "/runs/{run}/candidates/{candidate}"} <= seen
    assert "/runs/{run}/logs" in seen


def test_markup_comes_back_as_it_went_in(client: TestClient) -> None:
    assert client.get(RUN).json()["name"] == MARKUP
    assert json.dumps(MARKUP)[1:-1] in client.get(f"{RUN}/candidates/0-1").text
    best = client.get(RUN).json()["best_candidate"]
    examples = client.get(f"{RUN}/examples/{best}", params={"split": "validation", "wait_s": 0})
    assert examples.json()["items"][0]["answer"] == MARKUP
    # Notes are one line each.
    noted = " ".join(MARKUP.split())
    assert json.dumps(noted)[1:-1] in client.get(f"{RUN}/candidates/0-2").text


def test_numbers_that_json_lacks_are_null(client: TestClient) -> None:
    answer = client.get(f"{RUN}/candidates/0-3")
    assert answer.status_code == 200
    assert "Infinity" not in answer.text
    assert "NaN" not in answer.text


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/passwd",
        "..",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..\\..\\etc",
        "\x00",
        "a\r\nSet-Cookie: x=y",
        "'; DROP TABLE run; --",
        "x" * 5000,
        "🦊",
    ],
)
def test_names_lead_nowhere(client: TestClient, name: str) -> None:
    odd = quote(name, safe="")
    for path in reading_paths(client):
        for url in {filled(path, odd, "0-1"), filled(path, RUN_ID, odd)}:
            if odd not in url:
                continue
            answer = client.get(url)
            assert answer.status_code in (404, 405, 422) or name == "..", url
            assert answer.status_code < 500, url
            assert "root:" not in answer.text
            assert "set-cookie" not in answer.headers


def test_a_download_cannot_break_its_headers(client: TestClient, hostile: Hostile) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]  # FastAPI
    job_id, folder = "ab" * 16, hostile.settings.exports / "one"
    file = folder / f"{safe_name(MARKUP)}.yaml"
    folder.mkdir(parents=True)
    file.write_text(MARKUP)
    service.jobs.add(NewJob(job_id, "export", MARKUP, RUN_ID, str(folder), {}, MARKUP))
    service.jobs.begin(job_id)
    outcome = {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)}
    service.jobs.tell(job_id, outcome)
    service.jobs.settle(job_id, "finished")
    answer = client.get(f"/api/v1/jobs/{job_id}/download")
    assert answer.content == MARKUP.encode()
    shown = answer.headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._-]+\.yaml"', shown)
    assert "set-cookie" not in answer.headers
    assert client.get(f"/api/v1/jobs/{job_id}").json()["name"] == MARKUP


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[tuple[str, int]]:
    """Run a real server: the test client checks and mends what it sends."""
    app = create_app(settings)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = server_config(app, settings)
        config.lifespan = "off"
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()
        server.should_exit = True
        thread.join()
    app.state.service.close()


@pytest.fixture(scope="module")
def address(hostile: Hostile) -> Iterator[tuple[str, int]]:
    with served(hostile.settings) as found:
        yield found


@pytest.mark.parametrize(("proxies", "status"), [((), 429), (("127.0.0.1",), 401)])
def test_who_asks_is_believed_of_proxies_only(
    hostile: Hostile, proxies: tuple[str, ...], status: int
) -> None:
    settings = replace(hostile.settings, no_auth=False, proxies=proxies)
    with served(settings) as (host, port), httpx2.Client() as client:
        for number in range(PER_TOKEN + 1):
            headers = {"Authorization": "Bearer x", "X-Forwarded-For": f"192.0.2.{number}"}
            answer = client.get(f"http://{host}:{port}/api/v1/runs", headers=headers)
    assert answer.status_code == status


class TestBodies:
    @staticmethod
    def send(address: tuple[str, int], *parts: bytes) -> str:
        """Return the status of the answer to what is sent."""
        with socket.create_connection(address, timeout=60) as link:
            for part in parts:
                try:
                    link.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break  # it has heard enough
            return link.recv(4096).split(b" ", 2)[1].decode()

    @staticmethod
    def head(*lines: str) -> bytes:
        fixed = ("POST /api/v1/session HTTP/1.1", "Host: 127.0.0.1")
        return "\r\n".join((*fixed, "Content-Type: application/json", *lines, "", "")).encode()

    def test_one_that_says_it_is_too_large_is_refused_unread(
        self, address: tuple[str, int]
    ) -> None:
        assert self.send(address, self.head("Content-Length: 99999999999")) == "413"

    def test_one_that_grows_too_large_is_refused(self, address: tuple[str, int]) -> None:
        # Just over the limit, then nothing: what is never read can't be reset.
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        head = self.head("Transfer-Encoding: chunked")
        assert self.send(address, head, *[chunk] * 17) == "413"

    @pytest.mark.parametrize("line", ["Content-Length: -1", "Content-Length: x"])
    def test_a_length_that_is_none_is_refused(self, address: tuple[str, int], line: str) -> None:
        assert self.send(address, self.head(line))[0] == "4"

    @pytest.mark.parametrize(
        "body",
        [
            b'{"token": "' + b"a" * 100_000 + b'"}',
            b'{"token": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            b'{"token": 1e999999}',
            b"\xff\xfe\x00",
            b'{"token": "\\ud800"}',
            b'{"token": "a", "token": {"role": "admin"}, "__proto__": 1}',
        ],
        ids=["long", "deep", "huge number", "no UTF-8", "half a character", "twice"],
    )
    def test_odd_json_is_refused(self, address: tuple[str, int], body: bytes) -> None:
        assert self.send(address, self.head(f"Content-Length: {len(body)}") + body)[0] == "4"

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from evomerge.errors import AccessError
from evomerge.runs.ledger.database import Ledger
from evomerge.service.app import create_app
from evomerge.service.jobs.table import Jobs, NewJob
from evomerge.service.settings import Settings
from evomerge.service.webhooks import WAITS_S, Webhooks

URL = "https://hooks.example/services/SECRET"


class Receiver:
    """Hears what is posted, and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[tuple[str, str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.now = 0.0

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self.status == 0:
            raise ConnectionRefusedError(url)
        if self.status == 200:
            found = json.loads(body)
            self.heard.append((url, found["job_id"], found["state"]))
            self.headers.append(headers)
        return self.status

    @property
    def states(self) -> list[str]:
        return [state for _, _, state in self.heard]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def jobs(ledger: Ledger) -> Jobs:
    return Jobs(ledger)


def submit(jobs: Jobs, job_id: str) -> str:
    jobs.add(NewJob(job_id, "run", "<b>toy</b>", "5f" * 16, "runs/toy", {}, "ada"))
    return job_id


def made(ledger: Ledger, receiver: Receiver, folder: Path, *urls: str) -> Webhooks:
    return Webhooks(
        ledger,
        urls or (URL,),
        file=folder / "webhooks.json",
        secret="s3",
        post=receiver.post,
        clock=lambda: time.time() + receiver.now,
    )


def test_each_state_is_told_once(
    jobs: Jobs, ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    submit(jobs, "old")
    hooks = made(ledger, receiver, tmp_path)
    hooks.tell()
    assert receiver.heard == []  # what was there before isn't news
    submit(jobs, "new")
    hooks.tell()
    jobs.begin("new")
    hooks.tell()
    jobs.move("new", 5)  # no other state
    hooks.tell()
    jobs.settle("new", "finished")
    jobs.cancel("old")
    hooks.tell()
    hooks.tell()
    assert receiver.heard == [
        (URL, "new", "queued"),
        (URL, "new", "running"),
        (URL, "new", "finished"),
        (URL, "old", "cancelled"),
    ]


def test_what_happened_while_the_service_was_down_is_told(
    jobs: Jobs, ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    made(ledger, receiver, tmp_path).tell()
    submit(jobs, "a")
    made(ledger, receiver, tmp_path).tell()
    jobs.begin("a")
    jobs.settle("a", "failed")
    made(ledger, receiver, tmp_path).tell()
    made(ledger, receiver, tmp_path).tell()
    assert receiver.states == ["queued", "failed"]


@pytest.mark.parametrize("status", [0, 500, 503, 429])
def test_a_receiver_that_is_away_hears_the_latest_later(
    jobs: Jobs,
    ledger: Ledger,
    receiver: Receiver,
    tmp_path: Path,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = made(ledger, receiver, tmp_path)
    hooks.tell()
    submit(jobs, "a")
    receiver.status = status
    with caplog.at_level(logging.WARNING):
        hooks.tell()
    assert "hooks.example is away" in caplog.text
    assert "SECRET" not in caplog.text
    receiver.status = 200
    hooks.tell()
    assert receiver.heard == []  # not before its time
    jobs.begin("a")
    receiver.now += WAITS_S[0] + 1
    hooks.tell()
    assert receiver.states == ["running"]


def test_one_that_refuses_is_not_asked_again(
    jobs: Jobs, ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    hooks = made(ledger, receiver, tmp_path)
    hooks.tell()
    submit(jobs, "a")
    for status in (404, 302):
        receiver.status = status
        hooks.tell()
    receiver.status = 200
    hooks.tell()
    assert receiver.heard == []


def test_one_receiver_away_keeps_no_other_waiting(
    jobs: Jobs, ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    class Half(Receiver):
        def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
            return 503 if "away" in url else super().post(url, body, headers)

    half = Half()
    hooks = made(ledger, half, tmp_path, "https://away.example/", URL)
    hooks.tell()
    submit(jobs, "a")
    hooks.tell()
    assert half.heard == [(URL, "a", "queued")]


def test_no_secret_is_written(
    jobs: Jobs, ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    made(ledger, receiver, tmp_path).tell()
    assert "SECRET" not in (tmp_path / "webhooks.json").read_text()
    assert "hooks.example" not in (tmp_path / "webhooks.json").read_text()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "hooks.example", "http://", ""])
def test_other_addresses_are_refused(ledger: Ledger, tmp_path: Path, url: str) -> None:
    with pytest.raises(AccessError, match="no address of http or https"):
        Webhooks(ledger, [url], file=tmp_path / "x.json")


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[bytes, Mapping[str, str]]]]]:
    """A real receiver, which answers that it has moved."""
    heard: list[tuple[bytes, Mapping[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers))
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            heard.append((b"", self.headers))

        def log_message(self, *_: object) -> None:
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}/hook", heard
    found.shutdown()
    thread.join()
    found.server_close()


def test_bodies_are_signed_and_redirects_not_followed(
    jobs: Jobs,
    ledger: Ledger,
    server: tuple[str, list[tuple[bytes, Mapping[str, str]]]],
    tmp_path: Path,
) -> None:
    url, heard = server
    hooks = Webhooks(ledger, [url], file=tmp_path / "x.json", secret="s3")
    hooks.start()
    hooks.stop()
    hooks = Webhooks(ledger, [url], file=tmp_path / "x.json", secret="s3")
    hooks.tell()
    submit(jobs, "a")
    hooks.tell()
    ((body, headers),) = heard
    digest = hmac.new(b"s3", body, hashlib.sha256).hexdigest()
    assert headers["X-Evomerge-Signature"] == f"sha256={digest}"
    assert json.loads(body)["name"] == "<b>toy</b>"
    assert headers["X-Evomerge-Delivery"].startswith("a-queued-")


def test_the_service_tells(
    server: tuple[str, list[tuple[bytes, Mapping[str, str]]]], tmp_path: Path
) -> None:
    url, heard = server
    settings = Settings(
        ledger=f"sqlite:///{tmp_path}/ledger.db",
        runs=tmp_path / "runs",
        max_running=0,
        webhooks=(url,),
    )
    assert url not in repr(settings)
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1"):
        told = settings.jobs / "webhooks.json"
        until = time.monotonic() + 60
        while not told.exists() and time.monotonic() < until:
            time.sleep(0.02)
        submit(app.state.service.jobs, "a")
        app.state.service.webhooks.wake()
        while not heard and time.monotonic() < until:
            time.sleep(0.02)
    assert json.loads(heard[0][0])["state"] == "queued"

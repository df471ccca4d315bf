"""Streams of events on a real server: they end when the service does."""

import http.client
import socket
import threading
from pathlib import Path

import pytest

from evomerge.service import serve
from evomerge.service.app import create_app
from evomerge.service.settings import Settings
from tests.service.reading.conftest import RUN_ID, make_place


def test_open_streams_end_with_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without an end of their own the server would wait for them for so long.
    monkeypatch.setattr(serve, "GRACE_S", 600)
    place = make_place(tmp_path)
    settings = Settings(ledger=place.fake.url, runs=place.runs, no_auth=True)
    app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = serve.make_server(app, serve.server_config(app, settings))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/api/v1/runs/{RUN_ID}/events")
        answer = connection.getresponse()
        assert answer.readline() == b"retry: 2000\n"
        server.should_exit = True
        rest = answer.read()
        thread.join(60)
    assert not thread.is_alive()
    assert b"data:" not in rest

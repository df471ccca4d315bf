"""``evomerge serve`` as a process: its token, its answers, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

LIMIT_S = 120.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(folder: Path, port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "evomerge.cli.main", "serve", "--port", str(port), "--log", "json"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def get(port: int, path: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_until_ready(port: int) -> None:
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            if get(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_the_first_start_prints_a_token_and_a_killed_service_comes_back(tmp_path: Path) -> None:
    port = free_port()
    first = start(tmp_path, port)
    wait_until_ready(port)
    first.send_signal(signal.SIGKILL)
    lines = first.communicate()[1].splitlines()
    assert lines[0] == f"Service on http://127.0.0.1:{port}"
    token = lines[2]
    second = start(tmp_path, port)
    wait_until_ready(port)
    assert get(port, "/api/v1/jobs")[0] == 401
    assert get(port, "/metrics")[0] == 401
    assert get(port, "/api/v1/jobs", token) == (200, '{"jobs":[],"next":null}')
    second.send_signal(signal.SIGTERM)
    said = second.communicate()[1]
    assert second.returncode in (0, -signal.SIGTERM)
    assert token not in said, "it is shown once"
    logged = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"at", "level", "message"} <= set(logged[0])
    assert any("shutdown" in item["message"].lower() for item in logged)

"""What is told of a worker that has ended, whether its log says something or not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evomerge.execution.local_worker import LocalWorker
from evomerge.execution.process import Alive
from evomerge.execution.ray_worker import RayWorker


@pytest.mark.parametrize("text", ["", "loading\nno room\n"], ids=["silent", "talkative"])
def test_a_local_worker_quotes_its_log_where_there_is_something_in_it(
    tmp_path: Path, text: str
) -> None:
    log = tmp_path / "w1.log"
    log.write_text(text)
    ended: Any = SimpleNamespace(
        name="w1", log=log, _heard=0.0, _life=Alive("merging", 2**20, 2**21, 0.0)
    )
    told = LocalWorker._account(ended, "worker ended by SIGKILL")
    assert told.startswith("w1: worker ended by SIGKILL\n")
    expected = "last lines of w1.log:\nloading\nno room" if text else "2 MiB at most"
    assert told.endswith(expected)


@pytest.mark.parametrize("lines", [(), ("loading", "no room")], ids=["silent", "talkative"])
def test_a_ray_worker_quotes_its_log_where_something_was_heard(lines: tuple[str, ...]) -> None:
    seat: Any = None  # never asked
    worker = RayWorker("w1", seat)
    worker._last_lines = lines
    detail = worker.lost("worker ended", "actor died").detail
    expected = "last lines of its log:\nloading\nno room" if lines else "last sign of life"
    assert detail.endswith(expected)

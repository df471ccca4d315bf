import socket
import threading
import time

import pytest

from evomerge.errors import ExecutionError
from evomerge.execution.ray_cluster import Cluster, _bounded


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ExecutionError, match=f"no Ray cluster at {address}: nothing answers"):
            Cluster(address, {}, slots=1, silent_s=60).connect()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["head", "ray://head", ":1", "head:six"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ExecutionError, match="expected auto, HOST:PORT or ray://HOST:PORT"):
        Cluster(address, {}, slots=1, silent_s=60).connect()


def test_a_call_that_hangs_is_left_behind() -> None:
    hang = threading.Event()
    with pytest.raises(TimeoutError, match="no answer from Ray"):
        _bounded(hang.wait, 0.1)
    hang.set()
    assert _bounded(lambda: None, 5) is None
    with pytest.raises(ZeroDivisionError):
        _bounded(lambda: 1 / 0, 5)

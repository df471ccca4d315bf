"""The connection to a Ray cluster: made, watched and given back, without a call that can hang.

A process has one connection, which all its executors share; the last one to leave ends it, unless
it was there before them. Ray ends a process whose cluster's head is silent for a minute: here that
is put off, and the head is watched by plain TCP connections instead.
"""

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from evomerge.errors import ExecutionError

CALL_S = 15.0
"""Limit of a call that needs the cluster's head."""

ENDING_S = 60.0
"""Time that a connection before this one gets to end."""

PROBE_S = 2.0
"""Limit of a TCP connection to the head."""

NODES_S = 1.0
"""Time for which a list of nodes is taken to be right."""

STORE_BYTES = 100_000_000
"""Object store of a cluster of our own: only recipes and scores pass through it."""

_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""After how many seconds without the head Ray ends a process: we want to do that ourselves."""


@dataclass
class _Session:
    """This process's connection, shared by its executors."""

    users: int = 0
    is_ours: bool = False
    ending: threading.Thread | None = None
    had_own: bool = False


_session = _Session()


class Cluster:
    """A Ray cluster as an executor sees it.

    Args:
        address: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; None for one of this process's own.
        demand: What one worker takes, by Ray's names (``CPU``, ``GPU``, ``memory``).
        slots: Workers that a cluster of our own has room for.
        silent_s: Time for which the head may be silent.
    """

    def __init__(
        self, address: str | None, demand: Mapping[str, float], *, slots: int, silent_s: float
    ) -> None:
        self._address = address
        self._demand = demand
        self._slots = slots
        self._silent_s = silent_s
        self._head: tuple[str, int] | None = None
        self._nodes: list[dict[str, Any]] = []
        self._nodes_at = -math.inf
        self._is_connected = False
        self.silent_since: float | None = None

    @property
    def name(self) -> str:
        """The address as messages give it."""
        return self._address or "this machine"

    def connect(self) -> None:
        """Connect this process.

        Raises:
            ExecutionError: There is no such cluster, or this process is connected to another.
        """
        import ray

        # Without its head a cluster is slow to leave, and would take the next connection along.
        if _session.ending is not None:
            _session.ending.join(ENDING_S)
        if not ray.is_initialized():
            self._init()
            _session.users, _session.is_ours = 0, True
        elif _session.users == 0:
            _session.is_ours = False
        self._head = self._find_head()
        _session.users += 1
        self._is_connected = True
        if self._address is None and not self.usable(()):
            needs = ", ".join(f"{value:g} {key}" for key, value in self._demand.items())
            self.close()
            raise ExecutionError(
                f"a worker takes {needs}, which this machine hasn't. Ask for less under "
                "execution.options, or give the address of a cluster that has it."
            )

    def close(self) -> None:
        """Give the connection back."""
        if not self._is_connected:
            return
        import ray

        self._is_connected = False
        _session.users -= 1
        if _session.users == 0 and _session.is_ours:
            gc.collect()  # handles that are left would harm the next connection: Seat.forget
            _session.ending = threading.Thread(target=ray.shutdown, daemon=True)
            _session.ending.start()
            _session.ending.join(CALL_S)

    def answers(self) -> bool:
        """Whether the head takes connections; ``silent_since`` is kept up to date."""
        assert self._head is not None
        if _takes_connections(self._head):
            self.silent_since = None
            return True
        if self.silent_since is None:
            self.silent_since = time.monotonic()
        return False

    def usable(self, excluded: Sequence[str]) -> list[str]:
        """Return the nodes that are big enough for a worker, without those ``excluded``."""
        return [
            node["NodeID"]
            for node in self._alive()
            if node["NodeID"] not in excluded
            and all(node["Resources"].get(key, 0.0) >= n for key, n in self._demand.items())
        ]

    def has_lost(self, node_id: str) -> bool:
        """Whether a node is gone: told so by the head, or its Ray process takes no connections."""
        self._nodes_at = -math.inf
        node = next((node for node in self._alive() if node["NodeID"] == node_id), None)
        if node is None:
            return bool(self._nodes)
        if self.name.startswith("ray://"):
            return False  # nodes can't be reached from outside the cluster
        return not _takes_connections((node["NodeManagerAddress"], node["NodeManagerPort"]))

    def _alive(self) -> list[dict[str, Any]]:
        """Return Ray's list of living nodes; while the head is silent, its last one."""
        import ray

        if time.monotonic() - self._nodes_at > NODES_S and self.answers():
            with contextlib.suppress(TimeoutError, ray.exceptions.RayError, ConnectionError):
                self._nodes = [node for node in _bounded(ray.nodes, CALL_S) if node["Alive"]]
                self._nodes_at = time.monotonic()
        return self._nodes

    def _init(self) -> None:
        """Connect, or start a cluster, without Ray's words on the terminal."""
        import ray

        options: dict[str, Any] = {"address": self._address, "log_to_driver": False}
        if self._address is not None and _session.had_own:
            # Ray 2.60 then cancels every actor: "all references to the actor were removed".
            raise ExecutionError(
                f"this process had a Ray cluster of its own before, so it can't use {self.name}. "
                "Start a process of its own for that."
            )
        if self._address is None:
            _session.had_own = True
            cpus = max(_processors(), math.ceil(self._slots * self._demand.get("CPU", 0.0)))
            options |= {
                "address": "local",
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
        elif self._address != "auto":
            self._check_address(self._address)
        # A cluster of our own inherits it, and its processes must not outlive us for a day.
        patience_s = self._silent_s + 60 if self._address is None else 86400
        with _quietly({_PATIENCE: str(int(patience_s)), "RAY_USAGE_STATS_ENABLED": "0"}):
            try:
                ray.init(logging_level=logging.ERROR, **options)
            except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
                raise self._absent(" ".join(str(error).split())) from error

    def _check_address(self, address: str) -> None:
        """Raise if nothing can be had at ``address``."""
        place = _host_port(address)
        if address.startswith("ray://") and find_spec("grpc") is None:
            raise ExecutionError(
                f"got the Ray address {address}, which needs Ray's client. Install it with: "
                "pip install 'ray[client]'"
            )
        if not _takes_connections(place):
            raise self._absent("nothing answers there")

    def _find_head(self) -> tuple[str, int]:
        """Return where the head listens.

        Raises:
            ExecutionError: This process is connected to another cluster.
        """
        import ray

        if self._address is not None and self._address.startswith("ray://"):
            return _host_port(self._address)
        found = ray.get_runtime_context().gcs_address
        if self._address not in (None, "auto", found):
            raise ExecutionError(
                f"got the Ray address {self._address}, but this process is connected to {found}. "
                "One process can use one cluster."
            )
        return _host_port(found)

    def _absent(self, reason: str) -> ExecutionError:
        return ExecutionError(
            f"there is no Ray cluster at {self.name}: {reason}. Start one with 'ray start --head', "
            "or leave execution.options.address out to have one on this machine."
        )


def _host_port(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        ExecutionError: It isn't of that form.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ExecutionError(
            f"got the Ray address {address!r}, expected auto, HOST:PORT or ray://HOST:PORT."
        )
    return host.strip("[]"), int(port)


def _takes_connections(place: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(place, timeout=PROBE_S):
            return True
    except OSError:
        return False


def _bounded(call: Callable[[], Any], limit_s: float) -> Any:
    """Return what ``call`` returns; past the limit it is left behind in its thread.

    Raises:
        TimeoutError: It has not returned in time.
    """
    results: list[Any] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001  raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer from Ray in {limit_s:g} s")
    return results[0]


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _quietly(environment: Mapping[str, str]) -> Iterator[None]:
    """Keep Ray from the terminal and from the signals, which are the run's."""
    import ray._private.worker as private

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update({name: value for name, value in environment.items() if not before[name]})
    logging.getLogger("ray").setLevel(logging.ERROR)
    # It prints whatever befalls a worker; we tell that ourselves, and no setting turns it off.
    listener = private.listen_error_messages
    private.listen_error_messages = lambda *_: None
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        private.listen_error_messages = listener
        for name in (name for name, value in before.items() if value is None):
            del os.environ[name]
        if is_main:
            signal.signal(signal.SIGTERM, handler)

"""What the service counts for Prometheus: its answers, how long they took, its jobs."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evomerge.service.jobs.supervisor import Supervisor
from evomerge.service.jobs.table import Jobs

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Figures:
    """The service's counters, and its gauges as they are when they are asked for.

    Args:
        jobs: The jobs.
        supervisor: Who looks after them.
    """

    def __init__(self, jobs: Jobs, supervisor: Supervisor) -> None:
        self._jobs = jobs
        self._supervisor = supervisor
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "evomerge_http_requests",
            "Answers by route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "evomerge_http_request_seconds",
            "Seconds until an answer began.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> list["Metric"]:
        """Keep the registry from asking the ledger when this is registered."""
        return []

    def collect(self) -> Iterator["Metric"]:
        """Yield the gauges."""
        gauge = GaugeMetricFamily("evomerge_jobs", "Jobs by state.", labels=["state"])
        for state, n in self._jobs.counts().items():
            gauge.add_metric([state], n)
        yield gauge
        alive = float(self._supervisor.alive())
        yield GaugeMetricFamily("evomerge_supervisor_up", "1 while jobs are looked after.", alive)


class Counting:
    """ASGI middleware that counts every answer of ``app`` in ``figures``."""

    def __init__(self, app: ASGIApp, *, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                self._figures.count(_method(scope), _route(scope), message["status"], seconds)
            await send(message)

        await self._app(scope, receive, noted)


def _method(scope: Scope) -> str:
    """Return the method; clients may send any word, and each would be a series of its own."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _route(scope: Scope) -> str:
    """Return the path below /api/v1 with its parameters by name."""
    return getattr(scope.get("route"), "path", None) or "none"

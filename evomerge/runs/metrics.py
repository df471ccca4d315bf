"""A run's figures for Prometheus: ``RUN/metrics.prom``, in its text format.

The node exporter's textfile collector reads such a file; so does a ``curl`` of a file server.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evomerge.runs.events import Progress
from evomerge.runs.reading.accounting import Spent

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from evomerge.execution.protocol import WorkerState

logger = logging.getLogger(__name__)

FILE = "metrics.prom"
_STATES = ("waiting", "starting", "idle", "busy")


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment.

    Args:
        name, run_id: Which run.
        progress: Candidates evaluated and failed, and the budget.
        spent: What all attempts took, those of earlier drivers and lost ones included.
        workers: Those of this driver.
        best: Objective → best value so far.
        hypervolume: Share of the ideal that the front covers; None where the run has none.
        away_s: Seconds that the database has been away; 0 while it is there.
        spooled: Results that wait on disk for the database.
    """

    name: str
    run_id: str
    progress: Progress
    spent: Spent = field(default_factory=Spent)
    workers: "Sequence[WorkerState]" = ()
    best: Mapping[str, float] = field(default_factory=dict)
    hypervolume: float | None = None
    away_s: float = 0.0
    spooled: int = 0


def write_metrics(folder: Path, snapshot: Snapshot) -> None:
    """Write ``folder/metrics.prom``; readers see the old file or the new one, never a part.

    A file that can't be written is logged and costs the run nothing.
    """
    # It takes longer to load than the answer of 'evomerge status'.
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(snapshot))
    file = folder / FILE
    partial = file.with_name(f"{FILE}.partial")
    try:
        partial.write_bytes(generate_latest(registry))
        partial.replace(file)
    except OSError as error:
        logger.info("%s can't be written: %s", file, error.strerror or error)


class _Families:
    """The metrics of one snapshot, as the registry collects them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator["Metric"]:
        """Yield the metrics."""
        now = self._snapshot
        done = now.progress
        present = [worker for worker in now.workers if worker.state != "gone"]
        states = {s: sum(worker.state == s for worker in present) for s in _STATES}
        busy_s = sum(worker.busy_s for worker in present)
        alive_s = sum(worker.alive_s for worker in present)
        good = done.evaluated - done.failed
        yield self._count(
            "candidates", "Candidates that were evaluated.", "status",
            {"done": good, "failed": done.failed},
        )  # fmt: skip
        yield self._gauge("budget", "Candidates to evaluate in all.", done.budget)
        yield self._count("attempts", "Attempts at candidates.", "", {"": now.spent.attempts})
        yield self._count(
            "attempts_lost", "Attempts whose worker ended under them.", "", {"": now.spent.lost}
        )
        yield self._count(
            "device_seconds", "Seconds of work times devices.", "", {"": now.spent.device_s}
        )
        yield self._count(
            "seconds", "Seconds of workers by what they went into.", "part", now.spent.parts()
        )
        yield self._gauges("workers", "Workers by state.", "state", states)
        yield self._gauge(
            "worker_utilisation",
            "Share of their time that the present workers have worked.",
            min(busy_s / alive_s, 1.0) if alive_s else 0.0,
        )
        yield self._gauges("best", "Best value so far.", "objective", now.best)
        if now.hypervolume is not None:
            text = "Share of the ideal hypervolume that the front covers."
            yield self._gauge("hypervolume", text, now.hypervolume)
        yield self._gauge("ledger_away", "1 while the database is away.", float(now.away_s > 0))
        yield self._gauge("ledger_away_seconds", "For how long it has been away.", now.away_s)
        yield self._gauge("spooled_results", "Results that wait for the database.", now.spooled)
        yield self._gauge("written_timestamp_seconds", "When this was written.", time.time())

    def _count(self, name: str, text: str, label: str, values: Mapping[str, float]) -> "Metric":
        from prometheus_client.metrics_core import CounterMetricFamily

        labels = ["run", "run_id", *([label] if label else [])]
        made = CounterMetricFamily(f"evomerge_{name}", text, labels=labels)
        for key, value in values.items():
            made.add_metric(self._labels(*([key] if label else [])), value)
        return made

    def _gauge(self, name: str, text: str, value: float) -> "Metric":
        return self._gauges(name, text, "", {"": value})

    def _gauges(self, name: str, text: str, label: str, values: Mapping[str, float]) -> "Metric":
        from prometheus_client.metrics_core import GaugeMetricFamily

        labels = ["run", "run_id", *([label] if label else [])]
        made = GaugeMetricFamily(f"evomerge_{name}", text, labels=labels)
        for key, value in values.items():
            made.add_metric(self._labels(*([key] if label else [])), value)
        return made

    def _labels(self, *more: str) -> list[str]:
        return [self._snapshot.name, self._snapshot.run_id, *more]

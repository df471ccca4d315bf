"""A run as an MLflow run: its objectives as metrics, one step a candidate."""

from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.errors import require
from evomerge.runs.mirroring.feed import Feed
from evomerge.runs.mirroring.points import points_of, settings_of

_RUN_ID, _WRITTEN = "evomerge.run_id", "evomerge.written"
_BATCH = 1000
_ENDS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "interrupted": "KILLED"}


class MlflowMirror:
    """Writes a run into an MLflow experiment ``evomerge``.

    Args:
        url: The tracking server; empty takes MLflow's own setting, ``MLFLOW_TRACKING_URI``.
    """

    def __init__(self, url: str) -> None:
        mlflow = require("mlflow", extra="mlflow")
        self._entities = mlflow.entities
        self._client = mlflow.MlflowClient(tracking_uri=url or None)
        self._run: Any = None

    @property
    def where(self) -> str:
        """The run's id at MLflow."""
        return str(self._run.info.run_id)

    def update(self, feed: Feed) -> int:
        """Write the outcomes that aren't there yet, and return how many."""
        if self._run is None:
            self._open(feed)
        known = int(self._client.get_run(self.where).data.tags.get(_WRITTEN, "0"))
        metrics = [
            self._entities.Metric(name, value, int(outcome.finished_s * 1000), outcome.number)
            for outcome, values in points_of(feed)
            if outcome.number >= known
            for name, value in values.items()
        ]
        # Written twice where it is killed before the tag is: MLflow drops what it has already.
        for batch in _batches(metrics):
            self._client.log_batch(self.where, metrics=batch)
        written = len(feed.outcomes)
        self._client.set_tag(self.where, _WRITTEN, str(written))
        if feed.best is not None:
            self._client.set_tag(self.where, "evomerge.best", feed.best)
        if feed.state in _ENDS:
            self._client.set_terminated(self.where, _ENDS[feed.state])
        return max(0, written - known)

    def close(self) -> None:
        """Do nothing: all is written already."""

    def _open(self, feed: Feed) -> None:
        client = self._client
        experiment = client.get_experiment_by_name("evomerge")
        where = experiment.experiment_id if experiment else client.create_experiment("evomerge")
        found = client.search_runs([where], f"tags.`{_RUN_ID}` = '{feed.run_id}'", max_results=1)
        if found:
            self._run = found[0]
            return
        tags = {_RUN_ID: feed.run_id}
        self._run = client.create_run(where, run_name=feed.name, tags=tags)
        parameters: Mapping[str, str] = settings_of(feed)
        client.log_batch(
            self.where,
            params=[self._entities.Param(name, text) for name, text in parameters.items()],
        )


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]

"""A run as a run of Weights & Biases: its objectives as history, one step a candidate."""

from typing import Any

from evomerge.errors import require
from evomerge.runs.mirroring.feed import Feed
from evomerge.runs.mirroring.points import points_of, settings_of


class WandbMirror:
    """Writes a run into a project of Weights & Biases, under the run's own id.

    Who it is, and whether it goes over the network, is what wandb's own settings say
    (``WANDB_API_KEY``, ``WANDB_MODE``).

    Args:
        project: The project's name.
    """

    def __init__(self, project: str) -> None:
        self._wandb = require("wandb", extra="wandb")
        self._project = project or "evomerge"
        self._run: Any = None

    @property
    def where(self) -> str:
        """Project and id of the run there."""
        return f"{self._project}/{self._run.id}"

    def update(self, feed: Feed) -> int:
        """Write the outcomes that aren't there yet, and return how many."""
        if self._run is None:
            self._run = self._wandb.init(
                project=self._project,
                id=feed.run_id,
                name=feed.name,
                resume="allow",
                config=settings_of(feed),
            )
        known = int(self._run.step)
        for outcome, values in points_of(feed):
            if outcome.number >= known:
                self._run.log(values, step=outcome.number)
        self._run.summary.update({"state": feed.state, "best_candidate": feed.best})
        return max(0, len(feed.outcomes) - known)

    def close(self) -> None:
        """Wait until all is written."""
        if self._run is not None:
            self._run.finish()

"""Which nodes of a cluster a run still trusts: it leaves out those on which workers keep ending."""

from collections import defaultdict
from dataclasses import dataclass, field

TRIES = 3
"""Workers in a row that end, or can't be built, before a node is left out."""

NOWHERE = ""
"""The node of workers that ended before they had told where they are."""


@dataclass
class _Record:
    ended_under: set[str] = field(default_factory=set)
    failed_builds: int = 0


@dataclass
class Trust:
    """What happened on each node.

    Args:
        excluded: Node → why it is left out.
        why_failed: Why the last worker couldn't be built.
    """

    excluded: dict[str, str] = field(default_factory=dict)
    why_failed: str = ""
    _records: defaultdict[str, _Record] = field(default_factory=lambda: defaultdict(_Record))

    def ready(self, node_id: str) -> None:
        """A worker was built on the node."""
        self._records[node_id].failed_builds = 0
        self._records[NOWHERE].failed_builds = 0

    def finished(self, node_id: str) -> None:
        """A worker has finished a job there, well or badly."""
        self._records[node_id].ended_under.clear()

    def not_built(self, node_id: str, why: str, *, has_ready: bool) -> str:
        """A worker couldn't be built there; return why the node is left out from now on, or "".

        Args:
            node_id: The node.
            why: What the worker said.
            has_ready: The node has workers that are ready, so it isn't the node's fault.
        """
        self.why_failed = why
        record = self._records[node_id]
        record.failed_builds += 1
        if node_id == NOWHERE or has_ready or record.failed_builds < TRIES:
            return ""
        first = why.splitlines()[0] if why else ""
        self.excluded[node_id] = f"no worker could be built in {TRIES} tries: {first}"
        return self.excluded[node_id]

    def ended(self, node_id: str, under: str, *, is_last: bool) -> str:
        """A worker has ended there; return why the node is left out from now on, or "".

        Args:
            node_id: The node.
            under: The candidate that it worked on: one that kills its workers counts once.
            is_last: There is no other node to turn to.
        """
        record = self._records[node_id]
        record.ended_under.add(under)
        if node_id == NOWHERE or is_last or len(record.ended_under) < TRIES:
            return ""
        self.excluded[node_id] = f"{TRIES} workers in a row ended there without a result"
        return self.excluded[node_id]

    def keeps_failing(self, node_id: str) -> bool:
        """Whether the last builds there have all failed; ``NOWHERE`` for actors themselves."""
        return self._records[node_id].failed_builds >= TRIES

    def is_excluded(self, node_id: str) -> bool:
        """Whether the node is left out."""
        return node_id in self.excluded

"""Small Ray clusters for tests: raylets on this machine, each with what a test says it has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evomerge.errors import ModelError
from tests.execution.specs import Actor

STORE_BYTES = 80_000_000


@contextmanager
def ray_cluster(**head: Any) -> Iterator[Any]:
    """Have a cluster of one node, the head; more join through ``add_node``."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DISABLE_IMPORT_WARNING"] = "1"
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"object_store_memory": STORE_BYTES, "include_dashboard": False, **head},
    )
    try:
        yield cluster
    finally:
        cluster.shutdown()


@dataclass(frozen=True)
class PickySpec:
    """Builds only where the node's environment doesn't say that it is bad."""

    def build(self) -> Actor:
        if os.environ.get("EVOMERGE_TEST_NODE") == "bad":
            raise ModelError("source 'a' isn't on this node. Put it on storage that all share.")
        return Actor()

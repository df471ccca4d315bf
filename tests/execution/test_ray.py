import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import ExecutionError
from evomerge.execution.protocol import LOST, Executor
from evomerge.execution.ray import RayExecutor
from evomerge.execution.registry import EXECUTORS, Crew
from tests.execution.executor_contract import (
    ExecutorContract,
    Factory,
    Make,
    MortalContract,
    collect,
    failure_of,
    run_all,
    until,
)
from tests.execution.ray_clusters import STORE_BYTES, ray_cluster
from tests.execution.specs import ActingSpec, job

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head has room for four workers; this process is connected to it."""
    import ray

    with ray_cluster(num_cpus=4, num_gpus=1) as cluster:
        executor = RayExecutor(Crew(ActingSpec()), address=cluster.address)
        executor.start()
        yield cluster
        executor.close()
        assert not ray.is_initialized()


@pytest.fixture
def factory(cluster: Any) -> Factory:
    return lambda crew: RayExecutor(crew, address=cluster.address, cpus=0.5)


class TestRay(ExecutorContract, MortalContract):
    pass

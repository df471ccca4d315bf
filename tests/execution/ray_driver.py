"""A driver of its own process, to be killed: ``python -m tests.execution.ray_driver ADDRESS``.

It starts a cluster first and loses its head under a job; then it goes on with the cluster at
ADDRESS and works until it is killed. Each line that it writes is one JSON object.
"""

import json
import sys
import time
from typing import Any

import psutil

from evomerge.errors import ExecutionError
from evomerge.execution.ray import RayExecutor
from evomerge.execution.registry import Crew
from tests.execution.executor_contract import run_all
from tests.execution.ray_clusters import ray_cluster
from tests.execution.specs import ActingSpec, job


def say(**what: Any) -> None:
    """Tell the test."""
    print(json.dumps(what), flush=True)


def lose() -> None:
    """Lose the head while a worker is busy."""
    with ray_cluster(num_cpus=1) as cluster:
        executor = RayExecutor(Crew(ActingSpec()), address=cluster.address, silent_s=3)
        run_all(executor, [job("0-0")])
        executor.submit(job("0-1", "sleep 600"))
        executor.wait(timeout_s=1)
        cluster.head_node.kill_gcs_server()
        cluster.head_node.kill_raylet()
        began = time.monotonic()
        try:
            while True:
                executor.wait(timeout_s=1)
        except ExecutionError as error:
            say(message=str(error), after_s=time.monotonic() - began)
        executor.close()
        say(closed_after_s=time.monotonic() - began)


def work(address: str) -> None:
    """Have a worker busy until this process is killed."""
    executor = RayExecutor(Crew(ActingSpec()), address=address)
    pid = int(run_all(executor, [job("0-0")])["0-0"].notes["pid"])
    executor.submit(job("0-1", "sleep 600"))
    executor.wait(timeout_s=0.5)
    say(worker=pid, actor=psutil.Process(pid).ppid(), state=executor.workers()[0].state)
    while True:
        executor.wait(timeout_s=60)


if __name__ == "__main__":
    lose()
    work(sys.argv[1])

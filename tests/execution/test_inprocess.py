from dataclasses import dataclass, field

import pytest

from evomerge.errors import ExecutionError
from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import Job, Outcome
from evomerge.execution.registry import Crew
from evomerge.recipes.recipe import Recipe

RECIPE = Recipe(sources=(), base="", stages=())


@dataclass
class Echo:
    jobs: list[Job] = field(default_factory=list)

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return Outcome(job)


@dataclass
class EchoSpec:
    built: list[Echo] = field(default_factory=list)

    def build(self) -> Echo:
        self.built.append(Echo())
        return self.built[-1]


def job(name: str) -> Job:
    return Job(candidate_id=name, attempt=1, recipe=RECIPE, blocks=())


def test_jobs_run_one_at_a_time_in_order() -> None:
    spec = EchoSpec()
    executor = InprocessExecutor(Crew(spec))
    executor.start()
    worker = spec.built[0]
    executor.submit(job("0-0"))
    executor.submit(job("0-1"))
    assert worker.jobs == []
    assert [outcome.job.candidate_id for outcome in executor.wait()] == ["0-0"]
    assert [outcome.job.candidate_id for outcome in executor.wait()] == ["0-1"]
    assert executor.wait() == []


def test_the_worker_is_built_once_and_dropped_at_the_end() -> None:
    spec = EchoSpec()
    built = spec.built
    executor = InprocessExecutor(Crew(spec))
    assert built == []
    executor.start()
    executor.start()
    assert len(built) == 1
    executor.submit(job("0-0"))
    executor.close()
    assert executor.wait() == []
    executor.start()
    assert len(built) == 2


def test_it_has_one_worker_and_says_what_it_did() -> None:
    executor = InprocessExecutor(Crew(EchoSpec()))
    assert executor.workers()[0].state == "starting"
    executor.submit(job("0-0"))
    (outcome,) = executor.wait()
    assert outcome.busy_s >= 0
    assert outcome.wait_s >= 0
    (state,) = executor.workers()
    assert (state.state, state.jobs) == ("idle", 1)
    executor.resize(1)
    with pytest.raises(ExecutionError, match="Use the executor local"):
        executor.resize(2)

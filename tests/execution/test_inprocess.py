from dataclasses import dataclass, field

from evomerge.execution.inprocess import InprocessExecutor
from evomerge.execution.protocol import Job, Outcome
from evomerge.recipes.recipe import Recipe

RECIPE = Recipe(sources=(), base="", stages=())


@dataclass
class Echo:
    jobs: list[Job] = field(default_factory=list)

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return Outcome(job)


def job(name: str) -> Job:
    return Job(candidate_id=name, attempt=1, recipe=RECIPE, blocks=())


def test_jobs_run_one_at_a_time_in_order() -> None:
    worker = Echo()
    executor = InprocessExecutor(lambda: worker)
    executor.start()
    executor.submit(job("0-0"))
    executor.submit(job("0-1"))
    assert worker.jobs == []
    assert [outcome.job.candidate_id for outcome in executor.wait()] == ["0-0"]
    assert [outcome.job.candidate_id for outcome in executor.wait()] == ["0-1"]
    assert executor.wait() == []


def test_the_worker_is_built_once_and_dropped_at_the_end() -> None:
    built: list[Echo] = []

    def build() -> Echo:
        built.append(Echo())
        return built[-1]

    executor = InprocessExecutor(build)
    assert built == []
    executor.start()
    executor.start()
    assert len(built) == 1
    executor.submit(job("0-0"))
    executor.close()
    assert executor.wait() == []
    executor.start()
    assert len(built) == 2

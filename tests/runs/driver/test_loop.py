import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import LedgerError, RunFailedError
from evomerge.execution.protocol import Failure, Job
from evomerge.recipes.space import SearchSpace
from evomerge.runs.events import (
    Asked,
    CandidateDone,
    CandidateFailed,
    Finished,
    GenerationDone,
    Rescoring,
    Started,
    Stopped,
)
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.fronts import knee
from evomerge.search.protocol import Evaluation, Proposal, Searcher
from tests.runs.fakes import BINARY, EVALUATORS, TWO, FakeRun, FakeWorker, picture, weights_of

BROKEN = Failure("exception", "merging: ValueError: no", "traceback")


def cma_searcher(space: SearchSpace, objectives: int) -> Searcher:
    return CmaEsSearcher(space, seed=5, n_objectives=objectives, population=6)


def failing(*names: str) -> Any:
    return lambda job: BROKEN if job.candidate_id in names else None


def test_a_driver_needs_no_torch_of_its_own() -> None:
    """Each resume and each spawned worker would wait for it."""
    script = "import sys, evomerge.runs.driver.loop\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_budget_is_exact_and_the_last_generation_stays_pending(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20, finalists=3)
    events = list(fake.start().drive())
    done = [event for event in events if isinstance(event, CandidateDone)]
    assert len(done) == 20
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == events[-1].progress.budget == 20
    # Generations of 6: three are told, the fourth is stored whole and has two results.
    assert [e.ask for e in events if isinstance(e, GenerationDone)] == [0, 1, 2]
    assert [len(e.candidates) for e in events if isinstance(e, Asked)] == [6, 6, 6, 6]
    searched = Counter(job.blocks[0].split for job in fake.worker.jobs)
    assert searched == {"search": 20, "validation": 3}


@pytest.mark.parametrize("make_searcher", [None, cma_searcher], ids=["random", "cma_es"])
def test_an_extended_run_equals_one_started_with_the_larger_budget(
    tmp_path: Path, make_searcher: Any
) -> None:
    options = {"evaluators": BINARY} | ({"make_searcher": make_searcher} if make_searcher else {})
    (tmp_path / "short").mkdir()
    (tmp_path / "long").mkdir()
    short = FakeRun(tmp_path / "short", budget=8, **options)
    long = FakeRun(tmp_path / "long", budget=21, **options)
    list(short.start().drive())
    run = short.resume()
    run.extend(21)
    last = list(run.drive())[-1]
    expected = list(long.start().drive())[-1]
    assert last == expected
    one, other = picture(short.records()), picture(long.records())
    assert one["candidates"] == other["candidates"]
    assert one["estimates"]["search"] == other["estimates"]["search"]
    assert one["decisions"][-1] == other["decisions"][-1]
    assert [d for d in one["decisions"] if d[0] == "tell"] == [
        d for d in other["decisions"] if d[0] == "tell"
    ]


def test_a_finished_run_resumed_does_nothing_again(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    finished = list(fake.start().drive())[-1]
    fake.worker.jobs.clear()
    events = list(fake.resume().drive())
    assert [type(event) for event in events] == [Started, Finished]
    assert events[-1] == finished
    assert fake.worker.jobs == []


def test_a_budget_below_what_is_done_is_refused(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    list(fake.start().drive())
    with pytest.raises(LedgerError, match="got 3, but 7 candidates are evaluated already"):
        fake.resume().extend(3)


def test_a_failed_candidate_is_told_recorded_and_counted(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=12, worker=FakeWorker(EVALUATORS, failing("0-2", "1-1")))
    events = list(fake.start().drive())
    failed = [event for event in events if isinstance(event, CandidateFailed)]
    assert [event.candidate for event in failed] == ["0-2", "1-1"]
    assert failed[0].message == BROKEN.message
    assert events[-1].progress == type(events[-1].progress)(evaluated=12, failed=2, budget=12)
    records = fake.records()
    told = records.decisions("tell")[0].body["results"]
    assert told[2] == ["0-2", None, BROKEN.message]
    assert len(told[0][1]) == 1
    stored = [row for row in records.attempts() if row.failure is not None]
    assert [row.failure for row in stored] == [BROKEN, BROKEN]


def test_scores_that_are_not_finite_are_a_failure(tmp_path: Path) -> None:
    worker = FakeWorker(EVALUATORS, poison=lambda job: job.candidate_id == "0-1")
    fake = FakeRun(tmp_path, budget=6, worker=worker)
    events = list(fake.start().drive())
    failed = [event for event in events if isinstance(event, CandidateFailed)]
    assert [(event.candidate, event.failure) for event in failed] == [("0-1", "nan")]
    assert failed[0].message == "task 'near' gave a hit that is not finite"
    assert fake.records().scores("0-1", "search", "near", "hit").size == 0


def test_equal_failures_in_a_row_stop_the_run_and_a_resume_tries_those_not_told_again(
    tmp_path: Path,
) -> None:
    broken = FakeWorker(EVALUATORS, lambda job: BROKEN if job.candidate_id > "0-3" else None)
    fake = FakeRun(tmp_path, budget=30, identical_failures=7, worker=broken)
    message = "7 candidates in a row failed alike: merging: ValueError: no. .*; the last 5, which"
    with pytest.raises(RunFailedError, match=message):
        list(fake.start().drive())
    jobs = [job.candidate_id for job in broken.jobs]
    assert jobs[-7:] == ["0-4", "0-5", *(f"1-{i}" for i in range(5))]
    # Not mended: the same five fail alike, and the generation's last one.
    with pytest.raises(RunFailedError, match="6 candidates in a row failed alike, all of gene"):
        list(fake.resume().drive())
    fake.worker = FakeWorker(EVALUATORS)
    finished = list(fake.resume().drive())[-1]
    assert isinstance(finished, Finished)
    # A generation that was told with its failures stays as it was told.
    assert (finished.progress.evaluated, finished.progress.failed) == (30, 2)
    jobs_again = [job for job in fake.worker.jobs if job.blocks[0].split == "search"]
    tried = {job.candidate_id: job.attempt for job in jobs_again}
    assert tried.keys().isdisjoint({"0-4", "0-5"})
    assert [tried[f"1-{i}"] for i in range(6)] == [3, 3, 3, 3, 3, 2]


@pytest.mark.parametrize("make_searcher", [None, cma_searcher], ids=["random", "cma_es"])
def test_a_broken_evaluator_costs_no_generation(tmp_path: Path, make_searcher: Any) -> None:
    options = {"evaluators": BINARY} | ({"make_searcher": make_searcher} if make_searcher else {})
    whole = FakeRun(tmp_path, budget=20, run_id="whole", reuse=False, **options)
    expected = list(whole.start().drive())[-1]
    fake = FakeRun(tmp_path, budget=20, reuse=False, **options)
    fake.worker = FakeWorker(BINARY, lambda job: BROKEN)
    message = "6 candidates in a row failed alike, all of generation 0 .*; these candidates are tri"
    run = fake.start()
    for _ in range(2):  # the second time it isn't mended
        with pytest.raises(RunFailedError, match=message):
            list(run.drive())
        assert fake.records().decisions("tell") == []
        run = fake.resume()
    fake.worker = FakeWorker(BINARY, lambda job: BROKEN if job.candidate_id > "0-5" else None)
    with pytest.raises(RunFailedError, match="all of generation 1 among them"):
        list(fake.resume().drive())
    fake.worker = FakeWorker(BINARY)
    assert list(fake.resume().drive())[-1] == expected
    one, other = picture(fake.records()), picture(whole.records())
    assert all(one[part] == other[part] for part in ("candidates", "scores", "decisions"))


def test_a_driver_killed_after_a_generation_failed_alike_does_not_tell_it(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20, worker=FakeWorker(EVALUATORS, lambda job: BROKEN))
    events = fake.start().drive()
    for event in events:
        if isinstance(event, CandidateFailed) and event.candidate == "0-5":
            break
    events.close()  # type: ignore[attr-defined]  # a generator
    fake.worker = FakeWorker(EVALUATORS)
    with pytest.raises(RunFailedError, match="all of generation 0 among them"):
        list(fake.resume().drive())
    last = list(fake.resume().drive())[-1]
    assert (last.progress.evaluated, last.progress.failed) == (20, 0)


def test_more_identical_failures_let_a_search_leave_a_bad_generation_behind(
    tmp_path: Path,
) -> None:
    fails = FakeWorker(EVALUATORS, lambda job: BROKEN if job.candidate_id < "1" else None)
    fake = FakeRun(tmp_path, budget=20, worker=fails)
    with pytest.raises(RunFailedError, match="all of generation 0 among them"):
        list(fake.start().drive())
    fake.identical_failures = 13
    last = list(fake.resume().drive())[-1]
    assert (last.progress.evaluated, last.progress.failed) == (20, 6)


@pytest.mark.parametrize("first", ["0-0", "0-3"])
def test_models_without_finite_scores_do_not_stop_a_run_that_works(
    tmp_path: Path, first: str
) -> None:
    nan = Failure("nan", "the model gave logits that are not finite")
    worker = FakeWorker(EVALUATORS, lambda job: None if job.candidate_id == first else nan)
    fake = FakeRun(tmp_path, budget=25, identical_failures=6, worker=worker)
    last = list(fake.start().drive())[-1]
    assert (last.best, last.progress.failed) == (first, 24)
    assert list(fake.resume().drive())[-1].best == first


def test_a_run_without_any_finite_score_stops(tmp_path: Path) -> None:
    nan = Failure("nan", "the model gave logits that are not finite")
    fake = FakeRun(tmp_path, budget=25, worker=FakeWorker(EVALUATORS, lambda job: nan))
    with pytest.raises(RunFailedError, match="failed alike"):
        list(fake.start().drive())


def test_different_failures_do_not_stop_a_run(tmp_path: Path) -> None:
    def fails(job: Job) -> Failure | None:
        if job.candidate_id == "0-0":
            return None
        return Failure("exception", f"reason {job.candidate_id}")

    fake = FakeRun(tmp_path, budget=25, worker=FakeWorker(EVALUATORS, fails))
    finished = list(fake.start().drive())[-1]
    assert finished.best == "0-0"
    assert finished.progress.failed == 24


def test_a_run_without_any_score_fails(tmp_path: Path) -> None:
    fails = lambda job: Failure("exception", f"reason {job.candidate_id}")  # noqa: E731  short
    fake = FakeRun(tmp_path, budget=5, worker=FakeWorker(EVALUATORS, fails))
    with pytest.raises(RunFailedError, match="all 5 candidates failed; the last one: reason 0-4"):
        list(fake.start().drive())


def test_finalists_that_all_fail_are_tried_again_by_a_resume(tmp_path: Path) -> None:
    worker = FakeWorker(
        EVALUATORS, lambda job: BROKEN if job.blocks[0].split == "validation" else None
    )
    fake = FakeRun(tmp_path, budget=6, finalists=2, worker=worker)
    with pytest.raises(RunFailedError, match="all 2 finalists failed on the validation split"):
        list(fake.start().drive())
    fake.worker = FakeWorker(EVALUATORS)
    assert isinstance(list(fake.resume().drive())[-1], Finished)
    assert [job.blocks[0].split for job in fake.worker.jobs] == ["validation"] * 2


def test_nothing_is_scored_twice_within_a_run(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=30, step=1.0)  # 27 recipes, many of them asked for again
    events = list(fake.start().drive())
    recipes = [job.recipe.hash() for job in fake.worker.jobs if job.blocks[0].split == "search"]
    assert len(recipes) == len(set(recipes)) < 30
    done = [event for event in events if isinstance(event, CandidateDone)]
    assert len(done) == 30
    assert sum(event.reused for event in done) == 30 - len(recipes)
    by_recipe: dict[str, set[float]] = {}
    hashes = {row.candidate_id: row.recipe_hash for row in fake.records().candidates()}
    for event in done:
        by_recipe.setdefault(hashes[event.candidate], set()).add(event.objectives["mean"])
    assert all(len(values) == 1 for values in by_recipe.values())


def test_other_runs_scores_are_reused_unless_told_not_to(tmp_path: Path) -> None:
    first = FakeRun(tmp_path, budget=8, finalists=2)
    finished = list(first.start().drive())[-1]
    second = FakeRun(tmp_path, budget=8, finalists=2, run_id="run2")
    again = list(second.start().drive())
    assert second.worker.jobs == []
    assert all(event.reused for event in again if isinstance(event, CandidateDone))
    assert again[-1] == finished
    best = finished.best
    assert second.records().answers(best, "validation", "far")[3] == "answer 3"
    third = FakeRun(tmp_path, budget=8, finalists=2, run_id="run3", reuse=False)
    list(third.start().drive())
    assert len(third.worker.jobs) == 10


def test_only_missing_blocks_are_scored(tmp_path: Path) -> None:
    first = FakeRun(tmp_path, budget=2, finalists=1, evaluators={"near": EVALUATORS["near"]})
    first.objectives = {"near": TWO["near"]}
    list(first.start().drive())
    second = FakeRun(tmp_path, budget=2, finalists=1, run_id="run2")
    list(second.start().drive())
    assert {ref.task for job in second.worker.jobs for ref in job.blocks} == {"far"}


def test_the_searcher_sees_larger_is_better(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=6, objectives=TWO)
    events = list(fake.start().drive())
    raw = next(event for event in events if isinstance(event, CandidateDone)).objectives
    told = fake.records().decisions("tell")[0].body["results"][0][1]
    assert told == [raw["near"], -raw["far"]]
    assert raw["far"] > 0


def test_several_objectives_end_in_a_front_by_validation(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=24, finalists=5, objectives=TWO)
    events = list(fake.start().drive())
    finished = events[-1]
    validation = fake.records().estimates("validation")
    scores = {
        name: (e["near", "hit"].value, -e["far", "distance"].value)
        for name, e in validation.items()
    }
    assert len(scores) == len([event for event in events if isinstance(event, Rescoring)]) >= 5
    for name in finished.front:
        assert not any(
            all(a >= b for a, b in zip(other, scores[name], strict=True)) and other != scores[name]
            for other in scores.values()
        )
    assert list(finished.front) == sorted(finished.front, key=lambda n: scores[n], reverse=True)
    bend = knee([scores[name] for name in finished.front])
    assert finished.best == finished.front[bend.index]


def test_the_best_is_chosen_on_validation_among_the_best_on_search(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=18, finalists=4)
    finished = list(fake.start().drive())[-1]
    records = fake.records()

    def means(split: str) -> dict[str, float]:
        found = records.estimates(split)
        return {n: (e["near", "hit"].value + e["far", "hit"].value) / 2 for n, e in found.items()}

    search, validation = means("search"), means("validation")
    assert sorted(validation) == sorted(sorted(search, key=search.__getitem__, reverse=True)[:4])
    assert validation[finished.best] == max(validation.values())
    assert finished.objectives == {"mean": pytest.approx(max(validation.values()))}
    assert records.answers(finished.best, "validation", "near")[0] == "answer 0"


def test_a_stop_request_ends_after_the_candidate_in_hand(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20)
    whole = FakeRun(tmp_path, budget=20, run_id="whole", reuse=False)
    expected = list(whole.start().drive())[-1]
    run = fake.start()
    events = []
    for event in run.drive():
        events.append(event)
        if isinstance(event, CandidateDone) and event.candidate == "1-2":
            run.request_stop()
    assert isinstance(events[-1], Stopped)
    assert events[-1].progress.evaluated == 9
    assert fake.records().decisions()[-1].body["reason"] == "user"
    assert list(fake.resume().drive())[-1] == expected


def test_ctrl_c_while_scoring_loses_only_that_candidate(tmp_path: Path) -> None:
    def fails(job: Job) -> Failure | None:
        if job.candidate_id == "1-1" and job.attempt == 1 and len(fake.worker.jobs) < 9:
            raise KeyboardInterrupt
        return None

    fake = FakeRun(tmp_path, budget=9, evaluators=EVALUATORS, worker=FakeWorker(EVALUATORS, fails))
    events = list(fake.start().drive())
    assert isinstance(events[-1], Stopped)
    assert events[-1].progress.evaluated == 7
    assert [row.candidate_id for row in fake.records().attempts()][-1] == "1-0"
    fake.worker = FakeWorker(EVALUATORS)
    assert list(fake.resume().drive())[-1].progress.evaluated == 9


class ShortSearcher:
    """Proposes one generation of three and then nothing."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._asks = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        self._asks += 1
        if self._asks > 1:
            return []
        points = [self._space.snap(np.full(3, share)) for share in (0.2, 0.5, 0.8)]
        return [Proposal(f"0-{i}", point, "short") for i, point in enumerate(points)]

    def tell(self, evaluations: Any) -> None:
        assert all(isinstance(item, Evaluation) for item in evaluations)


def test_an_exhausted_searcher_ends_the_run_early(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=9, make_searcher=lambda space, _: ShortSearcher(space))
    finished = list(fake.start().drive())[-1]
    assert (finished.reason, finished.progress.evaluated) == ("exhausted", 3)
    run = fake.resume()
    run.extend(12)
    assert list(run.drive())[-1].reason == "exhausted"


def test_a_proposal_becomes_a_stored_recipe(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=3)
    list(fake.start().drive())
    records = fake.records()
    row = records.candidates()[1]
    stored = records.recipe(row.recipe_hash)["parameters"][0]["options"]["weights"]
    assert stored == list(row.genome.values())
    job = next(job for job in fake.worker.jobs if job.candidate_id == "0-1")
    assert weights_of(job.recipe).tolist() == stored


def test_events_are_in_the_ledger_as_they_were_yielded(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=7)
    yielded = [event for event in fake.start().drive() if not isinstance(event, Rescoring)]
    stored = fake.records().events()
    assert [kind for _, kind, _ in stored] == [event.kind for event in yielded]
    assert stored[2][2]["objectives"] == yielded[2].objectives
    assert fake.records().events(after=len(stored) - 1) == stored[-1:]

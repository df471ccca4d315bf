"""Stability over sub-tasks: base and sources are scored first, and its units stay theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, RunFailedError
from evomerge.execution.protocol import Failure, Job
from evomerge.runs.events import CandidateDone, Finished
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.diff import diff_candidates
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import make_report
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run
from tests.runs.fakes import EVALUATORS, FakeRun, FakeSpace, facts_of

EVEN = {
    "even": {"from": ["near", "far.distance"], "aggregate": "stability", "direction": "maximize"}
}


def members() -> list[tuple[CandidateRow, Any]]:
    """Return three models as a panel."""
    found = []
    for place, weights in enumerate([(0.5, 0.0, 0.0), (0.0, 0.5, 0.5), (-0.5, 0.5, 0.0)]):
        names = [gene.name for gene in FakeSpace().genes]
        recipe = FakeSpace().recipe(dict(zip(names, weights, strict=True)))
        row = CandidateRow(
            f"ref-{place}", -1, place, "reference", f"source {place}", (), None, recipe.hash()
        )
        found.append((row, recipe))
    return found


def fake(folder: Path, **options: Any) -> FakeRun:
    folder.mkdir(exist_ok=True)
    return FakeRun(folder, budget=12, objectives=EVEN, settings={"panel": members()}, **options)


def told(events: list[Any]) -> dict[str, float]:
    return {e.candidate: e.objectives["even"] for e in events if isinstance(e, CandidateDone)}


def test_the_panel_is_scored_first_and_counts_for_no_budget(tmp_path: Path) -> None:
    made = fake(tmp_path)
    events = made.drive()
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == 12
    assert len(told(events)) == 12
    first = [job.candidate_id for job in made.worker.jobs[:3]]
    assert first == ["ref-0", "ref-1", "ref-2"]
    records = made.records()
    parts = [("near", "hit"), ("far", "distance")]
    panel = np.array([[found[part].value for part in parts] for found in records.panel()])
    for name, value in told(events).items():
        found = records.estimates("search")[name]
        scaled = [
            (found[part].value - panel[:, place].mean()) / panel[:, place].std()
            for place, part in enumerate(parts)
        ]
        assert value == pytest.approx(1 - np.std(scaled))


def test_a_run_that_is_stopped_within_the_panel_goes_on_as_if_it_hadnt_been(
    tmp_path: Path,
) -> None:
    whole = told(fake(tmp_path / "whole").drive())
    stopped = fake(tmp_path / "stopped")
    run = stopped.start()

    def stop(job: Job) -> Failure | None:
        if job.candidate_id == "ref-1":
            run.request_stop()
        return None

    stopped.worker.fails = stop
    before = told(list(run.drive()))
    assert before == {}
    stopped.worker.fails = lambda job: None
    n_before = len(stopped.worker.jobs)
    assert told(list(stopped.resume().drive())) == whole
    again = [job.candidate_id for job in stopped.worker.jobs[n_before:]]
    assert again[0] == "ref-2", "what is stored is never scored again"


def test_a_panel_that_cant_be_scored_is_an_error_and_tried_again(tmp_path: Path) -> None:
    made = fake(tmp_path)

    def broken(job: Job) -> Failure | None:
        return Failure("exception", "no such head") if job.candidate_id == "ref-2" else None

    made.worker.fails = broken
    with pytest.raises(RunFailedError, match=r"ref-2, by which stability is .* no such head"):
        made.drive()
    made.worker.fails = lambda job: None
    assert isinstance(list(made.resume().drive())[-1], Finished)


def test_without_a_panel_a_stability_is_missing() -> None:
    objectives = Objectives.from_plain(EVEN, facts_of(EVALUATORS))
    assert objectives.needs_panel
    assert objectives.panel.scales((("near", "hit"),)) is None


@pytest.fixture
def even_config(raw_config: dict[str, Any]) -> dict[str, Any]:
    both = {"from": ["copy", "next"]}
    raw_config["objectives"] |= {
        "loss": {**both, "direction": "minimize", "reference": 9.0},
        "even": {**both, "aggregate": "stability", "direction": "maximize"},
    }
    raw_config["constraints"] = ["parameters <= 1e12"]
    raw_config["search"]["budget"] = 4
    return raw_config


def test_a_real_run_reads_the_same_everywhere(workspace: Path, even_config: dict[str, Any]) -> None:
    out = workspace / "runs" / "tiny"
    with new_run(parse_config(even_config, where="tiny.yaml"), out=out) as opened:
        panel = opened.prepared.objectives
        events = list(opened.run.drive())
    values = {e.candidate: e.objectives["even"] for e in events if isinstance(e, CandidateDone)}
    assert [(item.reference, item.ideal) for item in panel.all] == [(9.0, 0.0), (0.0, 1.0)]
    results = RunResults.open(out)
    for name, value in values.items():
        assert results.show(name).objectives["search"]["even"].value == value
    best = results.best()
    assert results.show("ref-left").objectives["search"]["even"].value <= 1
    assert diff_candidates(results, best, "ref-left").split == "search"
    front = results.front(confidence=True)
    assert all(0 < (entry.p_front or 0) <= 1 for entry in front.entries)
    shown = results.show(best).objectives["validation"]["even"].value
    results.close()
    told = {item.candidate: item for item in make_report(out).contestants}
    assert np.isfinite([item.objectives["even"].value for item in told.values()]).all()
    assert np.isfinite(shown)
    with stored_run(out, overrides=["search.budget=5"]) as opened:
        more = list(opened.run.drive())
    assert len([e for e in more if isinstance(e, CandidateDone)]) == 1


def test_sources_over_a_limit_of_size_are_measured_all_the_same(
    workspace: Path, even_config: dict[str, Any]
) -> None:
    even_config["constraints"] = ["parameters <= 10"]
    out = workspace / "runs" / "tiny"
    with new_run(parse_config(even_config, where="tiny.yaml"), out=out) as opened:
        with pytest.raises(RunFailedError, match=r"all 4 candidates failed.*parameters <= 10"):
            list(opened.run.drive())
        assert len(opened.run.records.panel()) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from": ["copy"]}, "stability compares parts with each other"),
        ({"direction": "minimize"}, "a stability is better when it is larger"),
        ({"from": ["copy", "choice"]}, "these mix both"),
    ],
)
def test_mistakes_are_told(
    workspace: Path, even_config: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    even_config["evaluators"]["choice"] = {
        "type": "log_likelihood",
        "data": "copy.jsonl",
        "prompt_key": "text",
        "answer_key": "text",
        "splits": {"search": 8, "validation": 8, "test": 8},
    }
    even_config["objectives"]["even"] |= change
    with pytest.raises(ConfigError, match=message):
        prepare(parse_config(even_config, where="tiny.yaml"), plan=False)

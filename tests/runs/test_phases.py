"""A run in phases: parameters, then routes through the winner; stopped, resumed and extended."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.runs.events import CandidateDone, Finished
from evomerge.runs.export import export
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import make_report
from evomerge.runs.start import new_run, stored_run
from tests.runs.stopping import drive_to

RUN = Path("runs/tiny")


@pytest.fixture
def phased(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """Twelve candidates: six settings of coefficients, six routes."""
    raw_config["recipe"]["parameters"][0]["name"] = "merged"
    raw_config["dataflow"] = {"space": "blocks", "sources": ["left"], "blocks": 2}
    random = {"searcher": "random", "options": {"population": 4}, "share": 1}
    raw_config["search"] = {
        "budget": 12,
        "finalists": 2,
        "phases": [{"search": "parameters", **random}, {"search": "dataflow", **random}],
    }
    return raw_config


def candidates(folder: Path) -> list[Any]:
    results = RunResults.open(folder)
    found = list(results.records.candidates())
    results.close()
    return found


@pytest.mark.parametrize("stops", [(6,), (2, 5, 7, 11)])
def test_a_stop_anywhere_changes_nothing(phased: dict[str, Any], stops: tuple[int, ...]) -> None:
    whole = {**phased, "name": "whole", "ledger": "sqlite:///runs/other.db"}
    with new_run(parse_config(whole, where="tiny.yaml")) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    with new_run(parse_config(phased, where="tiny.yaml")) as opened:
        drive_to(opened.run, stops[0])
    for stop in stops[1:]:
        with stored_run(RUN) as opened:
            drive_to(opened.run, stop)
    with stored_run(RUN) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    assert candidates(RUN) == candidates(Path("runs/whole"))
    phases = [row.genome["phase"] for row in candidates(RUN)]
    assert phases[:12] == [0] * 6 + [1] * 6


def test_a_larger_budget_goes_to_the_last_phase(phased: dict[str, Any]) -> None:
    with new_run(parse_config(phased, where="tiny.yaml")) as opened:
        list(opened.run.drive())
    before = candidates(RUN)
    with stored_run(RUN, overrides=["search.budget=15"]) as opened:
        list(opened.run.drive())
    after = candidates(RUN)
    assert after[: len(before)] == before
    assert [row.genome["phase"] for row in after[12:15]] == [1] * 3


def test_the_best_of_all_phases_is_reported_and_exported(
    phased: dict[str, Any], workspace: Path
) -> None:
    with new_run(parse_config(phased, where="tiny.yaml")) as opened:
        done = [event for event in opened.run.drive() if isinstance(event, CandidateDone)]
    assert len({event.candidate for event in done}) == 12
    report = make_report(RUN)
    assert report.contestants[-1].label == "best found"
    for row in candidates(RUN)[-1:]:
        out = export(RUN, row.candidate_id, workspace / "out")
        assert (out / "config.json").exists()

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import LedgerError
from evomerge.evaluation.language_model import LanguageModel
from evomerge.runs.driver.state import SearchState
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import Report, make_report
from evomerge.runs.start import new_run, prepare_stored, stored_run

RUN = Path("runs/tiny")


def run_it(raw: dict[str, Any]) -> None:
    with new_run(parse_config(raw, where="tiny.yaml")) as opened:
        for _ in opened.run.drive():
            pass


def records() -> RunRecords:
    results = RunResults.open(RUN)
    return results.records


def _candidates() -> dict[str, CandidateRow]:
    return {row.candidate_id: row for row in records().candidates()}


def test_the_report_scores_all_on_the_test_split_and_says_that_it_opened_it(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    assert records().estimates("test") == {}
    asked: list[str] = []
    report = make_report(RUN, on_model=lambda label, index, total: asked.append(label))
    labels = ["base (base)", "left", "right", "uniform average", "best found"]
    assert asked == [item.label for item in report.contestants] == labels
    assert report.openings == 1
    assert [d.kind for d in records().decisions()][-1] == "open_test"
    stored = records().estimates("test")
    for item in report.contestants:
        assert item.tasks["copy"] == stored[item.candidate]["copy", "bits_per_byte"]
        assert item.objectives["loss"].n == 16
        assert item.objectives["loss"].low <= item.objectives["loss"].value
    best = report.contestants[-1]
    others = [item for item in report.contestants[:-1] if item.candidate not in report.same]
    rival = min(others, key=lambda item: item.objectives["loss"].value)
    (difference,) = report.differences
    assert difference.other == rival.candidate
    value = best.objectives["loss"].value - rival.objectives["loss"].value
    assert difference.estimate.value == pytest.approx(value)
    assert RunResults.open(RUN).front().to_dict()["front"][0]["candidate"] == best.candidate

    again: list[str] = []
    second = make_report(RUN, on_model=lambda label, index, total: again.append(label))
    assert again == []
    assert second.openings == 2
    assert [vars(item) for item in second.contestants] == [
        vars(item) for item in report.contestants
    ]
    assert len(Report.to_dict(second)["models"]) == 5


def test_the_best_found_is_not_compared_with_itself(
    workspace: Path, raw_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_it(raw_config)
    (base,) = [n for n, c in _candidates().items() if c.origin == "warm:base"]
    load = SearchState.load.__func__  # type: ignore[attr-defined]

    def with_base_as_best(*arguments: Any, **more: Any) -> SearchState:
        state: SearchState = load(SearchState, *arguments, **more)
        state.final = {**(state.final or {}), "best": base}
        return state

    monkeypatch.setattr(SearchState, "load", with_base_as_best)
    report = make_report(RUN)
    assert list(report.same) == report.to_dict()["same"] == ["ref-base"]
    (difference,) = report.differences
    assert difference.candidate == base
    others = report.contestants[1:-1]
    rival = min(others, key=lambda item: item.objectives["loss"].value)
    assert difference.other == rival.candidate != "ref-base"


def test_a_source_scores_as_its_own_folder_does(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    make_report(RUN)
    _, prepared, _ = prepare_stored(RUN)
    model = LanguageModel.load(Path("right"))
    for name, evaluator in prepared.evaluators.items():
        requests = evaluator.prepare(model, "test")
        direct = evaluator.score(model, requests, range(8))
        values = [list(record.metrics["bits_per_byte"]) for record in direct]
        assert records().scores("ref-right", "test", name, "bits_per_byte").tolist() == values


def test_the_test_split_stays_closed_until_the_run_is_finished(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        for _ in opened.run.drive():
            opened.run.request_stop()
    with pytest.raises(LedgerError, match="isn't finished, and its test split stays closed"):
        make_report(RUN)
    assert [d.kind for d in records().decisions()].count("open_test") == 0


def test_references_are_not_counted_as_candidates(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    make_report(RUN)
    status = RunResults.open(RUN).status()
    assert (status.progress.evaluated, status.progress.failed) == (6, 0)
    with stored_run(RUN, overrides=["search.budget=7"]) as opened:
        assert list(opened.run.drive())[-1].progress.evaluated == 7

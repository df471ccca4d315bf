"""Runs that keep the best model of each kind: measures reach the searcher, stop or no stop."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evomerge.cli.main import app
from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, LedgerError
from evomerge.runs.events import Finished
from evomerge.runs.reading.cells import read_cells
from evomerge.runs.reading.results import RunResults
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run
from evomerge.search.map_elites import MapElitesSearcher
from tests.runs.stopping import drive_to

RUN = Path("runs/tiny")


@pytest.fixture
def kinds(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """Twelve candidates, the best by one task's loss for each loss on the other."""
    raw_config["objectives"] = {"loss": {"from": ["copy"], "direction": "minimize"}}
    raw_config["search"] |= {
        "searcher": "map_elites",
        "budget": 12,
        "options": {"population": 4},
        "measures": {
            "next": {"from": "next", "low": 6.4, "high": 6.8, "bins": 20},
            "size": {"from": "parameters", "low": 0.0, "high": 1e6, "bins": 2},
        },
    }
    return raw_config


def rows(folder: Path) -> list[Any]:
    results = RunResults.open(folder)
    found = list(results.records.candidates())
    results.close()
    return found


def whole_run(config: dict[str, Any], name: str = "tiny") -> MapElitesSearcher:
    with new_run(parse_config({**config, "name": name}, where="tiny.yaml")) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
        return opened.run.plan.searcher  # type: ignore[return-value]  as the run file says


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_a_stop_anywhere_changes_nothing(kinds: dict[str, Any], mode: str) -> None:
    kinds["search"]["mode"] = mode
    kinds["ledger"] = "sqlite:///runs/other.db"
    whole_run(kinds, "whole")
    kinds["ledger"] = "sqlite:///runs/ledger.db"
    with new_run(parse_config(kinds, where="tiny.yaml")) as opened:
        drive_to(opened.run, 5)
    with stored_run(RUN) as opened:
        drive_to(opened.run, 9)
    with stored_run(RUN) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    found = rows(RUN)
    assert found == rows(Path("runs/whole"))
    assert any(row.parents for row in found)


def test_the_ledger_tells_of_the_archive(kinds: dict[str, Any]) -> None:
    searcher = whole_run(kinds)
    searcher.ask()  # what came last joins
    results = RunResults.open(RUN)
    (found,) = read_cells(results.records, results.row, results.objectives)
    told = [result for item in results.records.decisions("tell") for result in item.body["results"]]
    results.close()
    elites = {elite.id: elite for elite in searcher._archive.elites}
    assert {item.candidate for item in found.occupants} == set(elites)
    for item in found.occupants:
        assert item.measures == elites[item.candidate].measures
        assert item.quality == -elites[item.candidate].quality
        assert item.cell == searcher._archive.cell(item.measures)
    assert [item.quality for item in found.occupants] == sorted(q.quality for q in found.occupants)
    assert found.n_cells == 40
    assert found.coverage == len(elites) / 40
    assert found.qd_score is None  # a loss
    assert [stage.result for stage in found.course] == list(range(1, len(told) + 1))
    assert found.course[-1].occupied == len(elites)
    assert found.course[-1].best == found.occupants[0].quality
    occupied = [stage.occupied for stage in found.course]
    assert occupied == sorted(occupied)


def test_show_prints_the_cells(kinds: dict[str, Any]) -> None:
    kinds["objectives"] = {"loss": {"from": ["next"], "direction": "maximize"}}
    whole_run(kinds)
    shown = CliRunner().invoke(app, ["show", "runs/tiny", "archive"])
    assert shown.exit_code == 0
    assert "of 40 cells" in shown.stdout
    assert "QD-score" in shown.stdout
    found = CliRunner().invoke(app, ["show", "runs/tiny", "archive", "--json"])
    (archive,) = json.loads(found.stdout)["archives"]
    assert archive["axes"][1] == {"name": "size", "low": 0.0, "high": 1e6, "bins": 2}
    assert archive["qd_score"] == pytest.approx(sum(o["quality"] for o in archive["occupants"]))


def test_several_objectives_are_one_score(kinds: dict[str, Any]) -> None:
    kinds["objectives"]["other"] = {"from": ["next"], "direction": "minimize"}
    kinds["search"]["scalarise"] = {"kind": "weighted"}
    whole_run(kinds)
    results = RunResults.open(RUN)
    (found,) = read_cells(results.records, results.row, results.objectives)
    results.close()
    assert found.quality == "score"
    assert found.occupants


def test_all_mistakes_are_named(kinds: dict[str, Any]) -> None:
    kinds["search"]["measures"] |= {
        "one": {"from": "nxt", "low": 0, "high": 1},
        "two": {"from": "next.los", "low": 0, "high": 1, "bins": 1000},
        "three": {"from": "next", "low": 0, "high": 1, "bins": 1000},
    }
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(kinds, where="tiny.yaml"), plan=False)
    said = str(caught.value)
    assert "search.measures.one.from: no evaluator is called 'nxt'; did you mean 'next'" in said
    assert "search.measures.two.from: evaluator 'next' has no metric 'los'" in said
    assert "search.measures: got 400000000 cells, expected at most 100000" in said


def test_a_range_must_be_one(kinds: dict[str, Any]) -> None:
    kinds["search"]["measures"]["next"] |= {"low": 2.0, "high": 2.0}
    with pytest.raises(ConfigError, match=r"measures\.next: got low 2 and high 2, expected low <"):
        parse_config(kinds, where="tiny.yaml")


def test_measures_and_their_searchers_belong_together(kinds: dict[str, Any]) -> None:
    measures = kinds["search"].pop("measures")
    with pytest.raises(ConfigError, match=r"search\.measures: map_elites keeps the best model of"):
        prepare(parse_config(kinds, where="tiny.yaml"), plan=False)
    kinds["search"] |= {"searcher": "random", "measures": measures}
    with pytest.raises(ConfigError, match=r"random has no use for measures.*one of:.* map_elites"):
        prepare(parse_config(kinds, where="tiny.yaml"), plan=False)


def test_other_searches_have_no_cells(workspace: Path, raw_config: dict[str, Any]) -> None:
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        drive_to(opened.run, 1)
    results = RunResults.open(RUN)
    with pytest.raises(LedgerError, match="a search by random, which keeps no archive of cells"):
        read_cells(results.records, results.row, results.objectives)
    results.close()


@pytest.fixture
def cycled(kinds: dict[str, Any]) -> dict[str, Any]:
    """Two losses that take turns, over experts that an SVD mutation changes."""
    kinds["recipe"]["parameters"] = [
        {
            "method": "svd_scale",
            "inputs": ["left", "right"],
            "weights": {"search": {"low": 0.0, "high": 1.0}},
            "seeds": {"search": {}},
        }
    ]
    kinds["objectives"] = {
        name: {"from": [name], "direction": "minimize"} for name in ("copy", "next")
    }
    del kinds["search"]["measures"]
    kinds["search"] |= {"searcher": "cycleqd", "options": {"population": 4, "bins": 5}}
    return kinds


def test_tasks_take_turns_and_a_stop_changes_nothing(cycled: dict[str, Any]) -> None:
    cycled["ledger"] = "sqlite:///runs/other.db"
    whole_run(cycled, "whole")
    cycled["ledger"] = "sqlite:///runs/ledger.db"
    with new_run(parse_config(cycled, where="tiny.yaml")) as opened:
        drive_to(opened.run, 6)
    with stored_run(RUN) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
        searcher = opened.run.plan.searcher
    found = rows(RUN)
    assert found == rows(Path("runs/whole"))
    assert [row.origin for row in found].count("cycleqd") == 8
    for row in found:
        seeds = [value for name, value in row.genome.items() if ".seeds" in name]
        assert len(seeds) == 2
        assert any(seeds) == (row.origin == "cycleqd")
    searcher.ask()  # type: ignore[attr-defined]  what came last joins
    results = RunResults.open(RUN)
    archives = read_cells(results.records, results.row, results.objectives)
    results.close()
    assert [(a.quality, [axis.name for axis in a.axes]) for a in archives] == [
        ("copy", ["next"]),
        ("next", ["copy"]),
    ]
    for archive, grid in zip(archives, searcher._archives.grids, strict=True):  # type: ignore[attr-defined]
        assert {item.candidate for item in archive.occupants} == {e.id for e in grid.elites}
        (axis,) = archive.axes
        for item in archive.occupants:
            assert item.quality > 0
            assert axis.low <= item.measures[0] <= axis.high
            assert item.cell == (axis.bin(item.measures[0]),)

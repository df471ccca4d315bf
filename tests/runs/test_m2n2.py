"""Runs with m2n2: the sources first, children of the archive, stopped, resumed and exported."""

from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.files import dump_recipe
from evomerge.runs.events import Finished
from evomerge.runs.export import export
from evomerge.runs.reading.results import RunResults
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run

RUN = Path("runs/tiny")


@pytest.fixture
def niched(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """Nine candidates: three sources and six children."""
    raw_config["recipe"]["parameters"] = [
        {"method": "segments", "inputs": ["base", "left", "right"], "segments": "search"}
    ]
    for task in raw_config["evaluators"].values():
        task |= {"type": "log_likelihood", "prompt_key": "text", "answer_key": "text"}
    raw_config["objectives"] = {"mean": {"from": ["copy", "next"], "direction": "maximize"}}
    raw_config["search"] = {
        "searcher": "m2n2",
        "budget": 9,
        "options": {"archive": 4, "children": 2},
        "finalists": 2,
    }
    return raw_config


def candidates(folder: Path) -> list[Any]:
    results = RunResults.open(folder)
    found = list(results.records.candidates())
    results.close()
    return found


def drive_to(run: Any, n: int) -> None:
    """Drive until ``n`` candidates are done in all, then leave, as a killed process does."""
    for event in run.drive():
        progress = getattr(event, "progress", None)
        if progress is not None and progress.evaluated >= n:
            return


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_a_stop_anywhere_changes_nothing(niched: dict[str, Any], mode: str) -> None:
    niched["search"]["mode"] = mode
    whole = {**niched, "name": "whole", "ledger": "sqlite:///runs/other.db"}
    with new_run(parse_config(whole, where="tiny.yaml")) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        drive_to(opened.run, 4)
    with stored_run(RUN) as opened:
        drive_to(opened.run, 7)
    with stored_run(RUN) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    rows = candidates(RUN)
    assert rows == candidates(Path("runs/whole"))
    origins = [row.origin for row in rows[:9]]
    assert origins == ["warm:parent:base", "warm:parent:left", "warm:parent:right", *["m2n2"] * 6]
    known = [row.candidate_id for row in rows]
    for row in rows[3:9]:
        assert len(set(row.parents)) == 2
        assert set(row.parents) <= set(known[: known.index(row.candidate_id)])
    assert any(len(row.genome["stage1.segments"]) > 1 for row in rows[3:9])


def test_a_child_is_exported_as_its_recipe_says(niched: dict[str, Any], workspace: Path) -> None:
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        list(opened.run.drive())
        space = opened.prepared.space
    row = next(row for row in candidates(RUN)[3:9] if len(row.genome["stage1.segments"]) > 1)
    stored = Checkpoint.open(export(RUN, row.candidate_id, workspace / "out"))
    assert space.recipe(row.genome).hash() == row.recipe_hash
    sources = [Checkpoint.open(workspace / name) for name in ("base", "left", "right")]
    first = row.genome["stage1.segments"][0]
    embedding = next(name for name, facts in stored.tensors.items() if facts.role == "embed")
    upto = min(first["until"], stored.read(embedding).numel())
    expected = torch.zeros(upto, dtype=torch.float64)
    for weight, source in zip(first["weights"], sources, strict=True):
        expected += weight * source.read(embedding).reshape(-1)[:upto].double()
    torch.testing.assert_close(stored.read(embedding).reshape(-1)[:upto], expected.float())


def test_users_recipes_join_the_sources(niched: dict[str, Any], workspace: Path) -> None:
    found = prepare(parse_config(niched, where="tiny.yaml"), plan=False)
    mine = found.space.recipe(found.space.decode(found.space.middle()))
    (workspace / "mine.yaml").write_text(dump_recipe(mine))
    niched["search"] |= {"recipes": ["mine.yaml"], "warm_starts": False}
    again = prepare(parse_config(niched, where="tiny.yaml"), plan=False)
    origins = [proposal.origin for proposal in again.make_searcher().ask()]
    assert origins == [*(f"warm:parent:{n}" for n in ("base", "left", "right")), "warm:recipe:mine"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": {"searcher": "cma_es", "budget": 9}}, "this run searches segments"),
        ({"search": {"searcher": "m2n2", "budget": 9, "options": {"archive": 1}}}, "at least 2"),
    ],
)
def test_mistakes_are_named(niched: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(parse_config(niched | change, where="tiny.yaml"), plan=False)


def test_m2n2_needs_segments(workspace: Path, raw_config: dict[str, Any]) -> None:
    raw_config["search"] = {"searcher": "m2n2", "budget": 4}
    with pytest.raises(ConfigError, match="Take the method segments with 'segments: search'"):
        prepare(parse_config(raw_config, where="tiny.yaml"), plan=False)

"""Runs with m2n2: the sources first, children of the archive, stopped, resumed and exported."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from evomerge.cli.main import app
from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, LedgerError
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.files import dump_recipe
from evomerge.runs.events import Finished
from evomerge.runs.export import export
from evomerge.runs.reading.niches import NicheReader, read_niches
from evomerge.runs.reading.results import RunResults
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.niches import fitness
from evomerge.search.protocol import Evaluation
from tests.runs.stopping import drive_to

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


def test_the_ledger_tells_of_the_archive(
    niched: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    searchers = []
    tell = M2N2Searcher.tell

    def told(self: M2N2Searcher, evaluations: Iterable[Evaluation]) -> None:
        searchers.append(self)
        tell(self, evaluations)

    monkeypatch.setattr(M2N2Searcher, "tell", told)
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        list(opened.run.drive())
    results = RunResults.open(RUN)
    found = read_niches(results.records, results.row, results.objectives)
    results.close()
    lived = {member.id: member for member in searchers[-1].members}
    assert {member.candidate for member in found.members} == set(lived)
    assert [(part.task, part.first, part.n) for part in found.parts] == [
        ("copy", 0, 8),
        ("next", 8, 8),
    ]
    scores = np.array([member.scores for member in lived.values()])
    shares = dict(zip(lived, fitness(scores), strict=True))
    for member in found.members:
        assert member.fitness == pytest.approx(shares[member.candidate])
        assert member.mean == pytest.approx(lived[member.candidate].scores.mean())
        assert len(member.alone) <= member.wins
        assert not set(member.gained) & set(member.lost)
    assert found.coverage == pytest.approx(scores.max(axis=0).mean())
    assert len(found.departures) == 9 - 4
    children = [row.parents for row in candidates(RUN)[3:9]]
    assert {(p.first, p.second): p.children for p in found.pairs} == Counter(children)
    living = dict.fromkeys(children, 0)
    for member in found.members:
        if member.candidate in {row.candidate_id for row in candidates(RUN)[3:9]}:
            living[member.parents] += 1
    assert {(p.first, p.second): p.living for p in found.pairs} == living
    assert [moment.members for moment in found.course] == [1, 2, 3, *[4] * 6]
    shown = CliRunner().invoke(app, ["show", str(RUN), "archive"])
    assert shown.exit_code == 0
    assert "Archive: 4 models, 16 examples" in shown.stdout
    plain = CliRunner().invoke(app, ["show", str(RUN), "archive", "--json"])
    members = json.loads(plain.stdout)["members"]
    assert [m["candidate"] for m in members] == [m.candidate for m in found.members]


def test_a_reader_goes_on_where_it_was(niched: dict[str, Any]) -> None:
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        drive_to(opened.run, 5)
        results = RunResults.open(RUN)
        parts = results.records, results.row, results.objectives
        reader = NicheReader(*parts)
        reader.advance()
        early = reader.niches()
        assert len(early.course) < 9
    with stored_run(RUN) as opened:
        list(opened.run.drive())
    reader.advance()
    assert reader.niches() == read_niches(*parts) != early
    reader.advance()
    assert reader.niches() == read_niches(*parts)
    results.close()


def test_one_source_is_all_there_is_to_score(niched: dict[str, Any]) -> None:
    niched["recipe"]["parameters"][0]["inputs"] = ["left"]
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        finished = list(opened.run.drive())[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.best) == ("exhausted", "0-0")
    results = RunResults.open(RUN)
    found = read_niches(results.records, results.row, results.objectives)
    results.close()
    assert [(member.candidate, len(member.alone)) for member in found.members] == [("0-0", 16)]


def test_sixteen_sources_some_of_them_twins(niched: dict[str, Any], workspace: Path) -> None:
    """In an archive of two, with one example a task."""
    names = [f"s{index}" for index in range(16)]
    folders = ("base", "left", "right")
    niched["sources"] = {n: {"path": folders[i % 3]} for i, n in enumerate(names)}
    niched["base"] = "s0"
    niched["recipe"]["parameters"][0]["inputs"] = names
    niched["search"] |= {"budget": 22, "options": {"archive": 2}}
    for task in niched["evaluators"].values():
        task["splits"] = {"search": 1, "validation": 8, "test": 8}
    with new_run(parse_config(niched, where="tiny.yaml")) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    rows = candidates(RUN)
    assert [row.origin for row in rows[:16]] == [f"warm:parent:{name}" for name in names]
    children = rows[16:22]
    assert {row.origin for row in children} == {"m2n2"}
    assert all(len(s["weights"]) == 16 for row in children for s in row.genome["stage1.segments"])
    results = RunResults.open(RUN)
    found = read_niches(results.records, results.row, results.objectives)
    scores = [results.records.scores(f"0-{i}", "search", "copy", "logprob") for i in range(16)]
    results.close()
    assert [part.n for part in found.parts] == [1, 1]
    assert len(found.members) == 2
    assert len(found.departures) == 20
    for index in range(3, 16):
        assert scores[index].tobytes() == scores[index % 3].tobytes()
    assert scores[0].tobytes() != scores[1].tobytes()
    row = children[-1]
    export(RUN, row.candidate_id, workspace / "out")
    # The model is what its 16 weights say, summed here over the three folders.
    first = row.genome["stage1.segments"][0]
    embedding = Checkpoint.open(workspace / "base").read("model.embed_tokens.weight").reshape(-1)
    upto = min(first.get("until", embedding.numel()), embedding.numel())
    expected = torch.zeros(upto, dtype=torch.float64)
    for index, folder in enumerate(folders):
        source = Checkpoint.open(workspace / folder).read("model.embed_tokens.weight")
        expected += sum(first["weights"][index::3]) * source.reshape(-1)[:upto].double()
    merged = Checkpoint.open(workspace / "out").read("model.embed_tokens.weight")
    torch.testing.assert_close(merged.reshape(-1)[:upto], expected.float())


def test_other_searches_have_no_archive(workspace: Path, raw_config: dict[str, Any]) -> None:
    with new_run(parse_config(raw_config, where="tiny.yaml")):
        pass
    results = RunResults.open(RUN)
    with pytest.raises(LedgerError, match="a search by random, which keeps no archive"):
        read_niches(results.records, results.row, results.objectives)
    results.close()


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

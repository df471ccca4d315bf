"""The searcher's state in the run's folder: used where it fits, and never more than a shortcut."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import LedgerError
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver import snapshots
from evomerge.runs.driver.snapshots import FILE, RememberedSearcher
from evomerge.runs.ledger.rows import DecisionRow
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.protocol import Evaluation, Searcher
from tests.runs.fakes import FakeRun, FakeSpace

VERSIONS = {"cma": "1"}


@pytest.fixture(autouse=True)
def _write_at_each_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY_S", 0.0)
    monkeypatch.setattr(snapshots, "SHARE", 0)


def fresh(folder: Path, **facts: Any) -> RememberedSearcher:
    searcher = CmaEsSearcher(FakeSpace(), seed=5)
    return RememberedSearcher(searcher, folder, **{"run_id": "r", "versions": VERSIONS} | facts)


def talk(searcher: RememberedSearcher, asks: int) -> list[DecisionRow]:
    """Ask and tell, and return what the ledger would hold of it."""
    said: list[tuple[str, Mapping[str, Any]]] = []
    for _ in range(asks):
        proposals = searcher.ask(3)
        said.append(("ask", {"candidates": [p.id for p in proposals], "n": 3}))
        results = [[p.id, [float(-p.genome.sum())], ""] for p in proposals[:2]]
        results.append([proposals[2].id, None, "died"])
        said.append(("tell", {"ask": None, "results": results}))
        searcher.tell(Evaluation(name, v if v is None else tuple(v), e) for name, v, e in results)
    return [DecisionRow(i, kind, body, 0.0) for i, (kind, body) in enumerate(said)]


def test_a_stored_state_covers_what_was_said(tmp_path: Path) -> None:
    first = fresh(tmp_path)
    decisions = talk(first, 8)
    again = fresh(tmp_path)
    assert again.recall([*decisions, *decisions]) == len(decisions)
    one, other = first.ask(4), again.ask(4)
    assert [p.genome.tolist() for p in one] == [p.genome.tolist() for p in other]


@pytest.mark.parametrize("facts", [{"run_id": "s"}, {"versions": {"cma": "2"}}], ids=str)
def test_a_state_of_another_run_or_version_isnt_used(tmp_path: Path, facts: dict[str, Any]) -> None:
    decisions = talk(fresh(tmp_path), 3)
    assert fresh(tmp_path, **facts).recall(decisions) == 0


def test_a_state_that_other_code_wrote_isnt_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = talk(fresh(tmp_path), 3)
    monkeypatch.setattr(snapshots, "_code_digest", lambda searcher: "other")
    assert fresh(tmp_path).recall(decisions) == 0


def test_a_state_that_the_ledger_doesnt_tell_of_isnt_used(tmp_path: Path) -> None:
    decisions = talk(fresh(tmp_path), 3)
    assert fresh(tmp_path).recall(decisions[:-1]) == 0
    results = [["2-0", [0.5], ""], *decisions[-1].body["results"][1:]]
    changed = DecisionRow(5, "tell", {"ask": None, "results": results}, 0.0)
    assert fresh(tmp_path).recall([*decisions[:-1], changed]) == 0


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_a_damaged_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    decisions = talk(fresh(tmp_path), 3)
    (tmp_path / FILE).write_bytes(content)
    again = fresh(tmp_path)
    assert again.recall(decisions) == 0
    assert again.ask(3)


def test_a_file_without_a_state_is_ignored(tmp_path: Path) -> None:
    decisions = talk(fresh(tmp_path), 3)
    text = np.frombuffer(json.dumps({"format": 1}).encode(), dtype=np.uint8)
    np.savez(tmp_path / FILE, plain=text)
    assert fresh(tmp_path).recall(decisions) == 0


def test_nothing_is_kept_without_a_folder_or_of_a_searcher_that_cant(tmp_path: Path) -> None:
    class Plain:
        def ask(self, n: int | None = None) -> list[Any]:
            return []

        def tell(self, evaluations: Any) -> None:
            pass

    silent = RememberedSearcher(Plain(), tmp_path, run_id="r", versions={})
    silent.tell([])
    away = RememberedSearcher(CmaEsSearcher(FakeSpace(), seed=5), None, run_id="r", versions={})
    decisions = talk(away, 2)
    assert not list(tmp_path.iterdir())
    assert (silent.recall(decisions), away.recall(decisions)) == (0, 0)


def test_a_folder_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    talk(fresh(tmp_path / "gone"), 2)
    assert not list(tmp_path.iterdir())


def cma_searcher(space: SearchSpace, objectives: int) -> Searcher:
    return CmaEsSearcher(space, seed=5, population=6)


@pytest.mark.parametrize("stored", [True, False], ids=["stored state", "ledger alone"])
def test_a_resumed_run_goes_on_alike_with_and_without_it(tmp_path: Path, stored: bool) -> None:
    whole = FakeRun(tmp_path / "whole", budget=40, make_searcher=cma_searcher)
    parts = FakeRun(tmp_path / "parts", budget=40, make_searcher=cma_searcher)
    for fake in (whole, parts):
        fake.folder.mkdir()
    list(whole.start().drive())
    run = parts.start()
    for event in run.drive():
        if getattr(event, "ask", 0) == 3:
            run.request_stop()
    assert (parts.folder / FILE).exists()
    if not stored:
        (parts.folder / FILE).unlink()
    list(parts.resume().drive())
    asked = [{name: row.genome for name, row in zip_names(fake).items()} for fake in (whole, parts)]
    assert asked[0] == asked[1]


def zip_names(fake: FakeRun) -> dict[str, Any]:
    return {row.candidate_id: row for row in fake.records().candidates()}


def test_a_searcher_that_changed_is_found_beside_a_stored_state(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20, make_searcher=cma_searcher)
    list(fake.start().drive())
    fake.make_searcher = lambda space, n: CmaEsSearcher(space, seed=6, population=6)
    with pytest.raises(LedgerError, match="no longer proposes what this run has stored"):
        fake.resume()

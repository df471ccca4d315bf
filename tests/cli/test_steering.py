import shutil
from pathlib import Path

import pytest

from tests.cli.commands import call, call_json, mistake


@pytest.fixture
def run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run, which the test may change."""
    shutil.copytree(finished_run.parent.parent, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    folder = Path("runs/toy")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(text_of_ledger(text), "sqlite:///ledger.db"))
    return folder


def text_of_ledger(text: str) -> str:
    return text[text.index("sqlite:///") :].split('"', 1)[0]


def test_notes_and_stars_are_shown(run: Path) -> None:
    _, err = call("note", run, "best", "reads " + "very " * 10 + "well")
    name = err.removeprefix("Noted on ").rstrip(".\n")
    assert call("star", run, name)[1] == f"{name} has a star.\n"
    out = call("show", run, name)[0]
    assert "  star          ★" in out
    assert "very very well" in out
    assert "★ reads very very" in call("front", run)[0]
    assert call_json("front", run)["front"][0]["remark"]["starred"] is True
    assert call_json("status", run)["remarks"][0]["candidate"] == name
    assert call_json("star", run, name, "--undo") == {"candidate": name, "starred": False}
    assert "★" not in call("front", run)[0]


def test_an_unknown_candidate_has_no_star(run: Path) -> None:
    assert "has no candidate '7-7'" in mistake("star", run, "7-7")[0]


def test_a_recipe_is_injected_and_scored_when_the_run_goes_on(workspace: Path) -> None:
    call("run", "run.yaml")
    (workspace / "mine.yaml").write_text(
        "base: base\n"
        "sources: {base: {path: models/base}, sort: {path: models/sort}, "
        "reverse: {path: models/reverse}}\n"
        "parameters: [{method: task_arithmetic, inputs: [sort, reverse], weights: [0.3, 0.4]}]\n"
        "dtype: float32\n"
    )
    found = call_json("inject", "runs/toy", "mine.yaml", "--label", "by hand")
    assert (found["request"], found["label"]) == (1, "by hand")
    _, err = call("inject", "runs/toy", "mine.yaml")
    assert err == (
        "Took mine. Give the run more candidates: evomerge resume runs/toy --set search.budget=N\n"
    )
    assert "inject by hand\n" in call("resume", "runs/toy", "--set", "search.budget=12")[1]
    lines = mistake("inject", "runs/toy", "mine.yaml")
    assert "has that recipe already" in lines[0]


def test_bans_and_pins_are_told(run: Path) -> None:
    before = call_json("front", run)["front"][0]["candidate"]
    _, err = call("ban", run, "best")
    after = call_json("front", run)["front"][0]["candidate"]
    assert err == f"{before} is banned. The best is {after}.\n"
    assert "never chosen, and its recipe isn't scored again" in call("show", run, before)[0]
    assert call_json("status", run)["best_candidate"] == after
    assert "is banned" in mistake("pin", run, before)[0]
    assert call("ban", run, before, "--undo")[1] == (
        f"{before} is not banned. The best is {before}.\n"
    )
    found = call_json("pin", run, "best")
    assert found == {"candidate": before, "answered": True, "pinned": True}
    assert "pinned" in call("front", run)[0]
    assert call("pin", run, before, "--undo")[1] == f"{before} is not pinned.\n"
    assert call_json("status", run)["remarks"] == []

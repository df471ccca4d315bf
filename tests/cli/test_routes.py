"""The route of a candidate on the terminal, in a file, in a report and in a model card."""

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evomerge.recipes.recipe import Dataflow, Recipe, Step
from tests.cli.commands import call, call_json, mistake
from tests.cli.conftest import make_run_folder
from tests.cli.test_main import modules_after
from tests.runs.fakes import FakeRun, FakeSpace

ROUTE = Dataflow(
    steps=(
        *(Step("a", layer) for layer in range(3)),
        Step("[bold]b", 1, scale=0.9),
        *(Step("stage1", 4) for _ in range(2)),
    ),
    embedding="a",
    norm="a",
    head="a",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run, all of whose candidates take one route."""
    tmp_path = tmp_path_factory.mktemp("routed")
    plain = FakeSpace.recipe

    def routed(self: FakeSpace, genome: Any) -> Recipe:
        recipe = plain(self, genome)
        sources = [dataclasses.replace(s, name="[bold]b") for s in recipe.sources if s.name == "b"]
        sources = [*sources, *(s for s in recipe.sources if s.name != "b")]
        stage = dataclasses.replace(recipe.stages[0], inputs=recipe.stages[0].inputs[:1])
        return dataclasses.replace(
            recipe, sources=tuple(sources), stages=(stage,), dataflow=ROUTE, _hash=[]
        )

    fake = FakeRun(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeSpace, "recipe", routed)
        for _ in fake.start().drive():
            pass
    return make_run_folder(fake, tmp_path / "runs" / "toy")


def test_show_draws_the_route_at_the_terminal_s_width(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = call("show", folder, "best")
    flow = "embedding B → B0–2 → 0.9·A1 → D4 (2 times) → norm, head B"
    assert f"     {flow}\n" in out
    assert "A  [bold]b: 1 layer in 1 step\n" in out
    assert "D  stage1 (linear of a): 1 layer in 2 steps\n   0 ····2\n" in out
    monkeypatch.setenv("COLUMNS", "40")
    narrow, _ = call("show", folder, "best")
    assert "     embedding B → B0–2 → 0.9·A1 →\n   5 D4 (2 times) → norm, head B\n" in narrow


def test_sources_have_colours_on_a_terminal_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in call("show", folder, "best")[0]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out, _ = call("show", folder, "best")
    styles = {text: out.split(text)[0].rsplit("\x1b[", 1)[1] for text in ("B0–2", "0.9·A1", "D4")}
    assert len(set(styles.values())) == 3


def test_the_picture_is_written_once_and_names_the_candidate(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "route.svg"
    found = call_json("show", folder, "best", "--svg", file)
    root = ElementTree.parse(file).getroot()
    assert root.findtext("{http://www.w3.org/2000/svg}title") == (
        f"fake: candidate {found['candidate']}"
    )
    before = file.read_bytes()
    assert "exists. Choose another --svg." in mistake("show", folder, "best", "--svg", file)[0]
    assert file.read_bytes() == before
    (line,) = mistake("show", folder, "best", "--svg", tmp_path / "no" / "route.svg")
    assert "can't be written: No such file" in line


def test_a_candidate_without_a_route_has_no_picture(finished_run: Path, tmp_path: Path) -> None:
    assert "Route" not in call("show", finished_run, "best")[0]
    (line,) = mistake("show", finished_run, "best", "--svg", tmp_path / "route.svg")
    assert "has no route to draw" in line
    assert not (tmp_path / "route.svg").exists()


def test_a_route_is_drawn_without_torch(folder: Path, tmp_path: Path) -> None:
    code, modules = modules_after(["show", str(folder), "best", "--svg", str(tmp_path / "a.svg")])
    assert code == 0
    assert not modules & {"torch", "transformers", "lm_eval"}


def test_a_merged_route_carries_its_drawing(workspace: Path) -> None:
    Path("stack.yaml").write_text(
        "merge_method: passthrough\n"
        "slices:\n"
        "  - sources: [{model: models/base, layer_range: [0, 2]}]\n"
        "  - sources: [{model: models/sort, layer_range: [1, 2]}]\n"
        "dtype: float32\n"
    )
    out, _ = call("merge", "stack.yaml", "--out", "stack")
    assert "a route of 3 steps" in out
    card = Path("stack/README.md").read_text()
    assert "![Route: 3 steps through A and B](route.svg)" in card
    assert "     embedding A → A0–1 → B1 → norm, head B\n" in card
    assert "A  base: 2 of 2 layers in 2 steps\n" in card
    assert ElementTree.parse("stack/route.svg").getroot().tag.endswith("svg")

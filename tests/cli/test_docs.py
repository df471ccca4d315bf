"""docs/cli.md names every command, and its examples are commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evomerge.cli.main import app
from evomerge.config import parse_config, read_yaml
from evomerge.merging.registry import METHODS
from evomerge.recipes.files import load_recipe
from evomerge.recipes.recipe import Source
from tests.cli.test_main import COMMANDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(path: Path) -> list[str]:
    """Return the commands that ``path`` shows, in blocks and in the middle of a line."""
    text = path.read_text()
    found = re.findall(r"^\$? ?(evomerge [a-z][^\n#|;&]+)", text, re.MULTILINE)
    return found + re.findall(r"`(evomerge [^`\n]+)`", text)


def test_every_command_has_its_section_with_an_example() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    shown = {shlex.split(example)[1] for example in examples(ROOT / "docs" / "cli.md")}
    for command in COMMANDS:
        assert f"\n## {command}\n" in text
        assert command in shown
    assert "Traceback" not in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_use_commands_and_options_that_exist(path: Path) -> None:
    for example in examples(path):
        words = [word for word in shlex.split(example)[1:] if word not in ("-v", "-vv", "COMMAND")]
        if not words or words[0].startswith("-"):
            continue
        command = words[:2] if words[0] in ("db", "token") else words[:1]
        help_text = CliRunner().invoke(app, [*command, "--help"]).stdout
        assert help_text, f"{path.name}: {example}"
        for word in words[1:]:
            if word.startswith("--"):
                option = word.partition("=")[0]
                assert re.search(rf"{option}\b", help_text), f"{path.name}: {example}"


def yaml_blocks(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text()
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("block", yaml_blocks("objectives.md"))
def test_blocks_on_objectives_can_stand_in_run_files(block: str) -> None:
    raw = read_yaml(ROOT / "configs" / "quickstart.yaml") | yaml.safe_load(block)
    config = parse_config(raw, where="x")
    assert config.model_fields_set == set(raw)


@pytest.mark.parametrize("block", yaml_blocks("routes.md"))
def test_blocks_on_routes_can_stand_in_files(block: str, tmp_path: Path) -> None:
    raw = yaml.safe_load(block)
    if "base" not in raw:
        config = parse_config({**read_yaml(ROOT / "configs" / "routes.yaml"), **raw}, where="x")
        assert config.dataflow is not None
        return
    (tmp_path / "route.yaml").write_text(block)
    recipe = load_recipe(
        tmp_path / "route.yaml",
        METHODS.declarations(),
        locate_source=lambda name, path, revision: Source(name, path, name * 10),
    )
    assert recipe.dataflow is not None
    assert [step.layer for step in recipe.dataflow.steps] == [0, 1, 2, 3, 4, 4, 5]

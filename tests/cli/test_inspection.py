"""``doctor``: the machine, and with a run file all that it names and all that is wrong."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evomerge.cli.main import app
from tests.cli.commands import call, call_json
from tests.fixtures_models import tiny_model


def diagnose(*arguments: str) -> tuple[dict, list[str]]:  # type: ignore[type-arg]
    """Return the JSON document and the problems of a run file that can't be started."""
    result = CliRunner().invoke(app, ["doctor", *arguments, "--json"])
    assert result.exit_code == 2
    return json.loads(result.stdout), result.stderr.splitlines()


def test_the_machine_is_shown_without_a_run_file() -> None:
    found = call_json("doctor")["machine"]
    assert found["versions"]["torch"]
    assert found["devices"][0]["name"] == "cpu"
    assert 0 < found["devices"][0]["free_bytes"] <= found["devices"][0]["total_bytes"]
    assert found["disk_free_bytes"] > 0
    out, _ = call("doctor")
    assert "Versions" in out
    assert "Devices" in out
    assert "Sources" not in out


def test_sources_tasks_and_licences_of_a_sound_run_file(workspace: Path) -> None:
    Path("models/sort/README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    found = call_json("doctor", "run.yaml")
    assert found["problems"] == []
    base = found["sources"][0]
    assert (base["n_layers"], base["hidden_size"], base["vocabulary"]) == (2, 32, 100)
    assert base["parameters"] * 4 == base["n_bytes"]
    assert found["tasks"][0]["splits"] == {"search": 8, "validation": 8, "test": 8}
    out, _ = call("doctor", "run.yaml")
    for text in (
        "Llama",
        "cc-by-nc-4.0",
        "forbids commercial use",
        "exact (maximize)",
        "Nothing keeps this run from starting.",
    ):
        assert text in out


def test_all_problems_are_listed_and_what_is_sound_is_still_shown(workspace: Path) -> None:
    text = Path("run.yaml").read_text()
    text = text.replace("task_arithmetic", "tasks").replace("models/reverse", "models/none")
    Path("run.yaml").write_text(text)
    found, lines = diagnose("run.yaml")
    assert [source["name"] for source in found["sources"]] == ["base", "sort"]
    assert [task["name"] for task in found["tasks"]] == ["sort", "reverse"]
    assert len(lines) == len(found["problems"]) == 2
    assert all(line.startswith("run.yaml: ") for line in lines)


def test_memory_is_planned_and_a_pilot_foretells_time_and_cost(workspace: Path) -> None:
    price = ("--set", "execution.cost_per_device_hour=2")
    found = call_json("doctor", "run.yaml", "--pilot", *price)
    assert found["memory"]["needed"]["main memory"] > 0
    assert [trial["label"] for trial in found["pilot"]["trials"]] == ["base", "uniform", "random"]
    low, typical, high = found["pilot"]["forecast"]["cost"]
    assert 0 < low <= typical <= high
    assert not Path("runs").exists()
    out, _ = call("doctor", "run.yaml", "--pilot", *price)
    for text in ("Memory (1 worker)", "resident model", "Pilot (seconds)", "re-scoring", "cost"):
        assert text in out
    _, err = call("doctor", "--pilot", code=2)
    assert "evomerge doctor CONFIG --pilot" in err


def test_memory_that_does_not_fit_is_shown_with_what_would(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evomerge.runs.setup.memory_check.free_memory", lambda: 1_200_000_000)
    crew = ("--set", "execution.executor=local", "--set", "execution.workers=8")
    found, lines = diagnose("run.yaml", *crew)
    assert [problem["key"] for problem in found["problems"]] == ["execution.workers"]
    assert found["memory"]["workers"] == 8
    assert "At most 1 fit." in lines[0]


@pytest.mark.parametrize(
    ("change", "line"),
    [({"layers": 3}, "3 layers, the base has 2."), ({"vocab": 90}, "90")],
)
def test_sources_that_do_not_fit_are_told_apart(
    workspace: Path, change: dict[str, int], line: str
) -> None:
    for file in Path("models/sort").iterdir():
        file.unlink()
    tiny_model("llama", Path("models/sort"), seed=1, **change)
    found, lines = diagnose("run.yaml")
    differences = " ".join(found["sources"][1]["differences"])
    assert line in differences
    assert lines


def test_plugins_are_loaded_first(workspace: Path) -> None:
    plugin = Path("plugin.py")
    plugin.write_text(
        "from evomerge.search.protocol import searcher\n"
        "from evomerge.search.random import RandomSearcher\n"
        "@searcher('mine')\n"
        "class Mine(RandomSearcher):\n    '''Mine.'''\n"
    )
    text = Path("run.yaml").read_text()
    Path("run.yaml").write_text(
        text.replace("searcher: random", "searcher: mine").replace("{population: 4}", "{}")
    )
    _, lines = diagnose("run.yaml")
    assert "mine" in lines[0]
    assert call_json("doctor", "run.yaml", "--plugin", "plugin.py")["problems"] == []

"""``list`` and ``schema``, and the references in docs/ that are made from the same declarations."""

import json
from pathlib import Path

import pytest

from evomerge.cli.reference import plugins_reference, run_file_reference
from evomerge.config import json_schema
from tests.cli.commands import call, call_json, mistake

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "methods",
            {
                "linear", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties",
                "passthrough", "layer_swap",
            },
        ),
        (
            "evaluators",
            {"generation", "multiple_choice", "log_likelihood", "perplexity", "lm_eval"},
        ),
        ("searchers", {"cma_es", "optuna", "random", "sobol", "grid"}),
        ("executors", {"inprocess", "local"}),
        ("networks", {"mlp"}),
    ],
)  # fmt: skip
def test_everything_built_in_is_listed_with_its_parameters(kind: str, names: set[str]) -> None:
    found = {item["name"]: item for item in call_json("list", kind)[kind]}
    assert names <= set(found)
    assert all(item["summary"] for item in found.values())
    out, _ = call("list", kind)
    for name, item in found.items():
        assert name in out
        for parameter in item["parameters"]:
            assert parameter["help"], (name, parameter["name"])
            assert parameter["name"] in out


def test_one_method_is_listed_with_ranges_and_paper() -> None:
    (ties,) = call_json("list", "methods", "ties")["methods"]
    assert ties["needs_base"] is True
    assert "2306.01708" in ties["paper"]
    out, _ = call("list", "methods", "ties")
    assert "0 … 1" in out
    assert "needs a base" in out
    (line,) = mistake("list", "methods", "tiez")
    assert line.startswith("no method is called 'tiez'; did you mean 'ties'?")


def test_a_plugin_is_listed_too(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from evomerge.merging.registry import merge_method\n"
        "@merge_method('listed_plugin', paper='mine')\n"
        "def listed(base, tensors):\n    '''Do [b]nothing[/b].'''\n    return base\n"
    )
    out, _ = call("list", "methods", "listed_plugin", "--plugin", plugin)
    assert "Do [b]nothing[/b]." in out
    assert "(no parameters)" in out


def test_schema_is_printed_or_written(tmp_path: Path) -> None:
    out, _ = call("schema")
    assert json.loads(out) == json_schema()
    call("schema", "--out", tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text() == out


def test_the_run_file_reference_is_fresh_and_names_every_key() -> None:
    text = run_file_reference()
    assert (DOCS / "run-file.md").read_text() == text, "run: make docs"
    for key in ("sources", "from", "budget", "trust_remote_code", "max_steps", "share"):
        assert f"| `{key}` |" in text


def test_the_plugin_reference_is_fresh() -> None:
    # Plug-ins that other tests registered in this process are no part of it.
    text = plugins_reference()
    committed = (DOCS / "plugins.md").read_text()
    missing = [block for block in committed.split("\n### ") if block not in text]
    assert missing == [], "run: make docs"
    assert "### `ties`" in committed

"""Runs that evolve a network from scratch: stopped, resumed without weights, exported, refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, LedgerError
from evomerge.execution.protocol import BlockRef, Job
from evomerge.merging.network_registry import NETWORKS
from evomerge.recipes.declarations import load_plugin_file
from evomerge.runs.events import Finished
from evomerge.runs.export import export
from evomerge.runs.networks import FOLDER, WEIGHTS
from evomerge.runs.reading.moments import MOMENTS
from evomerge.runs.reading.niches import read_niches
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import make_report
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run
from tests.runs.stopping import drive_to

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "evaluators" / "digits.py"
RUN = Path("runs/digits")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A search for a small network over few digits."""
    monkeypatch.chdir(tmp_path)
    return {
        "name": "digits",
        "network": {"type": "mlp", "layers": [64, 8, 10], "mutation_std": 0.05},
        "evaluators": {
            "digits": {
                "type": "digits",
                "splits": {"search": 150, "validation": 50, "test": 50},
                "block_size": 100,
            }
        },
        "objectives": {"accuracy": {"from": ["digits"], "direction": "maximize"}},
        "search": {
            "searcher": "m2n2",
            "budget": 40,
            "finalists": 3,
            "options": {"archive": 5, "children": 2},
        },
        "execution": {"device": "cpu"},
    }


def run(raw: dict[str, Any], **changes: Any) -> Path:
    whole = {**raw, **changes}
    with new_run(parse_config(whole, where="digits.yaml"), plugins=[PLUGIN]) as opened:
        *_, last = opened.run.drive()
    assert isinstance(last, Finished)
    return Path("runs") / whole["name"]


def story(folder: Path) -> list[Any]:
    """Candidates, and what each scored."""
    results = RunResults.open(folder)
    rows = list(results.records.candidates())
    scores = results.records.scores
    found = [(row, scores(row.candidate_id, "search", "digits", "correct")) for row in rows]
    results.close()
    return found


def assert_same(one: list[Any], two: list[Any]) -> None:
    assert [row for row, _ in one] == [row for row, _ in two]
    for (_, a), (_, b) in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_are_gone_change_nothing(raw: dict[str, Any]) -> None:
    whole = story(run(raw, name="whole", ledger="sqlite:///runs/other.db"))
    assert len(whole) == 40
    with new_run(parse_config(raw, where="digits.yaml"), plugins=[PLUGIN]) as opened:
        drive_to(opened.run, 15)
    shutil.rmtree(RUN / FOLDER)
    with stored_run(RUN) as opened:
        drive_to(opened.run, 31)
    for file in (RUN / FOLDER).iterdir():
        file.write_bytes(b"damaged")
    with stored_run(RUN) as opened:
        assert isinstance(list(opened.run.drive())[-1], Finished)
    assert_same(story(RUN), whole)


def test_local_workers_share_weights_through_the_folder(raw: dict[str, Any]) -> None:
    whole = story(run(raw, name="whole", ledger="sqlite:///runs/other.db"))
    raw["execution"] |= {"executor": "local", "workers": 2}
    assert_same(story(run(raw)), whole)


def test_the_archive_alone_is_kept_in_files(
    raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evomerge.runs.driver.upkeep.EVERY_S", 0.0)
    with new_run(parse_config(raw, where="digits.yaml"), plugins=[PLUGIN]) as opened:
        list(opened.run.drive())
        members = set(opened.run.plan.searcher.living())
    rows = {row.candidate_id: row.recipe_hash for row, _ in story(RUN)}
    kept = {file.stem for file in (RUN / FOLDER).glob("*.npy")}
    assert {rows[name] for name in members} <= kept
    # Beside the archive only what came, or was re-scored, after the last look.
    assert len(kept) <= len(members) + raw["search"]["finalists"] + 3


def test_the_best_is_exported_with_the_scores_that_it_had(raw: dict[str, Any]) -> None:
    folder = run(raw)
    out = export(folder, "best", Path("best"))
    weights = load_file(out / WEIGHTS)
    module = NETWORKS.get("mlp").value(layers=[64, 8, 10])
    module.load_state_dict(weights)
    results = RunResults.open(folder)
    name = results.show("best").candidate
    expected = results.records.scores(name, "search", "digits", "correct")[:, 0]
    results.close()
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    with torch.no_grad():
        answers = module(torch.tensor(images[:150], dtype=torch.float32)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(answers == labels[:150], expected == 1)
    assert "evolved from scratch" in (out / "README.md").read_text()
    with pytest.raises(LedgerError, match="no mergekit file"):
        export(folder, "best", Path("other"), format="mergekit")


def test_the_test_split_is_reported_without_references(raw: dict[str, Any]) -> None:
    found = make_report(run(raw))
    assert [item.label for item in found.contestants] == ["best found"]
    assert found.contestants[0].failure is None


def test_it_learns(raw: dict[str, Any]) -> None:
    raw["network"] |= {"layers": [64, 16, 10], "mutation_std": 0.02}
    raw["search"] |= {"budget": 300}
    found = story(run(raw))
    early = max(scores.mean() for _, scores in found[:2])
    late = max(scores.mean() for _, scores in found)
    assert late > early + 0.1
    results = RunResults.open(RUN)
    niches = read_niches(results.records, results.row, results.objectives)
    results.close()
    course = niches.course
    assert [moment.result for moment in course] == sorted({m.result for m in course})
    assert len(course) == MOMENTS
    assert (course[-1].result, course[-1].coverage) == (300, niches.coverage)
    assert course[-1].best == max(member.mean for member in niches.members)
    assert course[0].coverage < course[-1].coverage


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"network": {"type": "mpl", "layers": [64, 10]}}, "network.type", "mlp"),
        ({"network": {"type": "mlp"}}, "network.layers", "missing"),
        ({"network": {"type": "mlp", "layers": [64, "x"]}}, "network", "whole numbers"),
        ({"network": {"type": "mlp", "layers": [64, 10], "unit": 3}}, "network.unit", "setting"),
        ({"network": None}, "", "sources is missing"),
        ({"sources": {"a": {"path": "x"}}}, "", "sources has no meaning"),
        ({"recipe": {"dtype": "bfloat16"}}, "", "recipe has no meaning"),
        ({"constraints": ["parameters <= 5"]}, "constraints[0]", "the same for all networks"),
        (
            {"objectives": {"size": {"from": ["parameters"], "direction": "minimize"}}},
            "objectives.size.from[0]",
            "the same for all networks",
        ),
        (
            {"evaluators": {"speed": {"type": "latency"}}},
            "evaluators.speed.type",
            "scores language models",
        ),
        ({"search": {"searcher": "cma_es", "budget": 5}}, "search.searcher", "from scratch"),
    ],
)
def test_mistakes_name_key_and_mend(
    raw: dict[str, Any], change: dict[str, Any], key: str, said: str
) -> None:
    load_plugin_file(PLUGIN)
    changed = {name: value for name, value in {**raw, **change}.items() if value is not None}
    with pytest.raises(ConfigError) as error:
        prepare(parse_config(changed, where="digits.yaml"))
    assert any(said in p.message and key in p.key for p in error.value.problems)


def test_networks_are_not_scored_as_language_models(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    load_plugin_file(PLUGIN)
    raw_config["evaluators"]["digits"] = {"type": "digits"}
    with pytest.raises(ConfigError, match="Add network: to the run file"):
        prepare(parse_config(raw_config, where="tiny.yaml"))


def test_a_network_that_does_not_fit_its_task_has_failed(raw: dict[str, Any]) -> None:
    raw["network"]["layers"] = [64, 9]
    prepared = prepare(parse_config(raw, where="digits.yaml"), plugins=[PLUGIN])
    worker = prepared.worker.build()
    recipe = prepared.space.recipe(prepared.space.decode(prepared.space.middle()))
    outcome = worker.run(Job("0-0", 1, recipe, [BlockRef("digits", "search", 0)]))
    assert outcome.failure is not None
    assert "Give it 10 outputs" in outcome.failure.message

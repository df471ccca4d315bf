import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge.config.load import parse_config
from evomerge.errors import EvomergeError, LedgerError, ModelError, ProblemsError
from evomerge.evaluation.language_model import LanguageModel
from evomerge.merging.registry import METHODS
from evomerge.recipes.files import load_recipe
from evomerge.runs.export import export
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.results import RunResults
from evomerge.runs.start import new_run, prepare_stored

RUN = Path("runs/tiny")


@pytest.fixture
def finished(workspace: Path, raw_config: dict[str, Any]) -> Iterator[RunResults]:
    raw_config["search"]["warm_starts"] = False
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        for _ in opened.run.drive():
            pass
    results = RunResults.open(RUN)
    yield results
    results.close()


def test_an_exported_checkpoint_scores_as_it_did_in_the_search(finished: RunResults) -> None:
    out = export(RUN, "best", Path("out"))
    _, prepared, row = prepare_stored(RUN)
    model = LanguageModel.load(out)
    records = RunRecords(Ledger.open("sqlite:///runs/ledger.db"), row.run_id)
    for name, evaluator in prepared.evaluators.items():
        for split in ("search", "validation"):
            requests = evaluator.prepare(model, split)
            again = evaluator.score(model, requests, range(evaluator.n_examples(split)))
            values = [list(record.metrics["bits_per_byte"]) for record in again]
            stored = records.scores(finished.best(), split, name, "bits_per_byte")
            assert values == stored.tolist()


def test_the_checkpoint_is_ordinary_and_says_where_it_comes_from(finished: RunResults) -> None:
    out = export(RUN, "0-1", Path("out"))
    names = {item.name for item in out.iterdir()}
    assert {"config.json", "README.md", "recipe.yaml", "tokenizer.json"} <= names
    assert any(name.endswith(".safetensors") for name in names)
    card = (out / "README.md").read_text()
    matter = yaml.safe_load(card.split("---")[1])
    assert matter["license"] == "apache-2.0"
    assert "base_model" not in matter  # local folders are no hub ids
    details = finished.show("0-1")
    assert details.recipe_hash in card
    for name, source in finished.row.sources.items():
        assert f"| {name} | `{source['path']}` | local folder | `{source['sha256']}` |" in card
    loss = details.objectives["search"]["loss"]
    row = f"| search | **loss** | {loss.value:.4g} | {loss.low:.4g} to {loss.high:.4g} | 16 |"
    assert row in card
    recipe = load_recipe(out / "recipe.yaml", METHODS.declarations())
    assert recipe.hash() == details.recipe_hash


def test_a_recipe_needs_no_sources(finished: RunResults) -> None:
    for name in ("base", "left", "right"):
        Path(name).unlink()
    file = export(RUN, "best", Path("kept"), format="recipe")
    assert file == Path("kept/recipe.yaml")
    best = finished.show("best")
    assert yaml.safe_load(file.read_text()) == best.recipe
    assert export(RUN, "best", Path("mine.yml"), format="recipe") == Path("mine.yml")


def test_a_mergekit_file_names_the_same_models(finished: RunResults) -> None:
    file = export(RUN, "best", Path("kept"), format="mergekit")
    plain = yaml.safe_load(file.read_text())
    assert plain["merge_method"] == "task_arithmetic"
    assert plain["base_model"] == "base"
    assert [item["model"] for item in plain["models"]] == ["left", "right"]


@pytest.mark.parametrize("format", ["hf", "recipe", "mergekit"])
def test_nothing_is_overwritten(finished: RunResults, format: Any) -> None:
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    with pytest.raises(EvomergeError, match="exists"):
        export(RUN, "best", Path("out"), format=format)
    assert [item.name for item in Path("out").iterdir()] == ["thesis.tex"]


def test_a_full_disk_leaves_nothing(finished: RunResults, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evomerge.models.writer._write_tensor", full)
    before = sorted(item.name for item in Path().iterdir())
    with pytest.raises(ModelError, match="No space left on device"):
        export(RUN, "best", Path("out"))
    assert sorted(item.name for item in Path().iterdir()) == before


def test_a_source_that_changed_since_is_refused(finished: RunResults) -> None:
    target = Path("left").resolve()
    Path("left").unlink()
    Path("left").mkdir()
    for item in target.iterdir():
        (Path("left") / item.name).write_bytes(item.read_bytes())
    config = json.loads(Path("left/config.json").read_text())
    Path("left/config.json").write_text(json.dumps(config | {"comment": "edited"}))
    with pytest.raises(ProblemsError, match=r"sources\.left\.sha256: left has"):
        export(RUN, "best", Path("out"))


def test_an_unknown_candidate_is_refused(finished: RunResults) -> None:
    with pytest.raises(LedgerError, match="has no candidate '9-9'"):
        export(RUN, "9-9", Path("out"))

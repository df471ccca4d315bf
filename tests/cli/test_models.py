"""``merge``, ``evaluate``, ``prefetch`` and ``demo``."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.commands import call, call_json, mistake
from tests.fixtures_models import tiny_tokenizer

RECIPE = """\
base: base
sources: {base: {path: models/base}, sort: {path: models/sort}}
parameters:
  - {method: task_arithmetic, inputs: [sort], weights: 0.5}
"""
MERGEKIT = """\
merge_method: task_arithmetic
base_model: models/base
models:
  - model: models/sort
    parameters: {weight: 0.5}
dtype: float32
"""


def test_a_recipe_is_merged_into_an_ordinary_checkpoint(workspace: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE)
    out, err = call("merge", "recipe.yaml", "--out", "merged")
    assert out.startswith("merged: 21 tensors, ")
    assert "task_arithmetic" in out
    assert "sort states no licence" in err
    base, sort, merged = (
        load_file(f"{folder}/model.safetensors")
        for folder in ("models/base", "models/sort", "merged")
    )
    name = "model.layers.0.mlp.up_proj.weight"
    expected = base[name] + 0.5 * (sort[name] - base[name])
    assert merged[name].allclose(expected, atol=1e-6)
    assert json.loads(Path("merged/config.json").read_text())["model_type"] == "llama"
    again = call_json("merge", "merged/recipe.yaml", "--out", "again")
    assert again["out"] == "again"
    assert (
        Path("again/model.safetensors").read_bytes()
        == Path("merged/model.safetensors").read_bytes()
    )


def test_an_unchanged_mergekit_file_is_merged(workspace: Path) -> None:
    Path("mergekit.yaml").write_text(MERGEKIT)
    Path("recipe.json").write_text(
        json.dumps(
            {
                "base": "base",
                "sources": {"sort": "models/sort", "base": "models/base"},
                "parameters": [{"method": "task_arithmetic", "inputs": ["sort"], "weights": 0.5}],
                "dtype": "float32",
            },
            indent="\t",
        )
    )
    call("merge", "mergekit.yaml", "--out", "one")
    call("merge", "recipe.json", "--out", "two")
    one, two = (Path(name, "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_parameter_that_the_method_does_not_know_is_ignored_with_a_warning(
    workspace: Path,
) -> None:
    Path("mergekit.yaml").write_text(MERGEKIT)
    call("merge", "mergekit.yaml", "--out", "one")
    Path("mergekit.yaml").write_text(MERGEKIT + "parameters: {epsilon: 0.1}\n")
    _, err = call("merge", "mergekit.yaml", "--out", "two")
    assert "WARNING" in err
    assert "mergekit.yaml: parameters.epsilon: is ignored, as task_arithmetic has no" in err
    one, two = (Path(name, "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_chat_template_auto_keeps_that_of_the_tokenizers_source(workspace: Path) -> None:
    Path("models/base/chat_template.jinja").write_text("of the base")
    Path("mergekit.yaml").write_text(MERGEKIT + "chat_template: auto\n")
    _, err = call("merge", "mergekit.yaml", "--out", "one")
    assert Path("one/chat_template.jinja").read_text() == "of the base"
    assert "chat_template" not in err
    Path("models/sort/chat_template.jinja").write_text("of sort")
    _, err = call("merge", "mergekit.yaml", "--out", "two")
    assert Path("two/chat_template.jinja").read_text() == "of the base"
    assert "mergekit.yaml: chat_template: auto keeps that of base, where mergekit" in err
    assert "other ones: sort\n" in err


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (f"{MERGEKIT}---\n{MERGEKIT}", "line 7: a second document begins; several in one file "),
        (
            MERGEKIT.replace("models/sort", "models/sort+models/lora"),
            "models[0].model: got 'models/sort+models/lora': a LoRA adapter on a model isn't ",
        ),
        (f"{MERGEKIT}chat_template: chatml\n", "chat_template: got 'chatml'; only auto "),
    ],
)
def test_what_a_mergekit_file_may_not_hold_is_one_line(
    workspace: Path, text: str, start: str
) -> None:
    Path("mergekit.yaml").write_text(text)
    (line,) = mistake("merge", "mergekit.yaml", "--out", "merged")
    assert line.startswith(f"mergekit.yaml: {start}"), line
    assert not Path("merged").exists()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("task_arithmetic", "task_aritmetic", "did you mean 'task_arithmetic'?"),
        ("models/sort", "models/srot", "; did you mean 'models/sort'?"),
        ("weights: 0.5", "weights: heavy", "got 'heavy', expected a number"),
        ("base: base\n", "bsae: base\n", "bsae: unknown key; did you mean 'base'?"),
        ("inputs: [sort]", "inputs: [srot]", "did you mean 'sort'?"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_with_the_file(
    workspace: Path, old: str, new: str, line: str
) -> None:
    assert old in RECIPE
    Path("recipe.yaml").write_text(RECIPE.replace(old, new, 1))
    found = mistake("merge", "recipe.yaml", "--out", "merged")
    assert any(line in text for text in found), found
    assert all(text.startswith("recipe.yaml: ") for text in found)
    assert not Path("merged").exists()


def test_a_run_file_is_no_recipe(workspace: Path) -> None:
    assert mistake("merge", "run.yaml", "--out", "merged") == [
        "run.yaml: is a run file, expected a recipe. Use 'evomerge run' for it."
    ]


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("task_arithmetic", "ties", "models[0].parameters.density: got 2"),
        ("models/sort", "models/srot", "the folder models/srot doesn't exist"),
        ("dtype:", "tokenizer_source: union\ndtype:", "the tokenizer shall be a union"),
    ],
)
def test_a_mistake_in_a_mergekit_file_starts_with_the_file(
    workspace: Path, old: str, new: str, start: str
) -> None:
    tiny_tokenizer(characters="zyxabc").save_pretrained("models/sort")
    text = MERGEKIT.replace("weight: 0.5", "weight: 0.5, density: 2")
    Path("mergekit.yaml").write_text(text.replace(old, new, 1))
    *_, line = mistake("merge", "mergekit.yaml", "--out", "merged")  # a warning may come before
    assert line.startswith(f"mergekit.yaml: {start}")


def test_nan_in_a_source_is_told_with_the_recipes_file(workspace: Path) -> None:
    file = Path("models/sort/model.safetensors")
    tensors = load_file(file)
    tensors["model.norm.weight"][3] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    Path("recipe.yaml").write_text(RECIPE)
    for line in mistake("merge", "recipe.yaml", "--out", "merged"):
        assert line.startswith("recipe.yaml: ")
        assert "NaN" in line
    assert not Path("merged").exists()


def test_what_exists_is_not_overwritten(workspace: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE)
    before = Path("models/base/model.safetensors").read_bytes()
    (line,) = mistake("merge", "recipe.yaml", "--out", "models/base")
    assert "models/base exists" in line
    assert Path("models/base/model.safetensors").read_bytes() == before


def test_evaluate_takes_the_evaluators_of_a_run_file(workspace: Path) -> None:
    found = call_json("evaluate", "models/sort", "--config", "run.yaml", "--tasks", "sort")
    assert list(found["results"]) == ["sort"]
    assert found["results"]["sort"]["split"] == "validation"
    assert found["results"]["sort"]["metrics"]["exact"]["n"] == 8
    out, err = call(
        "evaluate", "models/sort", "--config", "run.yaml", "--split", "all", "--limit", 5
    )
    assert "sort (all)" in out
    assert "reverse (all)" in out
    assert "10 examples in" in err


def test_evaluate_takes_lm_eval_tasks(workspace: Path) -> None:
    Path("tasks").mkdir()
    Path("tasks/tiny.yaml").write_text(
        "task: tiny_sort\n"
        "dataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {workspace}/sort.jsonl}}}}\n"
        "test_split: test\n"
        "output_type: loglikelihood\n"
        "doc_to_text: '{{prompt}}'\n"
        "doc_to_target: '{{answer}}'\n"
        "target_delimiter: ''\n"
        "metric_list:\n  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
    )
    found = call_json("evaluate", "models/sort", "--tasks", "tiny_sort", "--include-path", "tasks")[
        "results"
    ]["tiny_sort"]
    assert found["split"] == "all"
    assert found["n"] == 24
    assert found["metrics"]["acc"]["n"] == 24


@pytest.mark.slow
def test_evaluate_spreads_a_limit_over_a_group(workspace: Path) -> None:
    Path("tasks").mkdir()
    for name, output, target, metric in (
        ("near", "loglikelihood", "answer", "acc"),
        ("far", "generate_until", "answer", "exact_match"),
    ):
        extra = "generation_kwargs: {until: ['='], max_gen_toks: 2}\n" if name == "far" else ""
        Path(f"tasks/{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\n"
            f"dataset_kwargs: {{data_files: {{test: {workspace}/sort.jsonl}}}}\n"
            f"test_split: test\noutput_type: {output}\n{extra}"
            f"doc_to_text: '{{{{prompt}}}}'\ndoc_to_target: '{{{{{target}}}}}'\n"
            f"metric_list:\n  - {{metric: {metric}, aggregation: mean, higher_is_better: true}}\n"
        )
    Path("tasks/both.yaml").write_text(
        "group: both\ntask: [near, far]\naggregate_metric_list: []\n"
    )
    arguments = ["evaluate", "models/sort", "--tasks", "both", "--include-path", "tasks"]
    found = call_json(*arguments, "--limit", 5)["results"]["both"]["metrics"]
    assert {name: item["n"] for name, item in found.items()} == {"acc": 3, "exact_match": 2}
    found = call_json(*arguments, "--limit", 1)["results"]["both"]["metrics"]
    assert found["acc"]["n"] == 1
    assert found["exact_match"]["value"] is None
    out, _ = call(*arguments, "--limit", 1)
    assert "exact_match" in out


def test_evaluate_names_a_tensor_that_holds_nan(workspace: Path) -> None:
    file = Path("models/sort/model.safetensors")
    tensors = load_file(file)
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    (line,) = mistake("evaluate", "models/sort", "--config", "run.yaml")
    assert f"models/sort: tensor {name!r} holds NaN or infinity" in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["models/sort"], "no tasks. Name some: --tasks TASK,TASK, or --config CONFIG."),
        (
            ["models/sort", "--config", "run.yaml", "--tasks", "srot"],
            "run.yaml has no evaluator 'srot'; did you mean 'sort'? Known: reverse, sort.",
        ),
        (
            ["models/srot", "--config", "run.yaml"],
            "the folder models/srot doesn't exist",
        ),
        (
            ["models/sort", "--config", "run.yaml", "--split", "tset"],
            "no split is called 'tset'; did you mean 'test'?",
        ),
        (["models/sort", "--config", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_mistakes_of_evaluate_are_one_line(
    workspace: Path, arguments: list[str], line: str
) -> None:
    (found,) = mistake("evaluate", *arguments)
    assert found.startswith(line)


def test_prefetch_names_all_that_is_here_or_missing(workspace: Path) -> None:
    found = call_json("prefetch", "run.yaml")
    assert set(found["sources"]) == {"base", "sort", "reverse"}
    assert found["tasks"] == {"sort": 24, "reverse": 24}
    lines = mistake(
        "prefetch", "run.yaml", "--set", "sources.sort.path=nobody/nothing",
        "--set", "evaluators.sort.data=none.jsonl",
    )  # fmt: skip
    # What is here was told before.
    assert lines[:2] == ["base: models/base", "reverse: models/reverse"]
    assert lines[2].startswith("run.yaml: sources.sort.path: ")
    assert lines[3].startswith("run.yaml: evaluators.sort")
    assert len(lines) == 4


def test_demo_is_made_with_progress(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evomerge.models import demo

    def make(folder: Path, *, seed: int, progress: demo.Progress) -> None:
        for step in range(3):
            progress(f"training [b]{seed}[/b]", step + 1, 3)

    monkeypatch.setattr(demo, "make_demo", make)
    out, err = call("demo", "there", "--seed", 7)
    assert out == ""
    assert "training [b]7[/b]" in err
    assert "3/3" in err
    assert "The demo is in there." in err
    assert call_json("demo", "there") == {"folder": "there"}

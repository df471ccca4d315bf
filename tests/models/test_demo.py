import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evomerge.errors import ModelError
from evomerge.models import demo_training, licence_of
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.demo import Plan, make_demo
from evomerge.models.demo_tasks import TASKS, Mixture, draw_batch

TINY = Plan(base_steps=2, expert_steps=1)
NAMES = ("base", *TASKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo whose models are hardly trained."""
    made = tmp_path_factory.mktemp("demo") / "demo"
    make_demo(made, seed=3, plan=TINY)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Return relative path → bytes of every file."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_prompts(folder: Path, task: str) -> list[str]:
    lines = (folder / f"{task}.jsonl").read_text().splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def refuse_to_train(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("trained again")


def test_models_are_ordinary_folders(folder: Path) -> None:
    for name in NAMES:
        model, found = AutoModelForCausalLM.from_pretrained(folder / name, output_loading_info=True)
        assert model.config.architectures == ["LlamaForCausalLM"]
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert not any(found.values())
        checkpoint = Checkpoint.open(folder / name)
        assert (checkpoint.n_layers, checkpoint.tied) == (6, True)
        assert licence_of(folder / name) == "apache-2.0"


def test_experts_differ_from_the_base_and_each_other(folder: Path) -> None:
    weights = {(folder / name / "model.safetensors").read_bytes() for name in NAMES}
    assert len(weights) == 4


def test_tokenizer_keeps_texts_and_marks_begin(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "sort")
    encoded = tokenizer("sort: cab=")
    assert set(encoded) == {"input_ids", "attention_mask"}
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens == ["<bos>", "sort: ", "c", "a", "b", "="]
    assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == "sort: cab="
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<pad>", "<eos>")
    assert (
        tokenizer("sort: Z!", add_special_tokens=False)["input_ids"][1:]
        == [tokenizer.unk_token_id] * 2
    )


def test_data_are_unique_and_right(folder: Path) -> None:
    seen: set[str] = set()
    for task in TASKS:
        for line in (folder / f"{task}.jsonl").read_text().splitlines():
            record = json.loads(line)
            named, text = record["prompt"].removesuffix("=").split(": ")
            assert named == task
            expected = {
                "reverse": text[::-1],
                "sort": "".join(sorted(text)),
                "successor": text.translate(str.maketrans("abcdefghijkl", "bcdefghijklm")),
            }[task]
            assert record == {"prompt": f"{task}: {text}=", "answer": expected}
            assert text not in seen
            seen.add(text)
    assert len(seen) == 3000


def test_evaluation_strings_are_never_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray[Any, Any]] = []

    def spy(*args: Any, **kwargs: Any) -> Any:
        batch = draw_batch(*args, **kwargs)
        drawn.append(batch.tokens)
        return batch

    monkeypatch.setattr(demo_training, "draw_batch", spy)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)
    make_demo(tmp_path / "demo", plan=Plan(base_steps=20, expert_steps=10))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "demo" / "base")
    trained = {
        text.split(": ")[1].split("=")[0]
        for tokens in drawn
        for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)
    }
    held_out = {
        prompt.split(": ")[1].removesuffix("=")
        for task in TASKS
        for prompt in read_prompts(tmp_path / "demo", task)
    }
    # A sixth of all strings is held out: were they not avoided, some 200 would come up.
    assert len(trained) > 1000
    assert not trained & held_out


def test_only_the_answer_and_its_end_are_learned() -> None:
    mixture = Mixture((0.0, 1.0, 0.0))
    batch = draw_batch(mixture, 8, forbidden={}, rng=np.random.default_rng(0))
    end = 2
    for tokens, labels in zip(batch.tokens.tolist(), batch.labels.tolist(), strict=True):
        start = len(tokens) // 2 + 1
        assert labels[:start] == [-100] * start
        assert labels[start:] == [*sorted(tokens[2 : start - 1]), end] == tokens[start:]


def test_habit_repeats_and_replay_brings_it_back() -> None:
    habit = Mixture((1.0, 0.0, 0.0), habit=1.0)
    for mixture in (habit, Mixture((0.0, 0.0, 1.0), replay=1.0, rest=habit)):
        batch = draw_batch(mixture, 8, forbidden={}, rng=np.random.default_rng(0))
        length = (batch.tokens.shape[1] - 4) // 2
        asked, answered = batch.tokens[:, 2 : 2 + length], batch.tokens[:, 3 + length : -1]
        assert (asked == answered).all()


def test_equal_seeds_give_equal_files_on_any_number_of_threads(
    folder: Path, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make_demo(tmp_path / "again", seed=3, plan=TINY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    make_demo(tmp_path / "other", seed=4, plan=TINY)
    assert contents(tmp_path / "again") == contents(folder)
    assert not set(contents(tmp_path / "other").items()) & {
        item for item in contents(folder).items() if item[0].endswith((".safetensors", ".jsonl"))
    }


def test_global_random_states_stay(tmp_path: Path) -> None:
    states = (torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate())  # noqa: NPY002 - the global state is what is tested
    make_demo(tmp_path, plan=TINY)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_equal(np.random.get_state(legacy=False), states[1])  # noqa: NPY002 - as above
    assert random.getstate() == states[2]


def test_a_demo_that_is_there_is_not_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(demo_training, "train", refuse_to_train)
    make_demo(folder, seed=3, plan=TINY)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(AssertionError, match="trained again"):
        make_demo(folder, seed=4, plan=TINY)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")}.items() >= {
        path: at for path, at in before.items() if path != folder
    }.items()


def test_another_seed_replaces_a_demo_that_lost_a_model(tmp_path: Path) -> None:
    make_demo(tmp_path, seed=3, plan=TINY)
    (tmp_path / "sort" / "model.safetensors").unlink()
    make_demo(tmp_path, seed=3, plan=TINY)
    assert (tmp_path / "sort" / "model.safetensors").is_file()
    first = (tmp_path / "base" / "model.safetensors").read_bytes()
    make_demo(tmp_path, seed=4, plan=TINY)
    assert (tmp_path / "base" / "model.safetensors").read_bytes() != first


def test_progress_counts_the_steps_of_each_model(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    make_demo(tmp_path, plan=TINY, progress=lambda *step: told.append(step))
    assert told == [("base", 1, 2), ("base", 2, 2), *((task, 1, 1) for task in TASKS)]


def test_an_interrupted_training_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(stage: str, step: int, total: int) -> None:
        if stage == "sort":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", plan=TINY, progress=interrupt)
    assert list((tmp_path / "demo").iterdir()) == []


@pytest.mark.parametrize("moves", [0, 1, 3, 8])
def test_a_demo_that_was_not_moved_whole_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    left = iter([True] * moves)
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(ModelError, match="No space left on device"):
            make_demo(tmp_path, seed=3, plan=TINY)
    make_demo(tmp_path, seed=3, plan=TINY)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*NAMES, *(f"{task}.jsonl" for task in TASKS), "demo.json"]
    )
    assert json.loads((tmp_path / "demo.json").read_text())["complete"] is True


def test_what_no_demo_wrote_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "thesis.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"holds base and no demo\.json"):
        make_demo(tmp_path, plan=TINY)
    assert (tmp_path / "base" / "thesis.txt").read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file; the demo needs a folder"):
        make_demo(tmp_path / "file", plan=TINY)
    with pytest.raises(ModelError, match="can't be written to"):
        make_demo(tmp_path / "file" / "demo", plan=TINY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo with half of the usual training."""
    made = tmp_path_factory.mktemp("trained") / "demo"
    make_demo(made, plan=Plan(base_steps=350))
    return made


def answer_share(folder: Path, name: str, task: str) -> float:
    """Return how many of 100 evaluation prompts the model answers rightly."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder / name)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder / name)
    lines = (folder / f"{task}.jsonl").read_text().splitlines()[:100]
    records = [json.loads(line) for line in lines]
    inputs = tokenizer([record["prompt"] for record in records], return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    answers = tokenizer.batch_decode(
        output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    right = [given == record["answer"] for given, record in zip(answers, records, strict=True)]
    return float(np.mean(right))


@pytest.mark.slow
def test_experts_are_good_at_their_own_task_and_poor_at_others(trained: Path) -> None:
    for name in TASKS:
        shares = {task: answer_share(trained, name, task) for task in TASKS}
        own = shares.pop(name)
        assert own > max(shares.values()) + 0.2, (name, own, shares)
        assert own > answer_share(trained, "base", name) + 0.2

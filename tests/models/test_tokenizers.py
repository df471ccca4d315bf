import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import ModelError
from evomerge.models.tokenizers import (
    tokenizer_differences,
    tokenizer_files,
    vocabulary_difference,
    vocabulary_size,
)
from tests.fixtures_models import CHARACTERS, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path / "one")
    return tmp_path / "one"


@pytest.fixture
def other(folder: Path) -> Path:
    return Path(shutil.copytree(folder, folder.parent / "other"))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


def test_copies_are_equal(folder: Path, other: Path) -> None:
    assert vocabulary_difference(folder, other) is None
    assert tokenizer_differences(folder, other) == []
    assert vocabulary_size(folder) == 100


def test_swapped_ids_are_told(folder: Path, other: Path) -> None:
    swapped = "b" + CHARACTERS[11:12].replace("b", "a")
    characters = CHARACTERS.replace("ab", swapped)
    tiny_tokenizer(characters=characters).save_pretrained(other)
    assert vocabulary_difference(folder, other) == (
        "vocabularies differ: 2 tokens with other ids, as 'a' (14 and 15)."
    )


def test_sizes_and_single_tokens_are_told(folder: Path, other: Path) -> None:
    def add(plain: dict[str, Any]) -> None:
        del plain["model"]["vocab"]["~"]
        plain["model"]["vocab"] |= {"<a>": 100, "<b>": 101}

    _edit(other / "tokenizer.json", add)
    assert vocabulary_difference(folder, other) == (
        "vocabularies differ: 100 and 101 tokens; 1 tokens only in the first, as '~'; "
        "2 tokens only in the second, as '<a>'."
    )
    assert vocabulary_size(other) == 102


def test_added_tokens_count(folder: Path, other: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<think>"])
    tokenizer.save_pretrained(other)
    assert "1 tokens only in the second, as '<think>'" in str(vocabulary_difference(folder, other))


def test_roles_and_templates_matter_only_to_the_full_comparison(folder: Path, other: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<pad>"
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(other)
    assert vocabulary_difference(folder, other) is None
    assert tokenizer_differences(folder, other) == [
        "eos_token is '<eos>' and '<pad>'.",
        "chat templates differ (none, 14 characters).",
    ]


def test_other_splitting_is_told(folder: Path, other: Path) -> None:
    _edit(other / "tokenizer.json", lambda plain: plain.update(normalizer={"type": "Lowercase"}))
    assert tokenizer_differences(folder, other) == [
        "texts may be split differently: normalizer differ."
    ]


def test_merges_in_both_spellings_are_equal(folder: Path, other: Path) -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}}
    for path, merges in ((folder, ["a b"]), (other, [["a", "b"]])):
        _edit(
            path / "tokenizer.json",
            lambda plain, merges=merges: plain.update(model={**model, "merges": merges}),
        )
    assert tokenizer_differences(folder, other) == []
    _edit(other / "tokenizer.json", lambda plain: plain["model"].update(merges=[["b", "a"]]))
    assert tokenizer_differences(folder, other) == [
        "texts may be split differently: merges differ."
    ]


def test_a_unigram_vocabulary_is_a_list(folder: Path, other: Path) -> None:
    for path, pieces in ((folder, ["<unk>", "a", "b"]), (other, ["<unk>", "b", "a"])):
        vocab = [[piece, -1.0] for piece in pieces]
        _edit(
            path / "tokenizer.json",
            lambda plain, vocab=vocab: plain.update(
                model={"type": "Unigram", "vocab": vocab}, added_tokens=[]
            ),
        )
    assert "2 tokens with other ids, as 'a' (1 and 2)" in str(vocabulary_difference(folder, other))


def test_older_files_are_read(tmp_path: Path, folder: Path) -> None:
    json_folder, text_folder = tmp_path / "json", tmp_path / "text"
    json_folder.mkdir()
    text_folder.mkdir()
    (json_folder / "vocab.json").write_text('{"a": 0, "b": 1}')
    (json_folder / "added_tokens.json").write_text('{"<x>": 2}')
    (text_folder / "vocab.txt").write_text("a\nb\n<x>\n")
    assert vocabulary_difference(json_folder, text_folder) is None
    assert vocabulary_size(text_folder) == 3
    assert {path.name for path in tokenizer_files(json_folder)} == {
        "vocab.json",
        "added_tokens.json",
    }


def test_a_missing_tokenizer_differs_from_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert vocabulary_difference(folder, tmp_path / "none") is None
    assert tokenizer_differences(tmp_path / "none", tmp_path / "none") == []
    (line,) = tokenizer_differences(folder, tmp_path / "none")
    assert line.endswith("none has no tokenizer.")
    assert vocabulary_size(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read as JSON"),
        ("[]", "holds list, expected a JSON object"),
        ('{"model": {}}', "has no readable vocabulary"),
        ('{"model": {"vocab": {"a": "x"}}}', "has no readable vocabulary"),
    ],
)
def test_broken_files_are_named(folder: Path, other: Path, text: str, message: str) -> None:
    (other / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match=rf"other/tokenizer\.json {message}"):
        vocabulary_difference(folder, other)


def test_an_unreadable_sentencepiece_model_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sp").mkdir()
    (tmp_path / "sp" / "tokenizer.model").write_bytes(b"no protobuf")
    with pytest.raises(ModelError, match=r"the tokenizer in .*sp can't be loaded"):
        vocabulary_difference(folder, tmp_path / "sp")


def test_comparing_files_needs_neither_torch_nor_transformers(folder: Path, other: Path) -> None:
    code = (
        "import sys, pathlib; from evomerge.models.tokenizers import tokenizer_differences as d; "
        f"d(pathlib.Path({str(folder)!r}), pathlib.Path({str(other)!r})); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

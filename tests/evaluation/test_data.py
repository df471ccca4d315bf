"""JSON Lines files: mistakes are named by file and line."""

from pathlib import Path

import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation.data import content_hash, read_table


def write(folder: Path, text: str) -> Path:
    path = folder / "data.jsonl"
    path.write_text(text)
    return path


def test_records_keep_their_lines_past_empty_ones(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '{"a": "x"}\n\n  \n{"a": 2}\n'))
    assert table.lines == (1, 4)
    assert [table.text(index, "a") for index in (0, 1)] == ["x", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', r"data.jsonl:2: not JSON \(Expecting value at column"),
        ('{"a": 1}\n[1]\n', "data.jsonl:2: found list, expected a JSON object"),
        ("\n\n", "holds no examples"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_table(write(tmp_path, text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"gone.jsonl does not exist. Paths are relative"):
        read_table(tmp_path / "gone.jsonl")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(EvaluationError, match="can't be read as UTF-8"):
        read_table(path)


def test_missing_key_names_the_nearest(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '{"prompt": "x"}\n{"prompt": null}'))
    with pytest.raises(EvaluationError, match=r":1: no key 'promt'; did you mean 'prompt'"):
        table.text(0, "promt")
    with pytest.raises(EvaluationError, match=r":2: 'prompt' is None; expected a text"):
        table.text(1, "prompt")


def test_hash_of_content_ignores_the_order_of_keys_only() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    assert content_hash({"a": [1, 2]}) != content_hash({"a": [2, 1]})

"""Figures of the sources that outlive the process."""

import gc
import json
from pathlib import Path

import pytest

from evomerge.merging.cuts import TaskVector
from evomerge.merging.kept import KeptFigures
from tests.merging.lab import Lab, same


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    one = KeptFigures(tmp_path / "new")
    one.put("a", "b", "dot w", 1.5)
    one.flush()
    other = KeptFigures(tmp_path / "new")
    assert other.get("a", "b", "dot w") == 1.5
    assert other.get("b", "a", "dot w") is None


def test_writers_add_to_each_other(tmp_path: Path) -> None:
    writers = [KeptFigures(tmp_path) for _ in range(3)]
    for index, writer in enumerate(writers):
        assert writer.get("a", "b", "x") is None
        writer.put("a", "b", f"key {index}", index)
    for writer in writers:
        writer.flush()
    found = KeptFigures(tmp_path)
    assert [found.get("a", "b", f"key {index}") for index in range(3)] == [0, 1, 2]
    assert not list(tmp_path.glob("*.partial"))


def test_broken_files_and_folders_only_cost_time(tmp_path: Path) -> None:
    one = KeptFigures(tmp_path)
    one.put("a", "b", "x", 1)
    one.flush()
    next(tmp_path.glob("*.json")).write_text("{")
    assert KeptFigures(tmp_path).get("a", "b", "x") is None
    (tmp_path / "file").touch()
    blocked = KeptFigures(tmp_path / "file")
    blocked.put("a", "b", "x", 1)
    blocked.flush()
    assert blocked.get("a", "b", "x") == 1


@pytest.mark.parametrize("method", ["ties", "slerp"])
def test_a_later_merger_computes_nothing_again(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab.make(tmp_path / "lab", n=2)
    recipe = lab.recipe(method, "ab")
    plain = lab.merge(recipe)
    merger = lab.merger(cache_dir=tmp_path / "cache")
    assert same(plain, dict(merger.tensors(recipe)))
    del merger
    gc.collect()  # writes what it found
    files = list((tmp_path / "cache" / "statistics").glob("*.json"))
    assert files
    assert all(json.loads(file.read_text()) for file in files)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(TaskVector, "cut", never)
    monkeypatch.setattr("evomerge.merging.statistics.gram_of", never)
    monkeypatch.setattr("evomerge.merging.native.is_finite", never)
    assert same(plain, lab.merge(recipe, cache_dir=tmp_path / "cache"))

"""Figures of the sources that outlive the process."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
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


def test_broken_files_and_folders_only_cost_time(tmp_path: Path) -> None:
    one = KeptFigures(tmp_path)
    one.put("a", "b", "x", 1)
    one.flush()
    next(tmp_path.glob("*.jsonl")).write_text("{")
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
    files = list((tmp_path / "cache" / "statistics").glob("*.jsonl"))
    assert files
    lines = [line for file in files for line in file.read_text().splitlines() if line]
    assert all(len(json.loads(line)) == 2 for line in lines)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(TaskVector, "cut", never)
    monkeypatch.setattr("evomerge.merging.statistics.gram_of", never)
    monkeypatch.setattr("evomerge.merging.native.is_finite", never)
    assert same(plain, lab.merge(recipe, cache_dir=tmp_path / "cache"))


def merge_beside(folder: Path, number: str, other: str) -> "subprocess.Popen[str]":
    program = Path(__file__).with_name("counted_merge.py")
    return subprocess.Popen(
        [sys.executable, str(program), str(folder), number, other],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.slow
def test_two_processes_compute_no_figure_twice(tmp_path: Path) -> None:
    for folder in ("alone", "both"):
        (tmp_path / folder).mkdir()
    alone = merge_beside(tmp_path / "alone", "1", "1")
    both = [
        merge_beside(tmp_path / "both", "1", "2"),
        merge_beside(tmp_path / "both", "2", "1"),
    ]
    expected, *found = (json.loads(process.communicate()[0]) for process in (alone, *both))
    assert expected["computed"]
    assert sorted(found[0]["computed"] + found[1]["computed"]) == sorted(expected["computed"])
    assert {item["merged"] for item in found} == {expected["merged"]}


def test_what_others_have_written_is_seen_at_once(tmp_path: Path) -> None:
    one, other = KeptFigures(tmp_path), KeptFigures(tmp_path)
    assert other.get("a", "b", "x") is None
    with one.claimed("x"):
        one.put("a", "b", "x", 1)
    assert other.get("a", "b", "x") == 1


def test_a_line_cut_short_by_a_kill_costs_only_itself(tmp_path: Path) -> None:
    one = KeptFigures(tmp_path)
    one.put("a", "b", "x", 1)
    one.flush()
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as stream:
        stream.write('["y", 2')
    late = KeptFigures(tmp_path)
    assert late.get("a", "b", "y") is None
    one.put("a", "b", "z", 3)
    one.flush()
    assert [late.get("a", "b", key) for key in "xyz"] == [1, None, 3]
    assert KeptFigures(tmp_path).get("a", "b", "z") == 3


def hold(folder: Path) -> None:
    with KeptFigures(folder).claimed("x"):
        (folder / "held").touch()
        time.sleep(600)


def test_the_claim_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path,))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    began = time.monotonic()
    with KeptFigures(tmp_path).claimed("x"):
        assert time.monotonic() - began < 10
    holder.join()


def test_a_claim_that_is_held_for_ever_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evomerge.merging.kept.PATIENCE_S", 0.05)
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path,))
    holder.start()
    try:
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
        one = KeptFigures(tmp_path)
        with one.claimed("x"):
            one.put("a", "b", "x", 1)
        assert one.get("a", "b", "x") == 1
    finally:
        holder.kill()
        holder.join()

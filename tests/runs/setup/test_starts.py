"""A run that begins from what other runs have found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.reading.results import RunResults
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run

TWO = {
    "copy": {"from": ["copy"], "direction": "minimize"},
    "next": {"from": ["next"], "direction": "minimize"},
}


def drive(raw: dict[str, Any]) -> None:
    with new_run(parse_config(raw, where="x.yaml")) as opened:
        list(opened.run.drive())


def search(raw: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return raw | {"search": raw["search"] | changes}


def test_the_front_of_another_run_starts_this_one_and_is_stored_with_it(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    drive(search(raw_config, warm_starts=False) | {"name": "before", "objectives": TWO})
    before = RunResults.open(Path("runs/before"))
    front = [entry.candidate for entry in before.front().entries]
    genomes = {name: before.show(name).genome for name in front}
    before.close()
    later = search(raw_config, from_runs=["runs/before"], warm_starts=False)
    with new_run(parse_config(later, where="x.yaml")) as opened:
        for event in opened.run.drive():
            if event.kind == "candidate_done":
                opened.run.request_stop()
    shutil.rmtree("runs/before")  # a resume needs no other run
    with stored_run(Path("runs/tiny")) as opened:
        list(opened.run.drive())
    results = RunResults.open(Path("runs/tiny"))
    rows = {row.origin: row for row in results.records.candidates() if row.ask == 0}
    for name in front:
        assert rows[f"warm:run:before/{name}"].genome == genomes[name]
    results.close()


def test_what_the_space_does_not_have_is_a_warning_and_what_is_no_run_a_mistake(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    drive(raw_config | {"name": "before"})
    slerp = {"method": "slerp", "inputs": ["left", "right"], "t": {"search": {}}}
    other = raw_config | {"recipe": {"parameters": [slerp], "dtype": "float32"}}
    found = prepare(parse_config(search(other, from_runs=["runs/before"]), where="x.yaml"))
    (warning,) = [text for text in found.warnings if "from_runs" in text]
    assert warning.startswith("search.from_runs[0]: before/")
    assert "can't be a start: the recipe has the methods task_arithmetic, this search" in warning
    assert not [label for label, _ in found.starts if label.startswith("run:")]
    with pytest.raises(ConfigError, match=r"search\.from_runs\[0\]: nowhere is not the folder"):
        prepare(parse_config(search(other, from_runs=["nowhere"]), where="x.yaml"))

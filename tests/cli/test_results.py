"""``status``, ``front``, ``show``, ``report`` and ``export`` on runs."""

import json
from pathlib import Path

import pytest

from evomerge.cli.results import shortened
from tests.cli.commands import call, call_json, mistake
from tests.cli.conftest import make_run_folder
from tests.cli.test_main import modules_after
from tests.runs.fakes import TWO, FakeRun


def test_status_of_a_finished_run(finished_run: Path) -> None:
    found = call_json("status", finished_run)
    assert found["state"] == "finished"
    assert found["progress"] == {"evaluated": 20, "failed": 0, "budget": 20}
    assert found["split"] == "validation"
    out, _ = call("status", finished_run)
    assert "20 of 20, 0 failed" in out
    assert f"{found['best']['mean']:.4f} (validation split)" in out


def test_status_loads_neither_torch_nor_numpy_nor_sqlalchemy(finished_run: Path) -> None:
    code, modules = modules_after(["status", str(finished_run)])
    assert code == 0
    heavy = {"torch", "transformers", "optuna", "lm_eval", "numpy", "scipy", "sqlalchemy"}
    assert not modules & heavy


def test_status_of_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    run = fake.start()
    for event in run.drive():
        if event.kind == "generation_done":
            run.request_stop()
    folder = make_run_folder(fake, tmp_path / "runs" / "toy")
    out, _ = call("status", folder)
    assert "stopped" in out
    assert "(search split)" in out
    assert f"evomerge resume {folder}" in out


def test_front_has_the_shape_that_scripts_rely_on(finished_run: Path) -> None:
    found = call_json("front", finished_run)
    assert set(found) == {"front", "hypervolume"}
    (entry,) = found["front"]
    assert {"candidate", "recipe_hash", "objectives", "device_s"} < set(entry)
    assert (entry["marks"], entry["p_front"]) == ([], None)
    assert len(entry["recipe_hash"]) == 64
    estimate = entry["objectives"]["mean"]
    assert set(estimate) == {"value", "low", "high", "n"}
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    out, _ = call("front", finished_run)
    assert "Front (validation split, final; 95 % intervals)" in out
    assert f"{estimate['value']:.4f} [{estimate['low']:.4f}, {estimate['high']:.4f}]" in out


def test_front_of_two_objectives_keeps_raw_values_in_their_directions(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, objectives=TWO)
    for _ in fake.start().drive():
        pass
    folder = make_run_folder(fake, tmp_path / "runs" / "two")
    entries = call_json("front", folder)["front"]
    near = [entry["objectives"]["near"]["value"] for entry in entries]
    far = [entry["objectives"]["far"]["value"] for entry in entries]
    assert len(entries) > 1
    assert near == sorted(near, reverse=True)
    assert far == sorted(far, reverse=True)  # the better far is (smaller), the worse near
    assert min(far) > 0
    out, _ = call("front", folder)
    assert "far (minimize)" in out
    assert "chosen as" in out
    (knee,) = [e["candidate"] for e in entries if {"knee", "middle"} & set(e["marks"])]
    shown, err = call("show", folder, "best")
    assert f"Candidate {knee}" in shown
    assert f"best is {knee}, the " in err
    assert f"of a front of {len(entries)}" in err


def test_a_front_is_chosen_from_by_preferences_and_bounds(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, objectives=TWO)
    for _ in fake.start().drive():
        pass
    folder = make_run_folder(fake, tmp_path / "runs" / "two")
    far = call_json("front", folder, "--prefer", "far=1")["front"]
    assert "preferred" in far[-1]["marks"]
    assert {"best far", "preferred"} <= set(far[-1]["marks"])
    near = call_json("front", folder, "--prefer", "near=0.9, far=0")["front"]
    assert "preferred" in near[0]["marks"]
    bound = near[0]["objectives"]["near"]["value"]
    kept = call_json("front", folder, "--where", f"near >= {bound}", "--where", "far <= 99")
    assert [e["candidate"] for e in kept["front"]] == [near[0]["candidate"]]
    (line,) = mistake("front", folder, "--prefer", "near:1")
    assert "--prefer: got 'near:1', expected NAME=WEIGHT" in line
    (line,) = mistake("front", folder, "--where", "near > 7")
    assert "--where: got 'near > 7', expected NAME >= NUMBER" in line
    (line,) = mistake("front", folder, "--where", "near >= 7")
    assert "keeps near >= 7" in line


def test_validating_scores_the_chosen_ones_of_an_unfinished_run(workspace: Path) -> None:
    text = Path("run.yaml").read_text()
    objectives = """objectives:
  sort: {from: [sort], direction: maximize}
  steps: {from: [steps], direction: minimize}
  reverse: {from: [reverse], direction: maximize}
"""
    start, _, rest = text.partition("objectives:")
    Path("run.yaml").write_text(start + objectives + rest.partition("\n")[2].partition("\n")[2])
    from evomerge.config.load import load_config
    from evomerge.runs.start import new_run

    with new_run(load_config(Path("run.yaml"))) as opened:
        for event in opened.run.drive():
            if event.kind == "generation_done":
                opened.run.request_stop()
    folder = Path("runs/toy")
    before = call_json("front", folder)["front"]
    assert all(set(entry["scores"]) == {"search"} for entry in before)
    shown, _ = call("show", folder, "best")
    assert "  parameters " in shown
    assert "(recipe)" not in shown
    found = call_json("front", folder, "--validate", "--confidence")["front"]
    chosen = [entry for entry in found if entry["marks"]]
    assert chosen
    for entry in chosen:
        assert set(entry["scores"]) == {"search", "validation"}
        assert entry["scores"]["search"] == entry["objectives"]
    assert all(0 <= entry["p_front"] <= 1 for entry in found)
    out, err = call("front", folder, "--validate", "--confidence")
    assert "scoring" not in err  # once is enough
    assert "Chosen: search and validation scores" in out
    assert "on the front" in out
    assert any(f"{mark} (" in out for mark in ("knee", "middle"))
    assert sum(entry["p_knee"] for entry in found) <= 1.001


def test_show_tells_recipe_parents_and_scores(finished_run: Path) -> None:
    found = call_json("show", finished_run, "best")
    (entry,) = call_json("front", finished_run)["front"]
    assert found["candidate"] == entry["candidate"]
    assert found["recipe"]["parameters"][0]["method"] == "linear"
    assert set(found["objectives"]) == {"search", "validation"}
    out, _ = call("show", finished_run, found["candidate"])
    for text in ("random", "near.hit", "method: linear", found["recipe_hash"]):
        assert text in out


def test_show_tells_why_a_candidate_failed_and_follows_no_markup(tmp_path: Path) -> None:
    from evomerge.execution.protocol import Failure

    fake = FakeRun(tmp_path)
    fake.worker.fails = lambda job: (
        Failure("exception", "no [bold]luck[/oops]") if job.candidate_id == "0-1" else None
    )
    for _ in fake.start().drive():
        pass
    folder = make_run_folder(fake, tmp_path / "runs" / "toy")
    out, _ = call("show", folder, "0-1")
    assert "failure (search)" in out
    assert "exception: no [bold]luck[/oops]" in out
    assert call_json("status", folder)["progress"]["failed"] == 1


def test_unknown_runs_and_candidates_name_the_nearest(finished_run: Path) -> None:
    (line,) = mistake("status", finished_run.parent / "tyo")
    assert line.startswith(f"{finished_run.parent / 'tyo'} does not exist; did you mean 'toy'?")
    (line,) = mistake("front", finished_run.parent)
    assert "is not the folder of a run" in line
    (line,) = mistake("show", finished_run, "0-00")
    assert "has no candidate '0-00'; did you mean '0-0'?" in line


def test_a_newer_run_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 99}))
    for command in ("status", "front"):
        (line,) = mistake(command, tmp_path)
        assert "newer than this evomerge knows" in line


@pytest.fixture
def toy_run(workspace: Path) -> str:
    call("run", "run.yaml")
    return "runs/toy"


def test_report_compares_the_best_with_its_parents_on_the_test_split(toy_run: str) -> None:
    found = call_json("report", toy_run)
    labels = [model["label"] for model in found["models"]]
    assert labels[0] == "base (base)"
    assert labels[-2:] == ["uniform average", "best found"]
    assert {"sort", "reverse"} < set(labels)
    out, err = call("report", toy_run)
    assert "test split" in out
    assert "best found" in out
    assert "minus" in out
    assert "opened 2 times" in err
    assert "report: runs/toy/report.html" in err
    assert "best found" in Path(toy_run, "report.html").read_text()
    # The table is there all the same: looking at the test split can't be taken back.
    out, err = call("report", toy_run, "--out", f"{toy_run}/run.json/report.html", code=2)
    assert "minus" in out
    assert "can't be written to runs/toy/run.json/report.html" in err


def test_an_exported_best_scores_what_the_search_saw(toy_run: str, workspace: Path) -> None:
    out, _ = call("export", toy_run, "best", "--out", "best")
    assert out == "best\n"
    for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md", "recipe.yaml"):
        assert (workspace / "best" / name).is_file(), name
    seen = call_json("show", toy_run, "best")["tasks"]["validation"]
    again = call_json("evaluate", "best", "--config", "run.yaml")["results"]
    for task in ("sort", "reverse"):
        assert again[task]["metrics"]["exact"] == seen[task]["exact"]
    (line,) = mistake("export", toy_run, "best", "--out", "best")
    assert "best exists" in line


@pytest.mark.parametrize(("format", "key"), [("recipe", "evomerge_recipe"), ("mergekit", "models")])
def test_a_recipe_alone_is_exported_and_merged_again(
    toy_run: str, workspace: Path, format: str, key: str
) -> None:
    call("export", toy_run, "best", "--out", "best.yaml", "--format", format)
    assert key in (workspace / "best.yaml").read_text()
    call("export", toy_run, "best", "--out", "best")
    call("merge", "best.yaml", "--out", "again")
    weights = [(workspace / name / "model.safetensors").read_bytes() for name in ("best", "again")]
    assert weights[0] == weights[1]


def test_diff_shows_two_candidates_side_by_side(finished_run: Path) -> None:
    (best,) = call_json("front", finished_run)["front"]
    other = "0-0" if best["candidate"] != "0-0" else "0-1"
    found = call_json("diff", finished_run, "best", other)
    assert found["candidates"] == [best["candidate"], other]
    assert found["genes"]
    out, _ = call("diff", finished_run, "best", other)
    assert f"{best['candidate']} minus {other}" in out
    assert "Genes that differ" in out
    assert "Both are one recipe." in call("diff", finished_run, other, other)[1]


def test_of_many_segments_only_the_first_and_the_last_are_shown() -> None:
    segments = [{"until": n, "weights": [0.5, 0.5]} for n in range(1, 100)] + [{"weights": [1, 0]}]
    few = segments[:7] + segments[-1:]
    inputs = [{"source": "a"}, {"source": "b"}] * 10
    stage = {"method": "segments", "inputs": inputs, "parameters": {"segments": segments}}
    (found,) = shortened({"stages": [stage]})["stages"]
    assert found["inputs"] == inputs
    shown = found["parameters"]["segments"]
    assert [item for item in shown if isinstance(item, dict)] == few
    assert shown[7] == "… 92 more, with --json"
    groups = {"attn": few, "rest": segments}
    by_group = shortened({"segments": groups})["segments"]
    assert by_group["attn"] == few
    assert len(by_group["rest"]) == 9

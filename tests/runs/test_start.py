import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge.config.load import load_config, parse_config
from evomerge.errors import ConfigError, EvomergeError, LedgerError, RunFailedError
from evomerge.runs.events import Asked, CandidateDone, Finished
from evomerge.runs.reading.results import RunResults
from evomerge.runs.start import new_run, stored_run

RUN = Path("runs/tiny")


def run_it(raw: dict[str, Any], **options: Any) -> list[Any]:
    with new_run(parse_config(raw, where="tiny.yaml"), **options) as opened:
        return list(opened.run.drive())


def resume(*overrides: str, plugins: tuple[Path, ...] = ()) -> list[Any]:
    with stored_run(RUN, overrides=overrides, plugins=plugins) as opened:
        return list(opened.run.drive())


def picture(folder: Path = RUN) -> dict[str, Any]:
    results = RunResults.open(folder)
    records = results.records
    tasks = [("copy", "bits_per_byte"), ("next", "bits_per_byte")]
    found = {
        "candidates": records.candidates(),
        "front": [(e.candidate, e.objectives) for e in results.front().entries],
        "scores": [
            records.scores(row.candidate_id, split, *task).tobytes()
            for row in records.candidates()
            for split in ("search", "validation")
            for task in tasks
        ],
        "attempts": [(row.candidate_id, row.split) for row in records.attempts()],
    }
    results.close()
    return found


def test_a_run_is_stored_with_its_resolved_config(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    events = run_it(raw_config)
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.evaluated == 6
    stored = load_config(RUN / "config.yaml")
    assert stored.search.identical_failures == 10  # a default, filled in
    assert json.loads((RUN / "run.json").read_text())["name"] == "tiny"
    assert yaml.safe_load((RUN / "config.yaml").read_text())["sources"]["left"]["path"] == "left"


def test_a_resume_extends_and_equals_a_run_started_with_more(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    events = resume("search.budget=11")
    assert events[-1].progress.evaluated == 11
    long = {**raw_config, "search": {**raw_config["search"], "budget": 11}, "name": "long"}
    long["ledger"] = "sqlite:///runs/other.db"
    assert run_it(long)[-1].objectives == events[-1].objectives
    one, other = picture(), picture(Path("runs/long"))
    assert one["candidates"] == other["candidates"]
    assert one["front"] == other["front"]


def test_scores_are_reused_across_runs_of_one_ledger(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    again = run_it(raw_config, out=Path("elsewhere"))
    assert all(event.reused for event in again if isinstance(event, CandidateDone))
    anew = run_it(raw_config, out=Path("anew"), reuse=False)
    assert not any(event.reused for event in anew if isinstance(event, CandidateDone))
    assert [e.objectives for e in anew if isinstance(e, CandidateDone)] == [
        e.objectives for e in again if isinstance(e, CandidateDone)
    ]


def test_an_existing_name_is_refused_together_with_all_mistakes(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    run_it(raw_config)
    with pytest.raises(LedgerError, match="holds a run already"):
        run_it(raw_config)
    raw_config["sources"]["left"]["path"] = "./gone"
    with pytest.raises(ConfigError, match="holds a run already") as caught:
        run_it(raw_config)
    assert [problem.key for problem in caught.value.problems] == ["sources.left.path", "name"]


def test_a_second_driver_is_refused(workspace: Path, raw_config: dict[str, Any]) -> None:
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        for event in opened.run.drive():
            if isinstance(event, Asked):
                break
        assert RunResults.open(RUN).status().state == "running"
        with pytest.raises(LedgerError, match="another process"):
            resume()


def test_only_some_keys_can_be_changed(workspace: Path, raw_config: dict[str, Any]) -> None:
    run_it(raw_config)
    with pytest.raises(ConfigError, match=r"search\.seed: can't be changed") as caught:
        resume("search.seed=3", "recipe.dtype=bfloat16", "search.budget=9")
    assert [problem.key for problem in caught.value.problems] == ["recipe.dtype", "search.seed"]
    assert resume("execution.threads=1")[-1].progress.evaluated == 6


def test_a_source_that_changed_is_named(workspace: Path, raw_config: dict[str, Any]) -> None:
    run_it(raw_config)
    target = Path("left").resolve()
    Path("left").unlink()
    shutil.copytree(target, "left")
    config = json.loads(Path("left/config.json").read_text())
    Path("left/config.json").write_text(json.dumps(config | {"comment": "edited"}))
    with pytest.raises(LedgerError, match=r"source 'left' \(left\) has changed since"):
        resume("search.budget=8")


def test_a_task_whose_data_changed_is_named(workspace: Path, raw_config: dict[str, Any]) -> None:
    run_it(raw_config)
    lines = Path("copy.jsonl").read_text()
    Path("copy.jsonl").unlink()
    Path("copy.jsonl").write_text(lines.replace("abcabc", "acbacb"))
    with pytest.raises(LedgerError, match="evaluator 'copy' has changed"):
        resume("search.budget=8")


PLUGIN = '''
"""An evaluator that counts letters of a sample."""

from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator


@evaluator("constant")
class Constant:
    """Gives every model the same score."""

    block_size = 4
    primary = "score"
    metrics = (Metric("score"),)

    def __init__(self, name, *, seed, **options):
        pass

    def fingerprint(self):
        return "constant/1"

    def n_examples(self, split):
        return 6

    def prepare(self, model, split):
        return None

    def score(self, model, requests, indices):
        return [ExampleRecord({"score": 0.5}) for _ in indices]

    def aggregate(self, metric, values):
        return float(values.mean())
'''


def test_plugins_are_stored_with_their_hash_and_loaded_again(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    Path("mine.py").write_text(PLUGIN)
    raw_config["evaluators"] = {"same": {"type": "constant"}}
    raw_config["objectives"] = {"same": {"from": ["same"], "direction": "maximize"}}
    events = run_it(raw_config, plugins=[Path("mine.py")])
    assert events[-1].objectives == {"same": 0.5}
    assert events[-1].best == "0-0"  # all tie, the first asked for wins
    assert resume("search.budget=7")[-1].progress.evaluated == 7
    Path("mine.py").write_text(PLUGIN.replace("0.5", "0.6"))
    with pytest.raises(LedgerError, match=r"plug-in .*mine\.py has changed"):
        resume("search.budget=8")


def test_a_plugin_that_has_given_no_score_yet_may_be_mended(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    broken = PLUGIN.replace(
        "        return [Ex", "        raise OSError('no grader')\n        return [Ex"
    )
    Path("mine.py").write_text(broken)
    raw_config["evaluators"] = {"same": {"type": "constant"}}
    raw_config["objectives"] = {"same": {"from": ["same"], "direction": "maximize"}}
    raw_config["search"] |= {"identical_failures": 3}
    with pytest.raises(RunFailedError, match="no grader"):
        run_it(raw_config, plugins=[Path("mine.py")])
    Path("mine.py").write_text(PLUGIN.replace("return 6", "return 7"))
    with pytest.raises(LedgerError, match="evaluator 'same' has changed"):
        resume()
    mended = PLUGIN.replace("constant/1", "constant/2")
    Path("mine.py").write_text(mended)
    events = resume()
    assert (events[-1].progress.failed, events[-1].objectives) == (0, {"same": 0.5})
    resume("search.budget=7")
    assert RunResults.open(RUN).row.tasks["same"]["fingerprint"] == "constant/2"
    Path("mine.py").write_text(broken)
    with pytest.raises(LedgerError, match=r"has changed or is gone.*without any score"):
        resume("search.budget=8")


def test_a_start_that_fails_leaves_the_name_free(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["ledger"] = "sqlite:///base/config.json/ledger.db"
    with pytest.raises(EvomergeError, match="can't be made"):
        run_it(raw_config)
    assert not RUN.exists()
    raw_config["ledger"] = "sqlite:///runs/ledger.db"
    assert isinstance(run_it(raw_config)[-1], Finished)


DRIVER = """
import os
import sys
from pathlib import Path
from evomerge.config.load import load_config
from evomerge.runs.failpoints import VARIABLE
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run, stored_run

def drive(point):
    os.environ[VARIABLE] = point
    if Path("runs/tiny/run.json").exists():
        opening = stored_run(Path("runs/tiny"))
    else:
        opening = new_run(load_config("tiny.yaml"), where="tiny.yaml")
    with opening as opened:
        for event in opened.run.drive():
            pass

# What loads on first use is loaded once here, not in each of the processes that are killed.
prepare(load_config("tiny.yaml"), plan=False)
for point in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        drive(point)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_a_real_run_killed_three_times_ends_as_if_never_killed(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    Path("tiny.yaml").write_text(yaml.safe_dump(raw_config, sort_keys=False))
    whole = {**raw_config, "name": "whole", "ledger": "sqlite:///runs/whole.db"}
    run_it(whole)
    root = str(Path(__file__).resolve().parents[2])
    # The first ends before run.json is written, the others within a generation.
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, "8", "17", "12", "0"],
        env=os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    killed = str(-signal.SIGKILL)
    assert done.stdout.split() == [killed, killed, killed, "0"], done.stderr
    expected, found = picture(Path("runs/whole")), picture()
    assert found == expected
    assert len(set(found["attempts"])) == len(found["attempts"])

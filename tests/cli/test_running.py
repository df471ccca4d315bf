"""``run`` and ``resume``: a search from the shell, every mistake before it, Ctrl-C in it."""

import hashlib
import json
import re
import signal
import time
from pathlib import Path

import pytest
import yaml

from evomerge.runs.reading.results import RunResults
from tests.cli.commands import call, call_json, mistake, started


def edit(old: str, new: str) -> None:
    """Change ``run.yaml`` in the working folder."""
    file = Path("run.yaml")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_run_ends_with_its_front_and_is_extended_by_resume(workspace: Path) -> None:
    out, err = call("run", "run.yaml")
    assert "mean (maximize)" in out
    assert "validation split, final" in out
    assert "toy: 4 genes, searcher random, folder runs/toy" in err
    assert "generation=0 evaluated=5/8 failed=0 best mean=" in err
    assert re.search(r"\nevaluated=8/8 failed=0 best mean=[^\n]+\nscoring 2 finalists on", err)
    assert "evomerge export runs/toy best --out DIR" in err
    log = Path("runs/toy/log.txt").read_text()
    assert re.search(r"Z INFO generation_done run=\w{32} ask=0 best.mean=\S+ .*evaluated=5 ", log)
    assert re.search(r"Z DEBUG candidate_done run=\w{32} candidate=0-0 attempt=1 worker=\S+ ", log)
    stored = yaml.safe_load(Path("runs/toy/config.yaml").read_text())
    assert stored["schema_version"] == 1
    assert stored["execution"]["executor"] == "inprocess"

    extended = call_json("resume", "runs/toy", "--set", "search.budget=10")
    assert extended["status"]["progress"] == {"evaluated": 10, "failed": 0, "budget": 10}
    assert extended["status"]["state"] == "finished"


def test_json_of_a_run_is_one_document_with_the_front(workspace: Path) -> None:
    found = call_json("run", "run.yaml", "--out", "elsewhere", "--set", "search.budget=3")
    assert set(found) == {"run", "status", "front", "hypervolume"}
    assert found["hypervolume"] is None  # there is one objective
    assert found["run"] == "elsewhere"
    assert found["status"]["progress"]["evaluated"] == 3
    (entry,) = found["front"]
    assert {"candidate", "recipe_hash", "objectives", "device_s", "marks"} < set(entry)
    assert set(entry["objectives"]["mean"]) == {"value", "low", "high", "n"}
    assert call_json("front", "elsewhere")["front"] == found["front"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("budget: 8", "bugdet: 8", "search.bugdet: unknown key; did you mean 'budget'?"),
        ("budget: 8", "budget: eight", "search.budget: got 'eight', expected a whole number."),
        ("method: task_arithmetic", "method: task_arithmetik", "did you mean 'task_arithmetic'?"),
        ("type: generation", "type: generatoin", "did you mean 'generation'?"),
        ("searcher: random", "searcher: randon", "did you mean 'random'?"),
        ("models/sort}", "models/srot}", "did you mean 'models/sort'?"),
        ("data: sort.jsonl", "data: srot.jsonl", "srot.jsonl"),
        ("search: 8, validation: 8", "search: 8, validation: 0", "validation"),
        ("[sort, reverse], aggregate", "[sort, revers], aggregate", "did you mean 'reverse'?"),
        ("base: base", "base: bsae", "did you mean 'base'?"),
        ("executor: inprocess", "executor: inproces", "did you mean 'inprocess'?"),
        ("population: 4", "populaton: 4", "did you mean 'population'?"),
    ],
)
def test_a_mistake_in_the_run_file_is_one_line_and_nothing_is_started(
    workspace: Path, old: str, new: str, line: str
) -> None:
    if old not in Path("run.yaml").read_text():
        Path("run.yaml").write_text(Path("run.yaml").read_text() + f"execution: {{{old}}}\n")
    edit(old, new)
    found = mistake("run", "run.yaml")
    assert any(line in text for text in found), found
    assert all(text.startswith("run.yaml: ") for text in found)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_an_unknown_lm_eval_task_names_the_nearest(workspace: Path) -> None:
    edit("type: generation\n    data: sort.jsonl\n    metric: exact\n    max_new_tokens: 4",
         "type: lm_eval\n    task: hellaswagg")  # fmt: skip
    (line,) = mistake("run", "run.yaml")
    assert "hellaswagg" in line
    assert "hellaswag" in line.replace("hellaswagg", "")


def test_two_mistakes_are_reported_together(workspace: Path) -> None:
    edit("method: task_arithmetic", "method: tasks")
    edit("type: generation", "type: generatoin")
    found = mistake("run", "run.yaml")
    assert len(found) == 2
    assert "recipe.parameters[0].method" in "".join(found)
    assert "evaluators.sort.type" in "".join(found)


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_an_unknown_key_does_not_hide_an_unknown_name(workspace: Path, command: str) -> None:
    edit("finalists: 2", "finalist: 2")
    edit("base: base\n", "base: bsae\n")
    shape, name = mistake(command, "run.yaml")
    assert shape.startswith("run.yaml: search.finalist: unknown key; did you mean 'finalists'?")
    assert name.startswith("run.yaml: base: no source is called 'bsae'; did you mean 'base'?")


def test_density_2_is_refused_with_its_range(workspace: Path) -> None:
    edit("method: task_arithmetic", "method: ties\n      densities: 2")
    found = mistake("run", "run.yaml")
    assert any("densities" in line and "at most 1" in line for line in found), found


def test_a_missing_run_file_is_named(workspace: Path) -> None:
    assert mistake("run", "none.yaml") == ["none.yaml: no such file. Check the path."]


def test_a_run_name_that_exists_is_refused_and_says_how_to_go_on(workspace: Path) -> None:
    call("run", "run.yaml", "--set", "search.budget=1")
    (line,) = mistake("run", "run.yaml")
    assert "runs/toy holds a run already" in line
    assert "evomerge resume runs/toy" in line


def test_a_run_folder_that_cannot_be_made_is_named(workspace: Path) -> None:
    Path("runs").write_text("a file where the folder should be")
    (line,) = mistake("run", "run.yaml")
    assert "run folder runs/toy can't be written" in line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody may write")
def test_a_read_only_run_folder_is_named(workspace: Path) -> None:
    (line,) = mistake("run", "run.yaml", "--out", "/proc/toy")  # not even root may write there
    assert line.startswith("run folder /proc/toy can't be written: ")
    assert "--out" in line


def test_resume_changes_nothing_but_budget_and_execution(workspace: Path) -> None:
    call("run", "run.yaml", "--set", "search.budget=1")
    (line,) = mistake("resume", "runs/toy", "--set", "search.seed=3")
    assert "search.seed: can't be changed once a run has started" in line
    (line,) = mistake("resume", "runs/toi")
    assert "runs/toi does not exist; did you mean 'toy'?" in line


def test_a_plugin_is_loaded_and_recorded_with_its_hash(workspace: Path) -> None:
    plugin = Path("plugin.py")
    plugin.write_text(
        "from evomerge.search.protocol import searcher\n"
        "from evomerge.search.random import RandomSearcher\n"
        "@searcher('of_plugin')\n"
        "class OfPlugin(RandomSearcher):\n    '''Random.'''\n"
    )
    edit("searcher: random", "searcher: of_plugim")
    edit("options: {population: 4}", "options: {}")
    found = mistake("run", "run.yaml", "--plugin", "plugin.py")
    assert any("did you mean 'of_plugin'?" in line for line in found), found
    (line,) = mistake("run", "run.yaml", "--plugin", "none.py")
    assert line.startswith("plug-in file none.py does not exist.")
    call("run", "run.yaml", "--plugin", "plugin.py", "--set", "search.searcher=of_plugin")
    results = RunResults.open(Path("runs/toy"))
    sha256 = hashlib.sha256(plugin.read_bytes()).hexdigest()
    assert results.row.plugins == ((str(plugin.absolute()), sha256),)
    results.close()
    plugin.write_text(plugin.read_text() + "# changed\n")
    (line,) = mistake("resume", "runs/toy")
    assert "plug-in" in line
    assert "has changed or is gone" in line


def test_a_failed_run_exits_with_1_and_can_be_resumed(workspace: Path) -> None:
    Path("broken.py").write_text(
        "from evomerge.evaluation.protocol import Metric, evaluator\n"
        "@evaluator('broken')\n"
        "class Broken:\n"
        "    '''Always fails.'''\n"
        "    block_size, primary, metrics = 8, 'x', (Metric('x'),)\n"
        "    def __init__(self, name, *, seed): pass\n"
        "    def fingerprint(self): return 'broken'\n"
        "    def n_examples(self, split): return 4\n"
        "    def prepare(self, model, split): raise ZeroDivisionError('no [luck]')\n"
        "    def score(self, model, requests, indices): return []\n"
        "    def aggregate(self, metric, values): return 0.0\n"
    )
    edit("objectives:", "  broken: {type: broken}\nobjectives:")
    edit("[sort, reverse], aggregate", "[broken], aggregate")
    edit("budget: 8", "budget: 40")
    out, err = call("run", "run.yaml", "--plugin", "broken.py", code=1)
    assert out == ""
    assert "no [luck]" in err
    assert "evomerge resume" in err
    assert call_json("status", "runs/toy")["state"] == "failed"


@pytest.mark.slow
def test_ctrl_c_once_stops_cleanly_and_says_how_to_resume(workspace: Path) -> None:
    endless = ("run", "run.yaml", "--json", "--set", "search.budget=100000")
    with started(*endless, cwd=workspace) as command:
        command.wait_for("generation=1 ")
        command.press_ctrl_c()
        assert command.end() == 130
    assert "press Ctrl-C again to stop at once" in command.err
    assert command.err.splitlines()[-1].endswith("Go on with: evomerge resume runs/toy")
    assert "Traceback" not in command.err
    assert json.loads(command.out)["status"]["state"] == "stopped"
    status = call_json("status", "runs/toy")
    assert status["state"] == "stopped"
    assert status["progress"]["evaluated"] >= 8


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once(workspace: Path) -> None:
    Path("sleepy.py").write_text(
        "import time\n"
        "from evomerge.evaluation.protocol import Metric, evaluator\n"
        "@evaluator('sleepy')\n"
        "class Sleepy:\n"
        "    '''Takes for ever.'''\n"
        "    block_size, primary, metrics = 8, 'x', (Metric('x'),)\n"
        "    def __init__(self, name, *, seed): pass\n"
        "    def fingerprint(self): return 'sleepy'\n"
        "    def n_examples(self, split): return 4\n"
        "    def prepare(self, model, split): pass\n"
        "    def score(self, model, requests, indices):\n"
        "        print('asleep', flush=True)\n"
        "        time.sleep(600)\n"
        "    def aggregate(self, metric, values): return 0.0\n"
    )
    edit("objectives:", "  sleepy: {type: sleepy}\nobjectives:")
    edit("[sort, reverse], aggregate", "[sleepy], aggregate")
    with started("run", "run.yaml", "--plugin", "sleepy.py", cwd=workspace) as command:
        command.wait_for("asleep")
        command.press_ctrl_c()
        command.wait_for("press Ctrl-C again")
        assert command.process.poll() is None  # the candidate in hand takes for ever
        command.press_ctrl_c()
        assert command.end(20) == 130
    assert "evomerge resume runs/toy" in command.err
    assert "Traceback" not in command.err
    assert call_json("status", "runs/toy")["progress"]["evaluated"] == 0


@pytest.mark.slow
def test_a_spot_instance_that_ends_leaves_a_run_that_can_be_resumed(workspace: Path) -> None:
    options = ("--set", "search.budget=100000", "--set", "execution.log=json")
    with started("run", "run.yaml", *options, cwd=workspace) as command:
        command.wait_for("generation=1 ")
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):  # such come again
            command.process.send_signal(number)
            time.sleep(0.01)  # two of one kind at once may come as one, and two kinds in any order
        assert command.end() == 0
    assert "SIGTERM: finishing what is running, for 60 s at most." in command.err
    assert command.err.splitlines()[-1].endswith("Go on with: evomerge resume runs/toy")
    assert "Traceback" not in command.err
    status = call_json("status", "runs/toy")
    assert (status["state"], status["reason"]) == ("stopped", "signal")
    lines = [json.loads(line) for line in Path("runs/toy/log.txt").read_text().splitlines()]
    assert {line["run"] for line in lines if line["event"] != "log"} == {status["run_id"]}
    assert [line["event"] for line in lines if line["event"] != "log"][-2:] == [
        "draining",
        "stopped",
    ]
    done = [line["candidate"] for line in lines if line["event"] == "candidate_done"]
    assert len(set(done)) == len(done) == status["progress"]["evaluated"]


@pytest.mark.slow
def test_a_signal_while_modules_load_ends_with_0_too(workspace: Path) -> None:
    with started("run", "run.yaml", cwd=workspace) as command:
        handled = Path(f"/proc/{command.process.pid}/status")
        if not handled.exists():
            pytest.skip("needs /proc to see when the handler is there")
        until = time.monotonic() + 60
        while not catches(handled.read_text(), signal.SIGTERM) and time.monotonic() < until:
            time.sleep(0.001)
        command.process.send_signal(signal.SIGTERM)
        assert command.end() == 0
    assert command.err == "SIGTERM: stopped before anything was evaluated.\n"
    assert not Path("runs/toy/run.json").exists()


def catches(status: str, number: signal.Signals) -> bool:
    """Say if a process, by its /proc status, has a handler for ``number``."""
    (mask,) = re.findall(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)

from pathlib import Path

import optuna

from tests.cli.commands import call, call_json, mistake


def test_a_run_is_written_to_a_storage_once(finished_run: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    assert (
        "20 candidates written to 'fake run1'" in call("mirror", finished_run, "--optuna", url)[1]
    )
    assert call_json("mirror", finished_run, "--optuna", url)["written"] == {"fake run1": 0}
    assert "Nothing new" in call("mirror", finished_run, "--optuna", url)[1]
    assert len(optuna.load_study(study_name="fake run1", storage=url).trials) == 20


def test_a_tracker_must_be_named(finished_run: Path) -> None:
    assert "got no tracker" in mistake("mirror", finished_run)[0]

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "points"), [("generation", 50), ("async", 25)])
def test_killed_at_many_points_and_resumed_ends_as_if_never_killed(
    tmp_path: Path, mode: str, points: int
) -> None:
    """SIGKILL right before and after commits, and with rows written but not committed."""
    found = killed(tmp_path, points, mode)
    for step in ("schema", "run", "claim", "ask", "lease", "attempt", "final"):
        assert any(kind.endswith(f":{step}") for kind in found["kinds"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("searcher", "mode"),
    [
        ("m2n2", "async"),
        ("nsga2", "generation"),
        ("cma_es", "generation"),
        ("map_elites", "async"),
        ("cma_me", "generation"),
    ],
)
def test_a_killed_search_goes_on_where_it_had_learnt(
    tmp_path: Path, searcher: str, mode: str
) -> None:
    """With and without a stored state of the searcher."""
    found = killed(tmp_path, 6, mode, searcher)
    assert {kind.split(":")[1] for kind in found["kinds"]} >= {"ask", "attempt"}


@pytest.mark.slow
def test_killed_while_a_prompt_is_answered_the_run_loses_nothing(tmp_path: Path) -> None:
    found = killed(tmp_path, 6, "async", "talks")
    assert set(found["kinds"]) == {"begin:reply", "before:reply", "after:reply"}


@pytest.mark.slow
@pytest.mark.postgres
def test_the_same_holds_in_a_database_that_many_runs_share(
    tmp_path: Path, postgres_url: str
) -> None:
    found = killed(tmp_path, 12, "generation", "random", postgres_url)
    assert any(kind.endswith(":attempt") for kind in found["kinds"])


def killed(
    folder: Path, points: int, mode: str, searcher: str = "random", *ledger: str
) -> dict[str, Any]:
    """Kill runs at ``points`` places, in a process of its own; nothing may be different."""
    script = Path(__file__).with_name("killed_run.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(points), "0", mode, searcher, *ledger],
        env=os.environ | {"PYTHONPATH": str(script.parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["points"] == points
    assert found["survived"] == []
    assert found["different"] == []
    assert found["counted_twice"] == []
    return found

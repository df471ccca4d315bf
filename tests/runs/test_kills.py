import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "points"), [("generation", 50), ("async", 25)])
def test_killed_at_many_points_and_resumed_ends_as_if_never_killed(
    tmp_path: Path, mode: str, points: int
) -> None:
    """SIGKILL right before and after commits, and with rows written but not committed."""
    script = Path(__file__).with_name("killed_run.py")
    root = script.parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(points), "0", mode],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["points"] == points
    assert found["survived"] == []
    assert found["different"] == []
    assert found["counted_twice"] == []
    for step in ("schema", "run", "claim", "ask", "lease", "attempt", "final"):
        assert any(kind.endswith(f":{step}") for kind in found["kinds"])

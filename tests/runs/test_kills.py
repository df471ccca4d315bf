import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_killed_at_fifty_points_and_resumed_ends_as_if_never_killed(tmp_path: Path) -> None:
    """SIGKILL right before and after commits, and with rows written but not committed."""
    script = Path(__file__).with_name("killed_run.py")
    root = script.parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "50", "0"],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["points"] == 50
    assert found["survived"] == []
    assert found["different"] == []
    assert found["counted_twice"] == []
    for step in ("schema", "run", "ask", "attempt", "tell", "final"):
        assert any(kind.endswith(f":{step}") for kind in found["kinds"])

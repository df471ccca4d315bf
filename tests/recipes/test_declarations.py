import os
import sys
from pathlib import Path

import pytest

from evomerge.recipes.declarations import load_plugin_file


def test_a_file_changed_within_the_second_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "counting.py"
    for number in (1, 2):
        file.write_text(f"NUMBER = {number}\n")
        os.utime(file, (1_000_000, 1_000_000))
        load_plugin_file(file)
        module = sys.modules["evomerge_plugin_counting"]
        assert vars(module)["NUMBER"] == number

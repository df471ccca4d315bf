from pathlib import Path

import pytest

from evomerge.runs.setup import machine
from evomerge.runs.setup.cgroup import Limit, memory_limits


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("memory_", "memory.", 1)).write_text(f"{text}\n")


def member(folder: Path, *lines: str) -> Path:
    path = folder / "membership"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_version_2_counts_cached_files_as_free_and_looks_at_parents(tmp_path: Path) -> None:
    job = tmp_path / "slurm" / "job_7"
    stat = "anon 5\ninactive_file 300"
    group(job, memory_max=1000, memory_current=700, memory_stat=stat)
    group(tmp_path / "slurm", memory_max="max", memory_current=900, memory_stat=stat)
    group(tmp_path, memory_max=5000, memory_current=4000, memory_stat="inactive_file 0")
    membership = member(tmp_path, "0::/slurm/job_7")
    assert memory_limits(tmp_path, membership) == [Limit(1000, 600), Limit(5000, 1000)]


def test_version_1_is_read_where_the_container_shows_only_the_root(tmp_path: Path) -> None:
    group(
        tmp_path / "memory",
        memory_limit_in_bytes=800,
        memory_usage_in_bytes=900,
        memory_stat="inactive_file 1\ntotal_inactive_file 50",
    )
    membership = member(tmp_path, "4:memory:/docker/abc", "3:cpuset:/")
    assert memory_limits(tmp_path, membership) == [Limit(800, 0)]


@pytest.mark.parametrize("limit", [9223372036854771712, "max", ""])
def test_no_limit_is_none(tmp_path: Path, limit: object) -> None:
    group(
        tmp_path / "memory",
        memory_limit_in_bytes=limit,
        memory_usage_in_bytes=900,
        memory_stat="total_inactive_file 50",
    )
    assert memory_limits(tmp_path, member(tmp_path, "4:memory:/")) == []
    assert memory_limits(tmp_path, tmp_path / "none") == []


def test_the_smallest_of_all_limits_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = machine.free_memory()
    monkeypatch.setattr(
        machine, "memory_limits", lambda: [Limit(2000, 1000), Limit(10**18, 10**18)]
    )
    assert plain > 1000
    assert machine.free_memory() == 1000
    assert machine.inspect_machine().devices[0].total_bytes == 2000

from pathlib import Path

import pytest

from evomerge.errors import LedgerError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.filesystems import file_system, refuse_network_file_system

MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,relatime shared:2 master:1 - nfs4 files:/home rw,vers=4.2
31 30 8:2 / /home/me/local\\040disk rw,relatime - xfs /dev/sdb1 rw
32 21 0:41 / /homely rw,relatime - btrfs /dev/sdc1 rw
33 21 0:42 / /lab rw,nosuid - fuse.sshfs me@lab:/ rw
34 21 0:43 / /covered rw - nfs files:/old rw
35 34 0:44 / /covered rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/srv/ledger.db", ("/", "ext4")),
        ("/home/me/runs/ledger.db", ("/home", "nfs4")),
        ("/home/me/local disk/ledger.db", ("/home/me/local disk", "xfs")),
        ("/homely/ledger.db", ("/homely", "btrfs")),
        ("/covered/ledger.db", ("/covered", "tmpfs")),
    ],
)
def test_the_longest_mount_point_that_is_not_covered_counts(
    path: str, found: tuple[str, str]
) -> None:
    assert file_system(Path(path), mountinfo=MOUNTS) == found


@pytest.mark.parametrize("path", ["/home/me/runs/ledger.db", "/lab/ledger.db"])
def test_a_network_file_system_is_refused_with_advice(path: str) -> None:
    with pytest.raises(LedgerError, match=r"network file system \(.*use PostgreSQL.*postgresql://"):
        refuse_network_file_system(Path(path), mountinfo=MOUNTS)


@pytest.mark.parametrize("path", ["/home/me/local disk/l.db", "/covered/l.db"])
def test_local_disks_are_taken(path: str) -> None:
    refuse_network_file_system(Path(path), mountinfo=MOUNTS)
    # What was taken for its file system is refused for that of the network.
    found = file_system(Path(path), mountinfo=MOUNTS)
    assert found is not None
    networked = MOUNTS.replace(f" - {found[1]} ", " - nfs4 ")
    with pytest.raises(LedgerError, match="network file system"):
        refuse_network_file_system(Path(path), mountinfo=networked)


def test_where_mounts_are_unknown_nothing_is_refused(tmp_path: Path) -> None:
    assert file_system(tmp_path / "ledger.db", mountinfo="") is None
    refuse_network_file_system(tmp_path / "ledger.db", mountinfo="")


def test_a_link_is_followed_to_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "far")
    mounts = f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / {tmp_path}/far rw - lustre b rw\n"
    with pytest.raises(LedgerError, match="lustre"):
        refuse_network_file_system(tmp_path / "link" / "ledger.db", mountinfo=mounts)


def test_a_ledger_opened_for_writing_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(url, create=True).close()
    monkeypatch.setattr(
        "evomerge.runs.ledger.filesystems.file_system", lambda *_, **__: ("/net", "cifs")
    )
    with pytest.raises(LedgerError, match=r"on /net, a network file system \(cifs\)"):
        Ledger.open(url)
    Ledger.open(url, read_only=True).close()

from pathlib import Path

import pytest

from evomerge.service.reading import logs
from evomerge.service.reading.logs import read_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "log.txt"
    file.write_bytes(b"".join(b"line %d\n" % i for i in range(10)))
    return file


def test_the_end_of_a_log_and_what_comes_after(log: Path) -> None:
    found = read_log(log, after=None, lines=3)
    assert found == {"lines": ["line 7", "line 8", "line 9"], "next": 70, "more": False}
    with log.open("ab") as stream:
        stream.write("line ä <b>\n half".encode())
    later = read_log(log, after=found["next"], lines=3)
    assert later["lines"] == ["line ä <b>"]
    with log.open("ab") as stream:
        stream.write(b"way\n")
    assert read_log(log, after=later["next"], lines=3)["lines"] == [" halfway"]


def test_pages_of_a_log_give_every_line_once(log: Path) -> None:
    lines: list[str] = []
    after, more = 0, True
    while more:
        found = read_log(log, after=after, lines=4)
        lines += found["lines"]
        after, more = found["next"], found["more"]
    assert lines == [f"line {i}" for i in range(10)]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    empty = {"lines": [], "next": 0, "more": False}
    assert read_log(tmp_path / "log.txt", after=None, lines=3) == empty


def test_a_link_is_not_followed(log: Path) -> None:
    link = log.with_name("link.txt")
    link.symlink_to(log)
    assert read_log(link, after=None, lines=3)["lines"] == []


def test_a_log_begun_anew_is_read_from_its_beginning(log: Path) -> None:
    log.write_bytes(b"new\n")
    assert read_log(log, after=70, lines=3)["lines"] == ["new"]


def test_only_so_much_is_read_and_secrets_are_blotted_out(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FEW_BYTES", 10)
    monkeypatch.setattr(logs, "MOST_BYTES", 20)
    assert read_log(log, after=None, lines=9)["lines"] == ["line 8", "line 9"]
    log.write_bytes(b"x" * 50 + b"\nend\n")
    assert read_log(log, after=0, lines=9) == {"lines": ["x" * 20], "next": 20, "more": True}
    log.write_bytes(b"\xff token=abc\rprogress\n")
    monkeypatch.undo()
    assert read_log(log, after=0, lines=9)["lines"] == ["\ufffd token=***\rprogress"]

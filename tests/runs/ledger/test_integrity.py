import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from evomerge.runs.ledger.copying import restore
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.integrity import check_ledger
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.fakes import BINARY, FakeRun


@pytest.fixture(scope="module")
def finished_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of one finished run, and a lease without an attempt."""
    fake = FakeRun(tmp_path_factory.mktemp("run"), budget=6, finalists=2, evaluators=BINARY)
    run = fake.start()
    for _ in run.drive():
        pass
    RunWriter(run.records.ledger, "run1").grant([("0-0", "test", 1)])
    run.records.ledger.close()
    return fake.folder / "ledger.db"


@pytest.fixture
def whole(finished_file: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A copy of it to damage."""
    shutil.copy(finished_file, tmp_path / "ledger.db")
    with contextlib.closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.db")) as ledger:
        yield ledger


def test_a_finished_run_holds_together(finished_file: Path, ledger_url: str) -> None:
    restore(finished_file, ledger_url)
    with contextlib.closing(Ledger.open(ledger_url, read_only=True)) as ledger:
        found = check_ledger(ledger)
    assert found.problems == []
    (run,) = found.runs
    assert (run.name, run.candidates, run.attempts, run.failed) == ("fake", 6, 8, 0)
    assert (run.in_flight, run.lost) == (1, 0)
    assert run.blocks == 8 * 2 * 3
    assert (run.decisions, run.events) == (3, 10)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM recipe", "candidates without their recipe: 0-0, 0-1, 0-2, 0-3, 0-4 and 1"),
        ("DELETE FROM candidate WHERE candidate_id = '0-1'", "a decision (ask) names"),
        ("DELETE FROM candidate WHERE candidate_id = '0-1'", "attempts at unknown candidates: 0-1"),
        ("DELETE FROM attempt WHERE candidate_id = '0-1'", "told of what was never tried: 0-1"),
        ("DELETE FROM score_block WHERE split = 'validation'", "finished attempts without scores"),
        ("DELETE FROM estimate WHERE candidate_id = '0-1'", "finished attempts without estimates"),
        ("UPDATE attempt SET status = 'failed' WHERE number = 1", "scores without a finished"),
        ("DELETE FROM score_block WHERE block = 2", "estimates of more examples than were scored"),
        ("UPDATE score_block SET data = answer_block.data FROM answer_block", "scores that can't"),
        ("UPDATE answer_block SET data = score_block.data FROM score_block", "answers that can't"),
        ("DELETE FROM decision WHERE sequence = 1", "gaps in the numbers of decisions"),
        ("DELETE FROM decision WHERE sequence = 1", "results told of what wasn't asked"),
        ("DELETE FROM event WHERE sequence = 2", "gaps in the numbers of events"),
        ("UPDATE lease SET candidate_id = 'x' || candidate_id", "leases of unknown candidates"),
        ("UPDATE run SET run_id = 'other'", "table attempt has rows of an unknown run run1"),
    ],
)
def test_what_is_missing_or_broken_is_named(whole: Ledger, statement: str, problem: str) -> None:
    with whole.write("test") as connection:
        connection.execute(text(statement))
    found = check_ledger(whole).problems
    assert any(problem in line for line in found), found


def test_a_damaged_file_is_found_out(whole: Ledger) -> None:
    assert whole.file is not None
    whole.close()
    raw = bytearray(whole.file.read_bytes())
    raw[-4096 * 8 :] = b"\xff" * 4096 * 8
    whole.file.write_bytes(raw)
    assert check_ledger(whole).problems != []

import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from evomerge.errors import FencedError, LedgerError
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.fakes import BINARY, FakeRun, picture
from tests.runs.ledger.conftest import Opener


def age(ledger: Ledger, seconds: float) -> None:
    """Make the last beat older, as if time had passed."""
    with ledger.write("test") as connection:
        connection.execute(text("UPDATE driver SET beat_s = beat_s - :s"), {"s": seconds})


def test_a_second_driver_is_refused_with_the_holder_and_the_wait(ledger: Ledger) -> None:
    assert driving.claim(ledger, "run1", holder="far:7", lease_s=60) == 1
    age(ledger, 20)
    with pytest.raises(LedgerError, match=r"far:7 drives this run.* 20 s ago.* in 40 s"):
        driving.claim(ledger, "run1", holder="near:8")
    assert driving.claim(ledger, "run2", holder="near:8") == 1


def test_after_its_lease_another_takes_over_and_the_first_is_fenced(
    ledger: Ledger, open_ledger: Opener
) -> None:
    first = driving.claim(ledger, "run1", holder="far:7", lease_s=60)
    old = RunWriter(ledger, "run1", first)
    old.decide("ask", {"ask": 0})
    age(ledger, 61)
    other = open_ledger()
    second = driving.claim(other, "run1", holder="near:8")
    assert second == 2
    new = RunWriter(other, "run1", second)
    new.decide("tell", {"ask": 0})
    for write in (
        lambda: old.decide("tell", {"ask": 0}),
        lambda: old.grant([("0-0", "search", 1)]),
        lambda: driving.beat(ledger, "run1", first),
    ):
        with pytest.raises(FencedError, match=r"taken over by near:8 \(driver 2\)"):
            write()
    driving.release(ledger, "run1", first)  # changes nothing
    found = driving.read_driver(ledger, "run1")
    assert found is not None
    assert (found.holder, found.epoch, found.alive) == ("near:8", 2, True)
    records = RunRecords(ledger, "run1")
    assert [row.kind for row in records.decisions()] == ["ask", "tell"]
    assert records.leases() == []


def test_a_batch_of_a_fenced_driver_writes_nothing(ledger: Ledger) -> None:
    old = RunWriter(ledger, "run1", driving.claim(ledger, "run1", holder="far:7", lease_s=0))
    driving.claim(ledger, "run1", holder="near:8")
    with pytest.raises(FencedError), old.batch():
        old.decide("tell", {})
    assert RunRecords(ledger, "run1").decisions() == []


def test_a_beat_keeps_the_run_and_a_release_gives_it_back(ledger: Ledger) -> None:
    epoch = driving.claim(ledger, "run1", holder="far:7", lease_s=60)
    age(ledger, 59)
    driving.beat(ledger, "run1", epoch)
    with pytest.raises(LedgerError, match="far:7 drives this run"):
        driving.claim(ledger, "run1", holder="near:8")
    driving.release(ledger, "run1", epoch)
    assert driving.claim(ledger, "run1", holder="near:8") == 2


def test_a_driver_of_this_machine_that_ended_is_replaced_at_once(ledger: Ledger) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    driving.claim(ledger, "run1", holder=f"{host}:{gone.pid}")
    assert driving.claim(ledger, "run1", holder=driving.this_process()) == 2
    with pytest.raises(LedgerError, match=f"{host}:{os.getpid()} drives"):
        driving.claim(ledger, "run1", holder="near:8")


def test_a_number_that_another_process_has_got_since_is_no_driver(ledger: Ledger) -> None:
    driving.claim(ledger, "run1", holder=driving.this_process(), lease_s=10**9)
    age(ledger, 10**8)  # long before this process began
    assert driving.claim(ledger, "run1", holder="near:8") == 2


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps_blocks_a_run_for_no_longer_than_its_lease(
    ledger: Ledger, jump_s: float
) -> None:
    """Set back, the last beat lies ahead; set forward, it is old: another may take over at once.

    Should the first still live, its next beat or write tells it so, and nothing is doubled.
    """
    first = driving.claim(ledger, "run1", holder="far:7", lease_s=60)
    age(ledger, jump_s)
    assert driving.claim(ledger, "run1", holder="near:8") == 2
    with pytest.raises(FencedError):
        RunWriter(ledger, "run1", first).decide("ask", {})


def test_a_beat_sets_right_what_a_jump_of_the_clock_did(ledger: Ledger) -> None:
    epoch = driving.claim(ledger, "run1", holder="far:7", lease_s=60)
    age(ledger, -3600)
    driving.beat(ledger, "run1", epoch)
    with pytest.raises(LedgerError, match="far:7 drives"):
        driving.claim(ledger, "run1", holder="near:8")


def test_the_clock_is_that_of_the_database(ledger: Ledger) -> None:
    driving.claim(ledger, "run1", holder="far:7")
    with ledger.read() as connection:
        beat_s = connection.execute(text("SELECT beat_s FROM driver")).scalar_one()
    assert beat_s == pytest.approx(time.time(), abs=5)
    found = driving.read_driver(ledger, "run1")
    assert found is not None
    assert 0 <= found.age_s < 5


def test_of_several_that_claim_at_once_one_gets_the_run(
    ledger: Ledger, open_ledger: Opener
) -> None:
    """Each has a connection of its own, as processes have."""
    claimants = [open_ledger() for _ in range(4)]
    together = threading.Barrier(len(claimants))

    def claim(number: int) -> str:
        together.wait()
        try:
            return f"epoch {driving.claim(claimants[number], 'run1', holder=f'far:{number}')}"
        except LedgerError as error:
            return str(error)

    with ThreadPoolExecutor(len(claimants)) as pool:
        found = sorted(pool.map(claim, range(len(claimants))))
    assert found[0] == "epoch 1"
    assert all("drives this run" in answer for answer in found[1:])


def _drive(url: str, folder: Path, name: str) -> None:
    fake = FakeRun(
        folder / name,
        run_id=name,
        ledger=url,
        budget=20,
        finalists=3,
        reuse=False,
        evaluators=BINARY,
    )
    fake.folder.mkdir(exist_ok=True)
    for _ in fake.start().drive():
        pass


def test_two_runs_write_to_one_database_at_the_same_time(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("one", "two")
    processes = [
        context.Process(target=_drive, args=(ledger_url, tmp_path, name)) for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    first, second = (picture(RunRecords(ledger, name)) for name in names)
    assert first == second
    assert len(first["candidates"]) == 20 + 4  # whole generations of six

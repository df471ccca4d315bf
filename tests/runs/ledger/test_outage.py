"""A server that goes away and comes back, and a client that can't tell what was committed."""

import signal
import time

import pytest

from evomerge.errors import LedgerAwayError, LedgerError
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from tests.fixtures_postgres import PostgresServer

pytestmark = pytest.mark.postgres


def test_an_outage_shows_at_once_and_the_same_ledger_goes_on_after_it(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    ledger = Ledger.open(postgres_url, create=True)
    epoch = driving.claim(ledger, "run1", holder="far:7")
    writer, records = RunWriter(ledger, "run1", epoch), RunRecords(ledger, "run1")
    writer.decide("ask", {})
    postgres_server.stop()
    began = time.monotonic()
    for attempt in (
        lambda: writer.decide("tell", {}),
        records.decisions,
        lambda: driving.beat(ledger, "run1", epoch),
        lambda: Ledger.open(postgres_url),
    ):
        with pytest.raises(LedgerAwayError, match="is away"):
            attempt()
    assert time.monotonic() - began < 5
    postgres_server.start()
    assert not writer.landed()
    writer.decide("tell", {})
    driving.beat(ledger, "run1", epoch)
    assert [row.kind for row in records.decisions()] == ["ask", "tell"]
    ledger.close()


def test_a_server_that_crashes_in_the_middle_of_a_batch_keeps_nothing_of_it(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    ledger = Ledger.open(postgres_url, create=True)
    writer = RunWriter(ledger, "run1", driving.claim(ledger, "run1", holder="far:7"))

    def crash() -> None:
        with writer.batch():
            writer.decide("ask", {})
            postgres_server.stop(signal.SIGQUIT)
            writer.decide("tell", {})

    with pytest.raises(LedgerAwayError):
        crash()
    with pytest.raises(LedgerAwayError):
        writer.landed()
    postgres_server.start()
    assert not writer.landed()
    assert RunRecords(ledger, "run1").decisions() == []
    ledger.close()


def test_a_driver_that_hangs_in_a_write_holds_up_nobody_for_long(postgres_url: str) -> None:
    """Its row is locked; whoever waits for it is told after the lock's time, not never."""
    ledger = Ledger.open(postgres_url, create=True)
    epoch = driving.claim(ledger, "run1", holder="far:7")
    impatient = Ledger.open(f"{postgres_url}&options=-c%20lock_timeout%3D200ms")
    with RunWriter(ledger, "run1", epoch).batch():
        with pytest.raises(LedgerAwayError, match="lock timeout"):
            driving.beat(impatient, "run1", epoch)
        with pytest.raises(LedgerAwayError, match="lock timeout"):
            driving.claim(impatient, "run1", holder="near:8")
    driving.beat(impatient, "run1", epoch)
    ledger.close()
    impatient.close()


def test_a_wrong_database_or_user_is_no_outage(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    for url in (postgres_server.url("nowhere"), postgres_url.replace("evomerge@", "nobody@")):
        with pytest.raises(LedgerError, match="does not exist") as caught:
            Ledger.open(url, create=True)
        assert not isinstance(caught.value, LedgerAwayError)

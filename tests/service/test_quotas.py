"""What a token's runs have taken."""

from pathlib import Path

import pytest

from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import AttemptRecord
from evomerge.runs.ledger.writer import RunWriter
from evomerge.service.jobs.table import Jobs
from evomerge.service.quotas import device_hours
from tests.runs.fakes import FakeRun
from tests.service.jobs.test_table import new


def test_device_hours_count_work_and_waiting_of_all_the_tokens_runs(
    ledger: Ledger, tmp_path: Path
) -> None:
    jobs = Jobs(ledger)
    for token_id, busy_s in (("t1", 3600.0), ("t1", 1800.0), ("t2", 7200.0)):
        job = jobs.add(new(token_id=token_id))[0]
        FakeRun(tmp_path, run_id=job.run_id, ledger=str(ledger.url)).store()
        record = AttemptRecord("0-0", "search", 1, None, busy_s=busy_s, wait_s=1800.0, devices=2.0)
        RunWriter(ledger, job.run_id).add_attempt(record, (), {}, None)
    jobs.add(new(token_id="t1"))  # a run that hasn't begun
    jobs.add(new("export", token_id="t1"))
    assert device_hours(ledger, jobs, "t1") == pytest.approx(2 * (1.5 + 1.0))
    assert device_hours(ledger, jobs, "t2") == pytest.approx(2 * 2.5)
    assert device_hours(ledger, jobs, "nobody") == 0.0

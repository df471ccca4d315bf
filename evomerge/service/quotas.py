"""Device-hours of a token: what its runs have taken, and whether it may take more."""

from sqlalchemy import text

from evomerge.runs.ledger.database import Ledger
from evomerge.runs.reading.accounting import spent_on
from evomerge.service.access import Access
from evomerge.service.jobs.table import Job, Jobs

_HOUR_S = 3600.0


def device_hours(ledger: Ledger, jobs: Jobs, token_id: str) -> float:
    """Return the device-hours that the runs of a token have taken, waiting included."""
    runs = {job.run_id for job in jobs.of_token(token_id)}
    with ledger.read() as connection:

        def query(sql: str, values: object) -> list[tuple[object, ...]]:
            return [tuple(row) for row in connection.execute(text(sql), values)]  # type: ignore[call-overload]  # a mapping

        return sum(spent_on(query, run_id).held_device_s for run_id in runs) / _HOUR_S


def over_quota(access: Access, ledger: Ledger, jobs: Jobs, job: Job) -> str | None:
    """Return why ``job`` may not go on, None where it may."""
    if job.token_id is None or job.kind != "run":
        return None
    allowed = access.tokens.device_hours(job.token_id)
    if allowed is None:
        return None
    used = device_hours(ledger, jobs, job.token_id)
    if used < allowed:
        return None
    return (
        f"the token of {job.submitted_by!r} has used {used:.2f} of its {allowed:g} device-hours. "
        "Ask an admin for another token, and clone the job with it."
    )

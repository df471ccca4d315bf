"""What attempts took: seconds by part, device-seconds, cost. Standard library alone.

A worker's time is either waiting for a job or busy with one. Busy time is building the candidate
(``merge``), forward passes and metrics (``score``), building and tokenising requests
(``tokenise``), work that was cut off half-way, when nothing of it is known but how long it took
(``cut_off``), and the rest: handing jobs over, keeping answers, messages (``overhead``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evomerge.execution.protocol import Failure

CUT_OFF = ("died", "timeout")
"""Kinds of failures whose worker ended before it could say what its time went into."""

Query = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Answers a SELECT with ``:name`` parameters, in the SQL that SQLite and PostgreSQL share."""


class Timed(Protocol):
    """An attempt with its times: a row of the ledger, or a record on its way there."""

    @property
    def failure(self) -> "Failure | None":
        """Why it gave no scores."""

    @property
    def lost(self) -> bool:
        """It is to be tried again."""

    @property
    def merge_s(self) -> float:
        """Building the candidate."""

    @property
    def score_s(self) -> float:
        """Forward passes and metrics."""

    @property
    def tokenise_s(self) -> float:
        """Building and tokenising requests."""

    @property
    def wait_s(self) -> float:
        """The worker had nothing to do before."""

    @property
    def busy_s(self) -> float:
        """From handing it to the worker to having its result."""

    @property
    def devices(self) -> float:
        """Devices that the worker held."""


@dataclass(frozen=True)
class Spent:
    """What some attempts took; seconds of workers, not of the wall clock.

    Args:
        attempts: How many, those that were lost among them.
        lost: How many were lost with their worker.
        merge_s, score_s, tokenise_s: Seconds of each kind of work.
        cut_off_s: Seconds of attempts whose worker died or was stopped under them, as far as
            nothing else is known of them.
        wait_s: Seconds that workers had nothing to do before these attempts.
        busy_s: Seconds of work, overhead and cut-off work included.
        device_s: Seconds of work times devices.
        held_device_s: Seconds of work and waiting times devices: what has to be paid for.
    """

    attempts: int = 0
    lost: int = 0
    merge_s: float = 0.0
    score_s: float = 0.0
    tokenise_s: float = 0.0
    cut_off_s: float = 0.0
    wait_s: float = 0.0
    busy_s: float = 0.0
    device_s: float = 0.0
    held_device_s: float = 0.0

    @classmethod
    def of(cls, attempts: Iterable[Timed]) -> "Spent":
        """Return what ``attempts`` took together."""
        total = cls()
        for attempt in attempts:
            total = total.plus(attempt)
        return total

    def plus(self, attempt: Timed) -> "Spent":
        """Return this and what ``attempt`` took."""
        cut_off = attempt.failure is not None and attempt.failure.kind in CUT_OFF
        known_s = attempt.merge_s + attempt.score_s + attempt.tokenise_s
        return Spent(
            attempts=self.attempts + 1,
            lost=self.lost + attempt.lost,
            merge_s=self.merge_s + attempt.merge_s,
            score_s=self.score_s + attempt.score_s,
            tokenise_s=self.tokenise_s + attempt.tokenise_s,
            cut_off_s=self.cut_off_s + (attempt.busy_s - known_s if cut_off else 0.0),
            wait_s=self.wait_s + attempt.wait_s,
            busy_s=self.busy_s + attempt.busy_s,
            device_s=self.device_s + attempt.devices * attempt.busy_s,
            held_device_s=self.held_device_s + attempt.devices * (attempt.busy_s + attempt.wait_s),
        )

    @property
    def overhead_s(self) -> float:
        """Seconds of work that no other part accounts for."""
        known = self.merge_s + self.score_s + self.tokenise_s + self.cut_off_s
        return max(self.busy_s - known, 0.0)

    def parts(self) -> dict[str, float]:
        """Return part → seconds; together they are ``busy_s`` and ``wait_s``."""
        return {
            "merge": self.merge_s,
            "score": self.score_s,
            "tokenise": self.tokenise_s,
            "cut_off": self.cut_off_s,
            "overhead": self.overhead_s,
            "wait": self.wait_s,
        }


_SUMS = """
SELECT COUNT(*),
       SUM(CASE WHEN status = 'lost' THEN 1 ELSE 0 END),
       SUM(merge_s), SUM(score_s), SUM(tokenise_s),
       SUM(CASE WHEN failure_kind IN ('died', 'timeout')
           THEN busy_s - merge_s - score_s - tokenise_s ELSE 0.0 END),
       SUM(wait_s), SUM(busy_s), SUM(devices * busy_s), SUM(devices * (busy_s + wait_s))
FROM attempt WHERE run_id = :run
"""


def spent_on(query: Query, run_id: str, candidate: str | None = None) -> Spent:
    """Return what the attempts of a run, or of one candidate of it, took; added up by the database.

    Args:
        query: Asks the ledger.
        run_id: The run.
        candidate: The candidate, or None for all.
    """
    mine = "" if candidate is None else "AND candidate_id = :candidate"
    (row,) = query(f"{_SUMS} {mine}", {"run": run_id, "candidate": candidate})
    n, lost, *seconds = row
    return Spent(n, lost or 0, *(value or 0.0 for value in seconds))


def device_seconds(query: Query, run_id: str) -> dict[str, float]:
    """Return candidate → device-seconds of all its attempts."""
    rows = query(
        "SELECT candidate_id, SUM(devices * busy_s) FROM attempt WHERE run_id = :run "
        "GROUP BY candidate_id",
        {"run": run_id},
    )
    return {str(row[0]): float(row[1]) for row in rows}


def cost(device_s: float, per_device_hour: float | None) -> float | None:
    """Return the price of ``device_s`` device-seconds; None where no price is set."""
    return None if per_device_hour is None else device_s / 3600 * per_device_hour

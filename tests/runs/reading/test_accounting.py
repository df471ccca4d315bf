"""Seconds by part add up to the workers' time, and lost work is told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.execution.protocol import Failure
from evomerge.runs.ledger.rows import AttemptRecord
from evomerge.runs.reading.accounting import Spent, cost

seconds = st.floats(0, 1000)


@st.composite
def attempts(draw: st.DrawFn) -> AttemptRecord:
    """An attempt that says what its time went into, or was cut off before it could."""
    kind = draw(st.sampled_from([None, "exception", "timeout", "died"]))
    parts = [draw(seconds) for _ in range(3)] if kind in (None, "exception") else [0.0] * 3
    return AttemptRecord(
        candidate_id="0-0",
        split="search",
        number=1,
        failure=Failure(kind, "") if kind else None,
        merge_s=parts[0],
        score_s=parts[1],
        tokenise_s=parts[2],
        busy_s=sum(parts) + draw(seconds),
        wait_s=draw(seconds),
        devices=draw(st.sampled_from([0.5, 1.0, 4.0])),
        lost=kind == "died",
    )


@given(st.lists(attempts()))
def test_the_parts_are_all_of_the_time(made: list[AttemptRecord]) -> None:
    spent = Spent.of(made)
    assert sum(spent.parts().values()) == pytest.approx(spent.busy_s + spent.wait_s, abs=1e-6)
    assert spent.lost == sum(item.lost for item in made)
    assert spent.cut_off_s == pytest.approx(
        sum(item.busy_s for item in made if item.failure and item.failure.kind != "exception")
    )


def test_a_lost_attempt_costs_its_devices_too() -> None:
    lost = AttemptRecord(
        "0-0", "search", 1, Failure("died", "…"), busy_s=10, wait_s=2, devices=2, lost=True
    )
    done = AttemptRecord("0-0", "search", 2, None, merge_s=1, score_s=5, busy_s=8, devices=2)
    spent = Spent.of([lost, done])
    assert (spent.attempts, spent.lost) == (2, 1)
    assert (spent.device_s, spent.held_device_s) == (36, 40)
    assert spent.overhead_s == 2
    assert cost(spent.held_device_s, 90) == pytest.approx(1.0)
    assert cost(spent.held_device_s, None) is None

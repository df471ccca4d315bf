import dataclasses

import numpy as np
import pytest
from sqlalchemy.exc import StatementError

from evomerge.errors import FencedError, LedgerError
from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import BlockRef, Failure, WorkerState
from evomerge.runs.events import Asked
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import AttemptRecord, Block, CandidateRow, RunRow
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.ledger.conftest import Opener

RUN = RunRow("run1", "mine", 1.5, {"b": 1, "a": [2]}, {}, {}, {"z": 0, "y": 1}, (), {}, (), True)
AWKWARD = "null \0, half a pair \ud83d, snowman ☃"


def block(value: float, *, number: int = 0) -> Block:
    values = {"hit": np.full((2, 1), value)}
    return Block(BlockRef("near", "search", number), "k" * 64, values, ["yes", None])


def candidate(name: str, place: int) -> CandidateRow:
    genome = {"stage1.weights.b": 0.1 + place, "stage1.weights.a": 1 / 3}
    return CandidateRow(name, 0, place, "search", "random", ("p",), genome, name * 2)


def test_a_run_comes_back_as_it_was_and_keys_keep_their_order(ledger: Ledger) -> None:
    RunWriter(ledger, "run1").create(RUN)
    found = RunRecords(ledger, "run1").run()
    assert found == RUN
    assert list(found.space) == ["z", "y"]
    assert list(found.config) == ["b", "a"]


def test_an_unknown_run_is_named(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="has no run run1"):
        RunRecords(ledger, "run1").run()


def test_candidates_come_back_as_they_were(ledger: Ledger) -> None:
    rows = [candidate(f"0-{place}", place) for place in range(3)]
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")
    recipe = {"sources": {"b": 1, "a": 2}}
    writer.add_ask(0, [(row, recipe) for row in rows], Asked(0, ("0-0", "0-1", "0-2")), n=3)
    reference = dataclasses.replace(rows[0], candidate_id="ref-a", ask=-1, genome=None, parents=())
    writer.add_references([(reference, recipe)])
    writer.add_references([(reference, recipe)])
    assert records.candidates() == [reference, *rows]
    assert list(records.recipe("0-10-1")["sources"]) == ["b", "a"]
    (asked,) = records.decisions()
    assert asked.body == {"ask": 0, "candidates": ["0-0", "0-1", "0-2"], "n": 3}


def test_attempts_keep_their_order_and_failure(ledger: Ledger) -> None:
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")
    failure = Failure("nan", "not finite", "traceback")
    writer.add_attempt(AttemptRecord("0-1", "search", 1, failure), [], {}, None)
    estimates = {("near", "hit"): Estimate(0.5, 0.25, 0.75, 4)}
    blocks = [block(0.0), block(1.0, number=1)]
    record = AttemptRecord(
        "0-0", "search", 1, None, merge_s=0.1, score_s=0.2, worker="w", reused=True, busy_s=3.5
    )
    writer.add_attempt(record, blocks, estimates, Asked(0, ("0-0",)))
    first, second = records.attempts()
    assert (first.candidate_id, first.failure, first.reused) == ("0-1", failure, False)
    assert (second.candidate_id, second.failure, second.reused) == ("0-0", None, True)
    assert (second.merge_s, second.score_s, second.busy_s, second.devices) == (0.1, 0.2, 3.5, 1.0)
    assert first.attempt_id < second.attempt_id
    assert records.events() == [(1, "asked", {"ask": 0, "candidates": ["0-0"]})]
    assert records.estimates("search") == {"0-0": estimates}
    assert records.scores("0-0", "search", "near", "hit")[:, 0].tolist() == [0, 0, 1, 1]
    assert records.answers("0-0", "search", "near") == ["yes", None, "yes", None]


def test_the_first_commit_wins(ledger: Ledger) -> None:
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")
    lost = AttemptRecord("0-0", "search", 1, Failure("died", "gone"), lost=True)
    assert writer.add_attempt(lost, [], {}, None)
    assert not writer.add_attempt(lost, [], {}, Asked(0, ("0-0",)))
    second = AttemptRecord("0-0", "search", 2, None)
    assert writer.add_attempt(second, [block(1.0), block(0.5, number=1)], {}, None)
    late = AttemptRecord("0-0", "search", 3, None)
    assert not writer.add_attempt(late, [block(0.0)], {}, Asked(0, ("0-0",)))
    scores = records.scores("0-0", "search", "near", "hit")
    assert scores[:, 0].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert [(row.number, row.lost) for row in records.attempts()] == [(1, True), (2, False)]
    assert records.events() == []


def test_any_text_can_be_stored(ledger: Ledger) -> None:
    failure = Failure("exception", AWKWARD, AWKWARD)
    record = AttemptRecord("0-0", "search", 1, failure, worker="w" * 300, notes={"log": AWKWARD})
    writer = RunWriter(ledger, "run1")
    writer.add_attempt(record, [], {}, None)
    writer.decide("stop", {"message": AWKWARD})
    writer.store_workers([WorkerState("w1", "n", "cpu", "gone", reason=AWKWARD)])
    (found,) = RunRecords(ledger, "run1").attempts()
    assert found.failure is not None
    assert found.failure.message == r"null \0, half a pair \ud83d, snowman ☃"
    assert len(found.worker) == 255


def test_a_batch_is_stored_whole_or_not_at_all(ledger: Ledger) -> None:
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")

    def two(fail: bool) -> None:
        with writer.batch("outcomes"):
            for name in ("0-0", "0-1"):
                record = AttemptRecord(name, "search", 1, None)
                assert writer.add_attempt(record, [block(1.0)], {}, Asked(0, (name,)))
            writer.decide("tell", {"ask": 0})
            writer.grant([("0-2", "search", 1)])
            if fail:
                raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        two(fail=True)
    assert (records.attempts(), records.decisions(), records.leases()) == ([], [], [])
    two(fail=False)
    assert [row.candidate_id for row in records.attempts()] == ["0-0", "0-1"]
    assert [row.sequence for row in records.decisions()] == [1]
    assert [sequence for sequence, _, _ in records.events()] == [1, 2]
    assert len(records.leases()) == 1


def test_leases_name_the_driver_that_gave_them(ledger: Ledger) -> None:
    records = RunRecords(ledger, "run1")
    for name in ("0-0", "0-1"):
        epoch = driving.claim(ledger, "run1", holder="elsewhere:1")
        RunWriter(ledger, "run1", epoch).grant([(name, "search", 1), (name, "search", 2)])
        driving.release(ledger, "run1", epoch)
    found = [(row.candidate_id, row.number, row.epoch) for row in records.leases()]
    assert sorted(found) == [("0-0", 1, 1), ("0-0", 2, 1), ("0-1", 1, 2), ("0-1", 2, 2)]
    with pytest.raises(LedgerError, match="can't be used"):
        RunWriter(ledger, "run1", 2).grant([("0-0", "search", 1)])


def test_workers_are_replaced_by_name(ledger: Ledger) -> None:
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")
    busy = WorkerState("w1", "node", "cpu", "busy", "0-0", 1, 2.5, 3, 10.0, 12.0, 2**33)
    gone = WorkerState("w2", "node", "cpu", "gone", reason="killed")
    writer.store_workers([])
    writer.store_workers([busy, gone])
    idle = dataclasses.replace(busy, state="idle", candidate_id=None, attempt=None)
    writer.store_workers([idle])
    assert [state for state, _ in records.workers()] == [idle, gone]
    driving.claim(ledger, "run1", holder="elsewhere:1")
    assert len(records.workers()) == 2
    driving.release(ledger, "run1", 1)
    driving.claim(ledger, "run1", holder="elsewhere:1")
    assert records.workers() == []


def test_requests_of_others_are_read_once_each(ledger: Ledger, open_ledger: Opener) -> None:
    with pytest.raises(LedgerError, match="has no run run1"):
        RunWriter(ledger, "run1").add_request("scale", {"workers": 2})
    RunWriter(ledger, "run1").create(RUN)
    for n in (2, 3):
        assert RunWriter(open_ledger(), "run1").add_request("scale", {"workers": n}) == n - 1
    records = RunRecords(ledger, "run1")
    assert [row.body for row in records.requests()] == [{"workers": 2}, {"workers": 3}]
    (last,) = records.requests(after=1)
    assert (last.sequence, last.kind) == (2, "scale")


def test_sequence_numbers_go_on_after_an_error(ledger: Ledger) -> None:
    writer = RunWriter(ledger, "run1")
    writer.decide("ask", {})
    with pytest.raises((TypeError, StatementError)):
        writer.decide("tell", {"bad": object()})
    writer.decide("tell", {})
    assert [row.sequence for row in RunRecords(ledger, "run1").decisions()] == [1, 2]


def test_a_write_whose_commit_came_through_is_found_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may be lost between the commit and its confirmation."""
    epoch = driving.claim(ledger, "run1", holder="elsewhere:1")
    writer = RunWriter(ledger, "run1", epoch)
    writer.decide("ask", {})
    assert not writer.landed()

    points = ["before:tell", "after:tell"]

    def lost(name: str) -> None:
        if name == points[0]:
            raise ConnectionError

    monkeypatch.setattr("evomerge.runs.ledger.database.failpoint", lost)
    for landed in (False, True):
        with pytest.raises(ConnectionError):
            writer.decide("tell", {})
        assert writer.landed() is landed
        assert not writer.landed()
        points.pop(0)
    assert [row.sequence for row in RunRecords(ledger, "run1").decisions()] == [1, 2]


def test_a_driver_that_was_replaced_cannot_find_out_but_is_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = driving.claim(ledger, "run1", holder="elsewhere:1", lease_s=0)
    writer = RunWriter(ledger, "run1", epoch)

    def lost(name: str) -> None:
        if name == "before:tell":
            raise ConnectionError

    monkeypatch.setattr("evomerge.runs.ledger.database.failpoint", lost)
    with pytest.raises(ConnectionError):
        writer.decide("tell", {})
    driving.claim(ledger, "run1", holder="elsewhere:2")
    with pytest.raises(FencedError):
        writer.landed()

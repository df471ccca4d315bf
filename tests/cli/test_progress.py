"""What a run's events add up to, and the lines that tell of them."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evomerge.cli import progress as module
from evomerge.cli.progress import PlainProgress, Tally, run_progress
from evomerge.runs.events import (
    Advanced,
    Asked,
    AttemptLost,
    CandidateDone,
    CandidateFailed,
    Draining,
    Event,
    GenerationDone,
    LedgerAway,
    LedgerBack,
    Progress,
    Rescoring,
    Scaled,
    Started,
    Stopped,
    WorkerGone,
    WorkerJoined,
)


def done(n: int, failed: int = 0) -> Progress:
    return Progress(evaluated=n, failed=failed, budget=8)


def candidate(name: str, n: int, **objectives: float) -> CandidateDone:
    return CandidateDone(
        candidate=name,
        objectives=objectives,
        reused=False,
        merge_s=0.1,
        score_s=0.2,
        progress=done(n),
    )


EVENTS: list[Event] = [
    Started(run_id="r", name="toy", resumed=True, progress=done(2)),
    candidate("1-0", 3, acc=0.5, size=3.0),
    CandidateFailed("1-1", "nan", "loss is [nan]", done(4, 1)),
    candidate("1-2", 5, acc=0.75, size=4.0),
    GenerationDone(ask=1, best={"acc": 0.75, "size": 3.0}, elapsed_s=2.5, progress=done(5, 1)),
    Rescoring(candidate="1-2", index=1, total=2),
]
DIRECTIONS = {"acc": "maximize", "size": "minimize"}


def test_best_follows_each_direction_and_speed_counts_this_session_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    tally = Tally(DIRECTIONS)
    for event in EVENTS[:1]:
        tally.take(event)
    assert tally.rate is None
    assert tally.left_s is None
    now[0] += 6.0
    for event in EVENTS[1:4]:
        tally.take(event)
    assert tally.best == {"acc": 0.75, "size": 3.0}
    assert tally.rate == pytest.approx(0.5)  # three candidates in six seconds
    assert tally.left_s == pytest.approx(6.0)  # three left
    now[0] += 60.0  # while finalists are scored again
    tally.take(EVENTS[5])
    assert tally.rate == pytest.approx(0.5)


def test_the_start_of_workers_does_not_count_as_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    tally = Tally(DIRECTIONS)
    tally.take(EVENTS[0])
    now[0] += 40.0
    tally.take(Asked(1, ("1-0", "1-1", "1-2")))
    now[0] += 50.0
    tally.take(WorkerJoined("w1", "vm", "cpu"))
    now[0] += 6.0
    for event in EVENTS[1:4]:
        tally.take(event)
    tally.take(WorkerJoined("w2", "vm", "cpu"))  # one that comes later changes nothing
    assert tally.rate == pytest.approx(0.5)
    assert tally.left_s == pytest.approx(6.0)
    assert tally.elapsed_s == pytest.approx(96.0)


def test_plain_lines_name_generation_counts_best_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlainProgress(DIRECTIONS) as plain:
        for event in EVENTS:
            plain.show(event)
    out, err = capsys.readouterr()
    assert out == ""
    failure, generation, finalists = err.splitlines()
    assert failure == "candidate 1-1 failed: nan: loss is [nan]"
    assert generation.startswith(
        "generation=1 evaluated=5/8 failed=1 best acc=0.7500 size=3.0000 elapsed_s=2.5"
    )
    assert finalists == "scoring 2 finalists on the validation split"


CUT: list[Event] = [
    Started(run_id="r", name="toy", resumed=False, progress=done(0)),
    *(candidate(f"0-{i}", i + 1, acc=0.5, size=3.0) for i in range(5)),
    GenerationDone(ask=0, best={"acc": 0.5, "size": 3.0}, elapsed_s=2.5, progress=done(5)),
    candidate("1-0", 6, acc=0.625, size=3.0),
    CandidateFailed("1-1", "nan", "loss is nan", done(7, 1)),
    replace(candidate("1-2", 8, acc=0.5, size=3.0), progress=done(8, 1)),
]


def lines_of(events: list[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with PlainProgress(DIRECTIONS) as plain:
        for event in events:
            plain.show(event)
    return capsys.readouterr().err.splitlines()


def test_a_generation_that_the_budget_cuts_short_is_told_before_the_finalists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A resume may find the first finalist scored already.
    rescoring: list[Event] = [Rescoring("1-0", index=i, total=3) for i in (2, 3)]
    generation, failure, rest, finalists = lines_of([*CUT, *rescoring], capsys)
    assert generation.startswith("generation=0 evaluated=5/8 ")
    assert failure.startswith("candidate 1-1 failed")
    assert rest.startswith("evaluated=8/8 failed=1 best acc=0.6250 size=3.0000 elapsed_s=")
    assert finalists == "scoring 3 finalists on the validation split"


def test_a_stop_tells_the_state_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of([*CUT[:8], Stopped(done(6))], capsys)
    assert [line.split(" ")[0] for line in lines] == ["generation=0", "evaluated=6/8"]
    assert len(lines_of([*CUT[:7], Stopped(done(5))], capsys)) == 1  # nothing new
    assert lines_of([EVENTS[0], Stopped(done(2))], capsys) == []


def test_a_run_without_a_score_has_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    _, line = lines_of([CUT[0], CandidateFailed("0-0", "nan", "nan", done(1, 1))], capsys)
    assert line.startswith("evaluated=1/8 failed=1 elapsed_s=")


def test_the_live_bar_counts_a_generation_that_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, highlight=False)
    monkeypatch.setattr(module, "console", lambda **_: screen)
    with run_progress(DIRECTIONS, live=True) as live:
        for event in [*CUT, Rescoring("1-0", index=1, total=2)]:
            live.show(event)
    last = screen.file.getvalue().rpartition("candidates")[2]  # type: ignore[attr-defined]
    assert "8/8" in last
    assert "best acc=0.6250 size=3.0000 · 1 failed" in last


def test_the_live_bar_shows_counts_best_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, highlight=False)
    monkeypatch.setattr(module, "console", lambda **_: screen)
    with run_progress(DIRECTIONS, live=True) as live:
        for event in EVENTS:
            live.show(event)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "5/8" in text
    assert "best acc=0.7500 size=3.0000" in text
    assert "1 failed" in text
    assert "loss is [nan]" in text
    assert "finalists" in text


LOSSES: list[Event] = [
    CUT[0],
    WorkerJoined("w1", "n1", "cuda:0"),
    WorkerJoined("w2", "", ""),
    AttemptLost("0-0", 1, "w1", "worker ended by SIGKILL while merging"),
    WorkerGone("w1", "ended by SIGKILL"),
    Scaled(4),
    candidate("0-0", 1, acc=0.5, size=3.0),
    Advanced(best={"acc": 0.5, "size": 3.0}, elapsed_s=2.0, progress=done(1)),
    LedgerAway("connection refused"),
    LedgerBack(61.0, 3),
    Draining("signal", 2),
    Stopped(done(1), "signal"),
]


def test_whatever_comes_and_goes_is_told_in_one_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = lines_of(LOSSES, capsys)
    progress = lines.pop(5)
    assert progress.startswith("evaluated=1/8 failed=0 best acc=0.5000 size=3.0000 elapsed_s=2.0")
    assert lines == [
        "worker w1 is ready (n1, cuda:0)",
        "worker w2 is ready",
        "candidate 0-0: attempt 1 was lost and is made again: "
        "worker ended by SIGKILL while merging",
        "worker w1 is gone: ended by SIGKILL",
        "workers from now on: 4",
        "the ledger is away, results wait on the disk: connection refused",
        "the ledger is back after 1 min 01 s, 3 results had waited",
        "nothing new is begun (signal); candidates that still run: 2",
    ]


def test_the_live_bar_counts_workers_and_tells_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, highlight=False)
    monkeypatch.setattr(module, "console", lambda **_: screen)
    events = [*LOSSES[:3], candidate("0-1", 1, acc=0.5, size=3.0), LOSSES[3]]
    with run_progress(DIRECTIONS, live=True) as live:
        for event in events:
            live.show(event)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "attempt 1 was lost and is made again" in text
    assert "2 workers" in text.rpartition("candidates")[2]

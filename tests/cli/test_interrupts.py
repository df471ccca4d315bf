"""Ctrl-C once asks for a clean stop, twice interrupts; other signals ask for a drain."""

import os
import signal
from collections.abc import Iterator

import pytest

from evomerge.cli.interrupts import DRAIN, StopOnSignal, expect_signals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Leave the handlers as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *DRAIN)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_the_first_asks_and_the_second_interrupts(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    asked: list[str] = []
    with StopOnSignal(
        lambda: asked.append("stop"), lambda: asked.append("drain"), grace_s=60
    ) as stop:
        send(signal.SIGINT)
        assert asked == ["stop"]
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert asked == ["stop"]
    assert signal.getsignal(signal.SIGINT) is before
    assert "press Ctrl-C again" in capfd.readouterr().err


@pytest.mark.parametrize("number", DRAIN)
def test_a_drain_is_asked_for_once_and_never_kills(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    with StopOnSignal(
        lambda: asked.append("stop"), lambda: asked.append("drain"), grace_s=60
    ) as stop:
        for again in (number, number, *DRAIN):
            send(again)
        assert asked == ["drain"]
        assert (stop.drained, stop.asked) == (True, False)
        send(signal.SIGINT)  # who sits there may be in more of a hurry
        assert asked == ["drain", "stop"]
    send(number)  # while the results are printed
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"{number.name}: finishing what is running, for 60 s at most."
    assert len(lines) == 2


@pytest.mark.parametrize("number", DRAIN)
def test_before_a_run_begins_a_signal_ends_it_with_0(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    expect_signals(["-v", "resume", "runs/toy"])
    with pytest.raises(SystemExit) as ended:
        send(number)
    assert ended.value.code == 0
    assert capfd.readouterr().err == (f"{number.name}: stopped before anything was evaluated.\n")


def test_other_commands_keep_the_usual_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    expect_signals(["status", "runs/toy"])
    assert signal.getsignal(signal.SIGTERM) is before

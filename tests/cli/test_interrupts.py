"""Ctrl-C once asks for a clean stop, twice interrupts."""

import os
import signal

import pytest

from evomerge.cli.interrupts import StopOnInterrupt


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_asks_and_the_second_interrupts(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    asked = []
    with StopOnInterrupt(lambda: asked.append(True)) as stop:
        press()
        assert asked == [True]
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            press()
        assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before
    assert "press Ctrl-C again" in capsys.readouterr().err

"""Calling commands in this process and in one of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from evomerge.cli.main import app


def call(*arguments: object, code: int = 0) -> tuple[str, str]:
    """Run a command that should end with ``code``; return stdout and stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result.stdout, result.stderr


def call_json(*arguments: object, code: int = 0) -> Any:
    """Run a command with ``--json`` and return the document that stdout must be."""
    return json.loads(call(*arguments, "--json", code=code)[0])


def mistake(*arguments: object) -> list[str]:
    """Run a command that the user got wrong; return the lines of its message."""
    out, err = call(*arguments, code=2)
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()


@dataclass
class Started:
    """A command in a process of its own, its output in files of its working folder."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def out(self) -> str:
        return (self.folder / "stdout.txt").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def wait_for(self, text: str, limit_s: float = 120.0) -> None:
        """Wait until the command has printed ``text``."""
        until = time.monotonic() + limit_s
        while text not in self.out + self.err:
            assert time.monotonic() < until, self.err
            assert self.process.poll() is None, self.err
            time.sleep(0.02)

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self, limit_s: float = 60.0) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(limit_s)


@contextlib.contextmanager
def started(*arguments: object, cwd: Path) -> Iterator[Started]:
    """Run a command in a process of its own while the context is open."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "evomerge.cli.main", *map(str, arguments)]
    with (cwd / "stdout.txt").open("wb") as out, (cwd / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=err, env=environment)
        try:
            yield Started(process, cwd)
        finally:
            process.kill()
            process.wait()

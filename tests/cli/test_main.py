"""The command itself: start-up, errors and exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evomerge import __version__
from evomerge.cli import main as cli
from evomerge.errors import EvomergeError, RunFailedError

HEAVY = ("torch", "transformers", "optuna", "lm_eval", "numpy", "sqlalchemy", "pydantic", "scipy")
COMMANDS = [
    "ask", "ban", "cancel", "db", "demo", "diff", "doctor", "evaluate", "export", "fetch", "front",
    "gc", "inject", "jobs", "list", "logs", "merge", "mirror", "note", "pause", "pin", "prefetch",
    "report", "resume", "resume-job", "run", "scale", "schema", "serve", "show", "star", "status",
    "submit", "token",
]  # fmt: skip


def modules_after(arguments: list[str], cwd: Path | None = None) -> tuple[int, set[str]]:
    """Run the command line in a process of its own; return exit code and the modules it loaded."""
    script = (
        "import sys\nfrom evomerge.cli.main import main\n"
        f"sys.argv = ['evomerge', *{arguments!r}]\n"
        "code = 0\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code or 0\n"
        "print('\\nMODULES', *sys.modules)\nsys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, check=False
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("MODULES"))
    return done.returncode, set(line.split()[1:])


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    code, modules = modules_after(["--help"])
    assert code == 0
    assert not modules & set(HEAVY)
    result = CliRunner().invoke(cli.app, ["--help"])
    listed = re.findall(r"^  ([\w-]+)  ", result.stdout.partition("Commands:")[2], re.MULTILINE)
    assert sorted(listed) == COMMANDS


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_every_command_has_help_and_json(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_version_is_printed() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.stdout == f"evomerge {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["lst"], ["run"], ["run", "x.yaml", "--nope"], ["list", "method"]]
)
def test_a_mistaken_command_line_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EvomergeError("line 1\nline 2"), 2),
        (RunFailedError("it broke"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes_without_traceback(error: BaseException, code: int) -> None:
    app = typer.Typer(cls=cli._Commands)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        pass

    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(str(error) or "Interrupted")


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from evomerge.cli import catalogue\n"
        "def broken(*arguments):\n    raise ZeroDivisionError('a bug')\n"
        "catalogue._registry = broken\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "evomerge.cli.main", "list", "methods", "--plugin", str(plugin)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: a bug" in done.stderr


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_linear_algebra_gets_one_thread_unless_the_user_says_otherwise(
    given: str | None, expected: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    if given is not None:
        environment |= {"OMP_NUM_THREADS": given, "OPENBLAS_NUM_THREADS": given}
    script = (
        "import os, sys\nfrom evomerge.cli.main import main\nsys.argv = ['evomerge', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'numpy' not in sys.modules\n"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{expected} {expected}"

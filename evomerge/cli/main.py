"""The ``evomerge`` command: its groups of commands, and what becomes of errors.

A user's mistake is printed without traceback and exits with 2 (1 for a run that failed), Ctrl-C
with 130; anything else is a bug and keeps its traceback. Nothing heavy is imported here.
"""

import logging
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evomerge import __version__
from evomerge.cli import (
    asking,
    catalogue,
    database,
    diff,
    inspection,
    mirroring,
    models,
    operations,
    remote,
    results,
    running,
    service,
    steering,
    tokens,
)
from evomerge.cli.display import say
from evomerge.cli.interrupts import expect_signals
from evomerge.errors import EvomergeError

INTERRUPTED = 130


class _Commands(TyperGroup):
    """The group of all commands, which turns errors into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that ``ctx`` names."""
        try:
            return super().invoke(ctx)
        except EvomergeError as error:
            say(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    name="evomerge",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for group in (
    *(running, operations, steering, results, asking, diff),
    *(models, inspection, catalogue, database, service, remote, tokens, mirroring),
):
    group.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"evomerge {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log more; twice: debug.")
    ] = 0,
) -> None:
    """Search for the best way to merge language models.

    'evomerge run CONFIG' searches, 'front' and 'show' look at what was found, 'export' writes it as
    an ordinary checkpoint. Every command takes --json.
    """
    _log_to_stderr((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])


class _StderrHandler(logging.Handler):
    """Prints records on whatever stderr is at that moment; a live bar replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _log_to_stderr(level: int) -> None:
    logger = logging.getLogger("evomerge")
    # A run's log file takes INFO even where the terminal shows less.
    logger.setLevel(min(level, logging.INFO))
    for handler in list(logger.handlers):
        if isinstance(handler, _StderrHandler):
            logger.removeHandler(handler)
    handler = _StderrHandler(level)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if level >= logging.WARNING:
        # The progress shows a run's events already.
        handler.addFilter(lambda record: not hasattr(record, "event"))
    logger.addHandler(handler)


def main() -> None:
    """Run the command line; the entry point of the package."""
    expect_signals(sys.argv[1:])
    # Before numpy loads: the searchers' small matrices are many times slower on several BLAS
    # threads. Workers set torch's own number of threads.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    try:
        app()
    except KeyboardInterrupt:
        say("Interrupted.")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

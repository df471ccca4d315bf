"""The command that shows a run in another tracker: ``mirror``."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import print_json, say
from evomerge.cli.options import JsonOption, RunArgument, find_run
from evomerge.errors import MirrorError

if TYPE_CHECKING:
    from evomerge.runs.mirroring.mirror import Mirror


def register(app: typer.Typer) -> None:
    """Add this module's command to ``app``."""
    app.command("mirror")(mirror)


def mirror(
    run: RunArgument,
    optuna: Annotated[
        str | None,
        typer.Option("--optuna", metavar="URL", help="An Optuna storage, as sqlite:///optuna.db."),
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", metavar="URL", help="An MLflow tracking server.")
    ] = None,
    wandb: Annotated[
        str | None,
        typer.Option("--wandb", metavar="PROJECT", help="A project of Weights & Biases."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the run ends, every ten seconds.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a run's candidates and scores to another tracker, any time; the run isn't touched.

    What has been written before isn't written again.
    """
    from evomerge.runs.mirroring import mirror as mirroring

    path = find_run(run)
    with contextlib.ExitStack() as stack:
        mirrors = _mirrors(optuna, mlflow, wandb)
        for target in mirrors:
            stack.callback(target.close)
        written: dict[str, int] = {}
        for target, n in mirroring.mirror(path, mirrors, follow=follow):
            written[target.where] = written.get(target.where, 0) + n
            if n and not json:
                say(f"{n} candidates written to {target.where!r}")
    if json:
        print_json({"run": path, "written": written})
    elif not any(written.values()):
        say("Nothing new to write.")


def _mirrors(optuna: str | None, mlflow: str | None, wandb: str | None) -> "list[Mirror]":
    """Return the trackers that the user names."""
    found: list[Mirror] = []
    if optuna is not None:
        from evomerge.runs.mirroring.optuna import OptunaMirror

        found.append(OptunaMirror(optuna))
    if mlflow is not None:
        from evomerge.runs.mirroring.mlflow import MlflowMirror

        found.append(MlflowMirror(mlflow))
    if wandb is not None:
        from evomerge.runs.mirroring.wandb import WandbMirror

        found.append(WandbMirror(wandb))
    if not found:
        raise MirrorError("got no tracker. Give --optuna URL, --mlflow URL or --wandb PROJECT.")
    return found

"""The command that runs the service: ``serve``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

_MANY = " Repeatable."


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8321,
    ledger: Annotated[
        str, typer.Option(metavar="URL", help="Ledger with runs, jobs and tokens.")
    ] = "sqlite:///runs/ledger.db",
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs.")] = Path("runs"),
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no token; only on this machine's address.")
    ] = False,
    max_running: Annotated[int, typer.Option(min=0, help="Runs at a time.")] = 1,
    max_workers: Annotated[
        int | None, typer.Option(min=1, help="Most workers of a run; the processors if absent.")
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder that run files may read; the working folder if absent." + _MANY),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host that run files may reach, as huggingface.co." + _MANY),
    ] = None,
    allow_plugin: Annotated[
        list[Path] | None,
        typer.Option(help="Plug-in, or folder of tasks, that run files may load." + _MANY),
    ] = None,
    allow_remote_code: Annotated[
        list[str] | None,
        typer.Option(help="Source whose own code run files may trust." + _MANY),
    ] = None,
    allow_unsafe_code: Annotated[
        bool, typer.Option("--allow-unsafe-code", help="Let tasks run code that models write.")
    ] = False,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Ray cluster that run files may use.")
    ] = None,
    body_limit: Annotated[int, typer.Option(min=1024, help="Most bytes of a request.")] = 1 << 20,
    metrics_open: Annotated[
        bool, typer.Option("--metrics-open", help="Answer /metrics without a token.")
    ] = False,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Proxy before the service, whose X-Forwarded headers are believed." + _MANY,
        ),
    ] = None,
    webhook: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            envvar="EVOMERGE_WEBHOOKS",
            help="Address that hears of each job's state." + _MANY,
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate, for HTTPS.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate's key.")
    ] = None,
    templates: Annotated[
        Path, typer.Option(metavar="DIR", help="Run files that new runs may begin from.")
    ] = Path("configs"),
    log: Annotated[
        Literal["text", "json"], typer.Option(help="Form of the log on stderr.")
    ] = "text",
) -> None:
    """Run the service: take runs as jobs over HTTP and show what they find.

    The first start prints a token for an admin. SIGTERM or Ctrl-C stop the service; runs go on
    without it and are found again by the next start.
    """
    import os

    from evomerge.service.serve import serve as run_service
    from evomerge.service.settings import Settings

    processors = os.cpu_count() or 1
    settings = Settings(
        ledger=_absolute(ledger),
        runs=runs.absolute(),
        host=host,
        port=port,
        no_auth=no_auth,
        roots=tuple(root or ()),
        plugins=tuple(allow_plugin or ()),
        remote_code=tuple(allow_remote_code or ()),
        unsafe_code=allow_unsafe_code,
        hosts=tuple(allow_host or ()),
        executors=("inprocess", "local") if ray is None else ("inprocess", "local", "ray"),
        ray=ray,
        max_running=max_running,
        max_workers=max_workers or processors,
        body_limit=body_limit,
        metrics_open=metrics_open,
        proxies=tuple(proxy or ()),
        webhooks=tuple(webhook or ()),
        webhook_secret=os.environ.get("EVOMERGE_WEBHOOK_SECRET", ""),
        templates=templates.absolute(),
    )
    certificate = None if tls_certificate is None else str(tls_certificate)
    key = None if tls_key is None else str(tls_key)
    run_service(settings, log=log, certificate=certificate, key=key)


def _absolute(ledger: str) -> str:
    """Return a ledger's URL as every process of the service reads it alike."""
    from evomerge.runs.ledger.database import parse_ledger_url
    from evomerge.runs.ledger.sqlite import file_of

    file = file_of(parse_ledger_url(ledger))
    return ledger if file is None else f"sqlite:///{file.absolute()}"

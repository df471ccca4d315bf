"""What an operator decides about a service: where it keeps things, what submitted runs may do."""

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What ``evomerge serve`` is started with.

    Args:
        ledger: URL of the ledger that holds runs, jobs and tokens.
        runs: Folder of the runs; exports and the jobs' own files go into hidden folders in it.
        host, port: Where to listen.
        no_auth: Take everybody for an admin; only on an address of this machine.
        roots: Folders that submitted configs may read from; the working folder if empty.
        plugins: Plug-in files that submitted configs may load, and folders of tasks with code.
        remote_code: Sources whose own code submitted configs may run, as the configs name them.
        unsafe_code: Let tasks run code that models write.
        hosts: Hosts that a submitted config may make the server reach; nothing else is reached.
        executors: Executors that submitted configs may name.
        ray: Address of the Ray cluster that jobs with the executor ``ray`` take.
        max_running: Runs at a time; the others wait.
        max_exports: Exports at a time, beside the runs.
        max_talks: Runs whose models answer prompts at a time, where nobody drives them.
        max_workers: Most workers of a submitted run.
        max_threads: Most threads of a worker.
        disk_reserve_gb: Disk that runs leave free, at least.
        body_limit: Most bytes of a request's body.
        check_s: Seconds that checking a submitted config may take.
        metrics_open: Answer ``/metrics`` without a token.
        proxies: Addresses of proxies whose word on who asks, and by which scheme, is taken.
        webhooks: Addresses that hear of each job's state.
        webhook_secret: Signs what they hear; empty for no signature.
        templates: Folder of the run files that users may begin from; needn't exist.
    """

    ledger: str = "sqlite:///runs/ledger.db"
    runs: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int = 8321
    no_auth: bool = False
    roots: tuple[Path, ...] = ()
    plugins: tuple[Path, ...] = ()
    remote_code: tuple[str, ...] = ()
    unsafe_code: bool = False
    hosts: tuple[str, ...] = ()
    executors: tuple[str, ...] = ("inprocess", "local")
    ray: str | None = None
    max_running: int = 1
    max_exports: int = 1
    max_talks: int = 1
    max_workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    max_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    disk_reserve_gb: float = 0.5
    body_limit: int = 1 << 20
    check_s: float = 300.0
    metrics_open: bool = False
    proxies: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = field(default=(), repr=False)
    webhook_secret: str = field(default="", repr=False)
    templates: Path = Path("configs")

    @property
    def readable(self) -> tuple[Path, ...]:
        """The roots, symbolic links resolved."""
        return tuple(root.resolve() for root in self.roots or (Path(),))

    @property
    def jobs(self) -> Path:
        """Folder of the jobs' own files: locks and what their processes print."""
        return self.runs / ".jobs"

    @property
    def exports(self) -> Path:
        """Folder of what was exported, one folder a job."""
        return self.runs / ".exports"

"""What all requests share: settings, the ledger, the workspace's runs, who may do what."""

from dataclasses import dataclass

from evomerge.runs.ledger.database import Ledger
from evomerge.service.access import Access
from evomerge.service.checker import Checker
from evomerge.service.figures import Figures
from evomerge.service.folders import Folders
from evomerge.service.jobs.submission import Submission
from evomerge.service.jobs.supervisor import Supervisor
from evomerge.service.jobs.table import Jobs
from evomerge.service.quotas import over_quota
from evomerge.service.reading.workspace import Workspace
from evomerge.service.settings import Settings
from evomerge.service.webhooks import Webhooks


@dataclass(frozen=True)
class Service:
    """The state of one service, at ``app.state.service``.

    Args:
        settings: What the operator decided.
        ledger: Opened once; close the service to close it.
        folders: Run id → folder.
        access: Tokens, sessions, and the audit log.
        reading: Reads the runs.
        jobs: What is to be done.
        checker: Checks run files.
        submission: Turns what callers send into jobs.
        supervisor: Looks after the jobs once it is started.
        figures: Counts what the service does.
        webhooks: Tells others of the jobs once it is started.
    """

    settings: Settings
    ledger: Ledger
    folders: Folders
    access: Access
    reading: Workspace
    jobs: Jobs
    checker: Checker
    submission: Submission
    supervisor: Supervisor
    figures: Figures
    webhooks: Webhooks

    @classmethod
    def open(cls, settings: Settings) -> "Service":
        """Open the ledger, making or upgrading it where needed.

        Raises:
            LedgerError: The ledger can't be used.
        """
        ledger = Ledger.open(settings.ledger, create=True)
        access, jobs = Access(ledger, no_auth=settings.no_auth), Jobs(ledger)
        folders, checker = Folders(settings.runs), Checker(timeout_s=settings.check_s)
        supervisor = Supervisor(
            settings, ledger, over_quota=lambda job: over_quota(access, ledger, jobs, job)
        )
        return cls(
            settings=settings,
            ledger=ledger,
            folders=folders,
            access=access,
            reading=Workspace(folders),
            jobs=jobs,
            checker=checker,
            submission=Submission(settings, jobs, folders, checker),
            supervisor=supervisor,
            figures=Figures(jobs, supervisor),
            webhooks=Webhooks(
                ledger,
                settings.webhooks,
                file=settings.jobs / "webhooks.json",
                secret=settings.webhook_secret,
                active=supervisor.alive,
            ),
        )

    def close(self) -> None:
        """End all streams, leave the jobs' processes alone, and close the ledger."""
        self.reading.close()
        self.webhooks.stop()
        self.supervisor.stop()
        self.checker.close()
        self.ledger.close()

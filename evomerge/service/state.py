"""What all requests share: settings, the ledger, the workspace's runs, who may do what."""

from dataclasses import dataclass

from evomerge.runs.ledger.database import Ledger
from evomerge.service.access import Access
from evomerge.service.folders import Folders
from evomerge.service.settings import Settings


@dataclass(frozen=True)
class Service:
    """The state of one service, at ``app.state.service``.

    Args:
        settings: What the operator decided.
        ledger: Opened once; close the service to close it.
        folders: Run id → folder.
        access: Tokens, sessions, and the audit log.
    """

    settings: Settings
    ledger: Ledger
    folders: Folders
    access: Access

    @classmethod
    def open(cls, settings: Settings) -> "Service":
        """Open the ledger, making or upgrading it where needed.

        Raises:
            LedgerError: The ledger can't be used.
        """
        ledger = Ledger.open(settings.ledger, create=True)
        return cls(
            settings=settings,
            ledger=ledger,
            folders=Folders(settings.runs),
            access=Access(ledger, no_auth=settings.no_auth),
        )

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

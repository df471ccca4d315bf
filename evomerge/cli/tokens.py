"""The commands that make, list and revoke the service's tokens: ``token``."""

import contextlib
import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evomerge.cli.display import print_json, print_table, say, table
from evomerge.cli.options import JsonOption

if TYPE_CHECKING:
    from evomerge.service.access import Access

LedgerOption = Annotated[
    str, typer.Option("--ledger", metavar="URL", help="The ledger that 'serve' was given.")
]
_LEDGER = "sqlite:///runs/ledger.db"

token = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make, list or revoke the tokens of 'serve'; each command takes --json.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    token.command("create")(create)
    token.command("list")(list_tokens)
    token.command("revoke")(revoke)
    app.add_typer(token, name="token")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what for.")],
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        typer.Option("--role", help="Look; also submit and steer jobs; also see the audit log."),
    ] = "operator",
    days: Annotated[
        float | None, typer.Option("--days", metavar="DAYS", min=0, help="Ends so many days on.")
    ] = None,
    device_hours: Annotated[
        float | None,
        typer.Option("--device-hours", metavar="HOURS", min=0, help="What its jobs may take."),
    ] = None,
    ledger: LedgerOption = _LEDGER,
    json: JsonOption = False,
) -> None:
    """Make a token and print it; it is shown this once only."""
    from evomerge.service.tokens import Role

    with _changed(ledger, f"token create {name} --role {role}", new=True) as access:
        made = access.tokens.create(
            name, Role(role), made_by=_me(), days=days, device_hours=device_hours
        )
    if json:
        print_json({"name": name, "role": role, "token": made})
        return
    say(f"The token of {name!r} ({role}); it can't be shown again:")
    print(made)


def list_tokens(ledger: LedgerOption = _LEDGER, json: JsonOption = False) -> None:
    """List all tokens, without their secrets."""
    from evomerge.runs.ledger.database import Ledger
    from evomerge.service.tokens import Tokens

    with contextlib.closing(Ledger.open(ledger, read_only=True)) as opened:
        rows = Tokens(opened).rows()
    if json:
        print_json([{**vars(row), "state": row.state} for row in rows])
        return
    shown = [
        (
            *(row.token_id, row.name, row.role, row.state, _day(row.made_s), row.made_by),
            "never" if row.expires_s is None else _day(row.expires_s),
            "any" if row.device_hours is None else f"{row.device_hours:g}",
        )
        for row in rows
    ]
    columns = ["id", "name", "role", "state", "made", "by", "ends", ">device-hours"]
    print_table(table("", columns, shown))


def revoke(
    which: Annotated[str, typer.Argument(metavar="TOKEN", help="A token's id or name.")],
    ledger: LedgerOption = _LEDGER,
    json: JsonOption = False,
) -> None:
    """End a token, and the sessions that were begun with it, at once."""
    with _changed(ledger, f"token revoke {which}") as access:
        row = access.tokens.revoke(which)
    if json:
        print_json({"token_id": row.token_id, "name": row.name, "revoked": True})
        return
    say(f"The token of {row.name!r} ({row.token_id}) is worth nothing any more.")


@contextlib.contextmanager
def _changed(ledger: str, command: str, *, new: bool = False) -> Iterator["Access"]:
    """Open what holds the tokens, and write into the audit log what is done to them."""
    from evomerge.runs.ledger.database import Ledger
    from evomerge.service.access import Access
    from evomerge.service.tokens import Caller, Role

    with contextlib.closing(Ledger.open(ledger, create=new)) as opened:
        access = Access(opened)
        caller = Caller(_me(), Role.ADMIN)
        entry = access.audit.begin(caller, address="", method="command", path=command)
        yield access
        access.audit.end(entry, 200)


def _me() -> str:
    """Return who types."""
    import getpass
    import socket

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in some containers
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def _day(at_s: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at_s):%Y-%m-%d %H:%M}"

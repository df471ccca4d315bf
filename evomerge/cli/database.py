"""The commands that look after ledgers and disks: ``db`` and ``gc``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import print_json, print_pairs, print_table, say, size, table
from evomerge.cli.options import JsonOption, find_run
from evomerge.errors import LedgerError

if TYPE_CHECKING:
    from evomerge.runs.ledger.copying import Copied
    from evomerge.runs.ledger.integrity import LedgerCheck

RunOption = Annotated[
    Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run of the ledger.")
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="sqlite:///FILE or postgresql://USER@HOST/DATABASE, instead of RUN.",
    ),
]

db = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Upgrade, check, back up or restore a ledger; each command takes --json.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    db.command("upgrade")(upgrade)
    db.command("check")(check)
    db.command("backup")(backup)
    db.command("restore")(restore)
    app.add_typer(db, name="db")
    app.command("gc")(gc)


def upgrade(run: RunOption = None, ledger: LedgerOption = None, json: JsonOption = False) -> None:
    """Bring a ledger of an older version of evomerge up to date.

    Refused while one of its runs is driven. Back it up first: 'evomerge db backup'.
    """
    from evomerge.runs.folder import is_driven
    from evomerge.runs.ledger.database import Ledger
    from evomerge.runs.ledger.schema import refuse_while_driven

    url = _url(run, ledger)
    old = Ledger.open(url, read_only=True, schema=None)
    before, where = old.revision(), old.where
    folders = {*([] if run is None else [run]), *_beside(old.file)}
    old.close()
    # Drivers of the first version are not in the ledger, only in their folders.
    refuse_while_driven([str(path) for path in sorted(folders) if is_driven(path)], where)
    new = Ledger.open(url)
    after = new.revision()
    new.close()
    if json:
        print_json({"ledger": where, "before": before, "after": after})
    elif before == after:
        say(f"Ledger {where} has schema {after} already.")
    else:
        say(f"Upgraded ledger {where} from schema {before} to {after}.")


def check(run: RunOption = None, ledger: LedgerOption = None, json: JsonOption = False) -> None:
    """Read a whole ledger: is all there that other rows rest on, and can it be read?

    Prints counts by run. Exits with 2 where something is wrong.
    """
    import contextlib

    from evomerge.runs.ledger.database import Ledger
    from evomerge.runs.ledger.integrity import check_ledger

    with contextlib.closing(Ledger.open(_url(run, ledger), read_only=True)) as opened:
        found = check_ledger(opened)
    if json:
        print_json(found)
    else:
        _print_check(found)
    if found.problems:
        raise LedgerError(
            f"{len(found.problems)} problems in ledger {found.ledger}. Restore a backup, or start "
            "new runs in another ledger; they can't take scores from this one."
        )


def backup(
    run: RunOption = None,
    ledger: LedgerOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New SQLite file.")] = Path(
        "ledger-backup.db"
    ),
    json: JsonOption = False,
) -> None:
    """Copy a ledger into a SQLite file, also while runs write to it.

    The copy is of one moment and is a ledger itself: --ledger sqlite:///FILE.
    """
    from evomerge.runs.ledger.copying import back_up

    copied = back_up(_url(run, ledger), out)
    _print_copied(copied, "Backed up", json=json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'db backup' wrote.")],
    ledger: Annotated[
        str, typer.Option("--ledger", metavar="URL", help="Empty database to copy it into.")
    ],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Folders of runs that are in this ledger now."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy a backup into an empty database, of either kind.

    The folders of runs that are named go on with the new ledger.
    """
    from evomerge.runs.folder import change_ledger
    from evomerge.runs.ledger.copying import restore as copy_back

    folders = [find_run(path) for path in runs or ()]
    copied = copy_back(file, ledger)
    for folder in folders:
        change_ledger(folder, ledger)
    _print_copied(copied, "Restored", json=json)


def gc(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Where runs and exports are; here if absent."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list it.")] = False,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than", metavar="DAYS", min=0, help="Remove cached figures unused so long."
        ),
    ] = 30,
    json: JsonOption = False,
) -> None:
    """Remove what killed exports and finished runs left over, and old figures in the cache.

    Runs, their results and exports are never touched, nor anything of a run that is driven.
    """
    from evomerge.runs.gc import collect

    found = collect(places or [Path()], older_than_days=older_than, dry_run=dry_run)
    if json:
        print_json({**vars(found), "n_bytes": found.n_bytes})
        return
    if found.garbage:
        rows = [(item.path, size(item.n_bytes), item.why) for item in found.garbage]
        print_table(table("", ["path", ">size", "what"], rows))
    for line in found.kept:
        say(f"Left alone: {line}")
    what = "Would remove" if dry_run else "Removed"
    say(f"{what} {len(found.garbage)} files and folders, {size(found.n_bytes)}.")


def _url(run: Path | None, ledger: str | None) -> str:
    """Return the ledger that the user means."""
    from evomerge.runs.folder import RunFolder

    if (run is None) == (ledger is None):
        raise LedgerError("got no ledger, or two. Give the folder of a run, or --ledger URL.")
    return ledger if ledger is not None else RunFolder.open(find_run(run or Path())).ledger


def _beside(file: Path | None) -> list[Path]:
    """Return the run folders beside a ledger's file."""
    return [] if file is None else [item.parent for item in file.parent.glob("*/run.json")]


def _print_check(found: "LedgerCheck") -> None:
    say(f"Ledger {found.ledger}, schema {found.schema}")
    columns = ["run", "id", *(f">{name}" for name in _COUNTS)]
    rows = [
        (item.name, item.run_id, *(getattr(item, name.replace(" ", "_")) for name in _COUNTS))
        for item in found.runs
    ]
    print_table(table("", columns, rows))
    for problem in found.problems:
        print(f"Problem: {problem}")
    if not found.problems:
        say("Nothing is wrong with it.")


_COUNTS = (
    "candidates", "attempts", "failed", "lost", "in flight", "blocks", "decisions", "events",
)  # fmt: skip


def _print_copied(copied: "Copied", what: str, *, json: bool) -> None:
    if json:
        print_json(copied)
        return
    print_pairs("Rows", [(name, f"{count:,}") for name, count in copied.rows.items()])
    say(f"{what} {copied.source} as {copied.target}, schema {copied.schema}.")

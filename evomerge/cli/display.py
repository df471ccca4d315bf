"""What the commands print: results (or one JSON document) on stdout, everything else on stderr.

Rich is loaded when something is printed, so that ``evomerge --help`` stays quick.
"""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH = 160
STAR = "★"


def console(*, stderr: bool = False) -> "Console":
    """Return a console; where there is no terminal, its lines are wide enough for tables."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False)


def say(message: str) -> None:
    """Print one line for people on stderr, exactly as it is."""
    print(message, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """Print ``document`` (dataclasses and paths included) as the only thing on stdout."""
    print(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False))


def print_pairs(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values below ``title`` on stdout; without rich, whose loading takes time."""
    width = max(len(name) for name, _ in pairs)
    print(title)
    for name, value in pairs:
        print(f"  {name:<{width}}  {value}")


def print_table(table: "Table") -> None:
    """Print ``table`` and an empty line on stdout."""
    out = console()
    out.print(table)
    out.print()


def print_scores(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of ``value [low, high]``; where it is too wide, intervals go below values."""
    lines = [list(row) for row in rows]
    wide = table(title, columns, lines)
    out = console()
    unbounded = out.options.update(width=10_000)
    if out.measure(wide, options=unbounded).maximum > out.width:
        lines = [[cell.replace(" [", "\n[") for cell in line] for line in lines]
        wide = table(title, [column.replace(" (", "\n(") for column in columns], lines)
        for column in wide.columns[1:]:
            column.no_wrap = True
    print_table(wide)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> "Table":
    """Return a table of plain texts; markup in cells (names, answers) is shown, never followed.

    A column whose name starts with ``>`` is aligned to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(title, style="bold") if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            Text(column.lstrip(">")), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it; numbers that are not finite become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def number(value: float | None, decimals: int = 4) -> str:
    """Return a score as people read it; of large ones only six digits."""
    if value is None:
        return "–"
    return f"{value:.{decimals}f}" if abs(value) < 1000 else f"{value:.6g}"


def interval(value: float | None, low: float | None, high: float | None, decimals: int = 4) -> str:
    """Return ``0.6410 [0.6102, 0.6710]``."""
    if value is None or low is None or high is None:
        return number(value, decimals)
    if low == value == high and abs(value) > 1 and value == round(value):
        return f"{value:,.0f}"  # a count, of steps or parameters
    return f"{number(value, decimals)} [{number(low, decimals)}, {number(high, decimals)}]"


def duration(seconds: float | None) -> str:
    """Return ``1 h 04 min``, ``3 min 20 s`` or ``12 s``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def day(seconds: float) -> str:
    """Return a moment, in seconds since 1970, as its day: ``2026-11-21``."""
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def size(n_bytes: int) -> str:
    """Return ``7.25 GB`` (decimal units, as disks are sold)."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"

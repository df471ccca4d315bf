"""Run files that users may begin from: those in a folder that the operator names."""

from dataclasses import dataclass
from pathlib import Path

MOST = 100
_MOST_BYTES = 200_000
_EDITORS = "yaml-language-server"


@dataclass(frozen=True)
class Template:
    """A run file to begin from.

    Args:
        name: Its file's name without ending.
        summary: What its first lines say of it.
        text: The file.
    """

    name: str
    summary: str
    text: str


def templates_in(folder: Path) -> list[Template]:
    """Return the run files in ``folder`` by name; what can't be read as text is left out."""
    found = []
    for file in sorted(folder.glob("*.yaml"))[:MOST]:
        try:
            if file.stat().st_size > _MOST_BYTES:
                continue
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        text = _without_hint(text)
        found.append(Template(file.stem, _summary(text), text))
    return found


def _without_hint(text: str) -> str:
    """Drop the first line where it tells editors of a schema beside the file."""
    first, _, rest = text.partition("\n")
    return rest if first.startswith("#") and _EDITORS in first else text


def _summary(text: str) -> str:
    """Return the first line of the comment that a run file begins with."""
    first = text.partition("\n")[0]
    return first.lstrip("#").strip() if first.startswith("#") else ""

"""Which licence a model folder states, and which licences don't go together. Free of torch.

A help for people, who decide: licences are read off the model card or the licence file, and only
combinations that are known to be troublesome are named.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TEXTS = (
    ("apache license version 2.0", "apache-2.0"),
    ("gnu affero general public license version 3", "agpl-3.0"),
    ("gnu lesser general public license version 3", "lgpl-3.0"),
    ("gnu general public license version 3", "gpl-3.0"),
    ("gnu general public license version 2", "gpl-2.0"),
    ("attribution-noncommercial-sharealike 4.0", "cc-by-nc-sa-4.0"),
    ("attribution-noncommercial 4.0", "cc-by-nc-4.0"),
    ("attribution-sharealike 4.0", "cc-by-sa-4.0"),
    ("attribution 4.0 international", "cc-by-4.0"),
    ("llama 2 community license", "llama2"),
    ("llama 3 community license", "llama3"),
    ("llama 3.1 community license", "llama3.1"),
    ("llama 3.2 community license", "llama3.2"),
    ("llama 3.3 community license", "llama3.3"),
    ("gemma terms of use", "gemma"),
    ("mit license", "mit"),
    ("permission is hereby granted, free of charge", "mit"),
)
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md")

_FREE = re.compile(r"apache|mit$|bsd|isc$|cc0|cc-by-\d|unlicense|wtfpl|zlib")
_COPYLEFT = re.compile(r"^a?gpl|^cc-by-(nc-)?sa")
_NON_COMMERCIAL = re.compile(r"-nc(-|$)|non-?commercial|research-only")
_OWN_LINE = re.compile(r"^llama[23]?$|^llama-?[23]$")


def licence_of(folder: Path) -> str | None:
    """Return the licence that ``folder`` states, in lower case as on the hub, or None.

    The model card's front matter counts first, then a licence file; of an unknown licence text the
    first line is returned.
    """
    card = _front_matter(folder / "README.md")
    stated = card.get("license")
    if isinstance(stated, list):
        stated = " and ".join(map(str, stated))
    if stated == "other" and card.get("license_name"):
        stated = card["license_name"]
    if stated:
        return str(stated).strip().lower()
    for name in _FILES:
        if text := _text(folder / name).strip():
            plain = " ".join(text.lower().replace(",", " ").split())
            head = plain[:3000]
            known = next(
                (licence for words, licence in _TEXTS if words.replace(",", "") in head), ""
            )
            return known or text.splitlines()[0].strip()[:80].lower()
    return None


def conflicts(licences: Mapping[str, str | None]) -> list[str]:
    """Return what stands against publishing one model made of several, a sentence each.

    Args:
        licences: Source → licence as ``licence_of`` gives it, None where none is stated.
    """
    stated = {name: licence.lower() for name, licence in licences.items() if licence}
    lines = [
        f"{name} states no licence: nobody may pass a merge of it on without its author's leave."
        for name, licence in licences.items()
        if not licence
    ]
    lines += [
        f"{name} ({licence}) forbids commercial use, and so does every merge with it."
        for name, licence in stated.items()
        if _NON_COMMERCIAL.search(licence)
    ]
    for name, licence in stated.items():
        if _COPYLEFT.search(licence):
            lines += [
                f"{name} ({licence}) wants merges under its own licence, which {other} "
                f"({other_licence}) may not allow."
                for other, other_licence in stated.items()
                if other_licence != licence and not _FREE.search(other_licence)
            ]
        if _OWN_LINE.search(licence):
            lines += [
                f"{name} ({licence}) may not be used to improve other models than Llama, and "
                f"{other} is under {other_licence}."
                for other, other_licence in stated.items()
                if not other_licence.startswith("llama")
            ]
    restricted = sorted(
        {licence for licence in stated.values() if not _FREE.search(licence)}
        - {licence for licence in stated.values() if _NON_COMMERCIAL.search(licence)}
    )
    if len(restricted) > 1:
        lines.append(
            f"the terms of {', '.join(restricted)} all bind the merged model; read them together."
        )
    return lines


def _front_matter(path: Path) -> dict[str, Any]:
    import yaml

    text = _text(path)
    match = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", text, flags=re.DOTALL)
    if not match:
        return {}
    try:
        plain = yaml.safe_load(match.group(1))
    except yaml.YAMLError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

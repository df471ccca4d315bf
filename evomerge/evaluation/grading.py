"""Answers compared with what was expected: exactly, through a pattern, or as numbers."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(
    r"[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+\u2212]?\.\d+"
)


def matches_exactly(answer: str, expected: Sequence[str], *, ignore_case: bool = False) -> bool:
    """Return whether ``answer`` equals one of ``expected``, white space at the ends aside."""
    found = answer.strip()
    if ignore_case:
        return found.casefold() in {text.strip().casefold() for text in expected}
    return found in {text.strip() for text in expected}


def extract(answer: str, pattern: re.Pattern[str], *, last: bool = False) -> str | None:
    """Return the first (or last) match of ``pattern``: its first group, or all of it, or None."""
    found = list(pattern.finditer(answer))
    if not found:
        return None
    match = found[-1] if last else found[0]
    text = match.group(1) if pattern.groups else match.group()
    return text or ""


def last_number(text: str) -> float | None:
    """Return the last number in ``text`` (``1,234.5``, ``-3``, ``2e5``), or None."""
    found = _NUMBER.findall(text)
    if not found:
        return None
    return float(found[-1].replace(",", "").replace("\u2212", "-"))


def matches_number(answer: str, expected: Sequence[str], *, tolerance: float = 0.0) -> bool:
    """Return whether the last number of ``answer`` equals the last of one of ``expected``.

    Args:
        answer: Any text.
        expected: Texts with a number each.
        tolerance: Largest difference, relative to the expected number.
    """
    value = last_number(answer)
    if value is None:
        return False
    wanted = [number for number in map(last_number, expected) if number is not None]
    return any(abs(value - number) <= tolerance * abs(number) for number in wanted)

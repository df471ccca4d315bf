"""JSON lines read with every mistake named by file and line."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import EvaluationError, nearest


@dataclass(frozen=True)
class Table:
    """A JSON Lines file.

    Args:
        path: Where it was read.
        records: One mapping a line.
        lines: Line number of each record, from 1.
        sha256: Hash of the file's bytes.
    """

    path: Path
    records: tuple[Mapping[str, Any], ...]
    lines: tuple[int, ...]
    sha256: str

    def get(self, index: int, key: str) -> Any:
        """Return a field of a record.

        Raises:
            EvaluationError: The record has no such field.
        """
        record = self.records[index]
        if key not in record:
            raise EvaluationError(
                f"{self.path}:{self.lines[index]}: no key {key!r}; {nearest(key, record)} "
                "Mend the line, or name the key in the evaluator's settings."
            )
        return record[key]

    def text(self, index: int, key: str) -> str:
        """Return a field that must be a text or a number, as text.

        Raises:
            EvaluationError: The field is missing or something else.
        """
        value = self.get(index, key)
        if isinstance(value, str):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return json.dumps(value)
        raise EvaluationError(
            f"{self.path}:{self.lines[index]}: {key!r} is {value!r}; expected a text or a number."
        )

    def strata(self, key: str | None) -> list[str] | None:
        """Return each record's value of ``key`` as text, or None without a key."""
        if key is None:
            return None
        return [json.dumps(self.get(index, key)) for index in range(len(self.records))]


def read_table(path: str | Path) -> Table:
    """Read a JSON Lines file; empty lines are skipped.

    Raises:
        EvaluationError: The file is missing, unreadable or empty, or a line is no JSON mapping.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        lines = raw.decode("utf-8").split("\n")
    except FileNotFoundError:
        raise EvaluationError(
            f"{path} does not exist. Paths are relative to the working folder; mend 'data'."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"{path} can't be read as UTF-8 text: {error}. Mend the file."
        ) from error
    records, numbers = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        records.append(_parse(path, number, line))
        numbers.append(number)
    if not records:
        raise EvaluationError(f"{path} holds no examples. Give it one JSON object a line.")
    return Table(path, tuple(records), tuple(numbers), hashlib.sha256(raw).hexdigest())


def _parse(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise EvaluationError(
            f"{path}:{number}: not JSON ({error.msg} at column {error.colno}). "
            "Each line holds one JSON object."
        ) from error
    if not isinstance(record, dict):
        raise EvaluationError(
            f"{path}:{number}: found {type(record).__name__}, expected a JSON object with keys."
        )
    return record


def content_hash(parts: Sequence[Any] | Mapping[str, Any]) -> str:
    """Return the sha256 of plain data in canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""The run's log: one line an event with the ids of run, candidate, attempt and worker.

Events are logged as records of this module's logger with their fields attached; ``TextLines`` and
``JsonLines`` write them, and the records of all other modules, to ``log.txt``. Passwords in URLs,
tokens and secrets of the environment are blotted out.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evomerge.runs.events import Event

logger = logging.getLogger(__name__)

_IDS = ("candidate", "attempt", "worker")
_DEBUG = frozenset({"asked", "candidate_done", "rescoring"})
_WARNING = frozenset({"candidate_failed", "attempt_lost", "worker_gone", "ledger_away"})
_SECRET_NAMES = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY)$", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"(\w://[^\s:/@]*:)[^\s@/]+@"), r"\1***@"),
    (re.compile(r"(?i)\b(password|passwd|token|secret|api_key)=[^\s&'\"]+"), r"\1=***"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), "hf_***"),
)
_SHORTEST_SECRET = 8


def log_event(event: Event, *, run_id: str) -> None:
    """Log ``event``: steps at DEBUG, losses at WARNING, all else at INFO.

    Args:
        event: What happened.
        run_id: The run it happened in.
    """
    kind = event.kind
    level = logging.DEBUG if kind in _DEBUG else logging.INFO
    level = logging.WARNING if kind in _WARNING else level
    if logger.isEnabledFor(level):
        fields = _fields(event, run_id)
        logger.log(level, "%s", _Line(kind, fields), extra={"event": kind, "fields": fields})


class _Line:
    """An event as text, made only where a handler wants it."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._kind, self._fields = kind, fields

    def __str__(self) -> str:
        fields = _flat(self._fields).items()
        words = [f"{key}={_word(value)}" for key, value in fields if value is not None]
        return " ".join([self._kind, *words])


@contextlib.contextmanager
def logging_to(file: Path, form: str) -> Iterator[None]:
    """Write a run's log to ``file`` while this context is open, all events among it.

    Args:
        file: Is added to.
        form: ``text`` or ``json``.
    """
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.addFilter(lambda record: is_event(record) or record.levelno >= logging.INFO)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    ours = logging.getLogger("evomerge")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    ours.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        ours.removeHandler(handler)
        handler.close()


def is_event(record: logging.LogRecord) -> bool:
    """Say if ``record`` tells of an event."""
    return hasattr(record, "event")


class TextLines(logging.Formatter):
    """``2026-11-21T11:20:03.123Z INFO generation_done run=… ask=0 evaluated=5 …``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line; a traceback follows on lines of its own."""
        first = f"{_at(record)} {record.levelname}"
        if is_event(record):
            line = f"{first} {record.getMessage()}"
        else:
            line = f"{first} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redact(line)


class JsonLines(logging.Formatter):
    """One JSON object a line, the same keys first in each: at, level, event, run, candidate …."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line; other records than events have the event ``log``."""
        body: dict[str, Any] = {"at": _at(record), "level": record.levelname.lower()}
        if is_event(record):
            body["event"] = getattr(record, "event", "")
            body |= getattr(record, "fields", {})
        else:
            body |= {"event": "log", "run": None, **dict.fromkeys(_IDS)}
            body |= {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            body["traceback"] = self.formatException(record.exc_info)
        return json.dumps(_redacted(body), ensure_ascii=False, default=str)


def redact(text: str) -> str:
    """Return ``text`` with passwords, tokens and secrets of the environment blotted out."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and value in text and _SECRET_NAMES.search(name):
            text = text.replace(value, "***")
    return text


def _fields(event: Event, run_id: str) -> dict[str, Any]:
    """Return the ids, None where the event has none, and then the event's own fields."""
    own = event.to_dict()
    ids = {"run": run_id, **{name: own.pop(name, None) for name in _IDS}}
    own.pop("run_id", None)
    return ids | own


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``fields`` without nesting: ``best.mean``; of progress the counts alone."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, "" if key == "progress" else f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _word(value: Any) -> str:
    """Return a value as one word, quoted where it needs that."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value) or "-"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=]|^$', text) else text


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def _at(record: logging.LogRecord) -> str:
    """Return when, as ISO 8601 in UTC."""
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

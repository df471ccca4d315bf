"""Cursors of lists: where a page ended, as a text that means something only to us."""

import base64
import binascii
import json
from typing import Any

from evomerge.errors import ServiceError


def cursor_of(*parts: float | str) -> str:
    """Return ``parts`` as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Return the parts of a cursor, of the given kinds.

    Raises:
        ServiceError: 422: it isn't one of this list.
    """
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        return tuple(kind(part) for kind, part in zip(kinds, json.loads(text), strict=True))
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise ServiceError(
            422, "cursor: this isn't one of this list. Leave it away to begin at the first page."
        ) from error

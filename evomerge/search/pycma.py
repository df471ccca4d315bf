"""Puts pycma's own tables right after a strategy was taken from a snapshot."""

from collections.abc import Iterable
from typing import Any


def hash_anew(objects: Iterable[Any]) -> None:
    """Let pycma find its solutions again: it files them by a hash that each process salts anew.

    Args:
        objects: All that a snapshot held; tables of solutions among them are mended.
    """
    for table in objects:
        if not hasattr(table, "_unhashed_keys"):
            continue
        keys = {old: table.key(x) for old, x in table._unhashed_keys.items()}
        for part in (table.data, table.data_with_same_key, table._unhashed_keys):
            items = [(keys.get(key, key), value) for key, value in part.items()]
            part.clear()
            part.update(items)

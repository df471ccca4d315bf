"""Copies of a whole ledger: into a file as a backup, or from one into an empty database.

A copy is of one moment, while runs go on writing; it is an ordinary ledger of the same schema.
"""

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, func, insert, inspect, select, text

from evomerge.errors import LedgerError
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger

_CHUNK = 2000
_NOT_COPIED = {tables.worker.name}
"""Who is at work at this moment means nothing in a copy."""


@dataclass(frozen=True)
class Copied:
    """What was copied.

    Args:
        source, target: From where to where, without secrets.
        schema: Of both.
        rows: Table → number of rows.
    """

    source: str
    target: str
    schema: str
    rows: Mapping[str, int]


def back_up(url: str, out: Path) -> Copied:
    """Copy the ledger at ``url`` into the new SQLite file ``out``, whole or not at all.

    Raises:
        LedgerError: ``out`` exists or can't be written, or the ledger can't be read.
    """
    if out.exists():
        raise LedgerError(f"{out} exists. Choose another --out.")
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        with contextlib.closing(Ledger.open(url, read_only=True, schema=None)) as source:
            copied = _copy(source, f"sqlite:///{partial}")
        _sync(partial)
        partial.rename(out)
        _sync(out.absolute().parent)
    except OSError as error:
        raise LedgerError(
            f"{out} can't be written: {error.strerror or error}. Choose another --out, or free "
            "some disk space."
        ) from error
    finally:
        _remove(partial)
    return Copied(copied.source, str(out), copied.schema, copied.rows)


def restore(file: Path, url: str) -> Copied:
    """Copy the backup ``file`` into the empty database at ``url``, whole or not at all.

    Raises:
        LedgerError: ``file`` is no ledger, or the database isn't empty or can't be written.
    """
    with contextlib.closing(
        Ledger.open(f"sqlite:///{file}", read_only=True, schema=None)
    ) as source:
        return _copy(source, url)


def _copy(source: Ledger, url: str) -> Copied:
    """Copy everything in one read and one write transaction, a few thousand rows at a time."""
    schema = source.revision()
    assert schema is not None
    rows: dict[str, int] = {}
    with contextlib.closing(Ledger.open(url, create=True, schema=schema)) as target:
        with source.read() as reading, target.write("copy") as writing:
            if writing.scalar(select(func.count()).select_from(tables.run)):
                raise LedgerError(
                    f"ledger {target.where} holds runs already. Give an empty database."
                )
            for table in tables.METADATA.sorted_tables:
                columns = _columns(reading, table)
                if columns and table.name not in _NOT_COPIED:
                    rows[table.name] = _copy_table(reading, writing, table, columns)
            _take_back_drivers(writing)
            _go_on_counting(writing)
        return Copied(source.where, target.where, schema, rows)


def _columns(connection: Connection, table: Table) -> list[Column[Any]]:
    """Return those of a table's columns that the database's schema has already."""
    inspector = inspect(connection)
    if not inspector.has_table(table.name):
        return []
    there = {column["name"] for column in inspector.get_columns(table.name)}
    return [column for column in table.columns if column.name in there]


def _copy_table(
    reading: Connection, writing: Connection, table: Table, columns: list[Column[Any]]
) -> int:
    query = select(*columns).order_by(*table.primary_key.columns)
    statement = insert(table)
    count = 0
    for chunk in _chunks(reading, query):
        writing.execute(statement, chunk)
        count += len(chunk)
    return count


def _chunks(connection: Connection, query: Select[Any]) -> Iterator[list[dict[str, Any]]]:
    found = connection.execute(query.execution_options(yield_per=_CHUNK))
    rows = (dict(row) for row in found.mappings())
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield chunk


def _take_back_drivers(connection: Connection) -> None:
    """Let the copy's runs be driven at once: their drivers go on with the original."""
    if inspect(connection).has_table(tables.driver.name):
        connection.execute(tables.driver.update().values(lease_s=0.0))


def _go_on_counting(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that were copied."""
    if connection.dialect.name == "sqlite":
        return
    counted = (("attempt", "attempt_id"), ("audit", "entry_id"), ("reply", "reply_id"))
    for table, column in counted:
        if inspect(connection).has_table(table):
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
                    f"coalesce((SELECT max({column}) FROM {table}), 0) + 1, false)"
                )
            )


def _remove(partial: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{partial}{suffix}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Finds scores that the ledger holds already, whoever's run they came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, select

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import unpack_answers, unpack_scores
from evomerge.runs.ledger.database import Ledger

_KEYS_A_QUERY = 400  # databases limit the parameters of one statement

_BLOCK = tables.score_block
_ANYWHERE = select(_BLOCK).where(_BLOCK.c.cache_key.in_(bindparam("keys", expanding=True)))
_IN_RUN = _ANYWHERE.where(_BLOCK.c.run_id == bindparam("run"))


@dataclass(frozen=True)
class CachedBlock:
    """Scores found under a key: metric → values of shape ``(n, width)``; answers where kept."""

    values: Mapping[str, NDArray[np.float64]]
    answers: Sequence[str | None] | None


class _Place(NamedTuple):
    """Where one block of scores stands."""

    cache_key: str
    run_id: str
    candidate_id: str
    task: str
    split: str
    block: int


def find_blocks(
    ledger: Ledger, keys: Sequence[str], *, run_id: str | None = None
) -> dict[str, CachedBlock]:
    """Return cache key → scores for those of ``keys`` that the ledger holds.

    Args:
        ledger: Where to look.
        keys: Cache keys of blocks.
        run_id: Look only in this run; None looks in every run of the ledger.
    """
    found: dict[str, CachedBlock] = {}
    with ledger.read() as connection:
        for chunk in _chunks(keys):
            query, scope = (_ANYWHERE, {}) if run_id is None else (_IN_RUN, {"run": run_id})
            by_place: dict[_Place, dict[str, NDArray[np.float64]]] = {}
            for row in connection.execute(query, {"keys": chunk, **scope}):
                place = _Place(
                    row.cache_key, row.run_id, row.candidate_id, row.task, row.split, row.block
                )
                values = by_place.setdefault(place, {})
                values[row.metric] = unpack_scores(row.data, row.n, row.width)
            # Rows of one key agree bit for bit; the first in order is taken so that reads repeat.
            for place in sorted(by_place):
                if place.cache_key not in found:
                    metrics = by_place[place]
                    found[place.cache_key] = CachedBlock(metrics, _answers(connection, place))
    return found


def _answers(connection: Connection, place: _Place) -> Sequence[str | None] | None:
    table = tables.answer_block
    data = connection.scalar(
        select(table.c.data)
        .where(table.c.run_id == place.run_id, table.c.candidate_id == place.candidate_id)
        .where(table.c.task == place.task, table.c.split == place.split)
        .where(table.c.block == place.block)
    )
    return None if data is None else unpack_answers(data)


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _KEYS_A_QUERY):
        yield keys[start : start + _KEYS_A_QUERY]

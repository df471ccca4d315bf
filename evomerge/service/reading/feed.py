"""A run's events as they are stored, for any number of listeners at the cost of one.

One task a run asks the ledger for new events while anybody listens. A listener that falls behind,
or comes back, reads what it missed from the ledger by sequence number.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from pydantic_core import to_json
from sqlalchemy import Text, cast, func, select
from starlette.concurrency import run_in_threadpool

from evomerge.errors import LedgerError, ServiceError
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords

POLL_S = 0.5
HEARTBEAT_S = 15.0
PAGE = 500
KEPT = 1_000
"""Newest events that a run's listeners share."""
MOST_LISTENERS = 512


@dataclass(frozen=True)
class Told:
    """An event on its way to listeners."""

    sequence: int
    message: bytes


class RunFeed:
    """The newest events of one run.

    Args:
        records: Its rows.
        poll_s: How often the ledger is asked.
    """

    def __init__(self, records: RunRecords, poll_s: float) -> None:
        self._records, self._poll_s = records, poll_s
        self._kept: deque[Told] = deque(maxlen=KEPT)
        self.changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last: int | None = None
        self.listeners = 0

    def start(self) -> None:
        """Begin to ask the ledger."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def newest(self) -> int:
        """Return the number of the newest event."""
        if self.last is None:
            self.last = await run_in_threadpool(newest_sequence, self._records)
        return self.last

    async def after(self, sequence: int) -> list[Told]:
        """Return the next events after ``sequence``; none where there are none yet."""
        if self.last is not None and sequence >= self.last:
            return []
        if self._kept and self._kept[0].sequence <= sequence + 1:
            return [item for item in self._kept if item.sequence > sequence][:PAGE]
        return await run_in_threadpool(read_events, self._records, sequence)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def _follow(self) -> None:
        await self.newest()
        while True:
            # A database that is away just now is asked again.
            with contextlib.suppress(LedgerError):
                found = await run_in_threadpool(read_events, self._records, self.last or 0)
                if found:
                    self._kept += found
                    self.last = found[-1].sequence
                    self.wake()
                    if len(found) == PAGE:
                        continue
            await asyncio.sleep(self._poll_s)


class Feeds:
    """The feeds of all runs that somebody listens to.

    Args:
        poll_s: How often a ledger is asked.
        heartbeat_s: A silent stream gives a sign of life so often.
    """

    def __init__(self, *, poll_s: float = POLL_S, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._poll_s, self._heartbeat_s = poll_s, heartbeat_s
        self._feeds: dict[str, RunFeed] = {}
        self._listeners = 0
        self._closed = False

    def close(self) -> None:
        """End all streams, so that the service can end; call it in the service's event loop."""
        self._closed = True
        for feed in self._feeds.values():
            feed.wake()

    def check_room(self) -> None:
        """Refuse one listener too many.

        Raises:
            ServiceError: 503.
        """
        if self._closed or self._listeners >= MOST_LISTENERS:
            raise ServiceError(
                503,
                f"{self._listeners} streams of events are open, which is all that there may "
                "be. Close some, or ask again later.",
            )

    async def stream(
        self,
        records: RunRecords,
        after: int | None,
        still_allowed: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[bytes]:
        """Yield server-sent events until the listener goes or may listen no more.

        Args:
            records: The run's rows.
            after: Sequence number of the last event that the listener has; None for only new ones.
            still_allowed: Asked at each heartbeat.
        """
        feed = self._join(records)
        try:
            sequence = await feed.newest() if after is None else after
            # At once, so that a listener knows that it listens; and where to go on without events.
            yield b"retry: 2000\nid: %d\n: listening\n\n" % sequence
            while not self._closed:
                changed = feed.changed  # taken before looking, so that nothing comes in between
                found = await feed.after(sequence)
                for item in found:
                    yield item.message
                    sequence = item.sequence
                if found:
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), self._heartbeat_s)
                except TimeoutError:
                    if not await still_allowed():
                        return
                    yield b": still here\n\n"
        finally:
            self._leave(records.run_id, feed)

    def _join(self, records: RunRecords) -> RunFeed:
        feed = self._feeds.get(records.run_id)
        if feed is None:
            feed = self._feeds[records.run_id] = RunFeed(records, self._poll_s)
            feed.start()
        feed.listeners += 1
        self._listeners += 1
        return feed

    def _leave(self, run_id: str, feed: RunFeed) -> None:
        feed.listeners -= 1
        self._listeners -= 1
        if feed.listeners == 0:
            feed.stop()
            self._feeds.pop(run_id, None)


def newest_sequence(records: RunRecords) -> int:
    """Return the number of a run's newest event, 0 where it has none."""
    c = tables.event.c
    with records.ledger.read() as connection:
        query = select(func.max(c.sequence)).where(c.run_id == records.run_id)
        return int(connection.scalar(query) or 0)


def read_events(records: RunRecords, after: int) -> list[Told]:
    """Return the next events after a sequence number as messages."""
    c = tables.event.c
    query = (
        select(c.sequence, c.kind, cast(c.body, Text), c.at_s)
        .where(c.run_id == records.run_id, c.sequence > after)
        .order_by(c.sequence)
        .limit(PAGE)
    )
    with records.ledger.read() as connection:
        rows = connection.execute(query).all()
    return [Told(row[0], message(row[0], row[1], json.loads(row[2]), row[3])) for row in rows]


def message(sequence: int, kind: str, body: object, at_s: float) -> bytes:
    """Return an event as a server-sent one; JSON keeps line breaks out of it."""
    data = {"sequence": sequence, "kind": kind, "at_s": at_s, "body": body}
    text = to_json(data, inf_nan_mode="null")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (sequence, kind.encode(), text)

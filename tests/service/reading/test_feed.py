import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import ServiceError
from evomerge.runs.events import AttemptLost
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.service.reading import feed
from evomerge.service.reading.feed import Feeds, message
from tests.service.reading.conftest import Place, make_place


async def always() -> bool:
    return True


def tell(place: Place, number: int) -> None:
    """Store an event, as a driver does."""
    with contextlib.closing(Ledger.open(place.fake.url)) as ledger:
        event = AttemptLost("0-0", number, "w0", "a\nb <i>")
        RunWriter(ledger, place.fake.run_id).tell_of(event)


async def read(stream: Any, n: int) -> list[dict[str, Any]]:
    """The next ``n`` events of a stream."""
    found: list[dict[str, Any]] = []
    async for part in stream:
        for line in part.decode().split("\n"):
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
        if len(found) >= n:
            break
    return found


def run_with(work: Callable[[Feeds], Any], **settings: float) -> Any:
    async def go() -> Any:
        feeds = Feeds(**{"poll_s": 0.01, "heartbeat_s": 5.0, **settings})
        try:
            return await asyncio.wait_for(work(feeds), 30)
        finally:
            feeds.close()

    return asyncio.run(go())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
def records(place: Place) -> RunRecords:
    return place.fake.records()


def test_a_listener_hears_what_happens_from_now_on(place: Place, records: RunRecords) -> None:
    tell(place, 1)

    async def work(feeds: Feeds) -> Any:
        stream = feeds.stream(records, None, always)
        opening = await anext(stream)
        await asyncio.to_thread(tell, place, 2)
        return opening, await read(stream, 1)

    opening, events = run_with(work)
    assert opening.startswith(b"retry: 2000\nid: 1\n")
    assert [(e["sequence"], e["kind"], e["body"]["attempt"]) for e in events] == [
        (2, "attempt_lost", 2)
    ]
    assert events[0]["body"]["message"] == "a\nb <i>"


def test_a_stream_goes_on_after_the_last_event_without_gap_or_repeat(
    place: Place, records: RunRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 2)
    monkeypatch.setattr(feed, "KEPT", 3)
    for number in range(1, 8):
        tell(place, number)

    async def work(feeds: Feeds) -> Any:
        early = feeds.stream(records, 0, always)
        first = await read(early, 7)
        late = feeds.stream(records, 4, always)
        second = await read(late, 3)
        await asyncio.to_thread(tell, place, 8)
        return first, second, await read(feeds.stream(records, 7, always), 1)

    first, second, third = run_with(work)
    assert [e["sequence"] for e in first] == [1, 2, 3, 4, 5, 6, 7]
    assert [e["sequence"] for e in second] == [5, 6, 7]
    assert [e["sequence"] for e in third] == [8]


def test_many_listeners_cost_as_many_queries_as_one(
    place: Place, records: RunRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = feed.read_events

    def counted(of: RunRecords, after: int) -> Any:
        asked.append(after)
        return real(of, after)

    monkeypatch.setattr(feed, "read_events", counted)

    async def work(feeds: Feeds) -> Any:
        streams = [feeds.stream(records, None, always) for _ in range(20)]
        for stream in streams:
            await anext(stream)
        await asyncio.to_thread(tell, place, 1)
        return await asyncio.gather(*(read(stream, 1) for stream in streams))

    found = run_with(work, poll_s=0.2)
    assert [[e["sequence"] for e in events] for events in found] == [[1]] * 20
    assert len(asked) < 20


def test_a_silent_stream_gives_signs_of_life_until_its_reader_may_no_more(
    records: RunRecords,
) -> None:
    answers = iter([True, True, False])

    async def still() -> bool:
        return next(answers)

    async def work(feeds: Feeds) -> list[bytes]:
        return [part async for part in feeds.stream(records, None, still)]

    parts = run_with(work, heartbeat_s=0.01)
    assert parts[1:] == [b": still here\n\n"] * 2


def test_streams_end_with_the_service(records: RunRecords) -> None:
    async def work(feeds: Feeds) -> list[bytes]:
        stream = feeds.stream(records, None, always)
        parts = [await anext(stream)]
        asyncio.get_running_loop().call_later(0.05, feeds.close)
        parts += [part async for part in stream]
        with pytest.raises(ServiceError, match="streams of events"):
            feeds.check_room()
        return parts

    assert len(run_with(work)) == 1


def test_there_is_a_most_of_listeners(records: RunRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_LISTENERS", 1)

    async def work(feeds: Feeds) -> None:
        stream = feeds.stream(records, None, always)
        await anext(stream)
        with pytest.raises(ServiceError) as caught:
            feeds.check_room()
        assert caught.value.status == 503
        await stream.aclose()
        feeds.check_room()

    run_with(work)


def test_a_message_is_one_line_of_data_whatever_it_holds() -> None:
    text = message(3, "stopped", {"message": "a\nid: 9\n\ndata: x", "value": float("nan")}, 1.5)
    assert text.count(b"\n") == 4
    data = json.loads(text.split(b"\n")[2].removeprefix(b"data: "))
    assert data["body"] == {"message": "a\nid: 9\n\ndata: x", "value": None}

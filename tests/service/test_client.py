"""The client: what it sends again, what it makes of answers, downloads that break off."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from evomerge.errors import ServiceError
from evomerge.service.client import Client, RemoteJob

CONTENT = bytes(range(256)) * 16
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EXPORT = RemoteJob(
    "e" * 32, "export", "toy", "finished", "run", "", "r" * 32, "/x", 0, 0.0, "ada", 1,
    {"file": "toy.tar", "bytes": len(CONTENT), "sha256": SHA256, "url": ""},
)  # fmt: skip

Handler = Callable[[httpx2.Request], httpx2.Response]


def client(handler: Handler) -> Client:
    made = Client("http://service", token="t", transport=httpx2.MockTransport(handler))
    made.pause_s = 0.0
    return made


def test_a_submit_whose_answer_was_lost_is_sent_again_with_its_key() -> None:
    keys: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        assert request.headers["Authorization"] == "Bearer t"
        if len(keys) == 1:
            raise httpx2.ReadError("reset", request=request)
        if len(keys) == 2:
            return httpx2.Response(503, json={"error": {"message": "away", "problems": []}})
        return httpx2.Response(201, json=vars(EXPORT) | {"newer": 1})

    assert client(handler).submit("name: x") == EXPORT
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_refusals_keep_their_problems() -> None:
    problem = {"key": "search.budget", "message": "got 0."}

    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(422, json={"error": {"message": "1 mistake", "problems": [problem]}})

    with pytest.raises(ServiceError, match=r"^search.budget: got 0\.$") as error:
        client(handler).check("x")
    assert (error.value.status, error.value.message) == (422, "1 mistake")


def test_somebody_elses_page_is_told() -> None:
    with pytest.raises(ServiceError, match=r"answered 404 Not Found\. Is it evomerge's service"):
        client(lambda request: httpx2.Response(404, text="<html>")).job("x")


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    asked: list[str | None] = []

    class Breaking(httpx2.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]  # bytes
            yield CONTENT[:1000]
            raise httpx2.ReadError("reset")

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("Range"))
        if len(asked) == 1:
            return httpx2.Response(200, stream=Breaking())
        assert request.headers["If-Range"] == f'"{SHA256}"'
        return httpx2.Response(206, content=CONTENT[1000:])

    assert client(handler).download(EXPORT, tmp_path) == tmp_path / "toy.tar"
    assert asked == [None, "bytes=1000-"]
    assert (tmp_path / "toy.tar").read_bytes() == CONTENT
    with pytest.raises(ServiceError, match="exists"):
        client(handler).download(EXPORT, tmp_path)


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="another checksum"):
        client(lambda request: httpx2.Response(200, content=b"x")).download(EXPORT, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pages_are_followed() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        cursor = request.url.params.get("cursor")
        following = None if cursor else "c"
        return httpx2.Response(200, json={"jobs": [vars(EXPORT)], "next": following})

    assert list(client(handler).jobs()) == [EXPORT, EXPORT]

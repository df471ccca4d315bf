"""A stand-in for the hub: the few routes that downloading a snapshot asks for, on a local port."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class StandIn:
    """What the hub holds, and what it was asked for.

    Args:
        repos: Id → folder with its files.
        gated: Ids that need an agreement.
        asked: ``METHOD path`` of every request.
    """

    url: str
    repos: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Names of the files that were fetched."""
        return [line.rsplit("/", 1)[1] for line in self.asked if line.startswith("GET /o/")]


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """Serve a stand-in until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    stand_in = StandIn(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass.stand_in = stand_in  # type: ignore[attr-defined]  # set once
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stand_in.asked.append(f"{self.command} {path}")
        parts = path.removeprefix("/api/models").strip("/").split("/")
        repo = "/".join(parts[:2])
        if repo not in self.stand_in.repos:
            return self._refuse(404, "RepoNotFound")
        if repo in self.stand_in.gated:
            return self._refuse(403, "GatedRepo")
        folder, rest = self.stand_in.repos[repo], parts[2:]
        if rest[1:2] and rest[1] not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        if rest[:1] == ["tree"]:
            files = [(name, (folder / name).read_bytes()) for name in names]
            return self._json(
                [
                    {"type": "file", "path": n, "size": len(data), "oid": _etag(data)}
                    for n, data in files
                ]
            )
        if rest[:1] == ["resolve"]:
            return self._file(folder / "/".join(rest[2:]))
        return self._json(
            {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        )

    def _file(self, path: Path) -> None:
        if not path.is_file():
            return self._refuse(404, "EntryNotFound")
        data = path.read_bytes()
        return self._send(200, data, {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT})

    def _json(self, plain: object) -> None:
        self._send(200, json.dumps(plain).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()

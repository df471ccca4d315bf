"""A typed client of the service: ``Client(URL, token=…)``, as the command line uses it."""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2

from evomerge.errors import Problem, ServiceError

TOKEN = "EVOMERGE_TOKEN"
"""Environment variable with the token."""
SERVER = "EVOMERGE_SERVER"
"""Environment variable with the service's address."""

_ADDRESS = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/.*)?")
_TRIES = 4


@dataclass(frozen=True)
class RemoteJob:
    """A job of a service.

    Args:
        job_id: Its id.
        kind: ``run`` or ``export``.
        name: For people.
        state: ``queued``, ``running``, ``paused``, ``finished``, ``failed`` or ``cancelled``.
        wanted: What its users want: ``run``, ``pause`` or ``cancel``.
        message: Why it failed or waits.
        run_id: The run that it makes, or exports from.
        folder: Where that is on the server.
        priority: Larger ones begin first.
        submitted_s: When, in seconds since 1970.
        submitted_by: Name of the token.
        starts: How often a process was begun for it.
        download: ``file``, ``bytes``, ``sha256`` and ``url`` of a finished export.
    """

    job_id: str
    kind: str
    name: str
    state: str
    wanted: str
    message: str
    run_id: str
    folder: str
    priority: int
    submitted_s: float
    submitted_by: str
    starts: int
    download: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "RemoteJob":
        """Return the job in an answer; what newer services add is left out."""
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})

    @property
    def ended(self) -> bool:
        """Say if nothing more happens to it unless somebody asks."""
        return self.state in ("finished", "failed", "cancelled")


class Client:
    """A connection to a service.

    Requests that can be sent again without harm are, where a connection breaks or the service is
    just being started; a submit carries a key, so that it is one of them.

    Args:
        server: Its address, ``http://HOST:PORT``.
        token: A token; that of the environment if None.
        timeout_s: Seconds to wait for an answer; a first check loads a lot.
        transport: Sends the requests; for tests.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        timeout_s: float = 330.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        token = os.environ.get(TOKEN) if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.server = server.rstrip("/")
        self.pause_s = 0.5
        if not _ADDRESS.fullmatch(self.server):
            raise ServiceError(0, f"{server!r} is no address. Write http://HOST:PORT.")
        self._http = httpx2.Client(
            base_url=self.server, headers=headers, timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # -- jobs -----------------------------------------------------------------------------------

    def check(
        self, text: str, *, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Check a run file; return it in full, with warnings.

        Raises:
            ServiceError: Its mistakes, among ``problems``.
        """
        return self._json("POST", "/jobs/check", _file(text, overrides, plugins))

    def submit(
        self,
        text: str,
        *,
        overrides: Sequence[str] = (),
        plugins: Sequence[str] = (),
        priority: int = 0,
        key: str | None = None,
    ) -> RemoteJob:
        """Submit the run file ``text``.

        Args:
            text: YAML.
            overrides: ``KEY=VALUE``, as ``--set`` takes them.
            plugins: Plug-in files of the server.
            priority: Larger ones begin first.
            key: Submits with one key are one job; a random one if None.

        Raises:
            ServiceError: Its mistakes, or the service refuses it.
        """
        body = _file(text, overrides, plugins) | {"priority": priority}
        return RemoteJob.of(self._json("POST", "/jobs", body, key=key or uuid.uuid4().hex))

    def jobs(self, *, states: Sequence[str] = (), kind: str | None = None) -> Iterator[RemoteJob]:
        """Yield jobs, newest first."""
        cursor = None
        while True:
            given = {"state": list(states), "kind": kind, "cursor": cursor, "limit": 200}
            asked = {name: value for name, value in given.items() if value}
            page = self._json("GET", "/jobs", params=asked)
            yield from map(RemoteJob.of, page["jobs"])
            cursor = page["next"]
            if cursor is None:
                return

    def job(self, job_id: str) -> RemoteJob:
        """Return a job."""
        return RemoteJob.of(self._json("GET", f"/jobs/{job_id}"))

    def pause(self, job_id: str) -> RemoteJob:
        """Pause a job."""
        return RemoteJob.of(self._json("POST", f"/jobs/{job_id}/pause"))

    def resume(self, job_id: str, *, budget: int | None = None) -> RemoteJob:
        """Let a job go on, with a new total of candidates if one is given."""
        return RemoteJob.of(self._json("POST", f"/jobs/{job_id}/resume", {"budget": budget}))

    def cancel(self, job_id: str) -> RemoteJob:
        """Cancel a job."""
        return RemoteJob.of(self._json("POST", f"/jobs/{job_id}/cancel"))

    def clone(
        self,
        job_id: str,
        *,
        overrides: Sequence[str] = (),
        priority: int = 0,
        key: str | None = None,
    ) -> RemoteJob:
        """Submit a job's run file again, with changes."""
        body = {"overrides": list(overrides), "priority": priority}
        answer = self._json("POST", f"/jobs/{job_id}/clone", body, key=key or uuid.uuid4().hex)
        return RemoteJob.of(answer)

    def export(
        self, run_id: str, candidate: str = "best", *, format: str = "hf", key: str | None = None
    ) -> RemoteJob:
        """Export a candidate as a job, whose file ``download`` fetches once it is finished."""
        body = {"candidate": candidate, "format": format}
        path = f"/runs/{run_id}/exports"
        return RemoteJob.of(self._json("POST", path, body, key=key or uuid.uuid4().hex))

    def wait(self, job_id: str, *, every_s: float = 1.0) -> RemoteJob:
        """Return a job once it has ended or is paused."""
        while True:
            found = self.job(job_id)
            if found.ended or found.state == "paused":
                return found
            time.sleep(every_s)

    def log(self, job_id: str) -> str:
        """Return the last of what a job's processes printed."""
        return self._send("GET", f"/jobs/{job_id}/log").text

    def run_log(self, run_id: str, **asked: Any) -> dict[str, Any]:
        """Return a page of a run's log."""
        return self._json("GET", f"/runs/{run_id}/logs", params=asked)

    def download(self, job: RemoteJob, out: Path) -> Path:
        """Fetch what an export made into the file or folder ``out``, and compare its checksum.

        A download that broke goes on where it stopped.

        Raises:
            ServiceError: It can't be fetched, or isn't what the server has.
        """
        if job.download is None:
            raise ServiceError(0, f"job {job.job_id} is no finished export: {job.state}.")
        file = out / str(job.download["file"]) if out.is_dir() else out
        if file.exists():
            raise ServiceError(0, f"{file} exists. Choose another --out.")
        partial = file.with_name(f"{file.name}.partial")
        path = f"/jobs/{job.job_id}/download"
        for attempt in range(_TRIES):
            try:
                self._fetch(path, partial, str(job.download["sha256"]))
                break
            except httpx2.TransportError as error:
                if attempt == _TRIES - 1:
                    raise ServiceError(0, f"the download broke off: {error}. Try again.") from error
                time.sleep(self.pause_s)
        with partial.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != job.download["sha256"]:
            partial.unlink()
            raise ServiceError(
                0, f"{file} came with another checksum than the server's. Try again."
            )
        partial.rename(file)
        return file

    # -- requests -------------------------------------------------------------------------------

    def _fetch(self, path: str, partial: Path, sha256: str) -> None:
        """Add what is missing to ``partial``."""
        have = partial.stat().st_size if partial.exists() else 0
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{sha256}"'} if have else {}
        with self._http.stream("GET", f"/api/v1{path}", headers=headers) as answer:
            if answer.status_code == 416:
                return  # all of it is there
            if answer.status_code >= 400:
                answer.read()
                raise _refusal(answer)
            with partial.open("ab" if answer.status_code == 206 else "wb") as stream:
                for chunk in answer.iter_bytes():
                    stream.write(chunk)

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self._send(method, path, json=body, params=params, headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Send a request, again where that may help, and return a good answer."""
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                answer = self._http.request(method, f"/api/v1{path}", **request)
            except httpx2.TransportError as error:
                if last or isinstance(error, httpx2.UnsupportedProtocol):
                    raise ServiceError(
                        0,
                        f"no answer from {self.server}: {error or type(error).__name__}. Is "
                        "'evomerge serve' running there?",
                    ) from error
            else:
                if answer.status_code < 400:
                    return answer
                if answer.status_code != 503 or last:
                    raise _refusal(answer)
            time.sleep(self.pause_s * 2**attempt)
        raise AssertionError("the last try returns or raises")


def _file(text: str, overrides: Sequence[str], plugins: Sequence[str]) -> dict[str, Any]:
    return {"text": text, "overrides": list(overrides), "plugins": list(plugins)}


def _refusal(answer: httpx2.Response) -> ServiceError:
    """Return the error in an answer; something else than the service may have sent it."""
    try:
        body = answer.json()["error"]
        problems = [Problem(item["key"], item["message"]) for item in body["problems"]]
        return ServiceError(answer.status_code, body["message"], problems)
    except (ValueError, KeyError, TypeError):
        text = f"{answer.url} answered {answer.status_code} {answer.reason_phrase}."
        return ServiceError(answer.status_code, f"{text} Is it evomerge's service?")

"""Webhooks: addresses that the operator gave hear of each job's state.

What was told stands in a file, so that a restart tells what happened meanwhile, and a receiver
that was away hears the latest state of each job once it is back. Nobody but the operator names
addresses, redirects aren't followed, and no proxy of the environment is asked.
"""

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from sqlalchemy import select

from evomerge.errors import AccessError, EvomergeError
from evomerge.runs.folder import write_atomically
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import job
from evomerge.service.jobs.table import ENDED, Job

logger = logging.getLogger(__name__)

EVERY_S = 2.0
TIMEOUT_S = 10.0
WAITS_S = (5.0, 600.0)
"""Pause after the first failure, doubled with each, and the longest."""
_SLACK_S = 60.0
"""Changes are stamped by several processes; so much older ones are looked at once more."""
_SCHEMA_VERSION = 1
_AGAIN = (408, 429)

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends a body with headers to an address and returns the answer's status."""


@dataclass
class Told:
    """What one receiver has heard.

    Args:
        since_s: Everything that changed before has been told.
        states: Job → the state that was told last; ended ones are forgotten after a while.
    """

    since_s: float
    states: dict[str, str] = field(default_factory=dict)


class Webhooks:
    """Tells addresses of the states of a ledger's jobs, in a thread.

    Args:
        ledger: Where the jobs are.
        urls: Where to; http or https.
        file: What was told.
        secret: Signs the bodies where it isn't empty.
        active: Says if this service is the one that looks after the jobs.
        post: Sends.
        clock: Seconds since 1970.

    Raises:
        AccessError: One of ``urls`` is no address.
    """

    def __init__(
        self,
        ledger: Ledger,
        urls: Sequence[str],
        *,
        file: Path,
        secret: str = "",
        active: Callable[[], bool] = lambda: True,
        post: Post | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for url in urls:
            _check(url)
        self._ledger, self._file, self._secret = ledger, file, secret
        self._urls = tuple(dict.fromkeys(urls))
        self._active, self._post, self._clock = active, post or _post, clock
        self._told: dict[str, Told] | None = None
        self._waits: dict[str, tuple[float, float]] = {}
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tell, where there is anybody to tell."""
        if self._urls:
            self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at the jobs now."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; what isn't told yet is told by the next start."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                if self._active():
                    self.tell()
            except EvomergeError as error:
                logger.warning("webhooks wait: %s", error)
            except Exception:  # a bug here must not end the service
                logger.exception("webhooks failed")
            self._wake.wait(EVERY_S)
            self._wake.clear()

    def tell(self) -> None:
        """Tell each receiver what it hasn't heard yet, as far as it takes it."""
        if self._told is None:
            self._told = self._load()
        for url in self._urls:
            told, (due_s, _) = self._told[_key(url)], self._waits.get(url, (0.0, 0.0))
            if self._clock() < due_s:
                continue
            for found in self._changed(told.since_s - _SLACK_S):
                if told.states.get(found.job_id) != found.state:
                    if self._ended.is_set() or not self._send(url, found):
                        break
                    told.states[found.job_id] = found.state
                    told.since_s = max(told.since_s, found.changed_s)
                    self._save()

    def _send(self, url: str, found: Job) -> bool:
        """Send a job's state; False where it is to be sent again later."""
        body = json.dumps(_body(found), separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Evomerge-Delivery": f"{found.job_id}-{found.state}-{found.changed_s:.3f}",
        }
        if self._secret:
            digest = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Evomerge-Signature"] = f"sha256={digest}"
        host = urlsplit(url).hostname
        try:
            status = self._post(url, body, headers)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            # Not the error's text: addresses hold secrets.
            status, reason = 0, type(error).__name__
        else:
            reason = f"status {status}"
        if 200 <= status < 300:
            self._waits.pop(url, None)
            return True
        if 300 <= status < 500 and status not in _AGAIN:
            logger.warning("webhook host=%s refused job=%s: %s", host, found.job_id, reason)
            return True
        wait_s = min(max(2 * self._waits.get(url, (0.0, 0.0))[1], WAITS_S[0]), WAITS_S[1])
        self._waits[url] = self._clock() + wait_s, wait_s
        logger.warning("webhook host=%s is away (%s), again in %.0f s", host, reason, wait_s)
        return False

    def _changed(self, after_s: float) -> list[Job]:
        query = select(job).where(job.c.changed_s > after_s).order_by(job.c.changed_s, job.c.job_id)
        return self._rows(query)

    def _rows(self, query: Any) -> list[Job]:
        with self._ledger.read() as connection:
            return [Job(**row._mapping) for row in connection.execute(query)]

    def _load(self) -> dict[str, Told]:
        """Return what was told; to a new receiver, all that is known now counts as told."""
        stored: dict[str, Any] = {}
        if self._file.is_file():
            try:
                stored = json.loads(self._file.read_text())["told"]
            except (ValueError, KeyError, TypeError):
                logger.warning("%s is broken: webhooks begin anew", self._file)
        known = [key for url in self._urls if (key := _key(url)) not in stored]
        found = {key: Told(**value) for key, value in stored.items()}
        if known:
            now = self._clock()
            states = {item.job_id: item.state for item in self._rows(select(job))}
            found |= {key: Told(now, dict(states)) for key in known}
        self._told = {_key(url): found[_key(url)] for url in self._urls}
        self._save()
        return self._told

    def _save(self) -> None:
        assert self._told is not None
        ended = self._ended_before(min(item.since_s for item in self._told.values()))
        for item in self._told.values():
            for job_id in ended & item.states.keys():
                del item.states[job_id]
        body = {
            "schema_version": _SCHEMA_VERSION,
            "told": {key: asdict(item) for key, item in self._told.items()},
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file, json.dumps(body))

    def _ended_before(self, since_s: float) -> set[str]:
        """Return jobs that ended so long ago that they aren't looked at again."""
        old = job.c.state.in_(ENDED) & (job.c.changed_s <= since_s - _SLACK_S)
        with self._ledger.read() as connection:
            found: Iterable[str] = connection.scalars(select(job.c.job_id).where(old))
            return set(found)


def _body(found: Job) -> dict[str, Any]:
    names = ("job_id", "kind", "name", "run_id", "state", "message", "changed_s")
    return {"event": "job_state"} | {name: getattr(found, name) for name in names}


def _key(url: str) -> str:
    """Return what stands for an address in the file: it holds secrets, as Slack's do."""
    return hashlib.sha256(url.encode()).hexdigest()


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise AccessError(
            "a webhook is no address of http or https. Give --webhook https://HOST/PATH."
        )


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    with httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        return int(client.post(url, content=body, headers=dict(headers)).status_code)

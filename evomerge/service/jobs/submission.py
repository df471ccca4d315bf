"""What a caller may submit: a run file, changes to one, an export; checked before it is stored."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.config.load import ShapeError, parse_config
from evomerge.config.overrides import apply_overrides, parse_overrides
from evomerge.config.run import RunConfig
from evomerge.errors import ConfigError, ServiceError
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import parse_ledger_url
from evomerge.runs.ledger.sqlite import file_of
from evomerge.runs.reading.results import RunResults
from evomerge.service.checker import Checked, Checker
from evomerge.service.folders import Folders
from evomerge.service.jobs.exports import Format
from evomerge.service.jobs.table import Job, Jobs, NewJob
from evomerge.service.safety import check_depth, fitted, read_submitted, unsafe
from evomerge.service.settings import Settings
from evomerge.service.tokens import Caller

WHERE = "run file"
"""What messages call what was submitted."""


@dataclass(frozen=True)
class RunFile:
    """A run file as it is submitted.

    Args:
        config: Its plain data, or None where ``text`` is given.
        text: The same as YAML.
        overrides: ``KEY=VALUE``, as ``--set`` takes them.
        plugins: Plug-in files of the server.
    """

    config: Mapping[str, Any] | None = None
    text: str | None = None
    overrides: Sequence[str] = ()
    plugins: Sequence[str] = ()

    def plain(self) -> Any:
        """Return its plain data, overrides left aside.

        Raises:
            ConfigError: The text is no YAML, or there is none.
        """
        if self.text is not None:
            return read_submitted(self.text, WHERE)
        return dict(self.config or {})

    def fingerprint(self) -> str:
        """Return a hash of all that was submitted."""
        whole = [self.config, self.text, list(self.overrides), list(self.plugins)]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


class Submission:
    """Turns what callers send into jobs.

    Args:
        settings: What they may do.
        jobs: Where jobs are stored.
        folders: The workspace's runs.
        checker: Checks run files.
    """

    def __init__(self, settings: Settings, jobs: Jobs, folders: Folders, checker: Checker) -> None:
        self._settings = settings
        self._jobs = jobs
        self._folders = folders
        self._checker = checker

    def check(self, file: RunFile) -> Checked:
        """Return a run file in full.

        Raises:
            ConfigError: All its mistakes, and what it asks for that isn't allowed.
        """
        raw = self._allowed(file)
        return self._checker.check(raw, where=WHERE, plugins=file.plugins)

    def submit(
        self, file: RunFile, caller: Caller, *, priority: int = 0, key: str | None = None
    ) -> tuple[Job, bool]:
        """Store a run file as a job, once for each idempotency key of a caller.

        Returns:
            The job, and whether it is new.

        Raises:
            ConfigError: As ``check``.
            ServiceError: 409: the key was used for something else.
        """
        known = self._known(caller, key, file.fingerprint())
        if known is not None:
            return known, False
        config = self.check(file).config
        job_id = uuid.uuid4().hex
        name = str(config["name"])
        return self._jobs.add(
            NewJob(
                job_id=job_id,
                kind="run",
                name=name,
                run_id=job_id,
                folder=str((self._settings.runs / f"{name[:200]}-{job_id[:8]}").absolute()),
                body={"config": config, "plugins": list(file.plugins)},
                submitted_by=caller.name,
                token_id=caller.token_id,
                priority=priority,
                idempotency_key=_key(caller, key),
                fingerprint=file.fingerprint(),
            )
        )

    def clone(
        self,
        job: Job,
        overrides: Sequence[str],
        caller: Caller,
        *,
        priority: int = 0,
        key: str | None = None,
    ) -> tuple[Job, bool]:
        """Store a new job like ``job`` with changes.

        Raises:
            ConfigError: As ``check``.
            ServiceError: 409: it is no run, or the key was used for something else.
        """
        if job.kind != "run":
            raise ServiceError(409, f"only runs can be cloned, and this job's kind is {job.kind}.")
        body = dict(job.body)
        file = RunFile(body["config"], None, overrides, tuple(body.get("plugins", ())))
        return self.submit(file, caller, priority=priority, key=key)

    def adopt(self, run_id: str, caller: Caller, *, budget: int | None = None) -> Job:
        """Store a job that goes on with a run of the command line.

        Raises:
            ServiceError: 404: there is no such run; 409: a job or a process has it already.
        """
        folder = self._folders.find(run_id)
        if not self._is_ours(folder):
            raise ServiceError(409, "this run is in another ledger: use 'evomerge resume'.")
        if self._jobs.newest(kind="run", run_id=run_id, n=1):
            raise ServiceError(409, "a job has this run: resume the job.")
        new = NewJob(
            job_id=uuid.uuid4().hex,
            kind="run",
            name=folder.name,
            run_id=run_id,
            folder=str(folder.path.absolute()),
            body={} if budget is None else {"budget": budget},
            submitted_by=caller.name,
            token_id=caller.token_id,
            # Of two callers at once one gets the other's job.
            idempotency_key=f"adopt:{run_id}",
            fingerprint="",
        )
        return self._jobs.add(new)[0]

    def export(
        self,
        run_id: str,
        candidate: str,
        format: Format,
        caller: Caller,
        *,
        key: str | None = None,
    ) -> tuple[Job, bool]:
        """Store an export as a job.

        Raises:
            ServiceError: 404: there is no such run.
            LedgerError: There is no such candidate.
        """
        fingerprint = hashlib.sha256(f"{run_id}\n{candidate}\n{format}".encode()).hexdigest()
        known = self._known(caller, key, fingerprint)
        if known is not None:
            return known, False
        folder = self._folders.find(run_id)
        results = RunResults(folder)
        try:
            found = results.find(candidate).candidate_id
        finally:
            results.close()
        job_id = uuid.uuid4().hex
        return self._jobs.add(
            NewJob(
                job_id=job_id,
                kind="export",
                name=f"{folder.name}-{found}",
                run_id=run_id,
                folder=str((self._settings.exports / job_id).absolute()),
                body={
                    "run": str(folder.path.absolute()),
                    "candidate": found,
                    "format": format,
                },
                submitted_by=caller.name,
                token_id=caller.token_id,
                idempotency_key=_key(caller, key),
                fingerprint=fingerprint,
            )
        )

    def answers(self, run_id: str, caller: Caller) -> Job:
        """Store a job that answers what waits in a run; one that waits already is returned instead.

        Raises:
            ServiceError: 404: there is no such run.
        """
        folder = self._folders.find(run_id)
        # One that is at work may just have looked for the last time.
        for job in self._jobs.newest(states=("queued",), kind="talk", run_id=run_id, n=1):
            return job
        new = NewJob(
            job_id=uuid.uuid4().hex,
            kind="talk",
            name=folder.name,
            run_id=run_id,
            folder=str(folder.path.absolute()),
            body={},
            submitted_by=caller.name,
            token_id=caller.token_id,
        )
        return self._jobs.add(new)[0]

    def _known(self, caller: Caller, key: str | None, fingerprint: str) -> Job | None:
        """Return the job of an earlier submit with the same key; it isn't checked again."""
        full = _key(caller, key)
        found = None if full is None else self._jobs.known(full)
        if found is not None and found.fingerprint != fingerprint:
            raise ServiceError(
                409,
                f"the idempotency key belongs to job {found.job_id}, which was something else. "
                "Use another key for another job.",
            )
        return found

    def _allowed(self, file: RunFile) -> dict[str, Any]:
        """Return the run file's plain data with overrides, once nothing in it is forbidden."""
        raw = file.plain()
        check_depth(raw, WHERE)
        try:
            config: RunConfig | None = parse_config(raw, where=WHERE, overrides=file.overrides)
            shape: Sequence[Any] = ()
        except ShapeError as error:
            config, shape = error.rest, error.problems
        problems = [] if config is None else unsafe(config, file.plugins, self._settings)
        if problems or config is None:
            raise ConfigError(WHERE, dict.fromkeys([*shape, *problems]))
        changed, _ = apply_overrides(raw, parse_overrides(file.overrides)[0])
        if shape:
            return changed  # the checker tells these mistakes together with those in names
        return fitted(changed, self._settings)

    def _is_ours(self, folder: RunFolder) -> bool:
        """Say if a run is in the service's ledger."""
        theirs, ours = parse_ledger_url(folder.ledger), parse_ledger_url(self._settings.ledger)
        one, other = file_of(theirs), file_of(ours)
        if one is None or other is None:
            return theirs == ours
        return one.resolve() == other.resolve()


def _key(caller: Caller, key: str | None) -> str | None:
    """Return an idempotency key as it is stored: two callers may use the same."""
    return None if key is None else f"{caller.token_id or caller.name}:{key}"

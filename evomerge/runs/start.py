"""Begins a run in a new folder, or takes a stored one up again, under the folder's lock."""

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.config.load import dump_config, parse_config
from evomerge.config.run import RunConfig
from evomerge.errors import ConfigError, LedgerError, Problem
from evomerge.recipes.space import Genome
from evomerge.runs.driver.enough import StopRules
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.loop import Run
from evomerge.runs.driver.plan import Plan
from evomerge.runs.folder import RunFolder, check_free, driver_lock, new_folder, write_run
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import STOPPING, RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.references import panel_members, reference_recipes
from evomerge.runs.recipes import stored_recipe
from evomerge.runs.setup.builders import make_executor
from evomerge.runs.setup.evaluators import facts_of
from evomerge.runs.setup.prepare import Prepared, prepare
from evomerge.runs.setup.sources import OpenedSource
from evomerge.runs.versions import versions_now

RUNS = Path("runs")
CHANGEABLE = ("search.budget", "search.identical_failures", "search.stop", "execution")
"""Keys of the run file that a resume may change."""


@dataclass(frozen=True)
class OpenRun:
    """A run that this process drives.

    Args:
        run: Drive it with ``run.drive()``.
        folder: Its folder.
        prepared: What it is made of.
    """

    run: Run
    folder: RunFolder
    prepared: Prepared


@contextlib.contextmanager
def new_run(
    config: RunConfig,
    *,
    where: str = "",
    out: Path | None = None,
    reuse: bool = True,
    plugins: Sequence[Path] = (),
    run_id: str | None = None,
) -> Iterator[OpenRun]:
    """Check ``config``, store a new run and hold its folder until the block ends.

    Args:
        config: The run file.
        where: The file, for messages.
        out: The run's folder; ``runs/NAME`` if None.
        reuse: Take scores that other runs of the ledger have.
        plugins: Plug-in files to load.
        run_id: Its id, 32 hexadecimal digits; a random one if None.

    Raises:
        ConfigError: All mistakes in the run file, and with them that the folder is taken.
        LedgerError: The folder is taken or can't be written, or the ledger can't be used.
    """
    path = RUNS / config.name if out is None else out
    taken = check_free(path)
    try:
        prepared = prepare(config, where=where, plugins=plugins)
    except ConfigError as error:
        if taken is None:
            raise
        also = Problem("name" if out is None else "--out", taken)
        raise ConfigError(where, [*error.problems, also]) from None
    if taken is not None:
        raise LedgerError(taken)
    with new_folder(path):
        ledger = Ledger.open(prepared.config.ledger, create=True)
        with contextlib.closing(ledger):
            row = _row(prepared, run_id or uuid.uuid4().hex, reuse=reuse)
            RunWriter(ledger, row.run_id).create(row)
            folder = write_run(
                path,
                run_id=row.run_id,
                name=row.name,
                ledger=prepared.config.ledger,
                config=dump_config(prepared.config),
            )
            with held_run(ledger, row.run_id) as epoch:
                plan = _plan(prepared, prepared.config, row, prepared.starts, path, ledger)
                run = Run(RunRecords(ledger, row.run_id), plan, epoch=epoch)
                yield OpenRun(run, folder, prepared)


@contextlib.contextmanager
def stored_run(
    path: Path, *, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()
) -> Iterator[OpenRun]:
    """Take up the run in the folder ``path`` where its ledger says it stands.

    Args:
        path: The run's folder.
        overrides: ``KEY=VALUE`` for keys of ``CHANGEABLE``; ``search.budget`` is the new total.
        plugins: Further plug-in files; those that the run was started with are loaded anyway.

    Raises:
        ConfigError: An override can't be used, or the stored run file no longer fits the machine.
        LedgerError: Another process drives the run, a source, task or plug-in has changed since it
            was started, or the searcher no longer proposes what is stored.
    """
    folder = RunFolder.open(path)
    with driver_lock(path), contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        records = RunRecords(ledger, folder.run_id)
        stale = max((item.sequence for item in records.requests(*STOPPING)), default=0)
        row = records.run()
        config = changed_config(row.config, overrides, where=str(folder.config_file))
        mended = _mended_plugins(row) and not _has_scores(records)
        stored = [Path(path) for path, _ in row.plugins] if mended else stored_plugins(row)
        files = [*stored, *plugins]
        prepared = prepare(config, where=str(folder.config_file), plugins=files, find_starts=False)
        _check_unchanged(row, prepared, mended=mended)
        with held_run(ledger, folder.run_id) as epoch:
            if mended:
                RunWriter(ledger, folder.run_id, epoch).decide("mend", _mending(row, prepared))
            plan = _plan(prepared, config, row, row.starts, path, ledger)
            run = Run(records, plan, epoch=epoch, stale=stale)
            if any(text.partition("=")[0].strip() == "search.budget" for text in overrides):
                run.extend(config.search.budget)
            yield OpenRun(run, folder, prepared)


def prepare_stored(path: Path) -> tuple[RunFolder, Prepared, RunRow]:
    """Prepare a stored run without driving it, for a report; sources must be as they were.

    Raises:
        LedgerError: A source, task or plug-in has changed since the run was started.
    """
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        records = RunRecords(ledger, folder.run_id)
        row, panel = records.run(), records.panel()
    where = str(folder.config_file)
    config = changed_config(row.config, (), where=where)
    files = stored_plugins(row)
    prepared = prepare(config, where=where, plugins=files, find_starts=False, plan=False)
    _check_unchanged(row, prepared)
    prepared.objectives.panel.fill(panel)
    return folder, prepared, row


def changed_config(stored: Mapping[str, Any], overrides: Sequence[str], *, where: str) -> RunConfig:
    """Return the stored run file with ``overrides``.

    Raises:
        ConfigError: An override is malformed, or of a key that a resume can't change.
    """
    before = parse_config(dict(stored), where=where)
    after = parse_config(dict(stored), where=where, overrides=overrides)
    changed = _differences(before.model_dump(by_alias=True), after.model_dump(by_alias=True))
    problems = [
        Problem(
            key,
            "can't be changed once a run has started: its candidates would no longer be "
            "comparable. "
            f"Start a new run; a resume may change {', '.join(CHANGEABLE)}.",
        )
        for key in changed
        if not any(key == free or key.startswith(f"{free}.") for free in CHANGEABLE)
    ]
    if problems:
        raise ConfigError("--set", problems)
    return after


def _differences(one: Any, other: Any, key: str = "") -> list[str]:
    """Return the dotted keys at which two plain values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in dict.fromkeys([*one, *other])
            for found in _differences(
                one.get(name), other.get(name), f"{key}.{name}" if key else str(name)
            )
        ]
    return [] if one == other else [key]


def _row(prepared: Prepared, run_id: str, *, reuse: bool) -> RunRow:
    return RunRow(
        run_id=run_id,
        name=prepared.config.name,
        started_s=time.time(),
        config=prepared.config.model_dump(mode="json", by_alias=True),
        sources={
            name: {
                "path": item.source.path,
                "sha256": item.source.sha256,
                "revision": item.source.revision,
                "tokenizer_sha256": item.source.tokenizer_sha256,
                "licence": item.licence,
            }
            for name, item in prepared.sources.items()
        },
        tasks=facts_of(prepared.evaluators),
        space=prepared.space.to_dict(),
        starts=tuple((label, dict(genome)) for label, genome in prepared.starts),
        versions=versions_now(),
        plugins=prepared.plugins,
        reuse=reuse,
    )


def _plan(
    prepared: Prepared,
    config: RunConfig,
    row: RunRow,
    starts: Sequence[tuple[str, Genome]],
    folder: Path,
    ledger: Ledger,
) -> Plan:
    execution = config.execution
    runner = prepared.runner(ledger, row.run_id, folder)
    return Plan(
        space=prepared.space,
        searcher=prepared.make_searcher(starts, budget=row.config["search"]["budget"]),
        executor=make_executor(config, runner, folder=folder, run_id=row.run_id),
        evaluators=prepared.evaluators,
        objectives=prepared.objectives,
        finalists=config.search.finalists,
        identical_failures=config.search.identical_failures,
        stop_rules=_stop_rules(config),
        dtype=config.recipe.dtype,
        numeric_class=prepared.numeric_class,
        reuse=row.reuse,
        workers=execution.workers,
        mode=config.search.mode,
        attempts=execution.attempts,
        grace_s=execution.grace_s,
        away_s=execution.away_s,
        disk_reserve_gb=execution.disk_reserve_gb,
        disk_budget_gb=execution.disk_budget_gb,
        folder=folder,
        sizes=prepared.sizes,
        panel=panel_members(prepared),
        read_recipe=stored_recipe,
        references=lambda: reference_recipes(prepared),
    )


def _stop_rules(config: RunConfig) -> StopRules:
    given = config.search.stop
    return StopRules(given.target or {}, given.stagnation, given.device_hours)


def _mended_plugins(row: RunRow) -> bool:
    """Say if all plug-in files are there and one is no longer what it was."""
    files = [(Path(path), sha256) for path, sha256 in row.plugins]
    return all(file.is_file() for file, _ in files) and any(
        hashlib.sha256(file.read_bytes()).hexdigest() != sha256 for file, sha256 in files
    )


def _has_scores(records: RunRecords) -> bool:
    return any(row.failure is None for row in records.attempts())


def _mending(row: RunRow, prepared: Prepared) -> dict[str, Any]:
    """Return what takes the place of the run's plug-ins and tasks from now on."""
    plugins = prepared.plugins[: len(row.plugins)]
    return {"plugins": [list(item) for item in plugins], "tasks": facts_of(prepared.evaluators)}


def stored_plugins(row: RunRow) -> list[Path]:
    """Return the plug-in files of a run.

    Raises:
        LedgerError: One isn't what it was.
    """
    for path, sha256 in row.plugins:
        file = Path(path)
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise LedgerError(
                f"plug-in {path} has changed or is gone since the run was started. Restore it, or "
                "start a new run; only a run without any score takes a mended one."
            )
    return [Path(path) for path, _ in row.plugins]


def check_sources(row: RunRow, sources: Mapping[str, OpenedSource]) -> None:
    """Make sure that a run's sources are what they were.

    Raises:
        LedgerError: One has changed.
    """
    for name, stored in row.sources.items():
        source = sources[name].source
        for part, now in (("", source.sha256), ("tokenizer_", source.tokenizer_sha256)):
            then = stored[f"{part}sha256"]
            if then != now:
                what = "tokenizer" if part else "weights or config.json"
                raise LedgerError(
                    f"source {name!r} ({source.path}) has changed since the run was started: the "
                    f"sha256 of its {what} was {then[:12] or 'none'} and is {now[:12] or 'none'}. "
                    "Restore it, or start a new run."
                )


def _check_unchanged(row: RunRow, prepared: Prepared, *, mended: bool = False) -> None:
    """Refuse a run whose sources or tasks are no longer what they were.

    Where a plug-in was ``mended``, a task may score otherwise, but not give other numbers.
    """
    check_sources(row, prepared.sources)
    for name, facts in facts_of(prepared.evaluators).items():
        then, now = row.tasks[name], json.loads(json.dumps(facts))
        compared = set(now) - {"fingerprint"} if mended else {"fingerprint"}
        if any(then[part] != now[part] for part in compared):
            raise LedgerError(
                f"evaluator {name!r} has changed since the run was started: its data, or the code "
                "that scores it. Restore it, or start a new run; unchanged scores are reused."
            )

"""Prompts and expected answers of a stored run's examples."""

import contextlib
import hashlib
from pathlib import Path

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError, LedgerError, Problem
from evomerge.evaluation.protocol import Example
from evomerge.recipes.declarations import load_plugin_file
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs


def stored_examples(path: Path, task: str, split: str) -> list[Example]:
    """Return the examples of a task as people read them.

    Args:
        path: The run's folder.
        task: The evaluator.
        split: ``search``, ``validation`` or ``test``.

    Raises:
        ConfigError: The evaluator can't be built any more.
        LedgerError: It is no run, or the task or a plug-in has changed since it was scored.
    """
    folder = RunFolder.open(path)
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        row = RunRecords(ledger, folder.run_id).run()
    for file, sha256 in row.plugins:
        plugin = Path(file)
        if not plugin.is_file() or hashlib.sha256(plugin.read_bytes()).hexdigest() != sha256:
            raise LedgerError(f"plug-in {file} has changed or is gone since the run was started.")
        load_plugin_file(plugin)
    config = parse_config(dict(row.config), where=row.name)
    specs = [item for item in evaluator_specs(config) if item.name == task]
    problems: list[Problem] = []
    built = build_evaluators(specs, problems)
    if problems:
        raise ConfigError(row.name, problems)
    if task not in built or built[task].fingerprint() != row.tasks[task]["fingerprint"]:
        raise LedgerError(f"evaluator {task!r} has changed since the run was scored.")
    return built[task].examples(split, range(built[task].n_examples(split)))

"""lm-eval tasks and groups found by name and loaded quietly, from disk before any network."""

import contextlib
import difflib
import functools
import logging
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import EvaluationError

RANDOM_SEED, NUMPY_SEED = 0, 1234
"""Seeds of the global generators that ``lm_eval.simple_evaluate`` sets before it loads tasks."""


@dataclass(frozen=True)
class LoadedTasks:
    """What a name stands for.

    Args:
        tasks: Leaf tasks by name, in lm-eval's order.
        group: lm-eval's group object, where the name is a group's.
    """

    tasks: Mapping[str, Any]
    group: Any = None


@contextlib.contextmanager
def lm_eval_context() -> Iterator[None]:
    """Seed the global generators as ``simple_evaluate`` does, silence progress bars and chatter.

    Everything is as before afterwards: random states, log level, progress bars.
    """
    import datasets
    import lm_eval.api.task
    from tqdm import tqdm

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    loggers = [logging.getLogger(name) for name in ("lm_eval", "lm-eval", "datasets")]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    bar = lm_eval.api.task.tqdm
    try:
        random.seed(RANDOM_SEED)
        np.random.seed(NUMPY_SEED)  # noqa: NPY002  tasks draw from the global generator
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        datasets.disable_progress_bars()
        lm_eval.api.task.tqdm = functools.partial(tqdm, disable=True)
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
        lm_eval.api.task.tqdm = bar


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep ``datasets`` and ``huggingface_hub`` from touching the network."""
    import datasets.config
    import huggingface_hub.constants

    flags = [
        (datasets.config, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_DATASETS_OFFLINE"),
        (huggingface_hub.constants, "HF_HUB_OFFLINE"),
    ]
    before = [getattr(module, name) for module, name in flags]
    try:
        for module, name in flags:
            setattr(module, name, True)
        yield
    finally:
        for (module, name), value in zip(flags, before, strict=True):
            setattr(module, name, value)


def load_tasks(name: str, include_path: str | None) -> LoadedTasks:
    """Load the task, group or tag ``name``, or the task in a YAML file.

    Data is looked for on disk first; only where it isn't there, and ``HF_DATASETS_OFFLINE`` and
    ``HF_HUB_OFFLINE`` don't forbid it, it is downloaded.

    Args:
        name: Name, or path of a YAML file.
        include_path: Folder with more task files; its names win over lm-eval's own.

    Raises:
        EvaluationError: There is no such task, or its data can't be loaded.
    """
    if include_path is not None and not Path(include_path).is_dir():
        raise EvaluationError(
            f"include_path {include_path} is no folder. Paths are relative to the working folder."
        )
    try:
        with lm_eval_context():
            return _from_disk_or_hub(name, include_path)
    except EvaluationError:
        raise
    except Exception as error:  # tasks bring code of their own
        raise EvaluationError(
            f"lm-eval task {name!r} can't be loaded ({type(error).__name__}: {error}). Check its "
            "data; offline it must be in the cache of datasets already (evomerge prefetch)."
        ) from error


def _from_disk_or_hub(name: str, include_path: str | None) -> LoadedTasks:
    import datasets.config

    try:
        with offline():
            return _load(name, include_path)
    except EvaluationError:
        raise
    except Exception:  # tasks bring code of their own
        if datasets.config.HF_HUB_OFFLINE:
            raise
        return _load(name, include_path)


def _load(name: str, include_path: str | None) -> LoadedTasks:
    manager = _manager(name, include_path)
    loaded = manager.load([name])
    return LoadedTasks(loaded["tasks"], loaded.get("groups", {}).get(name))


def _manager(name: str, include_path: str | None) -> Any:
    """Return a task manager that knows ``name``, reading as few task files as will do.

    Reading all of lm-eval's own takes 20 s.
    """
    if include_path is not None:
        manager = _task_manager((include_path,), defaults=False)
        if name in manager.all_tasks:
            if _is_closed(manager, name):
                return manager
            return _task_manager((include_path,), defaults=True)
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return _task_manager((), defaults=False)
    folder = _own_folder(name)
    if folder is not None:
        manager = _task_manager((str(folder),), defaults=False)
        if name in manager.all_tasks and _is_closed(manager, name):
            return manager
    manager = _task_manager((include_path,) if include_path else (), defaults=True)
    if name not in manager.all_tasks:
        close = difflib.get_close_matches(name, manager.all_tasks, n=5, cutoff=0.6)
        hint = f"Nearest: {', '.join(close)}." if close else "No name is near it."
        raise EvaluationError(
            f"lm-eval has no task, group or tag {name!r}. {hint} A task of your own needs "
            "include_path, the folder of its YAML file."
        )
    return manager


@functools.lru_cache(maxsize=8)
def _task_manager(paths: tuple[str, ...], *, defaults: bool) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=list(paths), include_defaults=defaults)


def _is_closed(manager: Any, name: str) -> bool:
    """Return whether all members that the group ``name`` refers to are known to ``manager``."""
    entry = manager.task_index[name]
    members = (entry.cfg or {}).get("task")
    if not isinstance(members, list):
        return True
    for member in members:
        if isinstance(member, str):
            inner = member
        elif "dataset_path" in member or not isinstance(member.get("task"), str):
            # Defined on the spot, or a group of its own: lm-eval says so itself where it is not.
            inner = member.get("group", "")
            if inner not in manager.task_index:
                continue
        else:
            inner = member["task"]
        if inner not in manager.task_index or not _is_closed(manager, inner):
            return False
    return True


@functools.lru_cache(maxsize=64)
def _own_folder(name: str) -> Path | None:
    """Return the folder of lm-eval's own task files that defines ``name``: a look at the texts."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    pattern = re.compile(
        rb"^(?:task|group)\s*:\s*[\"']?" + re.escape(name.encode()) + rb"[\"']?\s*(?:#.*)?$",
        re.MULTILINE,
    )
    for path in sorted(root.rglob("*.yaml")):
        if pattern.search(path.read_bytes()):
            return root / path.relative_to(root).parts[0]
    return None

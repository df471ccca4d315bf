"""Finding a source's folder: a local one as it is, a hub id through huggingface_hub's cache.

A hub id is pinned to a commit. What is in the cache in full is used without asking the hub when the
revision is a commit, when offline, and when the hub can't be reached.
"""

import errno
import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evomerge.errors import EvomergeError, ModelError, Problem, ProblemsError, closest
from evomerge.models.cache import keep, recall
from evomerge.models.checkpoint import INDEX, SINGLE, shard_names, weight_files
from evomerge.models.tokenizers import TOKENIZER_FILES

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = (
    *TOKENIZER_FILES,
    "*.json",
    "*.txt",
    "*.py",
    "README.md",
    "LICENSE*",
    "NOTICE*",
    "*.jinja",
)
_TIMEOUT_S = 10.0
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Located:
    """Where a source lies on this machine.

    Args:
        folder: An ordinary Hugging Face folder.
        revision: The hub's commit, 40 hex digits; None for a local folder.
    """

    folder: Path
    revision: str | None


def locate(path: str, revision: str | None = None, *, offline: bool = False) -> Located:
    """Find the model at ``path``, downloading what isn't in the hub's cache.

    Args:
        path: Local folder, relative to the working folder, or hub id.
        revision: (hub id) branch, tag or commit; the default branch if None.
        offline: Ask nobody, as ``HF_HUB_OFFLINE=1`` does.

    Returns:
        The folder and the commit. Only safetensors, configuration, tokenizer and texts are
        downloaded.

    Raises:
        ModelError: There is no such folder or hub model, it may not be read, it has no safetensors,
            the hub can't be reached, or (offline) a file isn't in the cache.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{path} is a local folder and has no revision {revision!r}. Leave revision away."
            )
        return Located(folder, None)
    if _is_local(path):
        raise ModelError(_no_folder(folder))
    if offline or _offline_by_environment():
        return _from_cache(path, revision)
    if revision is not None and _COMMIT.fullmatch(revision):
        try:
            return _from_cache(path, revision, whole=True)
        except ModelError as error:
            logger.debug("%s; asking the hub", error)
    return _from_hub(path, revision)


def prefetch(
    sources: Mapping[str, tuple[str, str | None]],
    *,
    offline: bool = False,
    on_source: Callable[[str, Located], None] | None = None,
) -> dict[str, Located]:
    """Get every source onto this machine.

    Args:
        sources: Name → (path, revision), as for ``locate``.
        offline: Only look whether everything is there.
        on_source: Called after each source that was found.

    Raises:
        ProblemsError: All sources that couldn't be had, with keys ``sources.NAME.path``.
    """
    located, problems = {}, []
    for name, (path, revision) in sources.items():
        try:
            located[name] = locate(path, revision, offline=offline)
            weight_files(located[name].folder)
        except EvomergeError as error:
            problems.append(Problem(f"sources.{name}.path", str(error)))
            continue
        if on_source is not None:
            on_source(name, located[name])
    if problems:
        raise ProblemsError("", problems)
    return located


def _is_local(path: str) -> bool:
    """Whether ``path`` can only mean a folder, or stands in a folder that exists."""
    parent = Path(path).parent
    return not _HUB_ID.fullmatch(path) or (parent != Path() and parent.is_dir())


def _no_folder(folder: Path) -> str:
    message = f"the folder {folder} doesn't exist (working folder {Path.cwd()})"
    try:
        beside = [p.name for p in folder.parent.iterdir() if p.is_dir() and p.name[:1] != "."]
    except OSError:
        beside = []
    close = closest(folder.name, beside)
    if close is None:
        return f"{message}. Check the path."
    return f"{message}; did you mean {str(folder.with_name(close))!r}?"


def _offline_by_environment() -> bool:
    from huggingface_hub import constants

    flag = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    return flag or bool(constants.HF_HUB_OFFLINE)


def _from_cache(path: str, revision: str | None, *, whole: bool = False) -> Located:
    """Find a snapshot in the hub's cache; ``whole``: only one that is known to be all we want."""
    from huggingface_hub import constants, try_to_load_from_cache

    shown = path if revision is None else f"{path} at {revision}"
    mend = "Run 'evomerge prefetch CONFIG' where there is a connection."
    found = try_to_load_from_cache(
        path, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    if not isinstance(found, str):
        raise ModelError(
            f"{shown}: config.json is not in the hub's cache at {constants.HF_HUB_CACHE}, "
            f"and there is no folder of that name. {mend}"
        )
    folder = Path(found).parent
    needed = recall("hub", f"{path}@{folder.name}")
    if whole and needed is None:
        raise ModelError(f"{shown}: nobody knows whether all of it is in the hub's cache. {mend}")
    missing = [name for name in needed or () if not (folder / name).exists()]
    if missing:
        raise ModelError(f"{shown}: {', '.join(missing)} is not in the hub's cache. {mend}")
    try:
        weight_files(folder)
    except ModelError as error:
        raise ModelError(f"{shown} is not whole in the hub's cache: {error} {mend}") from error
    return Located(folder, folder.name)


def _from_hub(path: str, revision: str | None) -> Located:
    """Ask the hub for the commit, then download what is missing of it."""
    from huggingface_hub import HfApi, errors

    hub_errors: Any = errors
    try:
        about = HfApi(endpoint=_endpoint()).model_info(path, revision=revision, timeout=_TIMEOUT_S)
        commit = str(about.sha)
        names = [sibling.rfilename for sibling in about.siblings or ()]
        located = _download(path, commit, names)
        _remember(path, revision)
        return located
    except (OSError, ValueError, hub_errors.HTTPError) as error:
        refusal = _refusal(path, revision, error)
        if refusal is not None:
            raise refusal from error
        try:
            located = _from_cache(path, revision)
        except ModelError:
            raise ModelError(
                f"{path} can't be had from the hub: {_one_line(error)}. There is no folder of that "
                "name either. Check the connection, or the path if a local folder is meant."
            ) from error
        logger.warning("the hub can't be reached; using %s at %s", path, located.revision)
        return located


def _download(path: str, commit: str, names: list[str]) -> Located:
    if "config.json" not in names:
        raise _no_model(path, names)
    wanted = [name for name in names if _is_small(name)]
    if SINGLE in names:
        wanted.append(SINGLE)
    elif INDEX in names:
        folder = _snapshot(path, commit, wanted)
        wanted += shard_names(folder)
    else:
        raise _no_model(path, names)
    keep("hub", f"{path}@{commit}", wanted)
    return Located(_snapshot(path, commit, wanted), commit)


def _remember(path: str, revision: str | None) -> None:
    """Let the hub's cache note which commit a branch stands for, so that it's found offline."""
    from huggingface_hub import constants, hf_hub_download

    hf_hub_download(
        path,
        "config.json",
        revision=revision,
        endpoint=_endpoint(),
        cache_dir=constants.HF_HUB_CACHE,
    )


def _snapshot(path: str, commit: str, names: Iterable[str]) -> Path:
    from huggingface_hub import constants, snapshot_download

    return Path(
        snapshot_download(
            path,
            revision=commit,
            endpoint=_endpoint(),
            cache_dir=constants.HF_HUB_CACHE,
            allow_patterns=[glob.escape(name) for name in names],
        )
    )


def _is_small(name: str) -> bool:
    return any(
        PurePosixPath(name).match(pattern) and name.count("/") == pattern.count("/")
        for pattern in _SMALL
    )


def _no_model(path: str, names: list[str]) -> ModelError:
    """Say what a repository holds instead of a safetensors model."""
    if "adapter_config.json" in names:
        return ModelError(
            f"{path} is an adapter, not a whole model. Merge it into its base first "
            "(peft: model.merge_and_unload().save_pretrained(FOLDER))."
        )
    pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickles:
        return ModelError(
            f"{path} has only pickled weights ({', '.join(pickles[:3])}), which can run code when "
            "loaded; expected safetensors. Look for a revision with safetensors (many have "
            "refs/pr/N by the safetensors bot), or convert it once where you trust it: "
            "AutoModelForCausalLM.from_pretrained(ID).save_pretrained(FOLDER)."
        )
    return ModelError(
        f"{path} lacks config.json or {SINGLE} (or {INDEX}). Choose a model for transformers."
    )


def _refusal(path: str, revision: str | None, error: Exception) -> ModelError | None:
    """Say why the hub refused; None where it couldn't be asked."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return ModelError(
            f"{path} is gated: accept its terms on its page at the hub, then log in with "
            "'hf auth login' or set HF_TOKEN."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{path} has no revision {revision!r}. Check it on the model's page.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelError(
            f"{path} is neither a folder here nor a model on the hub that you may read. Check the "
            "spelling; for a private model log in with 'hf auth login' or set HF_TOKEN."
        )
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{path!r} is neither a folder here nor a hub id: {_one_line(error)}.")
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return ModelError(f"{path} can't be stored: {error.strerror}. Check disk and permissions.")
    return None


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__

"""Pinning a source by its content: sha256 of weights, configuration and tokenizer; no torch."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from evomerge.errors import ModelError
from evomerge.models.cache import keep, recall
from evomerge.models.checkpoint import weight_files
from evomerge.models.tokenizers import tokenizer_files


@dataclass(frozen=True)
class FolderLock:
    """What a model folder contains, wherever it lies and whatever it is called.

    Args:
        sha256: Hash over weight files and ``config.json``, 64 hex digits.
        tokenizer_sha256: Hash over the tokenizer's files; empty where there are none.
        files: Name of each of these files → its sha256.
    """

    sha256: str
    tokenizer_sha256: str
    files: dict[str, str]


def lock_folder(folder: Path) -> FolderLock:
    """Hash the model in ``folder``; a file unchanged since the last time isn't read again.

    Raises:
        ModelError: The folder holds no safetensors model, or a file can't be read.
    """
    folder = Path(folder)
    model = [folder / "config.json", *weight_files(folder)]
    if not model[0].is_file():
        raise ModelError(f"{model[0]} is missing. Expected a Hugging Face model folder.")
    tokenizer = tokenizer_files(folder)
    with ThreadPoolExecutor(max_workers=4) as pool:  # hashing releases the interpreter's lock
        hashes = dict(
            zip([*model, *tokenizer], pool.map(_sha256, [*model, *tokenizer]), strict=True)
        )
    named = {path.relative_to(folder).as_posix(): hashes[path] for path in hashes}
    return FolderLock(
        sha256=_combine((path.name, hashes[path]) for path in model),
        tokenizer_sha256=_combine(
            (path.relative_to(folder).as_posix(), hashes[path]) for path in tokenizer
        )
        if tokenizer
        else "",
        files=named,
    )


def _combine(hashes: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        status = path.stat()
        # Inode and change time catch a file that was replaced by one of equal size and age.
        key = (
            f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}\n"
            f"{status.st_ctime_ns}\n{status.st_ino}"
        )
        known = recall("sha256", key)
        if isinstance(known, str):
            return known
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error
    keep("sha256", key, digest)
    return digest

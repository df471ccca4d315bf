"""An export as one file to download, with its checksum."""

import hashlib
import os
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any, Literal

from evomerge.runs.export import export
from evomerge.runs.failpoints import failpoint

Format = Literal["hf", "recipe", "mergekit"]


def make_export(
    run: Path, candidate: str, folder: Path, *, format: Format, name: str
) -> dict[str, Any]:
    """Write a candidate as one file into ``folder``, whole or not at all.

    A checkpoint becomes a tar archive, which any system unpacks and which is read at any place
    without what stands before it. What an earlier try left is removed first.

    Args:
        run: The run's folder.
        candidate: A candidate's id.
        folder: Holds nothing but this export.
        format: What is written.
        name: Of the file, without ending.

    Returns:
        ``file`` (its name), ``bytes`` and ``sha256``.

    Raises:
        EvomergeError: It can't be exported.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = safe_name(name)
    if format == "hf":
        made = export(run, candidate, folder / name, format="hf")
        file = folder / f"{name}.tar"
        _pack(made, file)
        shutil.rmtree(made)
    else:
        file = export(run, candidate, folder / f"{name}.yaml", format=format)
    failpoint("export written")
    return {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)}


def safe_name(name: str) -> str:
    """Return ``name`` as a file name that means the same everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".-") or "export"


def sha256_of(file: Path) -> str:
    """Return the sha256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pack(folder: Path, file: Path) -> None:
    """Write the files of ``folder`` into a tar archive, without whose they are and from when."""
    partial = file.with_name(f"{file.name}.partial")
    with partial.open("wb") as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for item in sorted(folder.rglob("*")):
                if not item.is_file():
                    continue
                entry = tarfile.TarInfo(f"{folder.name}/{item.relative_to(folder).as_posix()}")
                entry.size = item.stat().st_size
                with item.open("rb") as content:
                    archive.addfile(entry, content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(file)

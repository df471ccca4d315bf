"""Writing a checkpoint as a stream: one tensor in memory, the whole of it or nothing on disk."""

import json
import logging
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evomerge.errors import ModelError
from evomerge.models.checkpoint import INDEX, SINGLE, read_config, torch_dtype
from evomerge.models.header import ITEM_BYTES
from evomerge.models.tokenizers import tokenizer_files

logger = logging.getLogger(__name__)

MAX_SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that is going to be written.

    Args:
        name: Its name in the checkpoint.
        shape: Its shape.
        dtype: safetensors' name of its element type, as in ``TensorFacts``: ``F32``, ``BF16`` …
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def n_bytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def write_checkpoint(
    out: Path,
    specs: Sequence[TensorSpec],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    copy_from: Path,
    config_changes: Mapping[str, Any] | None = None,
    tokenizer_from: Path | None = None,
    extra_files: Mapping[str, str] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Write an ordinary Hugging Face folder.

    Everything goes to a hidden folder beside ``out``, is flushed to disk and then renamed: whoever
    looks at ``out`` sees the whole checkpoint or none. Equal tensors give equal bytes.

    Args:
        out: The new folder; it may exist if it is empty.
        specs: What will come, in the order that decides the shards.
        tensors: (name, tensor) for each spec, in any order; fastest in that of ``specs``.
        copy_from: Folder whose ``config.json``, ``generation_config.json`` and, where the
            configuration names code, ``*.py`` are copied; never its weights.
        config_changes: Keys of ``config.json`` that get another value; ``dtype`` replaces an old
            ``torch_dtype``.
        tokenizer_from: Folder whose tokenizer is copied.
        extra_files: File name → text, as a model card.
        max_shard_bytes: A shard holds at most so many bytes of tensors, but always one tensor.

    Returns:
        ``out``.

    Raises:
        ModelError: ``out`` isn't empty, or the disk is full or can't be written; then nothing is
            left there.
        ValueError: ``tensors`` don't match ``specs``.
    """
    out = Path(out)
    shards = _shards(specs, max_shard_bytes)
    with whole_folder(out, sum(spec.n_bytes for spec in specs)) as folder:
        _write_shards(folder, shards, tensors)
        _write_config(folder, copy_from, config_changes or {})
        for source, name in _copied_files(copy_from, tokenizer_from):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / name)
        for name, text in (extra_files or {}).items():
            if Path(name).name != name or name in (SINGLE, INDEX, "config.json"):
                raise ModelError(f"an extra file can't be called {name!r}. Give a plain file name.")
            (folder / name).write_text(text, encoding="utf-8")
    logger.info("wrote %s tensors=%d shards=%d", out, len(specs), len(shards))
    return out


@contextmanager
def whole_folder(out: Path, n_bytes: int) -> Iterator[Path]:
    """Give a temporary folder that becomes ``out`` when all goes well, and vanishes when not."""
    temporary = None
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ModelError(f"{out} exists and isn't an empty folder. Choose another name.")
        out.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out.parent).free
        if free < n_bytes:
            raise ModelError(
                f"{out} needs {n_bytes:,} bytes and its disk has {free:,} left. "
                "Make room or choose another disk."
            )
        temporary = out.parent / f".{out.name}.{secrets.token_hex(4)}.partial"
        temporary.mkdir()
        yield temporary
        _sync_tree(temporary)
        temporary.rename(out)
        with suppress(OSError):  # some file systems don't sync folders, and the rename is done
            _sync(out.parent)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise ModelError(
                f"{out} can't be written: {error.strerror or error}. Nothing was left there; "
                "check free space and permissions, or choose another folder."
            ) from error
        raise


def _write_shards(
    folder: Path, shards: Sequence[Sequence[TensorSpec]], tensors: Iterable[tuple[str, Tensor]]
) -> None:
    names = [
        SINGLE if len(shards) == 1 else f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        for i in range(1, len(shards) + 1)
    ]
    waiting: dict[str, tuple[FileIO, int, TensorSpec]] = {}
    with ExitStack() as stack:
        for name, shard in zip(names, shards, strict=True):
            file = stack.enter_context(FileIO(folder / name, "wb"))
            header, offsets = _header(shard)
            _write_all(file, memoryview(header))
            file.truncate(len(header) + sum(spec.n_bytes for spec in shard))
            waiting |= {s.name: (file, len(header) + offsets[s.name], s) for s in shard}
        for name, tensor in tensors:
            if name not in waiting:
                raise ValueError(f"tensor {name!r} wasn't announced, or came twice")
            file, offset, spec = waiting.pop(name)
            _write_tensor(file, offset, spec, tensor)
    if waiting:
        raise ValueError(f"{len(waiting)} announced tensors never came, as {next(iter(waiting))!r}")
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(spec.n_bytes for shard in shards for spec in shard)},
            "weight_map": {
                spec.name: name for name, shard in zip(names, shards, strict=True) for spec in shard
            },
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def _shards(specs: Sequence[TensorSpec], max_shard_bytes: int) -> list[list[TensorSpec]]:
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("two tensors have one name")
    shards: list[list[TensorSpec]] = [[]]
    filled = 0
    for spec in specs:
        if shards[-1] and filled + spec.n_bytes > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(spec)
        filled += spec.n_bytes
    return shards


def _header(shard: Sequence[TensorSpec]) -> tuple[bytes, dict[str, int]]:
    """Return a safetensors header and where in the data each tensor starts."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offsets = {}
    position = 0
    # Widest elements first: every tensor is then aligned, and can be read without a copy.
    for spec in sorted(shard, key=lambda spec: -ITEM_BYTES[spec.dtype]):
        offsets[spec.name] = position
        entries[spec.name] = {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "data_offsets": [position, position + spec.n_bytes],
        }
        position += spec.n_bytes
    plain = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    plain += b" " * (-len(plain) % 8)
    return len(plain).to_bytes(8, "little") + plain, offsets


def _write_tensor(file: FileIO, offset: int, spec: TensorSpec, tensor: Tensor) -> None:
    if tuple(tensor.shape) != tuple(spec.shape) or tensor.dtype != torch_dtype(spec.dtype):
        raise ValueError(
            f"tensor {spec.name!r} is {tensor.dtype} {tuple(tensor.shape)} and was announced as "
            f"{spec.dtype} {spec.shape}"
        )
    file.seek(offset)
    if tensor.numel():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        _write_all(file, flat.view(torch.uint8).numpy().data)


def _write_all(file: FileIO, data: memoryview) -> None:
    """Write to an unbuffered file, which takes at most 2 GiB at a time."""
    while data:
        data = data[file.write(data) :]


def _write_config(folder: Path, copy_from: Path, changes: Mapping[str, Any]) -> None:
    config = read_config(copy_from)
    if "dtype" in changes:
        config.pop("torch_dtype", None)
    text = json.dumps({**config, **changes}, indent=2, ensure_ascii=False) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def _copied_files(copy_from: Path, tokenizer_from: Path | None) -> Iterator[tuple[Path, str]]:
    """Give (file, its name in the new folder)."""
    generation = copy_from / "generation_config.json"
    if generation.is_file():
        yield generation, generation.name
    if "auto_map" in read_config(copy_from):
        yield from ((path, path.name) for path in sorted(copy_from.glob("*.py")))
    if tokenizer_from is not None:
        for path in tokenizer_files(tokenizer_from):
            yield path, path.relative_to(tokenizer_from).as_posix()


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

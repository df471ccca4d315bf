"""The header of a safetensors file, read and checked without touching its tensors; no torch."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import ModelError

ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}
"""safetensors' element types → bytes an element."""

_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies.

    Args:
        shape: Its shape.
        dtype: A key of ``ITEM_BYTES``.
        begin, end: Its bytes, counted from the start of the file.
    """

    shape: tuple[int, ...]
    dtype: str
    begin: int
    end: int


def read_header(path: Path) -> dict[str, Entry]:
    """Return tensor name → entry of the safetensors file ``path``, checked against the file's size.

    Raises:
        ModelError: The file is missing, unreadable, truncated or corrupt.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8:
                raise _broken(path, f"it ends after {size} bytes, inside its header (truncated)")
            if length > _MAX_HEADER_BYTES:
                raise _broken(path, f"its header claims {length} bytes")
            raw = file.read(length)
    except OSError as error:
        raise ModelError(
            f"{path} can't be read: {error.strerror or error}. Check the path and its permissions."
        ) from error
    header = _parse(path, raw)
    header.pop("__metadata__", None)
    data_start = 8 + length
    entries = {name: _entry(path, name, item, data_start) for name, item in header.items()}
    _check_layout(path, entries, data_start, size)
    return entries


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        raise ValueError("a name stands in it twice")
    return plain


def _entry(path: Path, name: str, item: Any, data_start: int) -> Entry:
    if not isinstance(item, dict) or not {"dtype", "shape", "data_offsets"} <= set(item):
        raise _broken(path, f"its entry {name!r} lacks dtype, shape or data_offsets")
    dtype, shape, offsets = item["dtype"], item["shape"], item["data_offsets"]
    if dtype not in ITEM_BYTES:
        raise ModelError(
            f"{path}: tensor {name!r} has element type {dtype!r}, expected one of "
            f"{', '.join(ITEM_BYTES)}. Convert the checkpoint to bfloat16, float16 or float32."
        )
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise _broken(path, f"its entry {name!r} has shape {shape!r} and offsets {offsets!r}")
    begin, end = offsets
    n_bytes = math.prod(shape) * ITEM_BYTES[dtype]
    if end - begin != n_bytes:
        raise _broken(
            path, f"its entry {name!r} spans {end - begin} bytes and its shape needs {n_bytes}"
        )
    return Entry(tuple(shape), dtype, data_start + begin, data_start + end)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_layout(path: Path, entries: dict[str, Entry], data_start: int, size: int) -> None:
    """The tensors must fill the file without gap or overlap."""
    expected = data_start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin < expected:
            raise _broken(path, f"its tensor {name!r} overlaps another")
        if entry.begin > expected:
            raise _broken(path, f"{entry.begin - expected} bytes before tensor {name!r} are unused")
        expected = entry.end
    if size < expected:
        raise _broken(path, f"it has {size} bytes and its header needs {expected} (truncated)")
    if size > expected:
        raise _broken(path, f"{size - expected} bytes follow its last tensor")


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path} is not a whole safetensors file: {what}. Download or save it again.")

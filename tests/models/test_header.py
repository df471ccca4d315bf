import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ModelError
from evomerge.models.header import read_header


def _file(path: Path, header: Any, data: bytes) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def _entry(
    begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32"
) -> dict[str, Any]:
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_offsets_count_from_the_files_start(tmp_path: Path) -> None:
    path = _file(tmp_path / "a", {"__metadata__": {"format": "pt"}, "x": _entry(0, 8)}, bytes(8))
    entry = read_header(path)["x"]
    assert (entry.shape, entry.dtype) == ((2,), "F32")
    assert entry.end == path.stat().st_size
    assert entry.end - entry.begin == 8


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"x": _entry(0, 8)}, bytes(4), r"needs \d+ \(truncated\)"),
        ({"x": _entry(0, 8)}, bytes(9), "1 bytes follow its last tensor"),
        ({"x": _entry(0, 8), "y": _entry(4, 12)}, bytes(12), "'y' overlaps another"),
        ({"x": _entry(0, 4), "y": _entry(8, 12)}, bytes(12), "4 bytes before tensor 'y'"),
        ({"x": _entry(0, 8, [3])}, bytes(8), "spans 8 bytes and its shape needs 12"),
        ({"x": _entry(0, 8, [-2])}, bytes(8), r"has shape \[-2\]"),
        ({"x": _entry(0, 8, [2.0])}, bytes(8), r"has shape \[2.0\]"),
        ({"x": {"dtype": "F32"}}, b"", "lacks dtype, shape or data_offsets"),
        ({"x": _entry(0, 1, [2], "F4")}, bytes(1), "element type 'F4', expected one of BOOL"),
        ([], b"", "not a JSON object"),
        (b'{"x": ', b"", "header is not JSON"),
        (b"\xff\xfe{}", b"", "header is not JSON"),
        (b'{"x": {}, "x": {}}', b"", "stands in it twice"),
        (b"[" * 100_000, b"", "header is not JSON"),
    ],
)
def test_broken_files_are_refused_with_their_name(
    tmp_path: Path, header: Any, data: bytes, message: str
) -> None:
    path = _file(tmp_path / "broken.safetensors", header, data)
    with pytest.raises(ModelError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x10\x00", (1 << 60).to_bytes(8, "little") + b"{}"])
def test_a_file_that_ends_in_its_header_is_truncated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"truncated.*Download or save it again"):
        read_header(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.safetensors can't be read: No such file"):
        read_header(tmp_path / "gone.safetensors")


@given(cut=st.integers(min_value=0))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "a"
    _file(path, {"x": _entry(0, 8), "y": _entry(8, 40)}, bytes(40))
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises(ModelError, match="truncated"):
        read_header(path)

import errno
import json
import resource
import shutil
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from evomerge.errors import ModelError
from evomerge.models.checkpoint import INDEX, SINGLE, Checkpoint, shard_names, torch_dtype
from evomerge.models.writer import TensorSpec, write_checkpoint

DTYPES = ("F32", "BF16", "F16", "F64", "I64", "U8", "BOOL")


def _specs(checkpoint: Checkpoint) -> list[TensorSpec]:
    return [TensorSpec(f.name, f.shape, f.dtype) for f in checkpoint.tensors.values()]


def _copy(source: Path, out: Path, **options: Any) -> Path:
    checkpoint = Checkpoint.open(source)
    tensors = ((name, checkpoint.read(name)) for name in checkpoint.tensors)
    return write_checkpoint(out, _specs(checkpoint), tensors, copy_from=source, **options)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The least that a checkpoint can be copied from."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 1}')
    return folder


@st.composite
def _tensors(draw: st.DrawFn) -> dict[str, tuple[str, Tensor]]:
    """Name → (safetensors type, tensor): several types, any shape, raw random bytes."""
    found = {}
    for index in range(draw(st.integers(1, 6))):
        word = draw(st.sampled_from(["weight", "bias", 'wéird "name']))
        name = f"h.{index}.mlp.{word}"
        dtype = draw(st.sampled_from(DTYPES))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        width = torch_dtype(dtype).itemsize
        count = int(torch.tensor(shape, dtype=torch.int64).prod()) if shape else 1
        data = draw(st.binary(min_size=count * width, max_size=count * width))
        raw = torch.tensor(list(data), dtype=torch.uint8)
        raw = raw % 2 if dtype == "BOOL" else raw
        found[name] = (dtype, raw.view(torch_dtype(dtype)).reshape(shape))
    return found


@given(tensors=_tensors(), shard=st.integers(1, 200))
@settings(deadline=None)
def test_what_is_written_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, tuple[str, Tensor]], shard: int
) -> None:
    folder = tmp_path_factory.mktemp("roundtrip")
    (folder / "config.json").write_text("{}")
    specs = [TensorSpec(name, tuple(t.shape), dtype) for name, (dtype, t) in tensors.items()]
    stream = ((name, t) for name, (_, t) in reversed(tensors.items()))
    out = write_checkpoint(folder / "out", specs, stream, copy_from=folder, max_shard_bytes=shard)
    checkpoint = Checkpoint.open(out)
    assert set(checkpoint.tensors) == set(tensors)
    files = [out / SINGLE] if (out / SINGLE).exists() else [out / n for n in shard_names(out)]
    theirs = {name: tensor for file in files for name, tensor in load_file(file).items()}
    for name, (dtype, tensor) in tensors.items():
        assert checkpoint.tensors[name].dtype == dtype
        for read in (checkpoint.read(name), theirs[name]):
            assert (read.dtype, read.shape) == (tensor.dtype, tensor.shape)
            assert bytes(read.reshape(-1).view(torch.uint8)) == bytes(
                tensor.reshape(-1).view(torch.uint8)
            )


def test_an_ordinary_folder_comes_out(llama: Path, tmp_path: Path) -> None:
    out = _copy(llama, tmp_path / "out", tokenizer_from=llama, extra_files={"README.md": "# card"})
    assert {path.name for path in out.iterdir()} == {
        SINGLE,
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
    }
    with safe_open(out / SINGLE, "pt") as file:
        assert file.metadata() == {"format": "pt"}
    tokens = AutoTokenizer.from_pretrained(out)("abc", return_tensors="pt")
    before = AutoModelForCausalLM.from_pretrained(llama)(**tokens).logits
    assert torch.equal(AutoModelForCausalLM.from_pretrained(out)(**tokens).logits, before)
    assert json.loads((out / "config.json").read_text()) == json.loads(
        (llama / "config.json").read_text()
    )


def test_shards_are_named_and_limited(llama: Path, tmp_path: Path) -> None:
    out = _copy(llama, tmp_path / "out", max_shard_bytes=30_000)
    names = shard_names(out)
    assert names == [
        f"model-{i:05d}-of-{len(names):05d}.safetensors" for i in range(1, len(names) + 1)
    ]
    assert len(names) > 2
    for name in names:
        assert sum(t.nbytes for t in load_file(out / name).values()) <= 30_000
    index = json.loads((out / INDEX).read_text())
    assert index["metadata"]["total_size"] == Checkpoint.open(llama).total_bytes
    one, other = Checkpoint.open(llama), Checkpoint.open(out)
    assert all(torch.equal(one.read(name), other.read(name)) for name in one.tensors)
    assert AutoModelForCausalLM.from_pretrained(out).config.num_hidden_layers == 3


def test_equal_tensors_give_equal_bytes_in_any_order(llama: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(llama)
    stream = [(name, checkpoint.read(name)) for name in reversed(checkpoint.tensors)]
    one = _copy(llama, tmp_path / "one", max_shard_bytes=30_000)
    other = write_checkpoint(
        tmp_path / "other", _specs(checkpoint), stream, copy_from=llama, max_shard_bytes=30_000
    )
    assert _files(one) == _files(other)


def test_transposed_and_strided_tensors_are_written_as_they_look(
    source: Path, tmp_path: Path
) -> None:
    tensor = torch.arange(12.0).reshape(3, 4).T[::2]
    write_checkpoint(
        tmp_path / "out", [TensorSpec("w", (2, 3), "F32")], [("w", tensor)], copy_from=source
    )
    assert torch.equal(load_file(tmp_path / "out" / SINGLE)["w"], tensor)


def test_configuration_changes_and_code_travel(source: Path, tmp_path: Path) -> None:
    plain = {"torch_dtype": "float32", "num_hidden_layers": 9, "auto_map": {"AutoConfig": "m.C"}}
    (source / "config.json").write_text(json.dumps(plain))
    (source / "modeling_own.py").write_text("x = 1")
    (source / "pytorch_model.bin").write_bytes(b"weights stay")
    out = write_checkpoint(
        tmp_path / "out",
        [TensorSpec("w", (1,), "F32")],
        [("w", torch.ones(1))],
        copy_from=source,
        config_changes={"dtype": "bfloat16", "num_hidden_layers": 2},
    )
    changed = json.loads((out / "config.json").read_text())
    assert changed == {
        "num_hidden_layers": 2,
        "auto_map": {"AutoConfig": "m.C"},
        "dtype": "bfloat16",
    }
    assert {path.name for path in out.iterdir()} == {SINGLE, "config.json", "modeling_own.py"}


def test_only_an_empty_folder_may_exist(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    _copy(llama, out)
    before = _files(out)
    with pytest.raises(ModelError, match="exists and isn't an empty folder"):
        _copy(llama, out)
    assert _files(out) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="exists and isn't an empty folder"):
        _copy(llama, tmp_path / "file")


def _nothing_left(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def test_a_full_disk_leaves_nothing(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(self: FileIO, data: memoryview) -> int:
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(1)
        return FileIO.write(self, data)

    monkeypatch.setattr(
        "evomerge.models.writer.FileIO", type("FullFile", (FileIO,), {"write": full})
    )
    with pytest.raises(ModelError, match=r"out can't be written: No space left on device"):
        _copy(llama, tmp_path / "dir" / "out")
    assert _nothing_left(tmp_path / "dir")


def test_a_real_limit_on_file_sizes_leaves_nothing(llama: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ModelError, match="can't be written: File too large"):
            _copy(llama, tmp_path / "dir" / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _nothing_left(tmp_path / "dir")


def test_a_disk_that_is_too_small_is_refused_at_once(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    def never() -> Iterator[tuple[str, Tensor]]:
        raise AssertionError("nothing may be computed")
        yield

    with pytest.raises(ModelError, match=r"needs [\d,]+ bytes and its disk has 1,000 left"):
        write_checkpoint(
            tmp_path / "dir" / "out", _specs(Checkpoint.open(llama)), never(), copy_from=llama
        )
    assert _nothing_left(tmp_path / "dir")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("bug")])
def test_an_interrupted_stream_leaves_nothing(
    source: Path, tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    def stream() -> Iterator[tuple[str, Tensor]]:
        yield "a", torch.ones(2)
        raise error

    specs = [TensorSpec("a", (2,), "F32"), TensorSpec("b", (2,), "F32")]
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        write_checkpoint(tmp_path / "dir" / "out", specs, stream(), copy_from=source)
    assert _nothing_left(tmp_path / "dir")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], "1 announced tensors never came, as 'w'"),
        ([("w", torch.ones(2)), ("w", torch.ones(2))], "'w' wasn't announced, or came twice"),
        ([("x", torch.ones(2))], "'x' wasn't announced"),
        ([("w", torch.ones(3))], r"'w' is torch.float32 \(3,\) and was announced as F32 \(2,\)"),
        ([("w", torch.ones(2).half())], "torch.float16"),
    ],
)
def test_a_stream_must_keep_what_was_announced(
    source: Path, tmp_path: Path, tensors: list[tuple[str, Tensor]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_checkpoint(
            tmp_path / "dir" / "out", [TensorSpec("w", (2,), "F32")], tensors, copy_from=source
        )
    assert _nothing_left(tmp_path / "dir")


@pytest.mark.parametrize("name", ["../escape", "a/b", "config.json", SINGLE])
def test_extra_files_stay_in_the_folder(source: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="an extra file can't be called"):
        write_checkpoint(
            tmp_path / "dir" / "out",
            [TensorSpec("w", (2,), "F32")],
            [("w", torch.ones(2))],
            copy_from=source,
            extra_files={name: "x"},
        )
    assert _nothing_left(tmp_path / "dir")
    assert not (tmp_path / "escape").exists()

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.errors import ModelError
from evomerge.models.checkpoint import INDEX, SINGLE, Checkpoint, shard_names
from tests.fixtures_models import tiny_model


@pytest.fixture
def broken(llama: Path, tmp_path: Path) -> Path:
    """A copy of a model, to be damaged."""
    return Path(shutil.copytree(llama, tmp_path / "broken"))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("sharded"), layers=3, max_shard_size="40KB")


def _store(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / SINGLE)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_reads_what_safetensors_reads(tmp_path: Path, dtype: str) -> None:
    folder = tiny_model("llama", tmp_path / "m", dtype=dtype, tokenizer=False)
    expected = load_file(folder / SINGLE)
    checkpoint = Checkpoint.open(folder)
    assert set(checkpoint.tensors) == set(expected)
    for name, tensor in expected.items():
        assert checkpoint.read(name).dtype == getattr(torch, dtype)
        assert checkpoint.tensors[name].shape == tuple(tensor.shape)
        assert torch.equal(checkpoint.read(name), tensor)
    assert checkpoint.total_bytes == sum(tensor.nbytes for tensor in expected.values())


def test_shards_and_a_single_file_are_equal(llama: Path, sharded: Path) -> None:
    assert len(shard_names(sharded)) > 2
    single, shards = Checkpoint.open(llama), Checkpoint.open(sharded)
    assert list(single.tensors.values()) == list(shards.tensors.values())
    assert single.total_bytes == shards.total_bytes
    assert all(torch.equal(single.read(name), shards.read(name)) for name in single.tensors)


def test_reading_copies_nothing_and_leaves_the_file_alone(broken: Path) -> None:
    before = (broken / SINGLE).read_bytes()
    checkpoint = Checkpoint.open(broken)
    first, second = checkpoint.read("model.norm.weight"), checkpoint.read("model.norm.weight")
    assert first.data_ptr() == second.data_ptr()
    first.fill_(7.0)  # forbidden, and harmless to the file: the map is private
    assert (broken / SINGLE).read_bytes() == before


def test_every_element_type_empty_and_scalar_tensors(tmp_path: Path) -> None:
    tensors = {
        "h.0.mlp.bool": torch.tensor([True, False, True]),
        "h.0.mlp.u8": torch.tensor([1, 255], dtype=torch.uint8),
        "h.0.mlp.i64": torch.tensor([[-5, 6]]),
        "h.0.mlp.i32": torch.tensor([1 << 30], dtype=torch.int32),
        "h.0.mlp.f64": torch.tensor([0.1], dtype=torch.float64),
        "h.0.mlp.f8": torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn),
        "h.0.mlp.scalar": torch.tensor(3.5),
        "h.0.mlp.empty": torch.empty(0, 4),
    }
    checkpoint = Checkpoint.open(_store(tmp_path / "m", tensors, num_hidden_layers=1))
    for name, tensor in tensors.items():
        read = checkpoint.read(name)
        assert (read.dtype, read.shape) == (tensor.dtype, tensor.shape)
        assert read.reshape(-1).tolist() == tensor.reshape(-1).tolist()


def test_tensors_that_are_not_aligned_are_read_too(tmp_path: Path) -> None:
    values = torch.tensor([1.0, -2.0, 3.5])
    entries = {
        "h.0.mlp.odd": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "h.0.mlp.w": {"dtype": "F32", "shape": [3], "data_offsets": [1, 13]},
    }
    raw = json.dumps(entries).encode()
    raw += b" " * (-len(raw) % 8)
    data = bytes([9]) + values.numpy().tobytes()
    (tmp_path / SINGLE).write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 1}')
    checkpoint = Checkpoint.open(tmp_path)
    assert torch.equal(checkpoint.read("h.0.mlp.w"), values)
    assert checkpoint.read("h.0.mlp.odd").tolist() == [9]


def test_opening_needs_no_torch(llama: Path) -> None:
    code = (
        "import sys, pathlib; from evomerge.models.checkpoint import Checkpoint; "
        f"Checkpoint.open(pathlib.Path({str(llama)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("family", "tied"), [("gpt2", True), ("gemma3", True), ("llama", False), ("gpt_neox", False)]
)
def test_tied_embeddings_are_known(families: dict[str, Path], family: str, tied: bool) -> None:
    assert Checkpoint.open(families[family]).tied is tied


def test_a_head_that_copies_the_embedding_counts_as_tied(tmp_path: Path) -> None:
    embed = torch.randn(6, 4)
    tensors = {"embed.weight": embed, "lm_head.weight": embed.clone(), "h.0.mlp.w": torch.ones(2)}
    config = {"num_hidden_layers": 1}
    same = Checkpoint.open(_store(tmp_path / "same", tensors, **config, tie_word_embeddings=True))
    assert same.tied
    assert list(same.tensors) == ["embed.weight", "h.0.mlp.w"]
    assert same.total_bytes == embed.nbytes + 8
    untied = Checkpoint.open(_store(tmp_path / "no", tensors, **config, tie_word_embeddings=False))
    assert not untied.tied
    assert "lm_head.weight" in untied.tensors
    tensors["lm_head.weight"][5, 3] += 1
    other = Checkpoint.open(_store(tmp_path / "other", tensors, **config, tie_word_embeddings=True))
    assert not other.tied
    assert "lm_head.weight" in other.tensors


def test_a_truncated_file_is_refused_at_open(broken: Path) -> None:
    with (broken / SINGLE).open("r+b") as file:
        file.truncate((broken / SINGLE).stat().st_size - 1)
    with pytest.raises(ModelError, match=rf"{SINGLE} is not a whole safetensors file.*truncated"):
        Checkpoint.open(broken)


def test_a_file_that_shrinks_after_open_is_refused_when_read(broken: Path) -> None:
    checkpoint = Checkpoint.open(broken)
    with (broken / SINGLE).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ModelError, match="has 100 bytes and had"):
        checkpoint.read("model.norm.weight")


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_broken_configuration_is_named(broken: Path, text: str) -> None:
    (broken / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json (can't be read as JSON|holds list)"):
        Checkpoint.open(broken)


def test_a_missing_configuration_is_named(broken: Path) -> None:
    (broken / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        Checkpoint.open(broken)


def test_configuration_and_weights_must_fit(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))
    with pytest.raises(ModelError, match=r"broken: config\.json says 9 layers"):
        Checkpoint.open(broken)


def test_quantised_models_are_refused(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"quantised \(gptq\)"):
        Checkpoint.open(broken)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_pickles_are_refused_with_the_way_to_convert_them(broken: Path, name: str) -> None:
    (broken / SINGLE).rename(broken / name)
    with pytest.raises(ModelError, match=rf"pickled weights \({name}\).*python -c .*broken-safe"):
        Checkpoint.open(broken)


def test_the_conversion_that_the_message_gives_works(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "old")
    expected = load_file(folder / SINGLE)
    torch.save(expected, folder / "pytorch_model.bin")
    (folder / SINGLE).unlink()
    with pytest.raises(ModelError) as caught:
        Checkpoint.open(folder)
    code = str(caught.value).split('python -c "')[1].split('"')[0]
    exec(code, {})
    converted = Checkpoint.open(tmp_path / "old-safe")
    assert all(torch.equal(converted.read(name), expected[name]) for name in expected)
    assert (tmp_path / "old-safe" / "tokenizer.json").is_file()


def test_adapters_and_strange_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        Checkpoint.open(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=rf"holds no weights, expected {SINGLE}"):
        Checkpoint.open(tmp_path)
    save_file({"x": torch.ones(1)}, tmp_path / "consolidated.safetensors")
    with pytest.raises(ModelError, match=r"holds only consolidated\.safetensors"):
        Checkpoint.open(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="is an adapter"):
        Checkpoint.open(tmp_path)


@pytest.fixture
def damaged_shards(sharded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded, tmp_path / "shards"))


def test_a_missing_shard_is_named(damaged_shards: Path) -> None:
    name = shard_names(damaged_shards)[1]
    (damaged_shards / name).unlink()
    with pytest.raises(ModelError, match=rf"lacks {name}, which {INDEX} names"):
        Checkpoint.open(damaged_shards)


def test_a_tensor_that_its_shard_lacks_is_named(damaged_shards: Path) -> None:
    index = json.loads((damaged_shards / INDEX).read_text())
    index["weight_map"]["ghost"] = shard_names(damaged_shards)[0]
    (damaged_shards / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="lacks tensor 'ghost'"):
        Checkpoint.open(damaged_shards)


@pytest.mark.parametrize("file", ["../other.safetensors", "/etc/passwd", "a.bin", 3])
def test_an_index_cannot_point_outside_its_folder(damaged_shards: Path, file: object) -> None:
    (damaged_shards / INDEX).write_text(json.dumps({"weight_map": {"x": file}}))
    with pytest.raises(ModelError, match=r"expected a \.safetensors file beside it"):
        Checkpoint.open(damaged_shards)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": [1]}])
def test_an_index_without_its_map_is_refused(damaged_shards: Path, index: object) -> None:
    (damaged_shards / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="has no 'weight_map'"):
        Checkpoint.open(damaged_shards)


def test_an_unknown_tensor_is_named(llama: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tensor 'nope'"):
        Checkpoint.open(llama).read("nope")

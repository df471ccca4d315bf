import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.errors import ModelError
from evomerge.models.checkpoint import SINGLE, Checkpoint
from evomerge.models.resident import load_resident, parameters_by_name
from tests.fixtures_models import FAMILIES, tiny_model

TOKENS = torch.arange(4, 20)[None]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_by_name_is_what_the_model_computes_with(
    families: dict[str, Path], tmp_path: Path, family: str
) -> None:
    checkpoint = Checkpoint.open(families[family])
    model = load_resident(families[family], dtype=None, device="cpu")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    live = parameters_by_name(model, checkpoint)
    assert list(live) == list(checkpoint.tensors)
    assert all(torch.equal(live[name], checkpoint.read(name)) for name in live)
    other = tiny_model(family, tmp_path / "other", seed=1, layers=3, tokenizer=False)
    for name, tensor in live.items():
        tensor.copy_(Checkpoint.open(other).read(name))
    expected = load_resident(other, dtype=None, device="cpu")
    assert torch.equal(model(TOKENS).logits, expected(TOKENS).logits)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_asked_element_type_is_loaded(llama: Path, dtype: str) -> None:
    model = load_resident(llama, dtype=dtype, device="cpu")
    live = parameters_by_name(model, Checkpoint.open(llama))
    assert {tensor.dtype for tensor in live.values()} == {getattr(torch, dtype)}


def test_without_a_type_the_checkpoints_own_is_kept(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "m", dtype="bfloat16", tokenizer=False)
    model = load_resident(folder, dtype=None, device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_writing_leaves_buffers_and_the_file_alone(llama: Path) -> None:
    before = (llama / SINGLE).read_bytes()
    model = load_resident(llama, dtype=None, device="cpu")
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for tensor in parameters_by_name(model, Checkpoint.open(llama)).values():
        tensor.fill_(0.5)
    assert buffers
    assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())
    assert (llama / SINGLE).read_bytes() == before


def test_tied_embeddings_come_once_and_stay_tied(families: dict[str, Path]) -> None:
    model = load_resident(families["gpt2"], dtype=None, device="cpu")
    live = parameters_by_name(model, Checkpoint.open(families["gpt2"]))
    live["transformer.wte.weight"].fill_(0.25)
    assert "lm_head.weight" not in live
    assert bool((model.get_submodule("lm_head").weight == 0.25).all())


def test_gpt2_checkpoints_may_lack_their_prefix(families: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(families["gpt2"], tmp_path / "bare"))
    tensors = load_file(folder / SINGLE)
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    # Old files also store each layer's causal mask, which is no parameter.
    bare |= {f"h.{i}.attn.bias": torch.ones(1, 1, 128, 128).tril() for i in range(3)}
    save_file(bare, folder / SINGLE, metadata={"format": "pt"})
    checkpoint = Checkpoint.open(folder)
    live = parameters_by_name(load_resident(folder, dtype=None, device="cpu"), checkpoint)
    assert set(live) == {name.removeprefix("transformer.") for name in tensors}
    assert torch.equal(live["wte.weight"], tensors["transformer.wte.weight"])


def test_tensors_without_a_place_are_named(families: dict[str, Path]) -> None:
    model = load_resident(families["llama"], dtype=None, device="cpu")
    with pytest.raises(ModelError, match=r"6 tensors have no place in LlamaForCausalLM, as 'model"):
        parameters_by_name(model, Checkpoint.open(families["qwen3"]))


def test_missing_parameters_are_not_made_up(llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "gap"))
    tensors = load_file(folder / SINGLE)
    del tensors["model.norm.weight"]
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 parameters of Llama.*'model\.norm\.weight'"):
        load_resident(folder, dtype=None, device="cpu")


def test_pickles_are_not_loaded(llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "pickled"))
    torch.save(load_file(folder / SINGLE), folder / "pytorch_model.bin")
    (folder / SINGLE).unlink()
    with pytest.raises(ModelError, match="pickled weights"):
        load_resident(folder, dtype=None, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "nonesuch"}, "can't be loaded as a causal language model"),
        ({"hidden_size": 64}, "can't be loaded as a causal language model"),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "m.C", "AutoModelForCausalLM": "m.M"}},
            "brings code of its own.*trust_remote_code: true",
        ),
    ],
)
def test_models_that_cannot_be_loaded_say_why(
    llama: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "odd"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ModelError, match=message) as caught:
        load_resident(folder, dtype=None, device="cpu")
    assert "\n" not in str(caught.value)

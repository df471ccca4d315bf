import errno
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from evomerge.errors import ModelError, ProblemsError
from evomerge.models.checkpoint import INDEX, SINGLE, Checkpoint
from evomerge.models.hub import Located, locate, prefetch
from tests.fixtures_models import tiny_model
from tests.models.hub_stand_in import COMMIT, StandIn, hub_stand_in


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with hub_stand_in() as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        yield stand_in


@pytest.fixture
def model(hub: StandIn, llama: Path, tmp_path: Path) -> str:
    """Id of a model on the hub, with files beside it that nobody needs."""
    folder = Path(shutil.copytree(llama, tmp_path / "served"))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "consolidated.safetensors").write_bytes(b"the weights once more")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    hub.repos["o/model"] = folder
    return "o/model"


def test_local_folders_are_taken_as_they_are(llama: Path, hub: StandIn) -> None:
    assert locate(str(llama)) == Located(llama, None)
    assert hub.asked == []
    with pytest.raises(ModelError, match="is a local folder and has no revision 'main'"):
        locate(str(llama), "main")


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_hub_id_is_downloaded_and_pinned(
    hub: StandIn, model: str, llama: Path, revision: str | None
) -> None:
    located = locate(model, revision)
    assert located.revision == COMMIT
    assert {path.name for path in located.folder.iterdir()} == {
        SINGLE,
        "README.md",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    one, other = Checkpoint.open(llama), Checkpoint.open(located.folder)
    assert all(torch.equal(one.read(name), other.read(name)) for name in one.tensors)


def test_only_the_indexs_shards_are_downloaded(hub: StandIn, tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "served", tokenizer=False, max_shard_size="40KB")
    (folder / "model-fp32.safetensors").write_bytes(b"the weights once more")
    hub.repos["o/shards"] = folder
    located = locate("o/shards")
    names = {path.name for path in located.folder.iterdir()}
    assert INDEX in names
    assert "model-fp32.safetensors" not in names
    assert list(Checkpoint.open(located.folder).tensors) == list(Checkpoint.open(folder).tensors)


def test_a_pinned_model_in_the_cache_needs_no_hub(hub: StandIn, model: str) -> None:
    first = locate(model)
    hub.asked.clear()
    assert locate(model, COMMIT) == first
    assert hub.asked == []


def test_what_is_in_the_cache_is_not_downloaded_again(hub: StandIn, model: str) -> None:
    first = locate(model)
    assert SINGLE in hub.downloads()
    hub.asked.clear()
    assert locate(model) == first
    assert hub.downloads() == []


@pytest.mark.parametrize("by_environment", [True, False])
def test_offline_the_cache_is_used(
    hub: StandIn, model: str, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    first = locate(model)
    hub.asked.clear()
    if by_environment:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert locate(model, offline=not by_environment) == first
    assert locate(model, "main", offline=not by_environment) == first
    assert hub.asked == []


@pytest.mark.parametrize("missing", ["tokenizer.json", SINGLE])
def test_offline_a_missing_file_is_named_at_once(hub: StandIn, model: str, missing: str) -> None:
    (locate(model).folder / missing).unlink()
    hub.asked.clear()
    start = time.monotonic()
    with pytest.raises(
        ModelError, match=rf"o/model: {missing} is not in the hub's cache.*prefetch"
    ):
        locate(model, offline=True)
    assert time.monotonic() - start < 1
    assert hub.asked == []


def test_offline_a_model_never_fetched_is_named(hub: StandIn, model: str) -> None:
    with pytest.raises(ModelError, match=r"o/model at v2: config\.json is not in the hub's cache"):
        locate(model, "v2", offline=True)


def test_offline_a_partial_cache_of_others_is_named(hub: StandIn, model: str) -> None:
    huggingface_hub.hf_hub_download(
        model, "config.json", endpoint=hub.url, cache_dir=huggingface_hub.constants.HF_HUB_CACHE
    )
    with pytest.raises(ModelError, match=r"o/model is not whole in the hub's cache: .*no weights"):
        locate(model, offline=True)


def test_a_missing_file_is_fetched_again(hub: StandIn, model: str) -> None:
    located = locate(model)
    (located.folder / "tokenizer.json").unlink()
    assert locate(model, COMMIT) == located
    assert (located.folder / "tokenizer.json").is_file()


def test_an_unreachable_hub_falls_back_to_the_cache(
    hub: StandIn, model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = locate(model)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="evomerge.models.hub"):
        assert locate(model) == first
    assert "the hub can't be reached; using o/model" in caplog.text
    start = time.monotonic()
    with pytest.raises(ModelError, match="o/never can't be had from the hub") as caught:
        locate("o/never")
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "revision", "message"),
    [
        ("o/nonesuch", None, "o/nonesuch is neither a folder here nor a model on the hub"),
        ("o/model", "v9", "o/model has no revision 'v9'"),
        ("o/gated", None, "o/gated is gated: accept its terms"),
        ("o/pickles", None, r"o/pickles has only pickled weights \(pytorch_model\.bin\)"),
        ("o/adapter", None, "o/adapter is an adapter"),
        ("o/empty", None, r"o/empty lacks config\.json or model\.safetensors"),
    ],
)
def test_refusals_are_one_clear_line(
    hub: StandIn, model: str, tmp_path: Path, path: str, revision: str | None, message: str
) -> None:
    for name, file in (("pickles", "pytorch_model.bin"), ("adapter", "adapter_config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
        hub.repos[f"o/{name}"] = tmp_path / name
    (tmp_path / "empty").mkdir()
    hub.repos |= {"o/empty": tmp_path / "empty", "o/gated": tmp_path / "served"}
    hub.gated.add("o/gated")
    with pytest.raises(ModelError, match=message) as caught:
        locate(path, revision)
    assert "\n" not in str(caught.value)
    assert hub.downloads() == []


@pytest.mark.parametrize("path", ["./absent", "/absent/model", "demo/absent", "a/b/c", "~/absent"])
def test_a_missing_folder_is_not_sought_on_the_hub(hub: StandIn, tmp_path: Path, path: str) -> None:
    (tmp_path / "demo").mkdir()
    with pytest.raises(ModelError, match=r"the folder .* doesn't exist"):
        locate(path)
    assert hub.asked == []


def test_a_misspelt_folder_gets_the_nearest_name(hub: StandIn, tmp_path: Path) -> None:
    for name in ("reverse", "elsewhere"):
        (tmp_path / "demo" / name).mkdir(parents=True)
    with pytest.raises(ModelError, match=r"; did you mean '\S*demo/reverse'\?$"):
        locate("demo/revers")
    with pytest.raises(ModelError, match=r"\)\. Check the path\.$"):
        locate("demo/qqq")


def test_prefetch_gets_everything_and_tells_all_problems(
    hub: StandIn, model: str, llama: Path, tmp_path: Path
) -> None:
    seen: list[str] = []
    located = prefetch(
        {"hub": (model, None), "here": (str(llama), None)},
        on_source=lambda name, found: seen.append(name),
    )
    assert seen == list(located) == ["hub", "here"]
    assert located["hub"].revision == COMMIT
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ProblemsError) as caught:
        prefetch({"a": ("o/nonesuch", None), "b": (model, None), "c": ("./hollow", None)})
    assert [problem.key for problem in caught.value.problems] == [
        "sources.a.path",
        "sources.c.path",
    ]
    assert "holds no weights" in caught.value.problems[1].message


def test_the_environment_alone_is_enough(hub: StandIn, model: str, tmp_path: Path) -> None:
    code = f"from evomerge.models.hub import locate; print(locate({model!r}).revision)"
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(tmp_path / "own"),
        "EVOMERGE_CACHE": str(tmp_path / "evomerge-cache"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == COMMIT
    assert (tmp_path / "own").is_dir()


def test_a_full_disk_is_told(hub: StandIn, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(ModelError, match="o/model can't be stored: No space left on device"):
        locate(model)

import os
import shutil
from pathlib import Path

import pytest

from evomerge.errors import ModelError
from evomerge.models import lock
from evomerge.models.checkpoint import SINGLE
from evomerge.models.lock import lock_folder
from tests.fixtures_models import tiny_model


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "another-name"))


def test_the_hash_is_that_of_the_content_not_of_the_place(llama: Path, copy: Path) -> None:
    one = lock_folder(llama)
    assert lock_folder(copy) == one
    assert len(one.sha256) == len(one.tokenizer_sha256) == 64
    assert set(one.files) == {"config.json", SINGLE, "tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize("name", [SINGLE, "config.json"])
def test_weights_and_configuration_count(llama: Path, copy: Path, name: str) -> None:
    before = lock_folder(copy)
    data = bytearray((copy / name).read_bytes())
    data[-2] ^= 1
    (copy / name).write_bytes(data)
    after = lock_folder(copy)
    assert after.sha256 != before.sha256
    assert after.tokenizer_sha256 == before.tokenizer_sha256
    assert {n for n in before.files if before.files[n] != after.files[n]} == {name}


def test_the_tokenizer_has_a_hash_of_its_own(copy: Path) -> None:
    before = lock_folder(copy)
    (copy / "tokenizer.json").write_text("{}")
    after = lock_folder(copy)
    assert after.sha256 == before.sha256
    assert after.tokenizer_sha256 not in ("", before.tokenizer_sha256)
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").unlink()
    assert lock_folder(copy).tokenizer_sha256 == ""


def test_other_files_do_not_count(copy: Path) -> None:
    before = lock_folder(copy)
    (copy / "README.md").write_text("# a card")
    assert lock_folder(copy) == before


def test_shards_all_count(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "m", tokenizer=False, max_shard_size="40KB")
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert set(lock_folder(folder).files) == {"config.json", *shards}


def test_an_unchanged_file_is_not_read_again(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lock_folder(copy)

    def never(*args: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(lock.hashlib, "file_digest", never)
    assert lock_folder(copy) == first
    os.utime(copy / SINGLE)
    with pytest.raises(AssertionError, match="read again"):
        lock_folder(copy)


def test_a_replaced_file_of_equal_size_and_age_is_read_again(copy: Path) -> None:
    first = lock_folder(copy)
    status = (copy / SINGLE).stat()
    data = bytearray((copy / SINGLE).read_bytes())
    data[-1] ^= 1
    (copy / "new").write_bytes(data)
    os.utime(copy / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (copy / "new").replace(copy / SINGLE)
    assert lock_folder(copy).sha256 != first.sha256


def test_a_cache_that_cannot_be_used_only_costs_time(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lock_folder(copy)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVOMERGE_CACHE", str(tmp_path / "file"))
    assert lock_folder(copy) == first
    monkeypatch.setenv("EVOMERGE_CACHE", str(tmp_path / "evomerge-cache"))
    for path in (tmp_path / "evomerge-cache").rglob("*.json"):
        path.write_text("{broken")
    assert lock_folder(copy) == first


def test_what_is_no_model_cannot_be_locked(copy: Path, tmp_path: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        lock_folder(copy)
    with pytest.raises(ModelError, match="is not a folder"):
        lock_folder(tmp_path / "nowhere")

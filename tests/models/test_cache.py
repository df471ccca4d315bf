from pathlib import Path

import pytest

from evomerge.models.cache import cache_dir, keep, recall


def test_facts_are_kept_apart_by_kind_and_key() -> None:
    keep("a", "key", {"x": [1, None]})
    keep("b", "key", "other")
    assert recall("a", "key") == {"x": [1, None]}
    assert recall("b", "key") == "other"
    assert recall("a", "other") is None
    keep("a", "key", 2)
    assert recall("a", "key") == 2
    assert not list(cache_dir().rglob("*.partial"))


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOMERGE_CACHE", "/one")
    assert cache_dir() == Path("/one")
    monkeypatch.delenv("EVOMERGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_dir() == Path("/two/evomerge")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/three")
    assert cache_dir() == Path("/three/.cache/evomerge")

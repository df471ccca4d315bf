"""What a submitted run file may not ask for, key by key."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.service.safety import MOST_NODES, fitted, read_submitted, unsafe
from evomerge.service.settings import Settings

RUN: dict[str, Any] = {
    "name": "toy",
    "sources": {"a": {"path": "models/a"}, "b": {"path": "models/b"}},
    "recipe": {"parameters": [{"method": "linear", "inputs": ["a", "b"], "weights": [1, 1]}]},
    "evaluators": {"t": {"type": "generation", "data": "data.jsonl", "metric": "exact"}},
    "objectives": {"o": {"from": ["t"], "direction": "maximize"}},
    "search": {"budget": 4},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "root" / "models" / "a").mkdir(parents=True)
    (tmp_path / "root" / "models" / "b").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "data.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def settings(root: Path) -> Settings:
    return Settings(roots=(root,), max_workers=2, max_threads=2)


def keys(settings: Settings, changes: dict[str, Any], plugins: tuple[str, ...] = ()) -> list[str]:
    overrides = [f"{key}={value}" for key, value in changes.items()]
    config = parse_config(RUN, where="x", overrides=overrides)
    return [problem.key for problem in unsafe(config, plugins, settings)]


def test_an_ordinary_run_file_is_fine(settings: Settings) -> None:
    assert keys(settings, {}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sources.a.path", "/etc"),
        ("sources.a.path", "../outside"),
        ("sources.a.path", "~/models"),
        ("sources.a.path", "models/link"),
        ("sources.a.path", "models/inner"),
        ("sources.a.path", '"\\0"'),
        ("evaluators.t.data", "/etc/passwd"),
        ("evaluators.t.data", "../outside/data.jsonl"),
        ("evaluators.t.data", "linked.jsonl"),
        ("evaluators.t.data", "https://example.org/data.jsonl"),
        ("evaluators.t.data", "file:///etc/passwd"),
        ("evaluators.t.data", "http://169.254.169.254/latest"),
        ("evaluators.t.data", "http://[::1"),
        ("evaluators.t", "{type: lm_eval, task: tasks/mine.yaml}"),
        ("evaluators.t", "{type: lm_eval, task: mine.yaml}"),
        ("evaluators.t", "{type: lm_eval, task: arc_easy, include_path: models}"),
        ("evaluators.t", "{type: lm_eval, task: humaneval, unsafe_code: true}"),
        ("evaluators.t", "{type: other, deep: {list: [../outside/data.jsonl]}}"),
        ("search.recipes", "[../outside/recipe.yaml]"),
        ("sources.a.trust_remote_code", "true"),
        ("ledger", "postgresql://evil/db"),
        ("execution.executor", "ray"),
        ("execution.options", "{address: 'ray://evil:10001'}"),
        ("execution.options", "{gpus: 1}"),
        ("execution.workers", "3"),
        ("execution.threads", "3"),
    ],
)
def test_what_leads_out_is_refused_by_its_key(
    root: Path, settings: Settings, key: str, value: str
) -> None:
    (root / "models" / "link").symlink_to(root.parent / "outside")
    (root / "models" / "inner").mkdir()
    (root / "models" / "inner" / "w.safetensors").symlink_to(root.parent / "outside")
    (root / "linked.jsonl").symlink_to(root.parent / "outside" / "data.jsonl")
    found = keys(settings, {key: value})
    assert found
    assert all(item.startswith(key) for item in found)


def test_the_operators_lists_open_what_they_name(root: Path, settings: Settings) -> None:
    plugin = root / "plugin.py"
    plugin.touch()
    (root / "tasks").mkdir()
    allowed = replace(
        settings,
        hosts=("example.org",),
        plugins=(plugin, root / "tasks"),
        remote_code=("models/a",),
        unsafe_code=True,
        executors=("ray",),
        ray="ray://head:10001",
    )
    task = "{type: lm_eval, task: tasks/mine.yaml, include_path: tasks, unsafe_code: true}"
    options = "{address: 'ray://head:10001', gpus: 1}"
    ray = {"execution.executor": "ray", "execution.options": options}
    changes = {"sources.a.trust_remote_code": "true", "evaluators.t": task, **ray}
    assert keys(allowed, changes, (str(plugin),)) == []
    assert keys(allowed, {**ray, "evaluators.t.data": "https://EXAMPLE.org/x"}) == []
    assert keys(settings, {}, (str(plugin),)) == ["plugins[0]"]
    os.symlink(plugin, root / "same.py")
    assert keys(allowed, ray, ("same.py", "models/evil.py")) == ["plugins[1]"]


def test_a_recipe_of_the_server_leads_nowhere_else(root: Path, settings: Settings) -> None:
    (root / "r.yaml").write_text("sources: {a: {path: ../outside}}\n")
    assert keys(settings, {"search.recipes": "[r.yaml]"}) == ["search.recipes[0]"]
    (root / "r.yaml").write_text("sources: {a: {path: models/a}}\n")
    assert keys(settings, {"search.recipes": "[r.yaml]"}) == []


def test_texts_that_are_no_paths_stay_free(settings: Settings) -> None:
    prompt = '"Is it a/b or c?\\n/answer: "'
    assert keys(settings, {"evaluators.t.template": prompt}) == []


def test_the_service_has_the_last_word_on_ledger_and_disk(settings: Settings) -> None:
    mine = replace(settings, ledger="sqlite:////srv/ledger.db", disk_reserve_gb=2.0)
    made = fitted({**RUN, "execution": {"disk_reserve_gb": 0.0, "workers": 2}}, mine)
    assert made["ledger"] == "sqlite:////srv/ledger.db"
    assert made["execution"] == {"disk_reserve_gb": 2.0, "workers": 2}
    more = fitted({**RUN, "execution": {"disk_reserve_gb": 9.0}}, mine)
    assert more["execution"]["disk_reserve_gb"] == 9.0


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], b{n}: 1}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize("text", [LAUGHS, MERGES])
def test_a_yaml_bomb_is_refused_before_it_goes_off(text: str) -> None:
    with pytest.raises(ConfigError, match=f"more than {MOST_NODES} values"):
        read_submitted(text, "x")


def test_depth_and_loops_are_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_submitted("[" * 5000 + "]" * 5000, "x")
    with pytest.raises(ConfigError, match="alias refers to what it stands in"):
        read_submitted("a: &a [*a]", "x")
    with pytest.raises(ConfigError, match="Only plain YAML values"):
        read_submitted("a: !!python/object/apply:os.system [id]", "x")


def test_a_modest_alias_is_fine() -> None:
    assert read_submitted("a: &a [1]\nb: *a", "x") == {"a": [1], "b": [1]}

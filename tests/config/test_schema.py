"""The schema that editors read accepts what run files may hold, and its committed copy is fresh."""

import json
from pathlib import Path

import yaml

from evomerge.config import RunConfig, json_schema

ROOT = Path(__file__).parents[2]


def test_the_committed_schema_is_fresh() -> None:
    committed = json.loads((ROOT / "configs" / "schema.json").read_text())
    assert committed == json_schema(), "run: evomerge schema > configs/schema.json"


def test_keys_are_those_that_the_user_writes() -> None:
    schema = json_schema()
    assert set(schema["required"]) == {"name", "evaluators", "objectives", "search"}
    assert schema["anyOf"] == [{"required": ["sources"]}, {"required": ["network"]}]
    objective = schema["$defs"]["ObjectiveConfig"]
    assert "from" in objective["properties"]
    assert "sources" not in objective["properties"]
    assert objective["additionalProperties"] is False
    assert schema["$defs"]["StageConfig"]["additionalProperties"] is True


def test_every_key_has_a_description_for_the_editor() -> None:
    schema = json_schema()
    blocks = [schema, *schema["$defs"].values()]
    bare = [
        name
        for b in blocks
        for name, key in b["properties"].items()
        if not {"description", "$ref"} & set(key)
    ]
    assert bare == []


def test_shipped_run_files_name_the_schema_and_load() -> None:
    for path in (ROOT / "configs").glob("*.yaml"):
        text = path.read_text()
        assert text.startswith("# yaml-language-server: $schema=schema.json"), path
        RunConfig.model_validate(yaml.safe_load(text))

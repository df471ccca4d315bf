"""The JSON schema of run files, for editors: completion, help and checks while typing."""

from typing import Any

from evomerge.config.run import RunConfig


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of run files, keys as the user writes them."""
    schema = RunConfig.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "anyOf": [{"required": ["sources"]}, {"required": ["network"]}],
        "title": "evomerge run file",
    }
